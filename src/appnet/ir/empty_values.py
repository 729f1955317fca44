"""Which metadata a handler may set to the empty text, as far as its operations tell."""

from __future__ import annotations

from appnet.ir.nodes import Atom, Block, Call, Const, Let, Local
from appnet.ir.walk import binders, call_of, statements

_SETS = {"set_metadata", "set_trailer"}
_NEVER_EMPTY = {f"{it}_to_string" for it in ("bool", "int", "uint", "float")} | {"encrypt", "method"}


def may_set_empty(body: Block) -> tuple[str, ...]:
    """The keys, in the order of the text; one that is computed is '…'."""
    found: list[str] = []
    full: set[str] = set()  # locals that hold some text, wherever they are bound
    bound: set[str] = set()

    def is_full(atom: Atom) -> bool:
        return atom.value != b"" if isinstance(atom, Const) else isinstance(atom, Local) and atom.name in full

    for statement in statements(body):
        call = call_of(statement)
        if call is not None and call.op in _SETS and not is_full(call.args[1]):
            key = call.args[0]
            found.append(key.value.decode() if isinstance(key, Const) and isinstance(key.value, bytes) else "…")
        names = {it.name for it in binders(statement)}
        full -= names & bound
        if isinstance(statement, Let) and not names & bound:
            value = statement.value
            known = isinstance(value, Call) and (
                value.op in _NEVER_EMPTY or (value.op == "concat" and any(map(is_full, value.args)))
            )
            if known or (isinstance(value, Const | Local) and is_full(value)):
                full |= names
        bound |= names
    return tuple(dict.fromkeys(found))
