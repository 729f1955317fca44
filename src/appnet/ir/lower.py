"""Checked element to match-action form: one operation a statement, one name a variable."""

from __future__ import annotations

from collections import Counter

from appnet.ir.effects import handler_effects
from appnet.ir.nodes import (
    Answer,
    AnyPattern,
    Arm,
    Atom,
    Block,
    Call,
    ClearField,
    Computation,
    Consistency,
    Const,
    Delay,
    Do,
    Element,
    Foreach,
    Forward,
    Handler,
    HasField,
    Let,
    LiteralPattern,
    Local,
    Match,
    NewReply,
    NonePattern,
    Pattern,
    ReadField,
    Refuse,
    Route,
    SetState,
    SomePattern,
    State,
    Statement,
    StateVariable,
    WriteField,
    WriteReply,
)
from appnet.ir.state_classes import classify
from appnet.ir.verify import verify
from appnet.language import typed
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import FALLIBLE, OPERATIONS
from appnet.language.types import BOOL, STRING, UNIT, MapType, OptionType, Type

_INVALID_ARGUMENT = 3
_ASKING = (
    Effect.READS_CONTAINER | Effect.READS_CALL | Effect.READS_METADATA | Effect.READS_STATUS | Effect.READS_MESSAGE
)


def lower(checked: typed.CheckedElement) -> Element:
    """The element in match-action form, verified."""
    ending = None if checked.end is None else (*checked.end, typed.Forward())
    parts = {"open": checked.open, "req": checked.req, "resp": checked.resp, "end": ending}
    init = _Body(checked.name).lower(checked.init)
    bodies = {name: _Body(checked.name).lower(it) for name, it in parts.items() if it is not None}
    classes = classify(init, bodies.values(), {it.name: it.type for it in checked.state})
    unavailable = next((it.unavailable for it in checked.state if it.unavailable), "refuse")
    state = tuple(
        StateVariable(
            it.name,
            it.type,
            classes[it.name],
            it.capacity,
            Consistency(it.consistency),
            it.combiner,
            it.persistent,
            unavailable if it.consistency != "local" else "refuse",
        )
        for it in checked.state
    )
    handlers = {name: Handler(body, handler_effects(body)) for name, body in bodies.items()}
    element = Element(
        checked.name,
        state,
        init,
        handlers["req"],
        handlers["resp"],
        checked.span,
        handlers.get("open"),
        handlers.get("end"),
    )
    verify(element)
    return element


_PLAIN: dict[type, Statement] = {
    typed.Forward: Forward(),
    typed.NewReply: NewReply(),
    typed.Answer: Answer(),
}


