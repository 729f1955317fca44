"""A built-in function applied to arguments, while it is being checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appnet.diagnostics.place import Span
from appnet.language import syntax
from appnet.language.expressions import coerce, expression, mismatch, type_of, typed, unify
from appnet.language.operations.declaration import OF_THE_CALL, Effect, Operation
from appnet.language.operations.signature import LETTERS, NAMED, Shape, signature_of
from appnet.language.scope import CheckError, Part, Scope
from appnet.language.typed import Operate, Value
from appnet.language.types import BOOL, BYTES, FLOAT, INT, STRING, UINT, MapType, OptionType, PairType, Type, VecType

_NEEDED = {"S": STRING, "N": FLOAT}  # what errors name where a type is none that the letter stands for
_TEXTS = {1: "a text", 2: "two texts", 3: "three texts"}


@dataclass(frozen=True)
class Call:
    """``want``: the type that is needed where it stands, if one is. ``usage``: how its function is written."""

    scope: Scope
    node: syntax.Apply
    want: Type | None
    usage: str

    @property
    def name(self) -> str:
        """The function's name, as it is written here."""
        return self.node.function.name

    @property
    def arguments(self) -> tuple[syntax.Expression, ...]:
        """Its arguments, not checked yet."""
        return self.node.arguments

    def count(self, *allowed: int, advice: str = "") -> int:
        """How many arguments there are, if that is one of ``allowed``; ``advice``: what else helps where it is not."""
        found = len(self.arguments)
        if found not in allowed:
            wanted = " or ".join(str(it) for it in allowed)
            title = f"`{self.name}` takes {wanted} argument{'' if allowed == (1,) else 's'}, not {found}"
            raise CheckError("E022", title, self.node.span, help_=f"write {self.usage}{advice}")
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

    def vec(self, index: int) -> tuple[Value, VecType]:
        """The argument, which is a Vec."""
        value = self.any(index)
        type_ = type_of(value, self.span(index))
        if not isinstance(type_, VecType):
            raise CheckError("E020", f"`{self.name}` takes a Vec", self.span(index), f"this is {type_}", "name a Vec")
        return value, type_

    def text(self, index: int) -> Value:
        """The argument as text: numbers and bools are written out."""
        return to_text(self.any(index), self.span(index))

    def is_rpc(self) -> bool:
        """Whether the first argument is the RPC, and there is one."""
        node = self.arguments[0] if self.arguments else None
        if not isinstance(node, syntax.Name) or node.name != self.scope.rpc or self.scope.find(node.name) is not None:
            return False
        self.in_handler()
        return True

    def in_handler(self) -> None:
        """Raises `CheckError` in ``init``, where there is no call."""
        if self.scope.part is Part.INIT:
            title = f"`{self.name}` needs a call, but `init` runs before any call"
            raise CheckError("E034", title, self.node.span, help_="move it into a handler")

    def has_metadata(self) -> None:
        """Raises `CheckError` where the call is over, and its metadata gone."""
        self.in_handler()
        if self.scope.part is Part.END:
            title = f"`end` sees no metadata or anything else of the call: `{self.name}` works only before"
            help_ = f"use {self.name} in `open`, `req` or `resp`; keep what `end` needs in a Map at rpc_id()"
            raise CheckError("E037", title, self.node.span, "the call ends here", help_)

    def may_end(self) -> None:
        """Raises `CheckError` where a handler cannot end, as it does where the function fails."""
        if self.scope.part in {Part.INIT, Part.END} or self.scope.loops:
            title = f"`{self.name}` can end a handler, which cannot end here"
            help_ = f"{self.name} in `req` or `resp`, before or after the loop"
            raise CheckError("E031", title, self.node.span, help_=help_)

    def after_rpc(self, count: int) -> int:
        """Where ``count`` arguments begin: public programs name the RPC before them, or leave it out."""
        self.in_handler()
        if self.count(count, count + 1) == count:
            return 0
        if not self.is_rpc():
            title = f"the first argument of `{self.name}` is the RPC"
            raise CheckError("E022", title, self.span(0), help_=f"write {self.usage}")
        return 1


