"""The built-in functions as an editor shows them, from their declarations."""

from __future__ import annotations

from dataclasses import dataclass

from appnet.language.operations.built_in import SpecialForm
from appnet.language.operations.registry import BUILT_INS

_STATEMENTS = {
    "send": SpecialForm(
        "send(rpc, Down)",
        "Ends the handler: `send(rpc, Down)` in `req` and `send(rpc, Up)` in `resp` forward the message, "
        "`send(err(…), Up)` refuses it.",
    ),
    "err": SpecialForm("err('text', CODE)", "An error with a gRPC status: ABORTED, or the code you name."),
    "foreach": SpecialForm(
        "foreach(vec, lambda(x): …)", "Runs the body for each item of the Vec as it was at the start."
    ),
}
FUNCTIONS = tuple(sorted({*BUILT_INS, *_STATEMENTS}))


def documentation(function: str) -> str:
    """What the function means, as Markdown, each way to call it in its own paragraph; empty for an unknown one."""
    if function in _STATEMENTS:
        return _shown(_STATEMENTS[function])
    if function not in BUILT_INS:
        return ""
    built_in = BUILT_INS[function]
    same = [f"`{function}` is `{built_in.name}`."] if function != built_in.name else []
    operations = [_shown(SpecialForm(it.usage, it.meaning), it.signature) for it in built_in.operations]
    return "\n\n".join([*same, *map(_shown, built_in.forms), *operations])


@dataclass(frozen=True)
class Usage:
    """A way to call a function, ``text``, with the parts of it that are its ``parameters``, and its meaning."""

    text: str
    parameters: tuple[str, ...]
    meaning: str


def usages(function: str) -> list[Usage]:
    """All ways to call it; none for an unknown one."""
    if function in _STATEMENTS:
        return [_usage(_STATEMENTS[function])]
    if function not in BUILT_INS:
        return []
    built_in = BUILT_INS[function]
    forms = [*built_in.forms, *(SpecialForm(it.usage, it.meaning) for it in built_in.operations)]
    named = [SpecialForm(function + it.usage.removeprefix(built_in.name), it.meaning) for it in forms]
    return list({it.usage: _usage(it) for it in reversed(named)}.values())[::-1]


def _usage(form: SpecialForm) -> Usage:
    parameters, depth = [""], 0
    for character in form.usage.partition("(")[2]:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            break
        if character == "," and depth == 0:
            parameters.append("")
        else:
            parameters[-1] += character
    return Usage(form.usage.partition(" or ")[0], tuple(it.strip() for it in parameters if it.strip()), form.meaning)


def usage(function: str) -> str:
    """One way to call it, for a line in a list."""
    first = documentation(function).split("`")
    return first[1] if len(first) > 1 else function


def _shown(form: SpecialForm, signature: str = "") -> str:
    return f"`{form.usage}`" + (f" — `{signature}`" if signature else "") + f"  \n{form.meaning}"
