"""Runs both orders of two elements side by side on the interpreter, and tells where they part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from appnet.analysis.decision import Counterexample, Event, Strength
from appnet.interpret import Answered, ChainInstance, Environment, Forwarded, Outcome, Refused, Rpc
from appnet.interpret.dump import value_text
from appnet.interpret.shown import CLOCK_START_NS, shown
from appnet.interpret.values import Value, absent_value
from appnet.ir.nodes import Element, StateClass
from appnet.ir.stages import holds_headers
from appnet.language.messages import MessageSchema, MethodSignature
from appnet.language.statuses import status_name
from appnet.language.types import STRING as _STRING
from appnet.language.types import Type

BACKENDS = 3
MOST_STATUS = 99
"""A server may answer with any code of two digits, though gRPC has names only for those up to 16."""
_SHOWN = 60
_ANOTHER_MESSAGE = 0x9E37_79B9_7F4A_7C15


@dataclass(frozen=True)
class Parting:
    """``event``: number of the event at which the orders differ; the rest says how, as in a `Counterexample`."""

    event: int
    as_written: str
    swapped: str


def replay(
    first: Element,
    second: Element,
    method: MethodSignature,
    strength: Strength,
    run: Counterexample,
    *,
    same_status: bool = False,
) -> Parting | None:
    """Where the orders part on the run; None where they do not.

    The clock stands still while a message passes, and draws are coupled (docs/analysis.md). Under `Strength.WEAK`
    state is not compared: it may differ where nobody will ever see it. ``same_status``: whether the status of a
    refusal has to be the same then, too.
    """
    orders = BothOrders(first, second, method, run)
    for number, event in enumerate(run.events):
        difference = orders.step(event, strength, same_status=same_status)
        if difference is not None:
            return Parting(number, *difference)
    return None


class BothOrders:
    """Both orders side by side, from the start of the run. ``passed``: whether the last message did, in both."""

    def __init__(self, first: Element, second: Element, method: MethodSignature, run: Counterexample) -> None:
        self._elements = (first, second)
        self.passed = False
        self._sides = [_Side(order, method, run) for order in ((first, second), (second, first))]

    def step(self, event: Event, strength: Strength, *, same_status: bool = False) -> tuple[str, str] | None:
        """What differs after the event, in the words of a `Counterexample`; see `replay`."""
        seen = [side.step(event) for side in self._sides]
        self.passed = all(it is not None and it.passed for it in seen)
        in_state = self._state() if strength is Strength.STRONG else None
        if seen[0] is None or seen[1] is None:
            return in_state
        difference = _differ(seen[0], seen[1], strength, same_status=same_status) or in_state
        return None if difference is None else (seen[0].draw() + difference[0], seen[1].draw() + difference[1])

    def in_step(self, matters: Mapping[str, frozenset[str]]) -> bool:
        """Whether these variables, by the element's name, hold the same in both orders."""
        for name, variables in matters.items():
            one, other = (side.chain.state_of(name) for side in self._sides)
            if any(repr(one[it]) != repr(other[it]) for it in variables):
                return False
        return True

    def _state(self) -> tuple[str, str] | None:
        for element in self._elements:
            one, other = (side.chain.state_of(element.name) for side in self._sides)
            for it in element.state:
                if it.state_class is StateClass.RPC_SCOPED or repr(one[it.name]) == repr(other[it.name]):
                    continue
                texts = [_short(shown(state[it.name], it.type)) for state in (one, other)]
                return f"`{it.name}` of {element.name} is {texts[0]}", f"`{it.name}` of {element.name} is {texts[1]}"
        return None


