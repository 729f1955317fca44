"""Streams over both sides of an edge on the interpreter: messages of both directions cross a wire that may break."""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from appnet.application.model import Side
from appnet.interpret import ChainInstance, Forwarded, Outcome, Refused, Rpc
from appnet.ir.nodes import Element
from appnet.language.messages import MethodSignature
from tests.support.edge import (
    LOST,
    Left,
    Setting,
    Sides,
    back_over_the_wire,
    make_fields,
    make_metadata,
    over_the_wire,
    plain,
)


@dataclass(frozen=True)
class Stream:
    """One call, and what happens to it. Times are nanoseconds.

    ``requests``, ``responses``: messages, with how long each comes after the one before; the server's first comes after
    the client's first. It ends with ``status`` after its last. ``breaks``: so long after its start the wire breaks.
    """

    at: int
    requests: tuple[tuple[int, dict[str, Any]], ...]
    metadata: dict[str, bytes]
    responses: tuple[tuple[int, dict[str, Any]], ...]
    answer_metadata: dict[str, bytes]
    status: int
    client: int
    server: int
    out: int
    back: int
    breaks: int | None = None


@dataclass(frozen=True)
class Streams:
    """What happens, and between whom."""

    calls: tuple[Stream, ...]
    setting: Setting


@dataclass
class SeenStreams(Left):
    """What can be told of a run: what the callers and the servers got of each call, in order.

    ``broken``: calls that the wire broke; ``cut``: those that ended with messages on their way.
    """

    caller: dict[int, list[Any]] = field(default_factory=dict)
    server: dict[int, list[Any]] = field(default_factory=dict)
    broken: set[int] = field(default_factory=set)
    cut: set[int] = field(default_factory=set)


def run_both_streams(
    one: Sequence[tuple[Element, Side]], other: Sequence[tuple[Element, Side]], method: MethodSignature, world: Streams
) -> tuple[SeenStreams, SeenStreams]:
    """Two ways to place elements, in one world, whose wire breaks only calls that are under way in both."""
    while True:
        seen = [_Run(it, method, world).all() for it in (one, other)]
        spared = seen[0].broken ^ seen[1].broken
        if not spared:
            return seen[0], seen[1]
        calls = tuple(replace(it, breaks=None) if number in spared else it for number, it in enumerate(world.calls))
        world = replace(world, calls=calls)


