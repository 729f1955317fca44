"""Why a plan is as it is: what moved and what it saves, what did not and the story that shows why it may not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from appnet.analysis import Counterexample, Decision, Event, Proved, Refuted, Unknown
from appnet.application.model import Side
from appnet.interpret.shown import shown
from appnet.interpret.values import Value
from appnet.ir.nodes import Consistency
from appnet.ir.sharing import shares
from appnet.ir.words import share_notes
from appnet.language.statuses import STATUS_CODES, status_name
from appnet.language.types import BOOL, FLOAT, STRING
from appnet.optimize.cost import Profile
from appnet.optimize.placement import OptLevel, Segment, labels
from appnet.optimize.plan import OptimizedPlan
from appnet.optimize.problem import Problem
from appnet.optimize.search import Arrangement


@dataclass(frozen=True)
class PairStory:
    """Two elements in the order as written. ``status``: ``swapped``, ``free`` (they may swap, and did not) or ``kept``.

    ``story``: how the two orders are told apart, where that was shown.
    """

    first: str
    second: str
    status: str
    reason: str
    story: tuple[str, ...] = ()


@dataclass(frozen=True)
class Move:
    """An element that runs in another place than as written. Places are told by their labels."""

    element: str
    before: str
    after: str


@dataclass(frozen=True)
class Standing:
    """Where an element that was given no side may run. ``sides``: their names; of one, ``reasons`` say why not both.

    ``follows``: state that each instance has for itself, and that follows the element to the other side.
    """

    element: str
    sides: tuple[str, ...]
    reasons: tuple[str, ...]
    follows: tuple[str, ...]


@dataclass(frozen=True)
class Stay:
    """Microseconds that an RPC takes in the module of a place: ``expected`` by prices, and the ``measured`` median."""

    expected: float
    measured: float


@dataclass(frozen=True)
class Explanation:
    """Of one chain. ``methods``: as written.

    ``places``: the side of each place by its label, in request order. A label names the side, and where that has
    several places what tells them apart. ``written`` and ``planned``: names of elements by the label of their place, in
    request order. Costs are microseconds of CPU for an RPC, ``rate`` the RPCs per second that were seen, if they were.
    ``standing``: of the elements that the user gave no side. ``idle``: proxies without elements beside programs, by
    the labels of their places, with what an RPC would save without each. ``state``: of state that is declared shared,
    ELEMENT.VARIABLE, where it lives and why. ``stays``: where they were measured, by the labels of places.
    """

    client: str
    server: str
    methods: tuple[str, ...]
    level: str
    places: dict[str, Side]
    written: dict[str, list[str]]
    planned: dict[str, list[str]]
    written_cost: float
    cost: float
    moves: tuple[Move, ...]
    pairs: tuple[PairStory, ...]
    standing: tuple[Standing, ...] = ()
    state: dict[str, str] = field(default_factory=dict)
    rate: float | None = None
    idle: dict[str, float] = field(default_factory=dict)
    stays: dict[str, Stay] = field(default_factory=dict)

    @property
    def fused(self) -> bool:
        """Whether the elements of a place become one module."""
        return self.level != OptLevel.NO.value

    @property
    def edge(self) -> str:
        """The edge and the methods on it that have this chain."""
        return f"{self.client}->{self.server} {', '.join(self.methods)}"


def explain(optimized: OptimizedPlan, profile: Profile | None = None) -> Explanation:
    """What was chosen, and why. ``profile``: what was seen of the chain."""
    problem, found = optimized.problem, optimized.arrangement
    names = [it.name for it in problem.elements]
    places = {" ".join(words): it.side for words, it in zip(labels(optimized.places), optimized.places, strict=True)}
    moves = [
        Move(names[it], list(places)[before], list(places)[after])
        for it, (before, after) in enumerate(zip(problem.written, found.at, strict=True))
        if before != after
    ]
    edge = optimized.plan.edge
    return Explanation(
        edge.client,
        edge.server,
        edge.methods,
        optimized.level.value,
        places,
        _placed(places, names, range(len(names)), problem.written),
        _placed(places, names, found.order, found.at),
        optimized.written_cost,
        optimized.cost,
        tuple(moves),
        tuple(_pairs(problem, found)),
        tuple(_standing(optimized)),
        dict(_sharing(problem)),
        profile.rate if profile is not None else None,
        {list(places)[number]: round(saved, 2) for number, saved in optimized.idle.items()},
        dict(_stays(optimized, profile)) if profile is not None else {},
    )


def _stays(optimized: OptimizedPlan, profile: Profile) -> Iterator[tuple[str, Stay]]:
    """Of each side that was measured and has one module: what several take together, no median says."""
    sides = [it.place.side for it in optimized.plan.segments]
    for words, place, inside in zip(labels(optimized.places), optimized.places, optimized.inside, strict=True):
        if inside and sides.count(place.side) == 1 and place.side.value in profile.stays:
            yield " ".join(words), Stay(round(inside, 2), round(profile.stays[place.side.value], 2))


def _placed(
    places: Iterable[str], names: Sequence[str], order: Iterable[int], at: Sequence[int]
) -> dict[str, list[str]]:
    """The elements of each place in this order."""
    return {label: [names[it] for it in order if at[it] == number] for number, label in enumerate(places)}


def _standing(optimized: OptimizedPlan) -> Iterator[Standing]:
    """Of the elements that the user gave no side, where that was asked."""
    problem, sides = optimized.problem, [it.side for it in optimized.places]
    if optimized.level is OptLevel.NO:
        return
    for element, suits, bound in zip(problem.elements, problem.suits, problem.bound, strict=True):
        if element.name in optimized.free:
            may = tuple(it.value for it in Side if it in {sides[place] for place in suits})
            reasons = tuple(it.cause for it in bound.ties) if len(may) == 1 else ()
            yield Standing(element.name, may, reasons, bound.follows if len(may) > 1 else ())


def _sharing(problem: Problem) -> Iterator[tuple[str, str]]:
    for element in problem.elements:
        shared = shares(element)
        for it in element.state:
            if it.consistency is not Consistency.LOCAL:
                yield f"{element.name}.{it.name}", share_notes(shared[it.name])


def _pairs(problem: Problem, found: Arrangement) -> Iterator[PairStory]:
    position = {it: number for number, it in enumerate(found.order)}
    for (i, j), decision in problem.decisions.items():
        status = "swapped" if position[i] > position[j] else "kept" if (i, j) in problem.kept else "free"
        first, second = problem.elements[i].name, problem.elements[j].name
        yield PairStory(first, second, status, *_reason(decision, (first, second), kept=status == "kept"))


@dataclass(frozen=True)
class Total:
    """Of all chains of an application, before and after.

    ``written_cost`` and ``cost``: microseconds for one RPC on each chain. ``written_cores`` and ``cores``: what the
    RPCs that were seen take, where the rate of each chain is known.
    """

    written_cost: float
    cost: float
    written_cores: float | None
    cores: float | None


def total(explanations: Sequence[Explanation]) -> Total:
    """The sums over the chains."""
    rates = [it.rate for it in explanations if it.rate is not None]
    known = len(rates) == len(explanations)
    written_cores, cores = (
        sum(cost * rate for cost, rate in zip(costs, rates, strict=True)) / 1e6 if known else None
        for costs in ([it.written_cost for it in explanations], [it.cost for it in explanations])
    )
    return Total(sum(it.written_cost for it in explanations), sum(it.cost for it in explanations), written_cores, cores)


def segment_json(segment: Segment) -> dict[str, Any]:
    """Where a segment runs, and its elements in request order, for programs."""
    return {
        "side": segment.place.side.value,
        "processor": segment.place.processor,
        "elements": [it.name.value for it in segment.elements],
    }


def stays_json(explanation: Explanation) -> dict[str, dict[str, float]]:
    """What was measured, by the labels of places, in microseconds."""
    return {label: dataclasses.asdict(it) for label, it in explanation.stays.items()}


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """The explanation for programs: its fields by their names; which side a place is on, its label says."""
    plain = dataclasses.asdict(explanation)
    del plain["places"]
    return plain


def told_application(explanations: Sequence[Explanation], *, pairs: bool = True) -> Iterator[str]:
    """The explanation of each chain as lines of text, and what all of them cost. ``pairs``: with that of each pair."""
    for it in explanations:
        yield it.edge
        yield from (f"  {line}" for line in (told(it) if pairs else told_briefly(it)))
    yield from _told_total(total(explanations), len(explanations))


def _told_total(sums: Total, chains: int) -> Iterator[str]:
    if chains > 1:
        yield f"one RPC on each of {chains} chains: {sums.cost:.1f} µs ({sums.written_cost:.1f} µs before optimisation)"
    if sums.written_cores is not None and sums.cores is not None:
        yield f"the observed RPCs: {sums.cores:.4f} cores ({sums.written_cores:.4f} before optimisation)"


def told(explanation: Explanation) -> Iterator[str]:
    """The explanation as lines of text."""
    yield from _told_plan(explanation)
    if explanation.standing:
        yield "sides"
    for it in explanation.standing:
        yield f"  {_stands(it)}"
    if explanation.state:
        yield "shared state"
    for name, where in explanation.state.items():
        yield f"  {name}: {where}"
    for status, title in (("swapped", "swapped"), ("free", "may swap, but do not need to"), ("kept", "kept in order")):
        pairs = [it for it in explanation.pairs if it.status == status]
        if pairs:
            yield title
        for pair in pairs:
            yield f"  {pair.first}, {pair.second}: {pair.reason}"
            yield from (f"    {line}" for line in pair.story)


def told_briefly(explanation: Explanation) -> Iterator[str]:
    """What the plan is and what it costs, and how many pairs are in it as written."""
    yield from _told_plan(explanation)
    kept = told_order([explanation])
    if kept:
        yield f"  {kept}"


def _told_plan(explanation: Explanation) -> Iterator[str]:
    yield f"expected CPU per RPC: {told_cost(explanation)}"
    yield from _chain("as written", explanation.written, " | ")
    yield from _chain("as planned", explanation.planned, " + " if explanation.fused else " | ")
    yield from told_stays(explanation)
    yield from (f"  {line}" for line in told_changes(explanation))
    if explanation.idle:
        yield f"  {_told_idle(explanation)}"


def _told_idle(explanation: Explanation) -> str:
    """Which proxies could be left out, what that saves, and what it gives up."""
    names = [f"the {_named(it, explanation.places[it])}" for it in explanation.idle]
    has, it, does = ("has", "it", "it does") if len(names) == 1 else ("have", "them", "they do")
    return (
        f"{' and '.join(names)} {has} no elements: an RPC that bypasses {it} saves "
        f"{sum(explanation.idle.values()):.1f} µs, and gives up what {does} without elements, such as mTLS, the "
        "caller's identity, and the mesh's policies, retries and telemetry"
    )


def told_cost(explanation: Explanation) -> str:
    """What an RPC is expected to take, and what it took as written."""
    return f"{explanation.cost:.1f} µs ({explanation.written_cost:.1f} µs before optimisation)"


def told_stays(explanation: Explanation) -> Iterator[str]:
    """What an RPC takes in each module, as expected and as measured."""
    for label, it in explanation.stays.items():
        yield f"in the module of {label}: {it.expected:.2f} µs of CPU expected, {it.measured:.2f} µs measured (median)"


def told_changes(explanation: Explanation) -> Iterator[str]:
    """What is not as written, a line each."""
    follows = {it.element: it.follows for it in explanation.standing}
    for move in explanation.moves:
        crosses = explanation.places[move.before] is not explanation.places[move.after]
        state = follows.get(move.element, ()) if crosses else ()
        yield f"{move.element} runs {_moved(explanation, move)}{_following(state)}"
    for pair in explanation.pairs:
        if pair.status == "swapped":
            yield f"{pair.second} runs before {pair.first}"


def told_order(explanations: Sequence[Explanation]) -> str:
    """In a few words, of how many pairs the order is kept; empty where it is of none."""
    kept = sum(it.status == "kept" for explanation in explanations for it in explanation.pairs)
    return f"order kept for {kept} {'pair' if kept == 1 else 'pairs'}" if kept else ""


def _stands(it: Standing) -> str:
    """Where the element may run, and why."""
    if len(it.sides) > 1:
        return f"{it.element} may run on either side{_following(it.follows)}"
    stays = f"{it.element} stays on the {it.sides[0]}'s side"
    return f"{stays}: {'; '.join(it.reasons)}" if it.reasons else stays


def _following(state: Sequence[str]) -> str:
    if not state:
        return ""
    names = ", ".join(f"`{it}`" for it in state)
    return f"; each instance there has its own {names}"


def _moved(explanation: Explanation, move: Move) -> str:
    """Where to, and where from: by sides, where each of the two has one place."""
    before, after = explanation.places[move.before], explanation.places[move.after]
    if (move.before, move.after) == (before.value, after.value):
        return f"on the {after.value}'s side, not the {before.value}'s"
    here = _in(move.after, after)
    if before is after:
        return f"{here}, not its {move.before.removeprefix(before.value).strip()}"
    return f"{here}, not {_in(move.before, before)}"


def _in(label: str, side: Side) -> str:
    return f"in the {_named(label, side)}" if label != side.value else f"on the {side.value}'s side"


def _named(label: str, side: Side) -> str:
    """A place among several of its side, as a possession."""
    return f"{side.value}'s {label.removeprefix(side.value).strip()}"


def _chain(title: str, places: dict[str, list[str]], joint: str) -> Iterator[str]:
    """A line for each place."""
    for number, (label, names) in enumerate(places.items()):
        text = joint.join(names)
        yield f"{' ' * len(title) if number else title}   {label}: {text or '-'}"


def _reason(decision: Decision, names: tuple[str, str], *, kept: bool) -> tuple[str, tuple[str, ...]]:
    match decision:
        case Proved(reason=reason):
            return (f"{reason}; but another element reads the status" if kept else reason), ()
        case Unknown(reason=reason):
            return reason, ()
        case Refuted(counterexample=found):
            return "the order makes a difference", tuple(_story(found, *names))


def _story(found: Counterexample, first: str, second: str) -> Iterator[str]:
    """How the two orders are told apart: from which state, by which calls, and what comes of the last message."""
    for element, state in found.start.items():
        for variable, value in state.items():
            yield f"let `{variable}` of {element} be {_shown(value)}"
    numbers: dict[int, int] = {}
    several = len({it.call for it in found.events}) > 1
    for event in found.events:
        begins = event.call not in numbers
        number = numbers.setdefault(event.call, len(numbers) + 1)
        yield _event(event, f"call {number}" if several else "the call", begins=begins)
    yield f"{first} first: {found.as_written}"
    yield f"{second} first: {found.swapped}"


def _event(event: Event, call: str, *, begins: bool) -> str:
    """What happens, to which call; ``begins``: whether the call does."""
    later = f"{event.after_ns / 1e9:.9g} s later, " if event.after_ns else ""
    fields = ", ".join(f"{path}: {_shown(it)}" for path, it in event.fields.items())
    headers = ", ".join(f"{key}: {_shown(it)}" for key, it in event.metadata.items())
    content: list[str] = []
    match event.kind:
        case "headers":
            what = f"{'a call' if call == 'the call' else call} begins"
        case "request":
            what = ("a call comes" if call == "the call" else f"{call} comes") if begins else f"{call} sends a message"
        case "end":
            what = f"{call} ends" if event.status == STATUS_CODES["OK"] else f"the caller leaves {call}"
        case _:
            what = f"the server {'fails' if event.status else 'responds to'} {call}"
            content = [status_name(event.status)] if event.status else []
    content += [f"{{{fields}}}"] if fields else []
    content += [f"metadata {{{headers}}}"] if headers else []
    yet_to_come = ", before its message" if event.kind == "headers" else ""
    return later + what + (f" with {' and '.join(content)}" if content else "") + yet_to_come


def _shown(value: Value) -> str:
    """The value as a behaviour file would write it, as far as that can be told without its type."""
    match value:
        case bytes():
            return shown(value, STRING)
        case dict():
            return "{" + ", ".join(f"{_shown(key)}: {_shown(it)}" for key, it in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_shown, value)) + "]"
        case bool():
            return shown(value, BOOL)
        case float():
            return shown(value, FLOAT)
    return str(value)