def to_text(value: Value, span: Span) -> Value:
    """``value`` as a string."""
    type_ = type_of(value, span)
    if type_ == STRING:
        return value
    if type_ in {BOOL, INT, UINT, FLOAT, BYTES}:
        return Operate(f"{type_}_to_string", (value,), STRING)
    help_ = "only numbers, bools and bytes can"
    raise CheckError("E020", f"{type_} cannot be converted to a string", span, help_=help_)


def by_signature(call: Call, operation: Operation) -> Value:
    """The operation on the arguments, each as the signature has it."""
    if operation.fallible:
        call.may_end()
    if operation.effects & (Effect.READS_METADATA | Effect.WRITES_METADATA):
        call.has_metadata()
    signature = signature_of(operation)
    count = len(signature.parameters)
    offset = call.after_rpc(count) if operation.effects & OF_THE_CALL else 0
    if offset == 0:
        call.count(count)
    result = signature.given(fallible=operation.fallible)
    arguments = _Arguments(call, signature.parameters, result, offset)
    return Operate(operation.name, arguments.values(), arguments.type(result))


class _Arguments:
    """The arguments of a call as a signature wants them, with one type for each of its letters."""

    def __init__(self, call: Call, parameters: Sequence[Shape], result: Shape, offset: int) -> None:
        self._call = call
        self._parameters = parameters
        self._offset = offset
        self._letters: dict[str, Type] = {}
        self._wanted = call.want if result.head in _NEEDED else None

    def values(self) -> tuple[Value, ...]:
        """Their values, evaluated left to right."""
        found: list[Value] = []
        for index, shape in enumerate(self._parameters):
            found.append(self._value(index, shape))
            if shape.head in _NEEDED:
                self._join(found, shape.head)
        return tuple(found)

    def type(self, shape: Shape) -> Type:
        """The type of this shape, once the letters in it are known."""
        parts = [self.type(it) for it in shape.parts]
        match shape.head:
            case "Vec":
                return VecType(parts[0])
            case "Option":
                return OptionType(parts[0])
            case "pair":
                return PairType(parts[0], parts[1])
            case head:
                return self._letters[head] if head in LETTERS else NAMED[head]

    def _span(self, index: int) -> Span:
        return self._call.span(self._offset + index)

    def _value(self, index: int, shape: Shape) -> Value:
        at = self._offset + index
        if shape.head in _NEEDED:
            value = self._call.any(at, self._wanted)
            if shape.head == "S":
                self._no_container(value, self._span(index))
            return value
        if shape.head != "Vec":
            return self._call.typed(at, self.type(shape))
        value, type_ = self._call.vec(at)
        letter = shape.parts[0].head
        if letter not in LETTERS:
            return coerce(value, self.type(shape), self._span(index))
        allowed = LETTERS[letter]
        if allowed is not None and type_.item not in allowed:
            raise mismatch(type_, VecType(_NEEDED[letter]), self._span(index))
        self._letters[letter] = type_.item
        return value

    def _join(self, found: list[Value], letter: str) -> None:
        """Makes the last value, and those before it of the same letter, values of one type."""
        places = [index for index in range(len(found)) if self._parameters[index].head == letter]
        *before, last = places
        if not before:
            known = self._letters.get(letter)
            if known is not None:  # a Vec has told
                found[last] = coerce(found[last], known, self._span(last))
            common = type_of(found[last], self._span(last))
        else:
            spans = self._span(before[0]), self._span(last)
            _, found[last], common = unify(found[before[0]], found[last], spans, self._wanted)
            for index in before:
                found[index] = coerce(found[index], common, self._span(index))
        if last == max(index for index, shape in enumerate(self._parameters) if shape.head == letter):
            self._letters[letter] = self._allowed(letter, common, self._span(places[0]))

    def _allowed(self, letter: str, type_: Type, span: Span) -> Type:
        allowed = LETTERS[letter]
        if allowed is not None and type_ not in allowed:
            raise mismatch(type_, _NEEDED[letter], span)
        return type_

    def _no_container(self, value: Value, span: Span) -> None:
        if isinstance(type_of(value, span), VecType | MapType):
            count = sum(it.head == "S" for it in self._parameters)
            title = f"`{self._call.name}` takes {_TEXTS[count]}"
            help_ = "search a Vec with foreach, and look up a key of a Map with get"
            raise CheckError("E020", title, span, "this is a container", help_)
