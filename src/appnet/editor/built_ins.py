"""The built-in functions as an editor shows them, from their declarations."""

from __future__ import annotations

from appnet.language.functions import BUILT_INS
from appnet.language.operations import OPERATIONS

_ALIASES = {"len": "size", "get_rpc_header": "get_metadata", "set_rpc_header": "set_metadata"}
_FORMS = {  # what is no operation: it is resolved before there are any
    "get": ("get(rpc, 'field')", "The field of the message in hand, in the type of the .proto."),
    "set": ("set(rpc, 'field', value)", "Writes the field of the message in hand."),
    "byte_size": ("byte_size(rpc, 'field')", "The length of a string or bytes in bytes."),
    "send": (
        "send(rpc, Down)",
        "Ends the handler: `send(rpc, Down)` in `req` and `send(rpc, Up)` in `resp` forward, send(err(…), Up) refuses.",
    ),
    "err": ("err('text', CODE)", "An answer with a gRPC status: ABORTED, or the code that is named."),
    "foreach": ("foreach(vec, lambda(x): …)", "Runs the body for each item of the Vec as it was at the start."),
}
FUNCTIONS = tuple(sorted({*BUILT_INS, "send", "err", "foreach"}))


def documentation(function: str) -> str:
    """What the function means, as Markdown, each way to call it in its own paragraph; empty for an unknown one."""
    if function not in FUNCTIONS:
        return ""
    forms = [(written, "", meaning) for name, (written, meaning) in _FORMS.items() if name == function]
    declared = _ALIASES.get(function, function)
    forms += [
        (it.surface, it.signature, it.meaning) for it in OPERATIONS.values() if it.surface.startswith(f"{declared}(")
    ]
    same = f"`{function}` is `{declared}`.\n\n" if declared != function else ""
    return same + "\n\n".join(_form(*it) for it in forms)


def usage(function: str) -> str:
    """One way to call it, for a line in a list."""
    first = documentation(function).split("`")
    return first[1] if len(first) > 1 else function


def _form(written: str, signature: str, meaning: str) -> str:
    return f"`{written}`" + (f" — `{signature}`" if signature else "") + f"  \n{meaning}"