class _Body:
    """Lowers one block of the program; knows which names are taken in it."""

    def __init__(self, element: str) -> None:
        self._element = element
        self._taken: Counter[str] = Counter()
        self._locals: dict[int, Local] = {}
        self._out: list[Statement] = []

    def lower(self, statements: tuple[typed.Statement, ...]) -> Block:
        outer, self._out = self._out, []
        for statement in statements:
            self._statement(statement)
        block, self._out = Block(tuple(self._out)), outer
        return block

    def _statement(self, statement: typed.Statement) -> None:
        match statement:
            case typed.SetLocal(variable=variable, value=(typed.VecOf() | typed.MapOf()) as value):
                self._fill(value, variable)
            case typed.SetLocal(variable=variable, value=value):
                computed = self._computation(value)  # before the name: the value may use what it held
                self._out.append(Let(self._local(variable), computed))
            case typed.SetState(state=state, value=value):
                self._out.append(SetState(State(state.name, state.type), self._atom(value)))
            case typed.SetField(path=path, value=value, clears=clears):
                self._out.append(WriteField(path, self._atom(value), clears))
            case typed.ClearField(path=path, clears=clears):
                self._out.append(ClearField(path, clears))
            case typed.Run(value=value):
                self._run(value)
            case typed.Match(subject=subject, arms=arms):
                atom = self._atom(subject)
                lowered = tuple(Arm(self._pattern(it.pattern), self.lower(it.body)) for it in arms)
                self._out.append(Match(atom, lowered))
            case typed.ForEach(item=item, items=items, body=body):
                atom = self._atom(items)
                self._out.append(Foreach(self._local(item), atom, self.lower(body)))
            case typed.Forward() | typed.NewReply() | typed.Answer():
                self._out.append(_PLAIN[type(statement)])
            case typed.SetReplyField(path=path, value=value, clears=clears):
                self._out.append(WriteReply(path, self._atom(value), clears))
            case typed.Route(host=value) | typed.Delay(seconds=value):
                atom = self._atom(value)
                self._out.append(Route(atom) if isinstance(statement, typed.Route) else Delay(atom))
            case typed.Refuse(message=message, code=code, span=span):
                self._out.append(Refuse(self._atom(message), code, span))

    def _run(self, value: typed.Operate) -> None:
        computed = self._computation(value)
        if not isinstance(computed, Call):
            return
        if value.type == UNIT:
            self._out.append(Do(computed))
        else:
            self._out.append(Let(self._fresh("unused", value.type), computed))

    def _pattern(self, pattern: typed.ArmPattern) -> Pattern:
        match pattern:
            case typed.LiteralArm(value=value):
                return LiteralPattern(Const(value.value, value.type))
            case typed.SomeArm(variable=variable):
                return SomePattern(self._local(variable) if variable is not None else None)
            case typed.NoneArm():
                return NonePattern()
            case typed.AnyArm():
                return AnyPattern()

    # --- values ---

    def _atom(self, value: typed.Value) -> Atom:
        computed = self._computation(value)
        if isinstance(computed, Const | Local | State):
            return computed
        local = self._fresh("t", computed.type)
        self._out.append(Let(local, computed))
        return local

    def _computation(self, value: typed.Value) -> Computation:
        match value:
            case typed.Literal():
                return Const(value.value, value.type)
            case typed.Local(variable=variable):
                return self._local(variable)
            case typed.StateValue(name=name, type=type_):
                return State(name, type_)
            case typed.FieldValue(path=path, type=type_):
                return ReadField(path, type_)
            case typed.HasField(path=path):
                return HasField(path)
            case typed.Empty() | typed.VecOf(items=()) | typed.MapOf(entries=()):
                return _new(value.type)
            case typed.VecOf() | typed.MapOf():
                return self._fill(value)
            case typed.Operate(op=op) if op in FALLIBLE:
                return self._fallible(value)
            case typed.Operate(op=("and" | "or") as op, arguments=(left, right)) if _has_effects(right):
                return self._short_circuit(op, left, right)
            case typed.Operate(op=op, arguments=arguments, type=type_):
                return Call(op, tuple(self._operands(arguments)), type_)

    def _operands(self, values: tuple[typed.Value, ...]) -> list[Atom]:
        """The values' atoms, evaluated left to right."""
        return [self._atom(value) for value in values]

    def _fill(self, value: typed.VecOf | typed.MapOf, variable: typed.Variable | None = None) -> Local:
        """The local that holds the container, after statements that put into it what the literal has: the variable's,
        where it has one. What goes in is computed first, so that it may use what the variable held.
        """
        parts = [(it,) for it in value.items] if isinstance(value, typed.VecOf) else value.entries
        operands = [self._operands(it) for it in parts]
        local = self._fresh("t", value.type) if variable is None else self._local(variable)
        self._out.append(Let(local, _new(value.type)))
        op = "vec_append" if isinstance(value, typed.VecOf) else "map_set"
        self._out += [Do(Call(op, (local, *it), UNIT)) for it in operands]
        return local

    def _short_circuit(self, op: str, left: typed.Value, right: typed.Value) -> Local:
        """``and`` and ``or`` whose right side draws a number or may end the handler: it runs only when it counts."""
        result = self._fresh("t", BOOL)
        subject = self._atom(left)
        outer, self._out = self._out, []
        self._out.append(Let(result, self._computation(right)))
        asks, self._out = Block(tuple(self._out)), outer
        decided = Block((Let(result, Const(op == "or", BOOL)),))
        arms = (Arm(LiteralPattern(Const(op == "and", BOOL)), asks), Arm(AnyPattern(), decided))
        self._out.append(Match(subject, arms))
        return result

    def _fallible(self, value: typed.Operate) -> Local:
        option = OptionType(value.type)
        answer = self._fresh("t", option)
        self._out.append(Let(answer, Call(value.op, tuple(self._operands(value.arguments)), option)))
        result, plain = self._fresh("t", value.type), self._fresh("plain", value.type)
        text = Const(f"{value.op} failed in {self._element}".encode(), STRING)
        some = Arm(SomePattern(plain), Block((Let(result, plain),)))
        none = Arm(NonePattern(), Block((Refuse(text, _INVALID_ARGUMENT),)))
        self._out.append(Match(answer, (some, none)))
        return result

    # --- names ---

    def _local(self, variable: typed.Variable) -> Local:
        known = self._locals.get(id(variable))
        if known is None:
            assert variable.type is not None
            known = self._locals[id(variable)] = self._fresh(variable.name, variable.type)
        return known

    def _fresh(self, name: str, type_: Type) -> Local:
        self._taken[name] += 1
        count = self._taken[name]
        unique = name if count == 1 else f"{name}.{count}"  # a dot: no program's own name
        return Local(unique, type_)


def _new(type_: Type) -> Call:
    """An empty container."""
    return Call("map_new" if isinstance(type_, MapType) else "vec_new", (), type_)


def _has_effects(value: typed.Value) -> bool:
    if isinstance(value, typed.VecOf | typed.MapOf):
        parts = value.items if isinstance(value, typed.VecOf) else [it for entry in value.entries for it in entry]
        return any(map(_has_effects, parts))
    if not isinstance(value, typed.Operate):
        return False
    effects = OPERATIONS[value.op].effects & ~_ASKING
    return bool(effects) or value.op in FALLIBLE or any(_has_effects(it) for it in value.arguments)
