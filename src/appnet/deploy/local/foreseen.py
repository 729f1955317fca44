"""What calls at an application's program should bring, one after the other, by the interpreter."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from string import Template

from appnet.deploy.local.services import TrialCall, Written
from appnet.interpret import ChainInstance, Environment, Forwarded, Outcome, Refused, Rpc
from appnet.interpret.values import Value
from appnet.ir.nodes import Element
from appnet.language.messages import MessageSchema, MethodSignature
from appnet.language.types import BOOL, BYTES, FLOAT, INT, STRING, UINT

_TRIALS = 2_000
_CLOCK_STEP_NS = 1_000_000


@dataclass(frozen=True)
class CallerAnswer:
    """What the program says to its caller; ``status`` and ``message`` are those of the gRPC call behind it, as far as
    it tells them."""

    text: str
    status: int = 0
    message: str = ""


@dataclass(frozen=True)
class Expectation:
    """What the chain makes of a call, after those that were made before.

    ``usual`` is the answer it gives most of the time, ``alike`` are those that other replicas of the server give
    instead, ``by_chance`` are answers that its random draws can bring,
    ``streams`` are the record streams (``ELEMENT.VARIABLE``) that the call usually adds to.
    """

    usual: CallerAnswer
    alike: frozenset[CallerAnswer] = frozenset()
    by_chance: frozenset[CallerAnswer] = frozenset()
    streams: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Call:
    """A call as it may have gone: what was drawn, and which replica it reached, unless an element chose one."""

    trial: TrialCall
    seed: int
    replica: int


_Past = tuple[_Call, ...]


class Foreseen:
    """What comes of calls that are made in turn. The elements keep what they learned of earlier ones.

    ``names``: of the server's instances. ``client`` and ``server``: the elements of each side in request order. The
    client's run once, the server's beside each of its instances. Nobody says which one a call reached, or what was
    drawn for it: what the caller was answered tells how it can have been.
    """

    def __init__(
        self,
        names: Sequence[str],
        client: Sequence[Element],
        server: Sequence[Element],
        method: MethodSignature,
    ) -> None:
        self._names = names
        self._client, self._server, self._method = client, server, method
        every = (*client, *server)
        self._random = any(handler.effects.uses_random for it in every for handler in it.handlers.values())
        self._source = random.Random(0)  # noqa: S311 -- draws worlds, no secrets
        self._pasts: list[_Past] = [()]
        self._tried: list[tuple[_Past, CallerAnswer]] = []

    def next(self, trial: TrialCall) -> Expectation:
        """What should come of the call now."""
        self._tried = []
        seen: Counter[tuple[CallerAnswer, frozenset[str]]] = Counter()
        alternatives: list[dict[CallerAnswer, frozenset[str]]] = []
        for past in self._ways(trial):
            found: dict[CallerAnswer, frozenset[str]] = {}
            for replica in range(len(self._names)):
                way = (*past[:-1], _Call(trial, past[-1].seed, replica))
                answer, streams = self._judged(way)
                self._tried.append((way, answer))
                found[answer] = streams
                seen[answer, streams] += 1
            alternatives.append(found)
        ((usual, streams), _), *_ = seen.most_common(1)
        alike = {answer for found in alternatives if usual in found for answer in found} - {usual}
        by_chance = {answer for answer, _ in seen} - {usual} - alike
        return Expectation(usual, frozenset(alike), frozenset(by_chance), streams)

    def answered(self, answer: CallerAnswer) -> None:
        """The caller got this answer: the call went in one of the ways that bring it."""
        fitting = [way for way, brings in self._tried if brings == answer]
        ways = fitting or [way for way, _ in self._tried]
        self._pasts = self._source.sample(ways, min(_TRIALS, len(ways)))

    def _ways(self, trial: TrialCall) -> Iterator[_Past]:
        """Pasts, each with a further call of which only the draws are decided."""
        trials = _TRIALS // (1 + len(self._pasts[0])) if self._random else len(self._pasts)
        for number in range(trials):
            yield (*self._pasts[number % len(self._pasts)], _Call(trial, self._source.getrandbits(64), 0))

    def _judged(self, way: _Past) -> tuple[CallerAnswer, frozenset[str]]:
        """The answer to the last call of the way, and the record streams that it adds to."""
        edge = _Edge(self._client, self._server, self._method, len(self._names))
        noted, answer = 0, CallerAnswer("")
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

    def call(self, call: _Call, names: Sequence[str]) -> CallerAnswer:
        """What the program says to its caller."""
        trial = call.trial
        for it in self._environments:
            it.seed = call.seed
        rpc = Rpc(self._method, fields_of(_texts(trial.sends), self._method.request))
        outcome = self._client.request(rpc)
        if isinstance(outcome, Forwarded):
            replica = call.replica if rpc.destination is None else rpc.destination
            told = {
                path: Template(it).safe_substitute(NAME=names[replica]) for path, it in _texts(trial.answers).items()
            }
            outcome = self._behind(rpc, self._servers[replica], fields_of(told, self._method.response))
        if isinstance(outcome, Refused):
            return CallerAnswer(trial.failed, outcome.code, outcome.text.decode("utf-8", "replace"))
        fields = rpc.message if isinstance(outcome, Forwarded) else outcome.fields
        return CallerAnswer(_text(fields.get(trial.prints.value, b"")) if trial.prints is not None else "")

    def _behind(self, rpc: Rpc, server: ChainInstance, answer: Mapping[str, Value]) -> Outcome:
        """What comes of the call that left the client's side, when it is back."""
        there = Rpc(self._method, dict(rpc.message), dict(rpc.metadata))
        outcome = server.request(there)
        if isinstance(outcome, Forwarded):
            there.message = dict(answer)
            outcome = server.response(there, 0)
        if not isinstance(outcome, Forwarded):
            return self._client.passed_back(rpc, outcome)
        rpc.message, rpc.response_metadata = there.message, there.response_metadata
        return self._client.response(rpc, 0)


def fields_of(written: Mapping[str, str], schema: MessageSchema) -> dict[str, Value]:
    """Fields of a message as a file writes them. Raises `ValueError` for a value that is none of the field's type."""
    return {path: _value(text, schema, path) for path, text in written.items()}


def _value(text: str, schema: MessageSchema, path: str) -> Value:
    type_ = schema.fields[path].type
    if type_ == BOOL and text in ("true", "false"):
        return text == "true"
    if type_ in (STRING, BYTES):
        return text.encode()
    if type_ == FLOAT:
        return float(text)
    if type_ == INT or (type_ == UINT and not text.startswith("-")):
        return int(text)
    raise ValueError(text)


def _text(value: Value) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _texts(written: Written) -> dict[str, str]:
    return {path: it.value for path, it in written.items()}
