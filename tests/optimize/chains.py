"""Random chains whose elements do all that can be told on which side of the wire they are, and what judges moves."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

from appnet.analysis import Strength, infer
from appnet.analysis.decide import proved_or_unknown
from appnet.application.model import ElementSpec, Side, Stop
from appnet.diagnostics.place import Span
from appnet.diagnostics.source import TextSource
from appnet.diagnostics.yaml_reader import Located
from appnet.ir import compile_element
from appnet.ir.needs import Need, asks_for_hosts, own_state
from appnet.ir.nodes import Consistency, Element, StateClass
from appnet.language.messages import MethodSignature
from appnet.optimize.placement import Place
from appnet.optimize.problem import Problem, problem_of
from appnet.optimize.search import Arrangement, as_written
from appnet.optimize.sides import at_home, bound_of
from appnet.optimize.standing import standing
from tests.support.edge import Left, World, make_world, run_both
from tests.support.edge_streams import Streams, make_streams, run_both_streams
from tests.support.prices import DEFAULT
from tests.support.programs import program
from tests.support.signatures import KV

PLACES = tuple(Place(side, "sidecar", "native", frozenset(Need), DEFAULT.targets["native"]) for side in Side)
SIDES = [it.side for it in PLACES]


@dataclass(frozen=True)
class Part:
    """What an element may do, beside other things."""

    req: str = ""
    resp: str = ""
    state: str = ""
    init: str = ""


_SHARED = "@consistency(strong) "
PARTS = {
    "refuses": Part("if get(rpc, 'key') == 'bad':\n    send(err('no', PERMISSION_DENIED), Up)"),
    "draws": Part("if randomf(0, 1) < 0.3:\n    send(err('fault'), Up)"),
    "replies": Part(
        "if get(rpc, 'key') == 'cached':\n    r = reply()\n    set(r, 'score', get(rpc, 'score'))\n    send(r, Up)"
    ),
    "writes": Part("set(rpc, 'score', get(rpc, 'score') + 1)"),
    "rewrites": Part("set(rpc, 'key', concat(get(rpc, 'key'), 'd'))"),
    "answers": Part(resp="set(rpc, 'rpcid', concat(get(rpc, 'rpcid'), 'x'))"),
    "notes": Part("set(noted, size(noted), get(rpc, 'key'))", state="noted: Vec<string>"),
    "notes answers": Part(resp="set(heard, size(heard), get(rpc, 'score'))", state="heard: Vec<int>"),
    "remembers": Part(
        "set(asked, rpc_id(), get(rpc, 'key'))",
        "set(rpc, 'key', get(asked, rpc_id(), 'none'))",
        "asked: Map<uint, string>",
    ),
    "knows": Part(
        "if contains(get(rpc, 'rpcid'), word):\n    set(rpc, 'hot', true)", state="word: string", init="word = 'r'"
    ),
    "stamps": Part("set_metadata(rpc, 'x-a', 'seen')"),
    "stamps some": Part("if get(rpc, 'hot'):\n    set_metadata(rpc, 'x-b', 'hot')"),
    "asks": Part("if get_metadata(rpc, 'x-a') == 'no':\n    send(err('header', UNAUTHENTICATED), Up)"),
    "hands over": Part("set(rpc, 'rpcid', get_metadata(rpc, 'x-b'))"),
    "good answers": Part(resp="if status(rpc) == 0:\n    set_metadata(rpc, 'x-c', 'good')"),
    "checks answers": Part(
        resp="match status(rpc):\n    0 =>\n        if get(rpc, 'hot'):\n            send(err('hot', INTERNAL), Up)"
    ),
    "shared quota": Part(
        "if quota >= 3:\n    send(err('quota', RESOURCE_EXHAUSTED), Up)\nquota = quota + 1",
        state=_SHARED + "quota: int",
    ),
    # What follows ties an element to its side.
    "counts": Part("calls = calls + 1", state="calls: int"),
    "limits": Part("if used >= 3:\n    send(err('limit', RESOURCE_EXHAUSTED), Up)\nused = used + 1", state="used: int"),
    "gates": Part(
        "if inside >= 2:\n    send(err('full', RESOURCE_EXHAUSTED), Up)\ninside = inside + 1",
        "inside = inside - 1",
        "inside: int",
    ),
    "shared gate": Part(
        "if within >= 2:\n    send(err('all full', RESOURCE_EXHAUSTED), Up)\nwithin = within + 1",
        "within = within - 1",
        _SHARED + "within: int",
    ),
    "bucket": Part(
        "tokens = min(2.0, tokens + time_diff(current_time(), last))\nlast = current_time()\n"
        "if tokens < 1.0:\n    send(err('rate', RESOURCE_EXHAUSTED), Up)\ntokens = tokens - 1.0",
        state="tokens: float\nlast: Instant",
        init="last = current_time()",
    ),
    "dates": Part("set_metadata(rpc, 'x-date', to_string(wall_time()))"),
    "times": Part(
        "set(began, rpc_id(), current_time())",
        "set(took, size(took), time_diff(current_time(), get(began, rpc_id(), current_time())))",
        "began: Map<uint, Instant>\ntook: Vec<float>",
    ),
    "late": Part(
        "set(left, rpc_id(), current_time())",
        "if time_diff(current_time(), get(left, rpc_id(), current_time())) > 1.0:\n"
        "    send(err('late', DEADLINE_EXCEEDED), Up)",
        "left: Map<uint, Instant>",
    ),
    "notes the time": Part("set(times, size(times), current_time())", state="times: Vec<Instant>"),
    "counts errors": Part(resp="set(codes, size(codes), status(rpc))", state="codes: Vec<int>"),
    "hides errors": Part(resp="if status(rpc) == 14:\n    send(err('try later', UNAVAILABLE), Up)"),
    "needs answers": Part(resp="if get(rpc, 'key') == '':\n    send(err('empty', NOT_FOUND), Up)"),
    "marks answers": Part(resp="set_metadata(rpc, 'x-c', 'marked')"),
    "request id": Part("if get_metadata(rpc, 'x-request-id') != '':\n    set(rpc, 'hot', true)"),
    "any header": Part("set(rpc, 'hot', get_metadata(rpc, concat('x-', get(rpc, 'key'))) == '')"),
    "numbers": Part("set_metadata(rpc, 'x-number', to_string(rpc_id()))"),
    "delays": Part("delay(rpc, to_float(get(rpc, 'score')) / 10.0)"),
    "chooses": Part("set(rpc, 'dst', get(rpc, 'score'))"),
    "loads": Part("(load, at) = get_load(0)\nif load > 0:\n    set(rpc, 'hot', true)"),
    "starts": Part("set(starts, size(starts), 1)", state="starts: Vec<int>", init="set(starts, size(starts), 0)"),
    "drawn": Part("set(rpc, 'count', lot)", state="lot: uint", init="lot = to_uint(randomi(0, 1000000))"),
    "shows": Part("seen = seen + 1", "set(rpc, 'count', seen)", "seen: uint"),
}
_FREE = list(PARTS)[:17]


def text_of(parts: Sequence[Part]) -> str:
    """The program of an element that does all of these."""
    return program(
        "\n".join(it.req for it in parts),
        state="\n".join(it.state for it in parts if it.state) or "pass",
        init="\n".join(it.init for it in parts if it.init) or "pass",
        resp="\n".join(it.resp for it in parts),
    )


def element_of(name: str, *parts: str, method: MethodSignature = KV) -> Element:
    """An element that does what these parts do."""
    text = text_of([PARTS[it] for it in parts])
    return compile_element(TextSource(Path(f"{name}.appnet"), text), method).element


@dataclass(frozen=True)
class Chain:
    """Elements in request order, each with the side that it is bound to, or None. ``does``: what each does."""

    elements: tuple[Element, ...]
    fixed: tuple[Side | None, ...]
    does: tuple[tuple[str, ...], ...] = ()
    method: MethodSignature = KV

    def problem(self, strength: Strength, *, tied: bool = True) -> Problem:
        """What may be chosen. ``tied``: elements stay where they are tied."""
        lone = Side.SERVER in self.fixed and Side.CLIENT not in self.fixed
        home = Side.SERVER if lone else Side.CLIENT
        stops = [
            Stop(_spec(it.name), side, home if side is None else side)
            for it, side in zip(self.elements, self.fixed, strict=True)
        ]
        stand = standing(
            at_home(stops, [asks_for_hosts(it) for it in self.elements]), [()] * len(stops), PLACES, ["sidecar"]
        )
        bound = [bound_of(it, self.method, infer(it), strength) for it in self.elements] if tied else []
        return problem_of(
            self.elements,
            stand.suits,
            stand.at,
            strength,
            lambda first, second, how: proved_or_unknown(first, second, self.method, how),
            places=PLACES,
            bound=bound,
        )

    def placed(self, arrangement: Arrangement) -> list[tuple[Element, Side]]:
        """The elements in request order with their sides."""
        return [(self.elements[it], SIDES[arrangement.at[it]]) for it in arrangement.order]

    def moved(self, problem: Problem, arrangement: Arrangement) -> list[Element]:
        """The elements that are on another side than as written."""
        return [
            it
            for it, before, after in zip(self.elements, problem.written, arrangement.at, strict=True)
            if before != after
        ]

    def __str__(self) -> str:
        rows = zip(self.elements, self.does, self.fixed, strict=True)
        return " | ".join(f"{it.name}: {', '.join(does)} ({side.value if side else 'any'})" for it, does, side in rows)


def _spec(name: str) -> ElementSpec:
    source = TextSource(Path(f"{name}.appnet"), "")
    return ElementSpec(Located(name, Span.whole(source)), source)


STREAMS = tuple(
    replace(KV, full_name=f"/kv.Store/{name}", client_streaming=up, server_streaming=down)
    for name, up, down in (("Up", True, False), ("Down", False, True), ("Both", True, True))
)


def random_chain(source: random.Random, method: MethodSignature = KV) -> Chain:
    """Three to five elements, of which at least one is bound to no side."""
    count = source.randint(3, 5)
    ends = sorted((source.randint(0, count - 1), source.randint(1, count)))
    fixed = [Side.CLIENT if it < ends[0] else Side.SERVER if it >= ends[1] else None for it in range(count)]
    if None not in fixed:
        fixed[ends[0] if ends[0] < count else -1] = None
    names = [it for it in PARTS if it != "replies" or method is KV]  # streams take no replies
    free = [it for it in _FREE if it in names]
    does = []
    for side in fixed:  # those bound to no side are mostly such as can move
        pool = free if side is None and source.random() < 0.7 else names
        does.append(tuple(source.sample(pool, source.choice((1, 1, 2)))))
    elements = tuple(element_of(f"e{number}", *parts, method=method) for number, parts in enumerate(does))
    return Chain(elements, tuple(fixed), tuple(does), method)


def legal(problem: Problem) -> Iterator[Arrangement]:
    """Every arrangement that the problem allows."""
    count = len(problem.written)
    for order in permutations(range(count)):
        for split in range(count + 1):
            at = tuple(0 if order.index(it) < split else 1 for it in range(count))
            if problem.is_legal(order, at):
                yield Arrangement(order, at)


def worlds_for(
    moved: Sequence[Element], strength: Strength, source: random.Random, count: int, method: MethodSignature = KV
) -> Iterator[World | Streams]:
    """Worlds in which such a move must not be told.

    Where state follows its element, the sides have to be alike; where it is shared, calls that overlap, and those that
    the wire loses, may reach it in either order, or not at all.
    """
    still = strength is Strength.WEAK and any(own_state(it) for it in moved)
    quiet = still or any(_shares(it) for it in moved)
    for _ in range(count):
        calls = source.randint(2, 8)
        if method is KV:
            yield make_world(source, calls=calls, quiet=quiet, still=still)
        else:
            yield make_streams(source, method, calls=calls, quiet=quiet, still=still)


def _shares(element: Element) -> bool:
    lasting = (StateClass.GENERAL, StateClass.COUNTER)
    return any(it.consistency is not Consistency.LOCAL and it.state_class in lasting for it in element.state)


def difference(
    chain: Chain,
    problem: Problem,
    arrangement: Arrangement,
    strength: Strength,
    world: World | Streams,
    *,
    all_state: bool = False,
) -> str | None:
    """How the chain as written and in the arrangement are told apart in the world; None where they are not.

    ``all_state``: by what moved elements noted of calls that were cut off, too, and by state of their own.
    """
    before, after = chain.placed(as_written(problem)), chain.placed(arrangement)
    if isinstance(world, Streams):
        one, other = run_both_streams(before, after, chain.method, world)
        cut = bool(one.cut | one.broken | other.cut)
    else:
        one, other, world = run_both(before, after, chain.method, world)
        cut = any(it.lost for it in world.calls)
    weak = strength is Strength.WEAK
    for number, got in one.caller.items():
        if _refusals(got, weak=weak) != _refusals(other.caller[number], weak=weak):
            return f"call {number}: {got}\n        {other.caller[number]}"
    if one.server != other.server:
        return f"the server got {one.server}\n        {other.server}"
    moved = {it.name for it in chain.moved(problem, arrangement)}
    if weak:
        return None
    return _left(one, other, moved if cut and not all_state else set(), set() if all_state else moved)


def _refusals(got: Any, *, weak: bool) -> Any:
    """What a caller got; under weak it does not matter which element refused."""
    if not weak:
        return got
    if isinstance(got, list):
        return ["refused" if isinstance(it, str) and it.startswith("Refused") else it for it in got]
    return got[:1] if got[0] == "refused" else got


def _left(one: Left, other: Left, no_records: set[str], no_state: set[str]) -> str | None:
    for name, state in one.state.items():
        if name not in no_state and state != other.state[name]:
            return f"state of {name}: {state}\n        {other.state[name]}"
        if name not in no_records and one.records[name] != other.records[name]:
            return f"records of {name}: {one.records[name]}\n        {other.records[name]}"
    return None
