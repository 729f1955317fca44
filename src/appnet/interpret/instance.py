"""Runs the blocks of one element."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from appnet.interpret.merging import WHOLE
from appnet.interpret.operations import MEANINGS, Backends, Machine
from appnet.interpret.random import Generator, Given, coupled_generator
from appnet.interpret.rpc import Environment, Message, Rpc, put
from appnet.interpret.store import SharedState
from appnet.interpret.values import Value, copy_value, default_value, fit, hold, is_named
from appnet.ir.nodes import (
    Answer,
    AnyPattern,
    Arm,
    Atom,
    Block,
    Call,
    ClearField,
    Computation,
    Const,
    Delay,
    Do,
    Element,
    Foreach,
    Forward,
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
    StateClass,
    Statement,
    WriteField,
    WriteReply,
)
from appnet.ir.secrets import HIDDEN, Secrets
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import KEYED, OPERATIONS
from appnet.language.statuses import STATUS_CODES

_ON_CONTAINER = frozenset(
    name for name, it in OPERATIONS.items() if it.effects & (Effect.READS_CONTAINER | Effect.WRITES_CONTAINER)
)
_WRITING = frozenset(name for name, it in OPERATIONS.items() if it.effects & Effect.WRITES_CONTAINER)


@dataclass(frozen=True)
class Forwards:
    """The verdict of a handler that lets the message pass."""


@dataclass(frozen=True)
class RefusalVerdict:
    """The verdict of a handler that answers the caller with a gRPC status."""

    code: int
    text: bytes


@dataclass(frozen=True)
class Answers:
    """The verdict of a handler that answers the caller with a response of its own; ``fields`` by path."""

    fields: dict[str, Value]


Verdict = Forwards | RefusalVerdict | Answers


class Watcher(Protocol):
    """Is told what runs, for people to follow."""

    def enters(self, element: ElementInstance, body: Block) -> None:
        """A handler begins."""

    def takes(self, arm: Arm) -> None:
        """In the handler that began last, this arm fits."""

    def refuses(self, statement: Refuse) -> None:
        """The handler that began last refuses here."""


Record = tuple[str, Value]
"""What was appended to a record stream: "ELEMENT.VARIABLE", and the item."""


class ElementInstance:
    """An element with its state and its random draws, in one instance of its chain.

    ``shared``: the part of its state that is in a store; without one, all state is the instance's own. While the store
    is away, what `end` has to do there waits. ``records``: where it notes what it appends to record streams,
    but for what is secret of what a handler reads on a call.
    ``evicted``: how many entries and items full Maps and Vecs of its state let go. ``watcher``: is told of handlers,
    not of ``init``.
    """

    def __init__(
        self,
        element: Element,
        environment: Environment,
        backends: Backends,
        records: list[Record],
        secrets: Callable[[Rpc, Block], Secrets],
        watcher: Watcher | None = None,
        shared: SharedState | None = None,
    ) -> None:
        self.element = element
        self._shared = shared
        self._waiting: list[tuple[Block, Rpc, Message]] = []
        self._watcher = watcher
        self.state: dict[str, Value] = {variable.name: default_value(variable.type) for variable in element.state}
        self.evicted = 0
        self._records = records
        self.secrets = secrets
        self._variables = {variable.name: variable for variable in element.state}
        self._environment = environment
        self._backends = backends
        self._generator = Generator(environment.seed, element.name)

    @property
    def host_count(self) -> int:
        """How many hosts the upstream cluster has."""
        return self._environment.backend_count

    def start(self) -> bool:
        """Runs ``init``; whether there was memory for it."""
        run = _Run(self, self.element.init, None, None)
        run.block(run.body)
        if self._shared is not None:
            self._shared.start(self.state)
        return not run.exhausted

    def refresh(self) -> None:
        """Catches up with the store, where it can be reached."""
        if self._shared is not None:
            waiting, self._waiting = self._waiting, []
            for it in waiting:
                self.run(*it, ends=True)
            self._shared.refresh(self.state)

    def merge(self) -> None:
        """Merges its copies of weak state with those of the other instances."""
        if self._shared is not None:
            self.evicted += self._shared.merge(self.state)

    def run(self, body: Block, rpc: Rpc, message: Message, *, ends: bool = False) -> Verdict | None:
        """Runs a handler on the message in hand; None where a path ended without a verdict. ``ends``: it is `end`."""
        if self._shared is not None and self._shared.is_refused(body):
            message.told = {}
            self._waiting += [(body, rpc, message)] if ends else []
            return RefusalVerdict(
                STATUS_CODES["UNAVAILABLE"], b"state of %b is unavailable" % self.element.name.encode()
            )
        if self._waiting:
            self.refresh()
        if self._environment.coupled:
            handler = next(name for name, it in self.element.handlers.items() if it.body is body)
            number = rpc.rpc_id if rpc.drawn_as is None else rpc.drawn_as
            self._generator = coupled_generator(self._environment.seed, self.element.name, number, handler)
        if self._shared is not None:
            self._shared.enter(self.state, body)
        if self._watcher is not None:
            self._watcher.enters(self, body)
        message.told = {}
        run = _Run(self, body, rpc, message)
        verdict = run.block(body)
        if self._shared is not None:
            self._shared.leave(self.state, body)
        if run.exhausted:
            message.told = {}
            return RefusalVerdict(STATUS_CODES["RESOURCE_EXHAUSTED"], b"out of memory in " + self.element.name.encode())
        return verdict

    def take(self, arm: Arm) -> None:
        """Tells the watcher of a handler that the arm fits."""
        if self._watcher is not None:
            self._watcher.takes(arm)

    def refuse(self, statement: Refuse) -> None:
        """Tells the watcher of a handler where it refuses."""
        if self._watcher is not None:
            self._watcher.refuses(statement)

    def set_state(self, place: State, value: Value) -> None:
        """Gives the variable a value of its own; a container is cut down to the variable's capacity."""
        self.evicted += fit(value, self.element.capacity_of(place))
        self.state[place.name] = value
        self.wrote(place.name, WHOLE)

    def wrote(self, variable: str, key: Value) -> None:
        """A handler set or deleted an entry of a Map, or with `WHOLE` any of the variable."""
        if self._shared is not None:
            self._shared.wrote(variable, key)

    def draw_from(self, draws: Sequence[int]) -> None:
        """Its next draws are these, of 64 bits each."""
        self._generator = Given(draws)

    def machine(self, call: Call, rpc: Rpc | None, message: Message | None) -> Machine:
        """What the operation runs on."""
        capacity = self.element.capacity_of(call.args[0]) if call.args else self.element.local_capacity
        return Machine(self._environment, self._generator, self._backends, call.type, capacity, rpc, message)

    def note(self, call: Call, operands: Sequence[Value], evicted: int, is_secret: Callable[[Atom], bool]) -> None:
        """Remembers what was appended to a record stream, unless secret, and how much other state had to let go."""
        place = call.args[0]
        if not isinstance(place, State):
            return
        if self._variables[place.name].state_class is StateClass.RECORD:
            shown = HIDDEN if is_secret(call.args[1]) else operands[1]
            self._records.append((f"{self.element.name}.{place.name}", shown))
        else:
            self.evicted += evicted


