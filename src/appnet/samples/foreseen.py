"""What calls at the echo application should bring, one after the other, by the interpreter."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from appnet.interpret import ChainInstance, Environment, Forwarded, Outcome, Refused, Rpc
from appnet.ir.nodes import Element
from appnet.language.messages import MethodSignature
from appnet.samples.guide import FAILED, EchoApplication, Expectation, FrontendAnswer

_TRIALS = 2_000
_CLOCK_STEP_NS = 1_000_000


@dataclass(frozen=True)
class _Call:
    """A call as it may have gone: what was drawn, and which replica it reached, unless an element chose one."""

    key: str
    seed: int
    replica: int


_Past = tuple[_Call, ...]


class Foreseen:
    """What comes of calls that are made in turn. The elements keep what they learned of earlier ones.

    ``client`` and ``server``: the elements of each side in request order. The client's run once, the server's beside
    each of its replicas. Nobody says which replica a call reached, or what was drawn for it: what the caller was
    answered tells how it can have been.
    """

    def __init__(
        self,
        application: EchoApplication,
        client: Sequence[Element],
        server: Sequence[Element],
        method: MethodSignature,
    ) -> None:
        self._names = application.server_names
        self._client, self._server, self._method = client, server, method
        every = (*client, *server)
        self._random = any(handler.effects.uses_random for it in every for handler in it.handlers.values())
        self._source = random.Random(0)  # noqa: S311 -- draws worlds, no secrets
        self._pasts: list[_Past] = [()]
        self._tried: list[tuple[_Past, FrontendAnswer]] = []

    def next(self, key: str) -> Expectation:
        """What should come of a call with ``key`` now."""
        self._tried = []
        seen: Counter[tuple[FrontendAnswer, frozenset[str]]] = Counter()
        alternatives: list[dict[FrontendAnswer, frozenset[str]]] = []
        for past in self._ways():
            found: dict[FrontendAnswer, frozenset[str]] = {}
            for replica in range(len(self._names)):
                way = (*past[:-1], _Call(key, past[-1].seed, replica))
                answer, streams = self._judged(way)
                self._tried.append((way, answer))
                found[answer] = streams
                seen[answer, streams] += 1
            alternatives.append(found)
        ((usual, streams), _), *_ = seen.most_common(1)
        alike = {answer for found in alternatives if usual in found for answer in found} - {usual}
        by_chance = {answer for answer, _ in seen} - {usual} - alike
        return Expectation(key, usual, frozenset(alike), frozenset(by_chance), streams)

    def answered(self, answer: FrontendAnswer) -> None:
        """The caller got this answer: the call went in one of the ways that bring it."""
        fitting = [way for way, brings in self._tried if brings == answer]
        ways = fitting or [way for way, _ in self._tried]
        self._pasts = self._source.sample(ways, min(_TRIALS, len(ways)))

    def _ways(self) -> Iterator[_Past]:
        """Pasts, each with a further call of which only the draws are decided."""
        trials = _TRIALS // (1 + len(self._pasts[0])) if self._random else len(self._pasts)
        for number in range(trials):
            yield (*self._pasts[number % len(self._pasts)], _Call("", self._source.getrandbits(64), 0))

    def _judged(self, way: _Past) -> tuple[FrontendAnswer, frozenset[str]]:
        """The answer to the last call of the way, and the record streams that it adds to."""
        edge = _Edge(self._client, self._server, self._method, len(self._names))
        noted, answer = 0, FrontendAnswer("")
        for call in way:
            noted = len(edge.records())
            answer = edge.call(call, self._names)
        return answer, frozenset(edge.records()[noted:])


class _Edge:
    """Both sides of the edge, as they run: one instance of the client's, and one for each replica of the server."""

    def __init__(
        self, client: Sequence[Element], server: Sequence[Element], method: MethodSignature, replicas: int
    ) -> None:
        clock = count(_CLOCK_STEP_NS, _CLOCK_STEP_NS)
        self._method = method
        self._environments: list[Environment] = []
        self._client = self._instance(client, clock, replicas)
        self._servers = [self._instance(server, clock, 1) for _ in range(replicas)]

    def _instance(self, elements: Sequence[Element], clock: Iterator[int], hosts: int) -> ChainInstance:
        environment = Environment(lambda: next(clock), backend_count=hosts, coupled=True)
        self._environments.append(environment)
        return ChainInstance(elements, environment)

    def records(self) -> list[str]:
        """The streams of all records, side by side."""
        return [name for it in (self._client, *self._servers) for name, _ in it.records()]

    def call(self, call: _Call, names: Sequence[str]) -> FrontendAnswer:
        """What the frontend says to its caller."""
        for it in self._environments:
            it.seed = call.seed
        rpc = Rpc(self._method, {"Body": call.key.encode()})
        outcome = self._client.request(rpc)
        if isinstance(outcome, Forwarded):
            replica = call.replica if rpc.destination is None else rpc.destination
            outcome = self._behind(rpc, self._servers[replica], names[replica])
        if isinstance(outcome, Refused):
            return FrontendAnswer(FAILED, outcome.code, outcome.text.decode("utf-8", "replace"))
        body = rpc.message.get("Body", b"") if isinstance(outcome, Forwarded) else outcome.fields.get("Body", b"")
        assert isinstance(body, bytes)
        return FrontendAnswer(body.decode("utf-8", "replace"))

    def _behind(self, rpc: Rpc, server: ChainInstance, name: str) -> Outcome:
        """What comes of the call that left the client's side, when it is back."""
        there = Rpc(self._method, dict(rpc.message), dict(rpc.metadata))
        outcome = server.request(there)
        if isinstance(outcome, Forwarded):
            there.message = {"Body": f"You've hit {name}".encode()}
            outcome = server.response(there, 0)
        if not isinstance(outcome, Forwarded):
            return self._client.passed_back(rpc, outcome)
        rpc.message, rpc.response_metadata = there.message, there.response_metadata
        return self._client.response(rpc, 0)
