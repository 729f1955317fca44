"""Which kind of file one is, by its name and its words: what commands read, pass over in folders, and refuse."""

from __future__ import annotations

import re
from collections.abc import Iterable

import yaml

from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.diagnostics.near import near_names
from appnet.diagnostics.place import Source, Span
from appnet.diagnostics.source import base_name
from appnet.diagnostics.yaml_reader import node_span

API_VERSION = "api.core.appnet.io/v1"
KIND = "AppNetConfig"
BEHAVIOUR = ".behaviour.yaml"
"""How the names of behaviour files end."""

LOCAL = "local.yaml"
"""The name of files that say how services run on this machine."""

_NEAR = 0.8
_HEADER = {"apiVersion": API_VERSION, "kind": KIND}
_OF_SPECIFICATIONS = ("app_name", "app_manifest", "app_structure")
_TWO_SUFFIXES = re.compile(r"(?P<stem>.+)\.(?P<suffix>\w+)\.ya?ml")
_TOP = re.compile(r"""^(?P<key>\w+): *["']?(?P<value>[^\s"'#]*)""", re.MULTILINE)
_OTHERS = (
    (".appnet", "an element", "`appnetctl show {}` shows it alone"),
    (".proto", "a .proto", "`appnetctl check {}` checks it alone"),
    (BEHAVIOUR, "a behaviour file", "`appnetctl test {}` tries its cases"),
)
_HELP = "pass an AppNetConfig, or a specification of an application"


def is_meant(text: str) -> bool:
    """Whether a YAML text is evidently meant to be an application's, though it may misspell what says so.

    Others, such as manifests, are not ours to judge.
    """
    top = [(it["key"], it["value"]) for it in _TOP.finditer(text)]
    if any(_is_ours(key, value) for key, value in top):
        return True
    keys = {it for key, _ in top for it in near_names(key, _OF_SPECIFICATIONS, cutoff=_NEAR)}
    return "app_name" in dict(top) or len(keys) > 1


def _behaviour_name(name: str) -> str:
    """The name that a file needs to be read as a behaviour file, which ``name`` nearly is; else empty."""
    found = None if name.endswith(BEHAVIOUR) else _TWO_SUFFIXES.fullmatch(name)
    near = found is not None and near_names(found["suffix"], ["behaviour"], cutoff=_NEAR)
    return f"{found['stem']}{BEHAVIOUR}" if found is not None and near else ""


def is_behaviour(name: str) -> bool:
    """Whether a file is named as behaviour files are, or nearly so."""
    return name.endswith(BEHAVIOUR) or bool(_behaviour_name(name))


def misnamed(source: Source) -> Diagnostic | None:
    """The error of a file that is nearly named as a behaviour file."""
    name = _behaviour_name(base_name(source))
    title = f"{base_name(source)} is not named like a behaviour file"
    wrong = Diagnostic("C070", Severity.ERROR, title, Span.whole(source), "", f"rename it to `{name}`")
    return wrong if name else None


def no_application(source: Source) -> Diagnostic | None:
    """The error of a file that, by its name, is of another kind than those that say an application."""
    name = base_name(source)
    found = next((it for it in _OTHERS if name.endswith(it[0])), None)
    if found is None:
        return misnamed(source)
    _, kind, instead = found
    title, help_ = f"{name} is {kind}, not an application", f"{_HELP}; {instead.format(source.name)}"
    return Diagnostic("C014", Severity.ERROR, title, Span.whole(source), "", help_)


def no_config(source: Source, documents: Iterable[yaml.Node]) -> Diagnostic | None:
    """The error of Kubernetes objects, none of which is, or means to be, an AppNetConfig."""
    kinds: list[yaml.ScalarNode] = []
    for document in documents:
        found = _scalars(document)
        if found.keys() != _HEADER.keys() or any(_is_ours(key, node.value) for key, node in found.items()):
            return None
        kinds.append(found["kind"])
    if not kinds:
        return None
    title = f"{base_name(source)} is a Kubernetes manifest, not an application"
    help_ = f"pass an AppNetConfig that has `appManifestFile: {base_name(source)}`"
    return Diagnostic("C014", Severity.ERROR, title, node_span(source, kinds[0]), f"not `{KIND}`", help_)


def _scalars(document: yaml.Node) -> dict[str, yaml.ScalarNode]:
    """``apiVersion`` and ``kind`` of a document, where it has them."""
    entries = document.value if isinstance(document, yaml.MappingNode) else []
    return {
        key.value: value
        for key, value in entries
        if isinstance(key, yaml.ScalarNode) and key.value in _HEADER and isinstance(value, yaml.ScalarNode)
    }


def _is_ours(key: str, value: str) -> bool:
    """Whether it is the ``apiVersion`` or the ``kind`` of an AppNetConfig, or nearly so."""
    wanted = _HEADER.get(key)
    return wanted is not None and ("appnet" in value.lower() or bool(near_names(value, [wanted], cutoff=0.9)))
