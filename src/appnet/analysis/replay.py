"""Runs both orders of two elements side by side on the interpreter, and tells where they part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appnet.analysis.decision import Counterexample, Event, Strength
from appnet.interpret import ChainInstance, Environment, Forwarded, Outcome, Rpc
from appnet.interpret.dump import value_text
from appnet.interpret.values import Value, absent_value
from appnet.ir.nodes import Element, StateClass
from appnet.language.messages import MethodSignature
from appnet.language.types import STRING as _STRING

CLOCK_START_NS = 1_000_000_000_000
BACKENDS = 3
_SHOWN = 60


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
    sides = [_Side(order, method, run) for order in ((first, second), (second, first))]
    for number, event in enumerate(run.events):
        seen = [side.step(event) for side in sides]
        if seen[0] is None:
            continue
        difference = _differ(seen[0], seen[1], strength, same_status=same_status) or (
            _differ_in_state(sides, (first, second)) if strength is Strength.STRONG else None
        )
        if difference is not None:
            return Parting(number, *difference)
    return None


@dataclass(frozen=True)
class _Seen:
    """What came of one message; ``content`` of one that was refused is what the caller is told."""

    passed: bool
    content: tuple[tuple[str, str], ...]

    def words(self, other: _Seen) -> str:
        """It, as far as the other one differs."""
        theirs = dict(other.content) if other.passed == self.passed else {}
        parts = [f"{name} {text}" for name, text in self.content if theirs.get(name) != text]
        if other.passed != self.passed and self.passed:
            return "passes"
        return ("passes, " if self.passed else "refused, ") + (", ".join(parts) if parts else "without the rest")


class _Side:
    """One of the orders."""

    def __init__(self, order: tuple[Element, Element], method: MethodSignature, run: Counterexample) -> None:
        self._now_ns = CLOCK_START_NS
        self._method = method
        self._rpcs: dict[int, Rpc] = {}
        environment = Environment(lambda: self._now_ns, run.seed, BACKENDS, coupled=True)
        self.chain = ChainInstance(order, environment)
        for name, values in run.start.items():
            self.chain.set_state_of(name, values)

    def step(self, event: Event) -> _Seen | None:
        """What comes of the event; None for the response of a call that is over."""
        self._now_ns += event.after_ns
        if event.kind == "request":
            rpc = self._rpcs[event.call] = Rpc(
                self._method, dict(event.fields), dict(event.metadata), rpc_id=event.call
            )
            outcome = self.chain.request(rpc)
            if not isinstance(outcome, Forwarded):
                del self._rpcs[event.call]
            return _seen(outcome, rpc, rpc.metadata, self._method.request.fields)
        if event.call not in self._rpcs:
            return None
        rpc = self._rpcs.pop(event.call)
        rpc.message = {} if event.status else dict(event.fields)
        rpc.response_metadata = dict(event.metadata)
        outcome = self.chain.response(rpc, event.status)
        return _seen(outcome, rpc, rpc.response_metadata, self._method.response.fields)


def _seen(outcome: Outcome, rpc: Rpc, metadata: Mapping[str, bytes], fields: Mapping[str, Value]) -> _Seen:
    if not isinstance(outcome, Forwarded):
        return _Seen(False, (("with code", str(outcome.code)), ("saying", str(outcome.text))))
    content = []
    for path, it in fields.items():
        text = value_text(rpc.message.get(path, absent_value(it)), it.type)
        content.append((f"field `{path}`", text + (" written" if path in outcome.written else "")))
    content += [(f"header `{key}`", value_text(value, _STRING)) for key, value in sorted(metadata.items())]
    return _Seen(True, (*content, ("to host", str(rpc.backend))))


def _differ(a: _Seen | None, b: _Seen | None, strength: Strength, *, same_status: bool) -> tuple[str, str] | None:
    if a is None or b is None or a == b:
        return None
    told_apart = strength is Strength.STRONG or (same_status and a.content[0] != b.content[0])
    if not told_apart and not a.passed and not b.passed:
        return None
    return a.words(b), b.words(a)


def _differ_in_state(sides: Sequence[_Side], elements: tuple[Element, Element]) -> tuple[str, str] | None:
    for element in elements:
        kept = [side.chain.state_of(element.name) for side in sides]
        for it in element.state:
            texts = [value_text(state[it.name], it.type) for state in kept]
            if it.state_class is not StateClass.RPC_SCOPED and texts[0] != texts[1]:
                name = f"`{it.name}` of {element.name} is "
                return name + texts[0][:_SHOWN], name + texts[1][:_SHOWN]
    return None
