"""What files say of fields that nobody may see: a list of them, each as `Message.field`.

It marks a field as the .proto does by ``debug_redact``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

import yaml

from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.diagnostics.near import either, suggestion
from appnet.diagnostics.place import Label
from appnet.diagnostics.remedy import instead, near
from appnet.diagnostics.yaml_reader import Located, Section, node_span

_SHOWN = 3
_EXAMPLE = "write `- LoginRequest.password`"


def read_secret_fields(section: Section, key: str) -> tuple[Located, ...]:
    """The names that the section lists under ``key``. What is wrong is told and left out."""
    found: list[Located] = []
    for node in section.items(key, "list fields, or leave it out") or () if key in section else ():
        span = node_span(section.problems.source, node)
        if isinstance(node, yaml.ScalarNode) and node.value.strip("."):
            found.append(Located(node.value, span))
        else:
            section.problems.add("C012", "a secret field must be a name", span, "not a name", _EXAMPLE)
    return tuple(found)


def meant(name: str, known: Collection[str]) -> list[str]:
    """Those of the ``known`` fields, by full names, that ``name`` means: as with methods, packages and outer messages
    may be left out."""
    wanted = name.removeprefix(".")
    return [wanted] if wanted in known else sorted(it for it in known if it.endswith(f".{wanted}"))


def short_names(known: Collection[str]) -> list[str]:
    """What means each of the ``known`` fields: message and field, or the full name where several have these."""
    short = {it: ".".join(it.split(".")[-2:]) for it in known}
    several = Counter(short.values())
    return sorted(it if several[name] > 1 else name for it, name in short.items())


def wrong_names(names: tuple[Located, ...], known: Collection[str]) -> Iterator[Diagnostic]:
    """What is wrong with the names, where these are the fields of all messages."""
    seen: dict[str, Located] = {}
    for name in names:
        found = meant(name.value, known)
        if not found:
            yield _unknown(name, known)
        elif len(found) > 1:
            title, label = f"field `{name}` is ambiguous", "several messages have it"
            some = found[:_SHOWN]
            help_, remedies = f"write the full name: {either(some)}", instead(name.span, *some)
            yield Diagnostic("C056", Severity.ERROR, title, name.span, label, help_, (), remedies)
        elif seen.setdefault(found[0], name) is not name:
            title, first = f"`{found[0]}` appears twice", Label(seen[found[0]].span, "the first is here")
            yield Diagnostic("C022", Severity.ERROR, title, name.span, "once is enough", "remove it", (first,))


def _unknown(name: Located, known: Collection[str]) -> Diagnostic:
    short = short_names(known)
    title, label = f"no field `{name}`", "in no message of these methods"
    help_ = suggestion(name.value, short, what="fields")
    return Diagnostic("C056", Severity.ERROR, title, name.span, label, help_, (), near(name.span, name.value, short))
