"""What no log may show: fields that the .proto marks ``debug_redact``, metadata that proves who somebody is, and all
that handlers make of them.

A value that is computed from a secret one is secret, as is metadata whose key is computed, and so is the place that it
is put into: a variable, a field, a key of metadata. That a branch was taken because of a secret is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from appnet.ir.nodes import (
    Atom,
    Block,
    Call,
    Computation,
    Const,
    Do,
    Element,
    Foreach,
    HasField,
    Let,
    Local,
    Match,
    ReadField,
    SetState,
    SomePattern,
    State,
    Statement,
    WriteField,
    WriteReply,
)
from appnet.ir.walk import call_of, statements
from appnet.language.messages import MethodSignature
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import OPERATIONS

ALWAYS = frozenset({b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"})
"""Metadata that is secret wherever it comes."""

HIDDEN = b"(secret)"
"""What records have in place of a secret."""

_ANY = b"*"  # stands for metadata whose key is computed
_ASKS = Effect.READS_METADATA | Effect.READS_TRAILERS
_TELLS = Effect.WRITES_METADATA | Effect.WRITES_TRAILERS


@dataclass
class _Places:
    """Those that are secret: metadata, fields by direction and path, and state by element and variable."""

    metadata: set[bytes]
    fields: set[tuple[str, str]] = field(default_factory=set)
    state: set[tuple[str, str]] = field(default_factory=set)

    def size(self) -> int:
        return len(self.metadata) + len(self.fields) + len(self.state)


@dataclass(frozen=True)
class Secrets:
    """What is secret of what one handler reads."""

    _places: _Places
    _element: str
    _side: str
    _locals: frozenset[str] = frozenset()

    def state(self, name: str) -> bool:
        """Whether the variable has secrets."""
        return (self._element, name) in self._places.state

    def field(self, path: str) -> bool:
        """Whether the field of the message in hand is secret, or stands in one that is."""
        names = path.split(".")
        return any((self._side, ".".join(names[: count + 1])) in self._places.fields for count in range(len(names)))

    def asked(self, call: Call) -> bool:
        """Whether what the operation gives is secret, by its operands or by the metadata that it asks for."""
        if any(self.atom(it) for it in call.args):
            return True
        if not OPERATIONS[call.op].effects & _ASKS:
            return False
        known = self._places.metadata
        key = call.args[0]
        return _ANY in known or not isinstance(key, Const) or _key(key) in known

    def atom(self, atom: Atom) -> bool:
        """Whether the operand is secret."""
        match atom:
            case Local(name=name):
                return name in self._locals
            case State(name=name):
                return self.state(name)
            case _:
                return False


class ChainSecrets:
    """The secrets of chains that calls of the same application pass: each method with its elements."""

    def __init__(self, chains: Sequence[tuple[MethodSignature, Sequence[Element]]]) -> None:
        self._places: dict[str, _Places] = {}
        self._state: set[tuple[str, str]] = set()
        for method, _ in chains:
            self._places[method.full_name] = _Places(set(ALWAYS), _declared_fields(method), self._state)
        before = -1
        while before != (before := sum(it.size() for it in self._places.values())):
            for method, elements in chains:
                for element in elements:
                    _spread(element, self._places[method.full_name])

    def of(self, method: MethodSignature, element: Element, handler: str) -> Secrets:
        """Those of the handler on the method."""
        places = self._places[method.full_name]
        body = element.handlers[handler].body
        return _of_body(places, element, _side(handler), body)


def _key(key: Const) -> bytes:
    return key.value.lower() if isinstance(key.value, bytes) else _ANY


def _declared_fields(method: MethodSignature) -> set[tuple[str, str]]:
    sides = (("request", method.request), ("response", method.response))
    return {(side, it.path) for side, schema in sides for it in schema.all_fields() if it.secret}


def _side(handler: str) -> str:
    return "response" if handler in {"resp", "end"} else "request"


def _of_body(places: _Places, element: Element, side: str, body: Block) -> Secrets:
    """With the locals that are secret anywhere in the body."""
    found: set[str] = set()
    before = -1
    while before != (before := len(found)):
        known = Secrets(places, element.name, side, frozenset(found))
        for statement in statements(body):
            found |= set(_tainted(statement, known))
    return Secrets(places, element.name, side, frozenset(found))


def _is_secret(value: Computation, known: Secrets) -> bool:
    match value:
        case Call():
            return known.asked(value)
        case ReadField(path=path) | HasField(path=path):
            return known.field(path)
        case _:
            return known.atom(value)


def _tainted(statement: Statement, known: Secrets) -> Iterator[str]:
    """The locals that the statement makes secret."""
    match statement:
        case Let(local=local, value=value) if _is_secret(value, known):
            yield local.name
        case Foreach(item=item, items=items) if known.atom(items):
            yield item.name
        case Match(subject=subject, arms=arms) if known.atom(subject):
            yield from (
                it.pattern.local.name for it in arms if isinstance(it.pattern, SomePattern) and it.pattern.local
            )
        case Do(call=Call(args=(Local(name=name), *others))) if any(map(known.atom, others)):
            yield name
        case _:
            return


def _spread(element: Element, places: _Places) -> None:
    """Adds the places that the element puts secrets into."""
    bodies: Mapping[str, Block] = {"init": element.init, **{name: it.body for name, it in element.handlers.items()}}
    for name, body in bodies.items():
        known = _of_body(places, element, _side(name), body)
        for statement in statements(body):
            _put(statement, known, element.name, _side(name), places)


def _put(statement: Statement, known: Secrets, element: str, side: str, places: _Places) -> None:
    match statement:
        case SetState(state=state, value=value) if known.atom(value):
            places.state.add((element, state.name))
        case WriteField(path=path, value=value) if known.atom(value):
            places.fields.add((side, path))
        case WriteReply(path=path, value=value) if known.atom(value):
            places.fields.add(("response", path))
        case _:
            call = call_of(statement)
            if call is None or not any(map(known.atom, call.args)):
                return
            if isinstance(call.args[0], State) and OPERATIONS[call.op].effects & Effect.WRITES_CONTAINER:
                places.state.add((element, call.args[0].name))
            if OPERATIONS[call.op].effects & _TELLS:
                key = call.args[0]
                places.metadata.add(_key(key) if isinstance(key, Const) else _ANY)