@dataclass
class _Run:
    """One run of a body: its locals, and the message in hand unless it is ``init``."""

    instance: ElementInstance
    body: Block
    rpc: Rpc | None
    message: Message | None
    locals: dict[str, Value] = field(default_factory=dict)
    reply: dict[str, Value] = field(default_factory=dict)
    exhausted: bool = False

    def block(self, block: Block) -> Verdict | None:
        for statement in block.statements:
            verdict = self._statement(statement)
            if verdict is not None:
                return verdict
        return None

    def _statement(self, statement: Statement) -> Verdict | None:
        match statement:
            case Let(local=local, value=value):
                self.locals[local.name] = self._compute(value)
            case SetState(state=state, value=value):
                self.instance.set_state(state, self._value(value))
            case WriteField(path=path, value=value, clears=clears):
                self._message().write(path, self._value(value), clears)
            case ClearField(path=path, clears=clears):
                self._message().clear(path, clears)
            case Do(call=call):
                self._call(call)
            case Match() | Foreach():
                return self._match(statement) if isinstance(statement, Match) else self._foreach(statement)
            case NewReply():
                self.reply = {}
            case WriteReply():
                self._write_reply(statement)
            case Route() | Delay():
                self._send_on(statement)
            case Forward():
                return Forwards()
            case Answer():
                return Answers(self.reply)
            case Refuse(message=message, code=code):
                self.instance.refuse(statement)
                return RefusalVerdict(code, self._value(message))
        return None

    def _send_on(self, statement: Route | Delay) -> None:
        """Where and when the request goes on."""
        assert self.rpc is not None, "init has no call"
        if isinstance(statement, Route):
            self.rpc.route(self._value(statement.host), self.instance.host_count)
        else:
            self.rpc.delay(self._value(statement.seconds))

    def _write_reply(self, statement: WriteReply) -> None:
        assert self.rpc is not None, "init has no caller"
        field_ = self.rpc.signature.response.fields[statement.path]
        held = hold(self._value(statement.value), field_)
        if not is_named(held, field_):
            return
        for rival in statement.clears:
            self.reply.pop(rival, None)
        put(self.reply, self.rpc.signature.response, statement.path, held)

    def _match(self, statement: Match) -> Verdict | None:
        subject = self._value(statement.subject)
        for arm in statement.arms:
            if self._fits(arm.pattern, subject):
                if self.message is not None:
                    self.instance.take(arm)
                return self.block(arm.body)
        return None

    def _fits(self, pattern: Pattern, subject: Value) -> bool:
        match pattern:
            case LiteralPattern(value=literal):
                return bool(subject == literal.value)
            case SomePattern(local=local):
                if subject is not None and local is not None:
                    self.locals[local.name] = subject[0]
                return subject is not None
            case NonePattern():
                return subject is None
            case AnyPattern():
                return True

    def _foreach(self, statement: Foreach) -> Verdict | None:
        for item in self._value(statement.items):
            self.locals[statement.item.name] = item
            verdict = self.block(statement.body)
            if verdict is not None:
                return verdict
        return None

    def _compute(self, value: Computation) -> Value:
        match value:
            case Call():
                return self._call(value)
            case ReadField(path=path):
                return self._message().read(path)
            case HasField(path=path):
                return self._message().has(path)
            case _:
                return self._value(value)

    def _call(self, call: Call) -> Value:
        on_place = call.op in _ON_CONTAINER
        operands = [
            self._place(atom) if on_place and index == 0 else self._value(atom) for index, atom in enumerate(call.args)
        ]
        machine = self.instance.machine(call, self.rpc, self.message)
        result = MEANINGS[call.op](machine, *operands)
        self.exhausted |= machine.exhausted
        if call.op in _WRITING and isinstance(call.args[0], State):
            self.instance.wrote(call.args[0].name, operands[1] if call.op in KEYED else WHOLE)
        if call.op == "vec_append" or machine.evicted:
            self.instance.note(call, operands, machine.evicted, self._is_secret)
        return copy_value(result)

    def _value(self, atom: Atom) -> Value:
        return copy_value(self._place(atom))

    def _place(self, atom: Atom) -> Value:
        match atom:
            case Const(value=value):
                return value
            case Local(name=name):
                return self.locals[name]
            case State(name=name):
                return self.instance.state[name]

    def _is_secret(self, atom: Atom) -> bool:
        return self.rpc is not None and self.instance.secrets(self.rpc, self.body).atom(atom)

    def _message(self) -> Message:
        assert self.message is not None, "init has no message"
        return self.message
