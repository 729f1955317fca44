"""All operations and built-in functions, and how a call finds the one that it names."""

from __future__ import annotations

from functools import cache

from appnet.diagnostics.near import near_names, suggestion
from appnet.diagnostics.remedy import instead
from appnet.language import syntax
from appnet.language.operations import (
    chance,
    containers,
    conversion,
    hosts,
    messages,
    metadata,
    numbers,
    rpc,
    secrets,
    text,
    time,
)
from appnet.language.operations.built_in import BuiltIn
from appnet.language.operations.call import Call, by_signature
from appnet.language.operations.signature import signature_of
from appnet.language.scope import CheckError, Scope
from appnet.language.typed import Value
from appnet.language.types import Type

CHAPTERS = (
    *numbers.CHAPTERS,
    *conversion.CHAPTERS,
    *text.CHAPTERS,
    *containers.CHAPTERS,
    *chance.CHAPTERS,
    *time.CHAPTERS,
    *rpc.CHAPTERS,
    *metadata.CHAPTERS,
    *messages.CHAPTERS,
    *hosts.CHAPTERS,
    *secrets.CHAPTERS,
)

OPERATIONS = {operation.name: operation for chapter in CHAPTERS for operation in chapter.operations}

FALLIBLE = frozenset(name for name, it in OPERATIONS.items() if it.fallible)
"""Operations whose None ends a handler."""

KEYED = frozenset(name for name, it in OPERATIONS.items() if signature_of(it).takes_key)
"""Operations at a key of a Map."""

_FUNCTIONS = [entry for chapter in CHAPTERS for entry in chapter.entries if isinstance(entry, BuiltIn)]

BUILT_INS = {name: it for it in _FUNCTIONS for name in (it.name, *it.aliases)}
"""The functions that give a value or change one, by each of their names."""

_RECORD = (
    "append it to a Vec in `state`: set(records, size(records), x); a Vec that is only appended to goes to telemetry"
)
_APPEND = "write set(v, size(v), x), which appends x to the Vec"
INSTEAD = {
    **dict.fromkeys(("print", "println", "printf", "log"), _RECORD),
    **dict.fromkeys(("append", "push", "add"), _APPEND),
    "set_route_dst": "write set(rpc, 'dst', backend)",
}
"""What to write in the place of functions that other languages have and this one has not."""


def apply(scope: Scope, node: syntax.Apply, want: Type | None) -> Value:
    """The value of a function applied to arguments. ``set`` and ``delete`` give unit."""
    name = node.function.name
    found = BUILT_INS.get(name)
    if found is not None:
        call = Call(scope, node, want, _usage(name))
        return found.resolve(call) if found.resolve is not None else by_signature(call, found.operations[0])
    if name == "reply":
        raise CheckError("E035", "`reply()` is not a value", node.span, help_="write r = reply(), and then send(r, Up)")
    if name == "err":
        raise CheckError("E031", "`err` is not a value", node.span, help_="write send(err('text'), Up)")
    span, (help_, meant) = node.function.span, _instead(name)
    raise CheckError("E013", f"there is no function `{name}`", span, help_=help_, remedies=instead(span, *meant))


@cache
def _usage(name: str) -> str:
    return BUILT_INS[name].usage(name)


def _instead(name: str) -> tuple[str, list[str]]:
    """What to write for a function of this name, and the functions that may stand in its place."""
    ours = [it for it in _FUNCTIONS if name.lower() in it.elsewhere]
    if ours:
        return f"write {' or '.join(it.usage(it.name) for it in ours)}", [it.name for it in ours]
    if name.lower() in INSTEAD:
        return INSTEAD[name.lower()], []
    known = sorted([*BUILT_INS, "send", "err"])
    return suggestion(name, known, what="functions"), near_names(name, known)
