"""Both sides of an edge on the interpreter: several instances of each, and a wire that takes time and fails."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from appnet.application.model import Side
from appnet.interpret import Answered, ChainInstance, Environment, Forwarded, Outcome, Refused, Rpc
from appnet.interpret.rpc import WALL_AHEAD_NS
from appnet.ir.nodes import Consistency, Element, StateClass
from appnet.language.messages import MethodSignature

LOST = 14
"""The status of an error that the wire makes."""

_ELSEWHERE = (StateClass.RPC_SCOPED, StateClass.RECORD)
_SKEW_NS = 7_777_000_000_000  # the server's clocks count from another time
_PROXIES_TAKE = ("x-envoy-attempt", "dst", "te")
_PROXIES_ADD = {"x-request-id": b"made by a proxy", "x-forwarded-proto": b"http"}
_PROXIES_ADD_BACK = {"server": b"proxy", "x-envoy-upstream-service-time": b"3"}


@dataclass(frozen=True)
class Call:
    """One call, and what happens to it. Times are nanoseconds.

    ``client``, ``server``: which instances it passes, where no element chooses a host. ``out``, ``back``: what the wire
    takes; ``serving``: what the server takes. ``lost``: on its way out, or back, or not at all.
    """

    at: int
    fields: dict[str, Any]
    metadata: dict[str, bytes]
    answer: dict[str, Any]
    answer_metadata: dict[str, bytes]
    status: int
    client: int = 0
    server: int = 0
    out: int = 0
    serving: int = 0
    back: int = 0
    lost: str = ""


@dataclass(frozen=True)
class Setting:
    """How many instances there are on each side. ``apart``: their clocks differ, and what `init` draws."""

    clients: int = 1
    servers: int = 1
    seed: int = 0
    apart: bool = True


@dataclass(frozen=True)
class World:
    """What happens, and between whom."""

    calls: tuple[Call, ...]
    setting: Setting


@dataclass
class Left:
    """What elements left when all calls were over.

    ``state``: of each element, by side and number of the instance, but for records; ``records``: of each how often what
    was noted, as records are sent away in no order.
    """

    state: dict[str, dict[tuple[Side, int], str]] = field(default_factory=dict)
    records: dict[str, Counter[str]] = field(default_factory=dict)


@dataclass
class Seen(Left):
    """What can be told of a run: ``caller`` and ``server``, what each of them got of a call, by its number, too.

    ``crossed``: the calls that the wire carried.
    """

    caller: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    server: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    crossed: set[int] = field(default_factory=set)


def run_both(
    one: Sequence[tuple[Element, Side]], other: Sequence[tuple[Element, Side]], method: MethodSignature, world: World
) -> tuple[Seen, Seen, World]:
    """Two ways to place elements, each in request order, in one world; and the world.

    What is refused before the wire cannot be lost on it, so the wire loses only calls that it carries in both.
    """
    while True:
        seen = [run(it, method, world) for it in (one, other)]
        carried = seen[0].crossed & seen[1].crossed
        spared = [it for it, call in enumerate(world.calls) if call.lost and it not in carried]
        if not spared:
            return seen[0], seen[1], world
        calls = tuple(replace(it, lost="") if number in spared else it for number, it in enumerate(world.calls))
        world = replace(world, calls=calls)


def run(placed: Sequence[tuple[Element, Side]], method: MethodSignature, world: World) -> Seen:
    """What can be told of the elements in these places."""
    return _Run(placed, method, world).all()


class Sides:
    """All instances of both sides. ``now``: the time, in nanoseconds."""

    def __init__(self, placed: Sequence[tuple[Element, Side]], setting: Setting) -> None:
        self.now = 0
        self._setting = setting
        shared: dict[str, dict[str, Any]] = {}
        counts = {Side.CLIENT: setting.clients, Side.SERVER: setting.servers}
        self.chains = {
            (side, number): self._chain([it for it, where in placed if where is side], side, number, shared)
            for side, count in counts.items()
            for number in range(count)
        }

    def _chain(
        self, elements: list[Element], side: Side, number: int, shared: dict[str, dict[str, Any]]
    ) -> ChainInstance:
        skew = _SKEW_NS * (number + 1) if side is Side.SERVER and self._setting.apart else 0
        hosts = self._setting.servers if side is Side.CLIENT else 1
        drawn = self._setting.seed + number * 17 + skew
        environment = Environment(lambda: self.now + skew, drawn, hosts, True, WALL_AHEAD_NS - skew)
        chain = ChainInstance(elements, environment)
        environment.seed = self._setting.seed
        for it in chain._elements:
            names = [variable.name for variable in it.element.state if variable.consistency is not Consistency.LOCAL]
            values = shared.setdefault(it.element.name, {name: it.state[name] for name in names})
            it.state = _Shared(it.state, values)
        return chain

    def look(self, left: Left) -> None:
        """Notes what the elements left."""
        for (side, instance), chain in self.chains.items():
            for element in chain.elements():
                state = chain.state_of(element.name)
                kept = {it.name: state[it.name] for it in element.state if it.state_class not in _ELSEWHERE}
                left.state.setdefault(element.name, {})[side, instance] = repr(kept)
                left.records.setdefault(element.name, Counter())
            for stream, item in chain.records():
                left.records[stream.partition(".")[0]][f"{stream} {item!r}"] += 1


def over_the_wire(metadata: dict[str, bytes]) -> dict[str, bytes]:
    """The metadata of a request as proxies hand it on."""
    return {key: it for key, it in metadata.items() if key not in _PROXIES_TAKE} | _PROXIES_ADD


def back_over_the_wire(metadata: dict[str, bytes]) -> dict[str, bytes]:
    """The same of a response."""
    return metadata | _PROXIES_ADD_BACK


class _Run:
    def __init__(self, placed: Sequence[tuple[Element, Side]], method: MethodSignature, world: World) -> None:
        self._method, self._world = method, world
        self._seen = Seen()
        self._sides = Sides(placed, world.setting)
        self._rpcs: dict[tuple[int, Side], Rpc] = {}
        self._hosts: dict[int, int] = {}
        self._outcomes: dict[int, Outcome] = {}
        self._queue: list[tuple[int, int, str]] = []

    def all(self) -> Seen:
        for number, call in enumerate(self._world.calls):
            self._later(call.at, number, "request")
        while self._queue:
            self._sides.now, number, stage = heapq.heappop(self._queue)
            getattr(self, f"_{stage}")(number, self._world.calls[number])
        self._sides.look(self._seen)
        return self._seen

    def _later(self, at: int, number: int, stage: str) -> None:
        heapq.heappush(self._queue, (at, number, stage))

    def _at(self, number: int, side: Side) -> tuple[ChainInstance, Rpc]:
        instance = self._world.calls[number].client if side is Side.CLIENT else self._hosts[number]
        return self._sides.chains[side, instance], self._rpcs[number, side]

    # --- the call on its way ---

    def _request(self, number: int, call: Call) -> None:
        rpc = Rpc(self._method, dict(call.fields), dict(call.metadata), drawn_as=number + 1)
        self._rpcs[number, Side.CLIENT] = rpc
        outcome = self._sides.chains[Side.CLIENT, call.client].request(rpc)
        if not isinstance(outcome, Forwarded):
            self._answered(number, rpc, outcome)
            return
        self._hosts[number] = call.server if rpc.destination is None else rpc.destination
        self._seen.crossed.add(number)
        stage = "lost" if call.lost == "out" else "arrival"
        self._later(self._sides.now + rpc.wait_ms * 1_000_000 + call.out, number, stage)

    def _arrival(self, number: int, call: Call) -> None:
        before = self._rpcs[number, Side.CLIENT]
        metadata = over_the_wire(before.metadata)
        rpc = Rpc(self._method, dict(before.message), metadata, rpc_id=1000 + number, drawn_as=number + 1)
        self._rpcs[number, Side.SERVER] = rpc
        outcome = self._sides.chains[Side.SERVER, self._hosts[number]].request(rpc)
        if isinstance(outcome, Forwarded):
            self._later(self._sides.now + rpc.wait_ms * 1_000_000, number, "service")
        else:
            self._back(number, outcome)

    def _service(self, number: int, call: Call) -> None:
        rpc = self._rpcs[number, Side.SERVER]
        waited = rpc.wait_ms + self._rpcs[number, Side.CLIENT].wait_ms
        self._seen.server[number] = (self._hosts[number], plain(rpc.message), plain(rpc.metadata), waited)
        self._later(self._sides.now + call.serving, number, "answer")

    def _answer(self, number: int, call: Call) -> None:
        chain, rpc = self._at(number, Side.SERVER)
        rpc.message = {} if call.status else dict(call.answer)
        rpc.response_metadata = dict(call.answer_metadata)
        outcome = chain.response(rpc, call.status)
        self._back(number, outcome)

    def _back(self, number: int, outcome: Outcome) -> None:
        call = self._world.calls[number]
        self._outcomes[number] = outcome
        self._later(self._sides.now + call.back, number, "lost" if call.lost == "back" else "return")

    def _return(self, number: int, call: Call) -> None:
        chain, rpc = self._at(number, Side.CLIENT)
        outcome = self._outcomes[number]
        if not isinstance(outcome, Forwarded):
            self._answered(number, rpc, chain.passed_back(rpc, outcome))
            return
        behind = self._rpcs[number, Side.SERVER]
        rpc.message = dict(behind.message)
        rpc.response_metadata = back_over_the_wire(behind.response_metadata)
        self._answered(number, rpc, chain.response(rpc, call.status), call.status)

    def _lost(self, number: int, _: Call) -> None:
        chain, rpc = self._at(number, Side.CLIENT)
        rpc.message, rpc.response_metadata = {}, {}
        self._answered(number, rpc, chain.response(rpc, LOST), LOST)

    def _answered(self, number: int, rpc: Rpc, outcome: Outcome, status: int = 0) -> None:
        match outcome:
            case Refused(code=code, text=text):
                self._seen.caller[number] = ("refused", code, text)
            case Answered(fields=fields):
                self._seen.caller[number] = ("answered", plain(fields))
            case Forwarded():
                message = {} if status else rpc.message
                self._seen.caller[number] = ("response", status, plain(message), plain(rpc.response_metadata))


class _Shared(dict[str, Any]):
    """The state of one element on one instance; what is shared stands in ``values``."""

    def __init__(self, own: dict[str, Any], values: dict[str, Any]) -> None:
        super().__init__({name: it for name, it in own.items() if name not in values})
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[name] if name in self._values else super().__getitem__(name)

    def __setitem__(self, name: str, value: Any) -> None:
        if name in self._values:
            self._values[name] = value
        else:
            super().__setitem__(name, value)

    def items(self) -> Any:
        return {**self._values, **dict(super().items())}.items()


def plain(values: dict[str, Any]) -> str:
    return repr(sorted(values.items(), key=lambda it: it[0]))


# --- worlds ---


def make_world(source: random.Random, *, calls: int, quiet: bool = False, still: bool = False) -> World:
    """A world of one to three instances a side.

    ``quiet``: the wire loses nothing, and no two calls are under way at once. ``still``: there is one instance on each
    side, too, and the wire takes no time.
    """
    clients, servers = (1, 1) if still else (source.randint(1, 3), source.randint(1, 3))
    found: list[Call] = []
    at = 1_000_000_000
    for _ in range(calls):
        at += 60_000_000_000 if quiet else source.choice((1_000, 3_000_000, 400_000_000, 5_000_000_000))
        out, back = (0, 0) if still else (source.choice((20_000, 900_000, 700_000_000)) for _ in range(2))
        status = source.choice((0, 0, 0, 0, 5, 14))
        found.append(
            Call(
                at + source.randrange(1000),
                make_fields(source),
                make_metadata(source, ("x-a", "x-b", "dst", "x-request-id", "te", "x-envoy-attempt")),
                {} if status else make_fields(source),
                make_metadata(source, ("x-a", "x-c")),
                status,
                source.randrange(clients),
                source.randrange(servers),
                out + (0 if still else source.randrange(1000)),
                source.choice((50_000, 2_000_000_000)) + source.randrange(1000),
                back + (0 if still else source.randrange(1000)),
                "" if quiet or still else source.choice(("", "", "", "out", "back")),
            )
        )
    return World(tuple(found), Setting(clients, servers, source.getrandbits(32), not still))


def make_fields(source: random.Random) -> dict[str, Any]:
    drawn = {
        "key": source.choice((b"", b"good", b"bad", b"cached")),
        "score": source.choice((0, 1, 2, 7)),
        "hot": source.random() < 0.4,
        "rpcid": source.choice((b"", b"r")),
    }
    return {name: value for name, value in drawn.items() if source.random() < 0.8}


def make_metadata(source: random.Random, keys: Sequence[str]) -> dict[str, bytes]:
    return {key: source.choice((b"1", b"no", b"0")) for key in keys if source.random() < 0.4}
