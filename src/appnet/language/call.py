"""A built-in function applied to arguments, while it is being checked."""

from __future__ import annotations

from dataclasses import dataclass

from appnet.diagnostics.diagnostic import Span
from appnet.language import syntax
from appnet.language.expressions import expression, type_of, typed
from appnet.language.operations import OPERATIONS
from appnet.language.scope import CheckError, Part, Scope
from appnet.language.typed import Operate, Value
from appnet.language.types import BOOL, BYTES, FLOAT, INT, STRING, UINT, Type

_USAGE = {
    "get": "get(rpc, 'field'), get(map, key), get(map, key, default) or get(vec, index)",
    "set": "set(rpc, 'field', value), set(map, key, value) or set(vec, index, value)",
    "delete": "delete(map, key)",
    "size": "size(container)",
    "byte_size": "byte_size(rpc, 'field')",
    "get_metadata": "get_metadata(rpc, 'key')",
    "set_metadata": "set_metadata(rpc, 'key', value)",
    "get_rpc_header": "get_rpc_header(rpc, 'key')",
    "set_rpc_header": "set_rpc_header(rpc, 'key', value)",
    "status": "status(rpc)",
    "rpc_id": "rpc_id()",
    "randomf": "randomf(low, high)",
    "randomi": "randomi(low, high)",
    "min": "min(a, b)",
    "max": "max(a, b)",
    "current_time": "current_time()",
    "time_diff": "time_diff(later, earlier)",
    "encrypt": "encrypt(text, key)",
    "hmac": "hmac(text, key)",
    "compress": "compress(text)",
    "decompress": "decompress(text)",
    "matches": "matches(text, 'pattern')",
    "decrypt": "decrypt(text, key)",
}


@dataclass(frozen=True)
class Call:
    """``want``: the type that is needed where it stands, if one is."""

    scope: Scope
    node: syntax.Apply
    want: Type | None

    @property
    def name(self) -> str:
        """The function's name."""
        return self.node.function.name

    @property
    def arguments(self) -> tuple[syntax.Expression, ...]:
        """Its arguments, not checked yet."""
        return self.node.arguments

    @property
    def usage(self) -> str:
        """How the function is written."""
        written = (it.surface for it in OPERATIONS.values() if it.surface.startswith(f"{self.name}("))
        return _USAGE.get(self.name) or next(written, f"{self.name}(…)")

    def count(self, *allowed: int) -> int:
        """How many arguments there are, if that is one of ``allowed``."""
        found = len(self.arguments)
        if found not in allowed:
            wanted = " or ".join(str(it) for it in allowed)
            title = f"`{self.name}` takes {wanted} argument{'' if allowed == (1,) else 's'}, not {found}"
            several = "; join more by a + b + c" if self.name == "concat" and found > 2 else ""
            raise CheckError("E022", title, self.node.span, help_=f"write {self.usage}{several}")
        return found

    def typed(self, index: int, want: Type) -> Value:
        """The argument as a value of the type."""
        return typed(self.scope, self.arguments[index], want)

    def any(self, index: int, want: Type | None = None) -> Value:
        """The argument as a value of whatever type it has."""
        return expression(self.scope, self.arguments[index], want)

    def span(self, index: int) -> Span:
        """Where the argument stands."""
        return self.arguments[index].span

    def is_rpc(self, index: int = 0) -> bool:
        """Whether the argument is the RPC, and there is one."""
        node = self.arguments[index] if index < len(self.arguments) else None
        if not isinstance(node, syntax.Name) or node.name != self.scope.rpc or self.scope.find(node.name) is not None:
            return False
        self.in_handler()
        return True

    def in_handler(self) -> None:
        """Raises `CheckError` in ``init``, where there is no call."""
        if self.scope.part is Part.INIT:
            title = f"`{self.name}` needs a call, and `init` runs before there is one"
            raise CheckError("E034", title, self.node.span, help_="move it into `req` or `resp`")

    def text(self, index: int) -> Value:
        """The argument as text: numbers and bools are written out."""
        return to_text(self.any(index), self.span(index))


def to_text(value: Value, span: Span) -> Value:
    """``value`` as a string."""
    type_ = type_of(value, span)
    if type_ == STRING:
        return value
    if type_ in {BOOL, INT, UINT, FLOAT, BYTES}:
        return Operate(f"{type_}_to_string", (value,), STRING)
    help_ = "numbers, bools and bytes can be written out"
    raise CheckError("E020", f"{type_} cannot be made a string", span, help_=help_)
