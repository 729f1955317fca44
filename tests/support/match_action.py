"""Short ways to write match-action form and RPCs by hand."""

from collections.abc import Mapping

from appnet.interpret import ChainInstance, Environment
from appnet.ir.effects import handler_effects
from appnet.ir.nodes import (
    Arm,
    Atom,
    Block,
    Call,
    Const,
    Do,
    Element,
    Forward,
    Handler,
    Let,
    LiteralPattern,
    Local,
    Match,
    Refuse,
    Route,
    Statement,
    StateVariable,
)
from appnet.ir.state_classes import classify
from appnet.ir.verify import verify
from appnet.language.messages import Field, MessageSchema, MethodSignature
from appnet.language.types import BOOL, BYTES, FLOAT, INT, STRING, UINT, UNIT, Type

FORWARD = (Forward(),)


def text(value: str) -> Const:
    return Const(value.encode(), STRING)


def integer(value: int) -> Const:
    return Const(value, INT)


def number(value: float) -> Const:
    return Const(value, FLOAT)


def truth(value: bool) -> Const:
    return Const(value, BOOL)


def let(name: str, op: str, *args: Atom, type: Type) -> Let:  # noqa: A002
    return Let(Local(name, type), Call(op, args, type))


def do(op: str, *args: Atom) -> Do:
    return Do(Call(op, args, UNIT))


def refuse(message: str, code: int = 10) -> Refuse:
    return Refuse(text(message), code)


def route(host: str) -> Route:
    return Route(text(host))


def when(subject: Atom, *then: Statement) -> Match:
    """Runs the statements where the bool is true."""
    return Match(subject, (Arm(LiteralPattern(truth(True)), Block(then)),))


def element(
    name: str = "probe",
    state: Mapping[str, Type] | None = None,
    init: tuple[Statement, ...] = (),
    req: tuple[Statement, ...] = FORWARD,
    resp: tuple[Statement, ...] = FORWARD,
    capacity: Mapping[str, int] | None = None,
    open_: tuple[Statement, ...] | None = None,
    end: tuple[Statement, ...] | None = None,
) -> Element:
    """A verified element with the effects and state classes that its blocks have."""
    variables = dict(state or {})
    parts = {"open": open_, "req": req, "resp": resp, "end": None if end is None else (*end, *FORWARD)}
    bodies = {part: Block(it) for part, it in parts.items() if it is not None}
    classes = classify(Block(init), bodies.values(), variables)
    made = Element(
        name,
        tuple(
            StateVariable(variable, type_, classes[variable], (capacity or {}).get(variable, StateVariable.capacity))
            for variable, type_ in variables.items()
        ),
        Block(init),
        **{part: Handler(body, handler_effects(body)) for part, body in bodies.items()},
    )
    verify(made)
    return made


def chain(*elements: Element, now_ns: int = 0, seed: int = 0, backends: int = 0) -> ChainInstance:
    return ChainInstance(elements, Environment(lambda: now_ns, seed, backends))


def _schema(name: str, **kinds: tuple[Type, str]) -> MessageSchema:
    fields = {
        path: Field(path, type_, (number,), kind) for number, (path, (type_, kind)) in enumerate(kinds.items(), start=1)
    }
    return MessageSchema(name, fields)


KINDS = {
    "text": (STRING, "string"),
    "blob": (BYTES, "bytes"),
    "count": (INT, "int64"),
    "small": (INT, "int32"),
    "big": (UINT, "uint64"),
    "port": (UINT, "uint32"),
    "ratio": (FLOAT, "double"),
    "narrow": (FLOAT, "float"),
    "yes": (BOOL, "bool"),
    "level": (INT, "enum"),
}
METHOD = MethodSignature("/sample.Probe/Call", _schema("sample.Ask", **KINDS), _schema("sample.Answer", **KINDS))
