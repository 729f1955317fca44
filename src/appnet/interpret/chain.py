"""Runs a chain of elements: what passes which element, and what the caller gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from appnet.interpret.instance import Answers, ElementInstance, Forwards, Record, RefusalVerdict, Verdict, Watcher
from appnet.interpret.rpc import Answered, Environment, Forwarded, Message, Outcome, Refused, Rpc
from appnet.interpret.values import Value, copy_value
from appnet.ir.nodes import Element
from appnet.language.statuses import STATUS_CODES


class ChainInstance:
    """The elements of a chain, in order from client to server, in one processor instance.

    Making it runs each element's ``init``. Calls may be in flight at the same time in any number; each
    handler runs from its start to its end before another one begins. ``watcher`` is told of every handler.
    ``others``: the same elements, in the same order, as compiled for further methods, by the methods' full names;
    an element has one state for all of them.
    """

    def __init__(
        self,
        elements: Sequence[Element],
        environment: Environment,
        watcher: Watcher | None = None,
        others: Mapping[str, Sequence[Element]] = MappingProxyType({}),
    ) -> None:
        self._loads = _Loads()
        self._records: list[Record] = []
        self._elements = [
            ElementInstance(element, environment, self._loads, self._records, watcher) for element in elements
        ]
        self._others = others
        self._calls = 0
        started = [element.start() for element in self._elements]
        self._started = all(started)

    def request(self, rpc: Rpc) -> Outcome:
        """Judges the request that is in ``rpc``, and changes it as the elements do."""
        self._begin(rpc)
        rpc.drop_hidden()
        message = Message(rpc.signature.request, rpc.message, rpc.metadata)
        rpc.forwarded = 0
        if not self._started:
            return Refused(STATUS_CODES["RESOURCE_EXHAUSTED"], b"out of memory in init")
        for element, code in zip(self._elements, self._code(rpc), strict=True):
            verdict = element.run(code.req.body, rpc, message)
            if isinstance(verdict, Answers):
                return self._answer(rpc, verdict)
            if not isinstance(verdict, Forwards):
                return self._refuse(rpc, _refusal(element, verdict))
            rpc.forwarded += 1
        if rpc.destination is not None and rpc.backend is None:
            self._loads.add(rpc, rpc.destination)
        return Forwarded(message.written)

    def response(self, rpc: Rpc, status: int) -> Outcome:
        """Judges the response that is in ``rpc``, and changes it as the elements do.

        ``status``: its gRPC status; other than 0 makes it an error response. Of a stream each message is judged with
        status 0, and how it ends only where that is an error.
        """
        self._begin(rpc)
        if not rpc.signature.server_streaming or status:
            self._loads.remove(rpc)
        message = Message(rpc.signature.response, rpc.message, rpc.response_metadata, status)
        refused = self._respond(rpc, message)
        return refused if refused is not None else Forwarded(message.written)

    def passed_back(self, rpc: Rpc, made: Refused | Answered) -> Outcome:
        """Judges what an element behind this chain made of the call, on another module, process or machine.

        It passes the elements as one that an element of this chain made would.
        """
        self._loads.remove(rpc)
        return self._refuse(rpc, made) if isinstance(made, Refused) else self._answer(rpc, Answers(made.fields))

    def end(self, rpc: Rpc) -> None:
        """The call was cut off, or its stream is over: no handler runs for it any more."""
        self._loads.remove(rpc)
        rpc.forwarded = 0

    def state_of(self, element: str) -> dict[str, Value]:
        """The values of the element's state variables now, by name."""
        return {name: copy_value(value) for name, value in self._named(element).state.items()}

    def set_state_of(self, element: str, values: Mapping[str, Value]) -> None:
        """Gives state variables of the element these values, by name, as if handlers had left them there."""
        self._named(element).state.update({name: copy_value(value) for name, value in values.items()})

    def records(self) -> list[Record]:
        """What was appended to record streams since the start, in order: ("ELEMENT.VARIABLE", item)."""
        return list(self._records)

    def evicted(self) -> dict[str, int]:
        """How many entries and items full Maps and Vecs of elements' state let go since the start, by element."""
        return {it.element.name: it.evicted for it in self._elements if it.evicted}

    def elements(self) -> list[Element]:
        """The elements, in order from client to server."""
        return [element.element for element in self._elements]

    def _begin(self, rpc: Rpc) -> None:
        """Numbers the call; until a request of it is refused, responses pass all elements."""
        if rpc.rpc_id == 0:
            self._calls += 1
            rpc.rpc_id = self._calls
            rpc.forwarded = len(self._elements)

    def _code(self, rpc: Rpc) -> Sequence[Element]:
        """The elements as compiled for the call's method."""
        return self._others.get(rpc.signature.full_name) or self.elements()

    def _named(self, name: str) -> ElementInstance:
        return next(element for element in self._elements if element.element.name == name)

    def _refuse(self, rpc: Rpc, refused: Refused) -> Refused:
        """Lets the elements that forwarded the request see the error that a later one made."""
        later = self._respond(rpc, _error(rpc, refused))
        rpc.forwarded = 0
        return later if later is not None else refused

    def _answer(self, rpc: Rpc, answer: Answers) -> Outcome:
        """Lets the elements that forwarded the request see, and change, the response that a later one made."""
        message = Message(rpc.signature.response, dict(answer.fields), made_here=True)
        refused = self._respond(rpc, message)
        rpc.forwarded = 0
        return refused if refused is not None else Answered(message.fields)

    def _respond(self, rpc: Rpc, message: Message) -> Refused | None:
        """Runs the ``resp`` handlers; the last refusal, if one of them refused."""
        refused: Refused | None = None
        passed = list(zip(self._elements, self._code(rpc), strict=True))[: rpc.forwarded]
        for element, code in reversed(passed):
            verdict = element.run(code.resp.body, rpc, message)
            if not isinstance(verdict, Forwards):
                refused = _refusal(element, verdict)
                message = _error(rpc, refused)
        if refused is not None:
            rpc.forwarded = 0
        return refused


def _refusal(element: ElementInstance, verdict: Verdict | None) -> Refused:
    if isinstance(verdict, RefusalVerdict):
        return Refused(verdict.code, verdict.text)
    return Refused(STATUS_CODES["UNAVAILABLE"], b"dropped by " + element.element.name.encode())


def _error(rpc: Rpc, refused: Refused) -> Message:
    return Message(rpc.signature.response, status=refused.code, made_here=True)


class _Loads:
    """Calls in flight to each host of the upstream cluster."""

    def __init__(self) -> None:
        self._in_flight: Counter[int] = Counter()

    def load(self, host: int) -> int:
        return self._in_flight[host]

    def add(self, rpc: Rpc, host: int) -> None:
        self.remove(rpc)
        rpc.backend = host
        self._in_flight[host] += 1

    def remove(self, rpc: Rpc) -> None:
        if rpc.backend is not None:
            self._in_flight[rpc.backend] -= 1
            rpc.backend = None
