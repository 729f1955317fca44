"""Random AppNet expressions of a wanted type, over the names that are in scope."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from appnet.language.operations.declaration import OF_THE_CALL, Effect, Operation
from appnet.language.operations.metadata import DELAY, HOST
from appnet.language.operations.registry import BUILT_INS
from appnet.language.operations.signature import NAMED, signature_of
from appnet.language.types import (
    BOOL,
    BYTES,
    FLOAT,
    INSTANT,
    INT,
    STRING,
    UINT,
    MapType,
    OptionType,
    PairType,
    Type,
    VecType,
)
from tests.support.sample import SAMPLE

Item = TypeVar("Item")

# Few, so that what programs look for and what RPCs bring meet often.
WORDS = ("", "a", "test", "No", "Yes", "hello", "user-7", "a b", "é", "12", "-3.5", "422254446.538462294744")
NUMBERS = (0, 1, 2, 3, 7, 10, 255, 2**31, 2**53 + 1, 2**62)
REALS = ("0.0", "0.5", "1.0", "1.5", "3.25", "100.0", "0.000001", "0.0078125", "1000000000000.0")
METADATA = (
    "user", "X-Trace", "dst", "grpc-secret", "grpc-status", "grpc-retry-pushback-ms", "te", "bad key", DELAY, HOST,
)  # fmt: skip
PATTERNS = ("", "^a", "[a-z]+-?[0-9]+$", "(?i)YES|no", "l{2}", "^[^a]*$", "\\\\bb\\\\b", "^.{1,2}$", "é|\\\\d\\\\.")

ASKED = tuple(it.path for it in SAMPLE.request.all_fields() if it.presence and not it.within)

# Functions whose signature tells what arguments they take. Others, and those that seldom do anything to random operands,
# are written below.
FUNCTIONS = tuple(
    it.operations[0]
    for it in dict.fromkeys(BUILT_INS.values())
    if it.resolve is None and not it.operations[0].effects & (OF_THE_CALL | Effect.READS_BACKENDS)
)
_LETTERS = {"N": (INT, UINT, FLOAT), "S": (STRING, BYTES), "T": (INT, FLOAT, STRING)}

_COMPARED = (INT, UINT, FLOAT, STRING, INSTANT, BYTES)
_NUMBERS = (INT, UINT, FLOAT)


@dataclass(frozen=True)
class Variable:
    """A state variable; its role is "general", "read-only", "record", "counter" or "call" (kept by rpc_id())."""

    name: str
    type: Type
    role: str
    capacity: int | None = None

    def declaration(self) -> str:
        annotation = f"@capacity({self.capacity}) " if self.capacity is not None else ""
        return f"{annotation}{self.name}: {self.type}"


@dataclass
class Expressions:
    """Writes expressions inside one block: ``init`` or a handler.

    ``before`` gathers statements that must stand before the one that the expressions are for.
    """

    source: random.Random
    variables: Sequence[Variable]
    block: str
    locals: list[tuple[str, Type]] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    count: int = 0
    loops: int = 0

    def fresh(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def pick(self, items: Sequence[Item]) -> Item:
        return self.source.choice(items)

    def flip(self) -> bool:
        return self.source.random() < 0.5

    def once_in(self, times: int) -> bool:
        return self.source.randrange(times) == 0

    def readable(self, wanted: Callable[[Type], bool]) -> list[Variable]:
        roles = ("general", "read-only")
        return [variable for variable in self.variables if variable.role in roles and wanted(variable.type)]

    def expression(self, type_: Type, depth: int = 2, *, anchored: bool = False) -> str:
        """An expression of the type; where ``anchored``, one whose type shows without its surroundings."""
        simple = self._names(type_)
        if isinstance(type_, VecType | MapType) and (not simple or self.once_in(3)):
            simple.append(self._container(type_, depth))
        if not anchored or type_ not in (UINT, BYTES):
            simple += self._literals(type_)
        if depth > 0 and (not simple or self.flip()):
            return self.pick(self._compound(type_, depth - 1))()
        return self.pick(simple or self._anchors(type_))

    # --- without operands ---

    def _names(self, type_: Type) -> list[str]:
        names = [name for name, local in self.locals if local == type_]
        names += [variable.name for variable in self.readable(lambda kept: kept == type_)]
        if self.has_message:
            paths = [path for path, used in SAMPLE.request.fields.items() if used.type == type_]
            names += [f"get(rpc, '{self.pick(paths)}')"] if paths else []
        return names

    def _literals(self, type_: Type) -> list[str]:
        if type_ == INT:
            number = self.pick(NUMBERS)
            return [str(number), str(number), f"-{number}"]
        if type_ == UINT:
            return [str(self.pick(NUMBERS))]
        if type_ == FLOAT:
            return [self.pick(REALS), f"-{self.pick(REALS)}", "inf"]
        if type_ == BOOL:
            return [self.pick(("true", "false"))] if self.once_in(4) else []
        return [f"'{self.pick(WORDS)}'"] if type_ in (STRING, BYTES) else []

    def _anchors(self, type_: Type) -> list[str]:
        """What can always be written, for types without literals or where a literal would not show its type."""
        if isinstance(type_, PairType):
            sides = (self.expression(side, 0, anchored=True) for side in (type_.first, type_.second))
            return [f"({', '.join(sides)})"]
        if type_ == VecType(INT):
            return ["get_backends()"]
        if type_ == VecType(FLOAT):
            return [f"estimate_RIF_distribution({self._place(VecType(INT))})"]
        if type_ == VecType(STRING) and self.block not in {"init", "end"} and self.once_in(3):
            return [f"get_metadata_all(rpc, '{self.pick(METADATA)}')"]
        if type_ == VecType(STRING) and self.flip():
            return [f"split({self.expression(STRING, 0)}, '{self.pick(WORDS)}')"]
        if type_ == VecType(BYTES) and self.flip():
            return [f"split({self._some_bytes()}, '{self.pick(WORDS)}')"]
        if isinstance(type_, VecType | MapType):
            return [self._container(type_, 0)]
        if type_ == UINT:
            return [f"hash('{self.pick(WORDS)}')", f"size('{self.pick(WORDS)}')"]
        if type_ == BOOL:
            return [f"({self._number()} < {self._number()})"]
        return ["current_time()"] if type_ == INSTANT else [f"concat({self._some_bytes()}, '{self.pick(WORDS)}')"]

    def _container(self, type_: VecType | MapType, depth: int) -> str:
        """The literal of a Vec or a Map that has something in it, which shows its type; of a Map's keys, a second may
        be the same as another, where that does not show."""
        depth = max(depth - 1, 0)
        if isinstance(type_, VecType):
            items = [self.expression(type_.item, depth) for _ in range(self.source.randrange(3))]
            return f"[{', '.join([self.expression(type_.item, depth, anchored=True), *items])}]"
        pool = {STRING: [f"'{word}'" for word in WORDS], BOOL: ["true", "false"], FLOAT: list(REALS)}
        plain = pool.get(type_.key, [str(number) for number in NUMBERS])
        keys = self.source.sample(plain, self.source.randrange(3))
        names = self._names(type_.key)
        keys += [self.pick(names)] if names else []
        if type_.key == UINT or not keys:
            keys.append(self.pick(self._anchors(UINT)) if type_.key == UINT else plain[0])
        values = [self.expression(type_.value, depth, anchored=True) for _ in keys]
        return f"{{{', '.join(f'{key}: {value}' for key, value in zip(keys, values, strict=True))}}}"

    def _number(self) -> str:
        return self.expression(INT, 0)

    def _place(self, type_: VecType) -> str:
        """A variable of the type, made for the purpose where there is none."""
        names = [name for name, local in self.locals if local == type_]
        names += [variable.name for variable in self.readable(lambda kept: kept == type_)]
        if names:
            return self.pick(names)
        made = self.pick([*self._anchors(type_), self._container(type_, 0)])
        name = self.fresh()
        self.before.append(f"{name} = {made}")
        return name

    @property
    def has_message(self) -> bool:
        """Whether fields can be used here."""
        return self.block in {"req", "resp"}

    @property
    def has_metadata(self) -> bool:
        """Whether metadata can be used here."""
        return self.block in {"open", "req", "resp"}

    def has_bytes(self) -> bool:
        """Whether something in scope is of type bytes; no literal shows that it is."""
        kept = self.readable(lambda kept: kept == BYTES)
        return self.has_message or bool(kept) or any(local == BYTES for _, local in self.locals)

    def _some_bytes(self) -> str:
        return self.pick(self._names(BYTES))

    # --- with operands ---

    def _compound(self, type_: Type, depth: int) -> list[Callable[[], str]]:
        makers = [lambda make=make: make(depth) for make in self._makers(type_)]
        functions = self.functions_for(type_)
        if functions:
            makers += [lambda: self.call_of(self.pick(functions), type_, depth)] * max(1, len(makers) // 2)
        return makers + [lambda: self._from_container(type_, depth)] * 2

    def _makers(self, type_: Type) -> list[Callable[[int], str]]:
        if type_ in _NUMBERS:
            own = {INT: self._int, UINT: self._uint, FLOAT: self._float}[type_]
            return [lambda depth: self._arithmetic(type_, depth), own, own]
        if type_ == STRING:
            return [self._string]
        if type_ == BOOL:
            return [self._bool]
        if type_ == BYTES:
            joined = [lambda depth: f"concat({self._some_bytes()}, {self.expression(BYTES, depth)})"]
            joined.append(lambda depth: f"({self.expression(BYTES, depth)} + {self._some_bytes()})")
            return joined if self.has_bytes() else []
        return [lambda _depth: self.pick(self._anchors(type_))]

    def functions_for(self, type_: Type) -> list[Operation]:
        """Functions that give the type, by their signatures, and may stand here."""
        lasting = self.block in {"init", "end"} or self.loops > 0
        return [it for it in FUNCTIONS if not (it.fallible and lasting) and self._letters(it, type_) is not None]

    def _letters(self, operation: Operation, type_: Type) -> dict[str, Type] | None:
        """The letters of the signature, where its result is the type; None where it cannot be."""
        result = signature_of(operation).given(fallible=operation.fallible)
        found: dict[str, Type] = {}
        shape, wanted = result, type_
        if (shape.head == "Vec" and isinstance(wanted, VecType)) or (
            shape.head == "Option" and isinstance(wanted, OptionType)
        ):
            shape, wanted = shape.parts[0], wanted.item
        if shape.head in _LETTERS and wanted in _LETTERS[shape.head] and (wanted != BYTES or self.has_bytes()):
            found[shape.head] = wanted
        elif NAMED.get(shape.head) != wanted:
            return None
        return found

    def call_of(self, operation: Operation, type_: Type, depth: int) -> str:
        """A call of the function that gives the type."""
        letters = self._letters(operation, type_)
        assert letters is not None
        for letter, types in _LETTERS.items():
            letters.setdefault(letter, self.pick(types if self.has_bytes() else [it for it in types if it != BYTES]))
        arguments = []
        for shape in signature_of(operation).parameters:
            if shape.head == "Vec":
                item = shape.parts[0].head
                arguments.append(self._place(VecType(letters.get(item) or NAMED[item])))
            else:
                wanted = letters.get(shape.head) or NAMED[shape.head]
                arguments.append(self.expression(wanted, depth, anchored=shape.head in letters))
        return f"{operation.function}({', '.join(arguments)})"

    def _arithmetic(self, type_: Type, depth: int) -> str:
        a, b = self.expression(type_, depth, anchored=True), self.expression(type_, depth)
        forms = [f"({a} {operator} {b})" for operator in ("+-*/" if type_ == FLOAT else "+-*/%")]
        forms += [f"(-{a})"] if type_ != UINT else []
        return self.pick(forms)

    def _int(self, depth: int) -> str:
        source = self.pick((UINT, FLOAT, STRING))
        forms = [f"to_int({self.expression(source, depth, anchored=True)})"]
        forms += ["status(rpc)"] if self.block in {"resp", "end"} else []
        return self.pick(forms)

    def _uint(self, depth: int) -> str:
        forms = [f"{function}({self.expression(STRING, depth)})" for function in ("hash", "size", "len")]
        names = [kept.name for kept in self.readable(lambda kept: isinstance(kept, MapType | VecType))]
        names += [name for name, local in self.locals if isinstance(local, MapType | VecType)]
        forms += [f"{self.pick(('size', 'len'))}({self.pick(names)})"] * 2 if names else []
        forms.append(f"to_uint({self.expression(self.pick((INT, FLOAT)), depth, anchored=True)})")
        forms += ["rpc_id()"] if self.block != "init" else []
        if self.has_message:
            counted = [it for it in SAMPLE.request.all_fields() if it.many]
            forms += ["byte_size(rpc, 'text')", "byte_size(rpc)"]
            forms += [f"size(rpc, '{self.pick(counted).path}')"] * 2
        return self.pick(forms)

    def _float(self, depth: int) -> str:
        source = self.pick((INT, UINT, STRING))
        forms = [
            f"to_float({self.expression(source, depth, anchored=True)})",
            f"time_diff({self.expression(INSTANT, 0)}, {self.expression(INSTANT, 0)})",
        ]
        return self.pick([*forms, "deadline(rpc)"] if self.block not in {"init", "end"} else forms)

    def _string(self, depth: int) -> str:
        source = self.pick((INT, UINT, FLOAT, BOOL))
        forms = [f"concat({self.expression(STRING, depth)}, {self.expression(STRING, depth)})"]
        forms.append(f"({self.expression(STRING, depth)} + {self.expression(STRING, depth)})")
        forms.append(f"to_string({self.expression(source, depth, anchored=True)})")
        if self.has_metadata:
            forms += [f"get_metadata(rpc, '{self.pick(METADATA)}')", f"get_rpc_header(rpc, '{self.pick(METADATA)}')"]
            forms += ["method()", "authority(rpc)", "peer(rpc)"]
            forms += [f"get_trailer(rpc, '{self.pick(METADATA)}')"] if self.block == "resp" else []
            if not self.loops:
                forms.append(f"decrypt({self.expression(STRING, 0)}, 'key')")
                packed = self.pick((f"compress({self.expression(STRING, 0)})", self.expression(STRING, 0)))
                forms.append(f"decompress({packed})")
        forms.append(f"encrypt({self.expression(STRING, 0)}, '{self.pick(('key', 'other'))}')")
        forms += [f"get_trailer(rpc, '{self.pick(METADATA)}')"] if self.block == "end" else []
        forms += [f"to_string({name})" for name in self._names(BYTES)]
        return self.pick(forms)

    def _bool(self, depth: int) -> str:
        kinds = ["compare", "compare", "compare", "logic", "not", "search"]
        kinds += ["has", "has"] if self.has_message else []
        kind = self.pick(kinds)
        if kind == "has":
            return f"has(rpc, '{self.pick(ASKED)}')"
        if kind == "compare":
            type_ = self.pick(_COMPARED if self.has_bytes() else _COMPARED[:-1])
            operator = self.pick(("==", "!=", "<", "<=", ">", ">="))
            return f"({self.expression(type_, depth, anchored=True)} {operator} {self.expression(type_, depth)})"
        if kind == "logic":
            return f"({self.expression(BOOL, depth)} {self.pick(('and', 'or'))} {self.expression(BOOL, depth)})"
        if kind == "not":
            return f"(not {self.expression(BOOL, depth)})"
        return f"matches({self.expression(STRING, depth)}, '{self.pick(PATTERNS)}')"

    def _from_container(self, type_: Type, depth: int) -> str:
        """An item of a container with a value for where it is missing."""
        places = [(kept.name, kept.type) for kept in self.readable(lambda kept: _item(kept) == type_)]
        places += [(name, kept) for name, kept in self.locals if _item(kept) == type_]
        if not places:
            return self.expression(type_, 0, anchored=type_ != BYTES or self.has_bytes())
        name, container = self.pick(places)
        key = container.key if isinstance(container, MapType) else INT
        return f"get({name}, {self.expression(key, depth)}, {self.expression(type_, 0)})"


def _item(container: Type) -> Type | None:
    """What ``get`` on the container gives; None for what is no container."""
    if isinstance(container, MapType):
        return container.value
    return container.item if isinstance(container, VecType) else None