@dataclass(frozen=True)
class _Seen:
    """What came of one message, which nobody has touched since. ``metadata``: of its direction; ``schema``: its own.

    ``refused_by``: the element that refused it, of a request. ``first``: of the call's messages of its direction; what
    elements do to headers, host and wait later on comes too late for anybody to see.
    """

    outcome: Outcome
    rpc: Rpc
    metadata: Mapping[str, bytes]
    schema: MessageSchema
    refused_by: Element | None = None
    first: bool = True

    @property
    def passed(self) -> bool:
        return isinstance(self.outcome, Forwarded)

    def content(self, text: Callable[[Value, Type], str] = value_text) -> dict[str, str]:
        """What reaches the other side, by name; of a message that was refused, what the caller is told.

        ``text`` writes values: the default, exactly; `shown`, as people read them.
        """
        if isinstance(self.outcome, Answered):
            types = self.rpc.signature.response.fields
            fields = {f"`{path}`": text(it, types[path].type) for path, it in sorted(self.outcome.fields.items())}
            headers = _headers("header", self.outcome.metadata, text)
            return fields | headers | _headers("trailer", self.outcome.trailers, text)
        if not isinstance(self.outcome, Forwarded):
            told = {"with": status_name(self.outcome.code), "saying": text(self.outcome.text, _STRING)}
            return told | _headers("and header", self.outcome.metadata, text)
        found = {}
        for path, it in self.schema.fields.items():
            value = self.rpc.message.get(path, absent_value(it))
            written = text(dict(sorted(value.items())) if isinstance(value, dict) else value, it.type)
            found[f"`{path}`"] = written + (" (set again)" if path in self.outcome.written else "")
        found |= {f"`{path}`": "(removed)" for path in self.outcome.cleared}
        found |= _headers("trailer", self.rpc.response_trailers, text)
        if self.rpc.timeout_ns is not None:
            found["a deadline in"] = f"{self.rpc.timeout_ns} ns"
        if not self.first:
            return found
        found |= _headers("header", self.metadata, text)
        wait = {"after a delay of": f"{self.rpc.wait_ms} ms"} if self.rpc.wait_ms else {}
        return {**found, **wait, "host": "any" if self.rpc.backend is None else str(self.rpc.backend)}

    def same(self, other: _Seen) -> bool:
        """Whether nobody can tell the two apart."""
        if self._raw() == other._raw():
            return True
        return type(self.outcome) is type(other.outcome) and self.content() == other.content()

    def words(self, other: _Seen) -> str:
        """It, as far as the other one differs."""
        if other.passed != self.passed and self.passed:
            return "passes"
        like = type(other.outcome) is type(self.outcome)
        mine, theirs = self.content(), other.content() if like else {}
        readable = self.content(shown)
        parts = [f"{name} {_short(readable[name])}" for name, it in mine.items() if theirs.get(name) != it]
        if isinstance(self.outcome, Refused):
            return " ".join(["refused", *parts])
        lacks = [name for name in theirs if name not in mine]
        became = "passes" if self.passed else "answered"
        text = f"{became} with {', '.join(parts)}" if parts else became
        return f"{text}, without {', '.join(lacks)}" if lacks else text

    def draw(self) -> str:
        """What to say first where an element that draws refused it; otherwise nothing."""
        it = self.refused_by
        draws = it is not None and any(handler.effects.uses_random for handler in it.handlers.values())
        return f"{it.name} draws and refuses; " if it is not None and draws else ""

    def _raw(self) -> str:
        """A text that only messages with the same content share: quicker to make, but the same content may have two."""
        if not isinstance(self.outcome, Forwarded):
            return repr(self.outcome)
        named: list[Mapping[str, Value]] = [self.rpc.message, self.outcome.written, self.rpc.response_trailers]
        named += [self.metadata] if self.first else []
        where = [self.rpc.backend, self.rpc.wait_ms] if self.first else []
        came = [sorted(self.outcome.cleared), self.rpc.timeout_ns, *where]
        return repr([*came, *(sorted(it.items()) for it in named)])


def _headers(kind: str, headers: Mapping[str, bytes], text: Callable[[Value, Type], str]) -> dict[str, str]:
    return {f"{kind} `{key}`": text(value, _STRING) for key, value in sorted(headers.items())}