class _Run:
    def __init__(self, placed: Sequence[tuple[Element, Side]], method: MethodSignature, world: Streams) -> None:
        self._method, self._world = method, world
        self._sides = Sides(placed, world.setting)
        self._seen = SeenStreams()
        self._rpcs: dict[tuple[int, Side], Rpc] = {}
        self._over: set[tuple[int, Side]] = set()
        self._hosts: dict[int, int] = {}
        self._last: dict[tuple[int, str], int] = {}
        self._queue: list[tuple[int, int, int, str, Any]] = []
        self._events = count()

    def all(self) -> SeenStreams:
        for number, call in enumerate(self._world.calls):
            self._seen.caller[number], self._seen.server[number] = [], []
            self._rpcs[number, Side.CLIENT] = Rpc(self._method, {}, dict(call.metadata), drawn_as=number + 1)
            at = call.at
            for after, fields in call.requests:
                at += after
                self._later(at, number, "ask", fields)
            if call.breaks is not None:
                self._later(call.at + call.breaks, number, "break", None)
        while self._queue:
            self._sides.now, number, _, stage, content = heapq.heappop(self._queue)
            side = Side.CLIENT if stage in {"ask", "return", "break"} else Side.SERVER
            if (number, side) in self._over:
                self._seen.cut.add(number)
            else:
                getattr(self, f"_{stage}")(number, self._world.calls[number], content)
        self._sides.look(self._seen)
        return self._seen

    def _later(self, at: int, number: int, stage: str, content: Any, lane: str = "") -> None:
        """The event at that time, and behind what takes the same lane of the same call."""
        if lane:
            at = self._last[number, lane] = max(at, self._last.get((number, lane), -1) + 1)
        heapq.heappush(self._queue, (at, number, next(self._events), stage, content))

    def _chain(self, number: int, side: Side) -> tuple[ChainInstance, Rpc]:
        instance = self._world.calls[number].client if side is Side.CLIENT else self._hosts[number]
        return self._sides.chains[side, instance], self._rpcs[number, side]

    def _end(self, number: int, side: Side) -> None:
        self._over.add((number, side))
        if (number, side) in self._rpcs and (side is Side.CLIENT or number in self._hosts):
            chain, rpc = self._chain(number, side)
            chain.end(rpc)

    # --- on the client's side ---

    def _ask(self, number: int, call: Stream, fields: dict[str, Any]) -> None:
        chain, rpc = self._chain(number, Side.CLIENT)
        rpc.message = dict(fields)
        outcome = chain.request(rpc)
        if isinstance(outcome, Forwarded):
            if number not in self._hosts:
                self._hosts[number] = call.server if rpc.destination is None else rpc.destination
            crossing = (dict(rpc.message), dict(rpc.metadata), rpc.wait_ms)
            self._later(self._sides.now + rpc.wait_ms * 1_000_000 + call.out, number, "arrive", crossing, "up")
        else:
            self._told(number, outcome)

    def _return(self, number: int, call: Stream, content: Any) -> None:
        chain, rpc = self._chain(number, Side.CLIENT)
        if isinstance(content, Refused):
            self._told(number, chain.passed_back(rpc, content))
            return
        fields, metadata, status, is_end = content
        if self._is_judged(is_end, status):
            self._respond(number, fields, back_over_the_wire(metadata), status)
        if is_end and not status and (number, Side.CLIENT) not in self._over:
            self._seen.caller[number].append("end")
            self._end(number, Side.CLIENT)

    def _is_judged(self, is_end: bool, status: int) -> bool:
        """Whether handlers see it: the end of a stream that is no error has no message."""
        return bool(status) or not is_end or not self._method.server_streaming

    def _respond(self, number: int, fields: dict[str, Any], metadata: dict[str, bytes], status: int) -> None:
        chain, rpc = self._chain(number, Side.CLIENT)
        first = not self._seen.caller[number]
        rpc.message = dict(fields)
        rpc.response_metadata = dict(metadata) if first else rpc.response_metadata
        outcome = chain.response(rpc, status)
        if not isinstance(outcome, Forwarded):
            self._told(number, outcome)
            return
        headers = plain(rpc.response_metadata) if first else ""
        self._seen.caller[number].append((status, plain({} if status else rpc.message), headers))
        if status:
            self._end(number, Side.CLIENT)

    def _told(self, number: int, outcome: Outcome) -> None:
        """The call ends with a refusal by an element, of which the server hears later."""
        self._seen.caller[number].append(repr(outcome))
        self._end(number, Side.CLIENT)
        if number in self._hosts:
            self._later(self._sides.now + self._world.calls[number].out, number, "cancel", None, "up")

    def _break(self, number: int, call: Stream, _: None) -> None:
        if number not in self._hosts:
            return
        self._seen.broken.add(number)
        self._respond(number, {}, {}, LOST)
        self._end(number, Side.SERVER)

    # --- on the server's side ---

    def _arrive(self, number: int, call: Stream, crossing: tuple[dict[str, Any], dict[str, bytes], int]) -> None:
        fields, metadata, waited = crossing
        first = (number, Side.SERVER) not in self._rpcs
        if first:
            rpc = Rpc(self._method, {}, over_the_wire(metadata), rpc_id=1000 + number, drawn_as=number + 1)
            self._rpcs[number, Side.SERVER] = rpc
        chain, rpc = self._chain(number, Side.SERVER)
        rpc.message = dict(fields)
        outcome = chain.request(rpc)
        if not isinstance(outcome, Forwarded):
            self._refused(number, outcome)
            return
        headers = (plain(rpc.metadata), waited + rpc.wait_ms) if first else ()
        self._seen.server[number].append((self._hosts[number], plain(rpc.message), headers))
        if first:
            at = self._sides.now
            for after, answer in call.responses:
                at += after
                if self._method.server_streaming:
                    self._later(at, number, "answer", (answer, 0, False))
            last = {} if self._method.server_streaming or call.status else call.responses[-1][1]
            self._later(at + 1000, number, "answer", (last, call.status, True))

    def _answer(self, number: int, call: Stream, content: tuple[dict[str, Any], int, bool]) -> None:
        chain, rpc = self._chain(number, Side.SERVER)
        fields, status, is_end = content
        rpc.message = dict(fields)
        if (number, "down") not in self._last:
            rpc.response_metadata = dict(call.answer_metadata)
        if self._is_judged(is_end, status):
            outcome = chain.response(rpc, status)
            if not isinstance(outcome, Forwarded):
                self._refused(number, outcome, answered=is_end)
                return
        if is_end:
            self._end(number, Side.SERVER)
        crossing = (dict(rpc.message), dict(rpc.response_metadata), status, is_end)
        self._later(self._sides.now + call.back, number, "return", crossing, "down")

    def _refused(self, number: int, outcome: Outcome, *, answered: bool = False) -> None:
        if self._seen.server[number] and not answered:
            self._seen.server[number].append("cut off")
        self._end(number, Side.SERVER)
        self._later(self._sides.now + self._world.calls[number].back, number, "return", outcome, "down")

    def _cancel(self, number: int, call: Stream, _: None) -> None:
        if self._seen.server[number]:
            self._seen.server[number].append("cut off")
        self._end(number, Side.SERVER)


def make_streams(source: random.Random, method: MethodSignature, *, calls: int, quiet: bool, still: bool) -> Streams:
    """Random streams; ``quiet`` and ``still`` as of `make_world`."""
    clients, servers = (1, 1) if still else (source.randint(1, 3), source.randint(1, 3))
    found: list[Stream] = []
    at = 1_000_000_000

    def messages(*, streams: bool) -> tuple[tuple[int, dict[str, Any]], ...]:
        many = source.randint(1, 4) if streams else 1
        gaps = (40_000, 500_000, 600_000_000)
        return tuple((source.choice(gaps) + source.randrange(1000), make_fields(source)) for _ in range(many))

    for _ in range(calls):
        at += 60_000_000_000 if quiet else source.choice((1_000, 3_000_000, 400_000_000))
        out, back = (0, 0) if still else (source.choice((20_000, 900_000, 700_000_000)) for _ in range(2))
        found.append(
            Stream(
                at + source.randrange(1000),
                messages(streams=method.client_streaming),
                make_metadata(source, ("x-a", "x-b", "dst", "x-request-id")),
                messages(streams=method.server_streaming),
                make_metadata(source, ("x-a", "x-c")),
                source.choice((0, 0, 0, 5, 14)),
                source.randrange(clients),
                source.randrange(servers),
                out + (0 if still else source.randrange(1000)),
                back + (0 if still else source.randrange(1000)),
                None if quiet or still or source.random() < 0.7 else source.randrange(2_000_000_000),
            )
        )
    return Streams(tuple(found), Setting(clients, servers, source.getrandbits(32), not still))