class _Side:
    """One of the orders."""

    def __init__(self, order: tuple[Element, Element], method: MethodSignature, run: Counterexample) -> None:
        self._now_ns = CLOCK_START_NS
        self._order = order
        self._method = method
        self._rpcs: dict[int, Rpc] = {}
        self._over: dict[int, _Seen] = {}  # calls that ended before their message
        self._held: set[int] = set()  # of which the server has not heard
        self._messages: Counter[tuple[str, int]] = Counter()
        self._seed = run.seed
        self._environment = Environment(lambda: self._now_ns, run.seed, BACKENDS, coupled=True)
        self.chain = ChainInstance(order, self._environment)
        for name, values in run.start.items():
            self.chain.set_state_of(name, values)

    def step(self, event: Event) -> _Seen | None:
        """What comes of the event, where that is seen already; None for what reaches no call in flight, too."""
        self._now_ns += event.after_ns
        before = self._messages[event.kind, event.call]
        self._messages[event.kind, event.call] += 1
        self._environment.seed = self._seed + before * _ANOTHER_MESSAGE  # each message has draws of its own
        if event.kind == "request":
            return self._ask(event, first=before == 0)
        if event.kind == "headers":
            return self._begin(event)
        if event.call not in self._rpcs:
            return None
        if event.kind == "end":
            self.chain.end(self._rpcs.pop(event.call), event.status)
            return None
        return self._answer(event, first=before == 0) if event.call not in self._held else None

    def _begin(self, event: Event) -> _Seen | None:
        """The headers come alone. Who waits for the message behind them has yet to say what comes of the call."""
        if event.call in self._rpcs or event.call in self._over:
            return None
        rpc = self._rpcs[event.call] = self._new(event)
        seen = self._asked(rpc, self.chain.open(rpc))
        if not seen.passed:
            self._over[event.call] = seen
        elif any(holds_headers(it) for it in self._order[rpc.begun :]):
            self._held.add(event.call)
            return None
        return seen

    def _ask(self, event: Event, *, first: bool) -> _Seen | None:
        if first and event.call in self._over:
            return self._over[event.call]
        if first and event.call not in self._rpcs:
            self._rpcs[event.call] = self._new(event)
        elif event.call not in self._rpcs or not (first or self._method.client_streaming):
            return None
        self._held.discard(event.call)
        rpc = self._rpcs[event.call]
        rpc.message = dict(event.fields)
        return self._asked(rpc, self.chain.request(rpc), first=first)

    def _new(self, event: Event) -> Rpc:
        return Rpc(self._method, metadata=dict(event.metadata), rpc_id=event.call)

    def _asked(self, rpc: Rpc, outcome: Outcome, *, first: bool = True) -> _Seen:
        if not isinstance(outcome, Forwarded):
            del self._rpcs[rpc.rpc_id]
        refused_by = self._order[rpc.refused_by] if rpc.refused_by is not None else None
        return _Seen(outcome, rpc, rpc.metadata, self._method.request, refused_by, first)

    def _answer(self, event: Event, *, first: bool) -> _Seen:
        rpc = self._rpcs[event.call]
        rpc.message = {} if event.status else dict(event.fields)
        rpc.response_metadata = dict(event.metadata) if first else rpc.response_metadata
        outcome = self.chain.response(rpc, event.status)
        if event.status or not self._method.server_streaming or not isinstance(outcome, Forwarded):
            del self._rpcs[event.call]
        return _Seen(outcome, rpc, rpc.response_metadata, self._method.response, first=first)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _differ(a: _Seen, b: _Seen, strength: Strength, *, same_status: bool) -> tuple[str, str] | None:
    if a.same(b):
        return None
    if isinstance(a.outcome, Refused) and isinstance(b.outcome, Refused):
        told_apart = strength is Strength.STRONG or (same_status and a.outcome.code != b.outcome.code)
        if not told_apart:
            return None
    return a.words(b), b.words(a)
