"""Runs a chain of elements: what passes which element, and what the caller gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from appnet.interpret.deadlines import begin, goes_on
from appnet.interpret.instance import Answers, ElementInstance, Forwards, Record, RefusalVerdict, Verdict, Watcher
from appnet.interpret.rpc import Answered, Environment, Forwarded, Message, Outcome, Refused, Rpc
from appnet.interpret.store import SharedState, Store
from appnet.interpret.values import Value, copy_value
from appnet.ir.nodes import Block, Element
from appnet.ir.secrets import ChainSecrets, Secrets
from appnet.ir.stages import holds_headers, judged_at_headers, only_forwards, reached_together
from appnet.language.statuses import STATUS_CODES


class ChainInstance:
    """The elements of a chain, in order from client to server, in one processor instance.

    Making it runs each element's ``init``. Calls may be in flight at the same time in any number; each
    handler runs from its start to its end before another one begins. ``watcher`` is told of every handler.
    ``others``: the same elements, in the same order, as compiled for further methods, by the methods' full names;
    an element has one state for all of them. ``ahead``: headers may come while their message is still to pass elements
    in front of the chain. ``store``: where shared state is, for this and other instances, which ``number`` tells apart;
    without one, all state is the instance's own.
    """

    def __init__(
        self,
        elements: Sequence[Element],
        environment: Environment,
        watcher: Watcher | None = None,
        others: Mapping[str, Sequence[Element]] = MappingProxyType({}),
        *,
        ahead: bool = False,
        store: Store | None = None,
        number: int = 0,
    ) -> None:
        self._ahead = ahead
        self._compiled = tuple(elements)
        self._environment = environment
        self._loads = _Loads()
        self._records: list[Record] = []
        self._known: dict[tuple[str, int], Secrets] = {}
        self._elements = [
            ElementInstance(
                *(element, environment, self._loads, self._records, self._secrets, watcher),
                SharedState(element, store, environment, number) if store is not None else None,
            )
            for element in elements
        ]
        self._others = others
        self._calls = 0
        started = [element.start() for element in self._elements]
        self._started = all(started)

    def open(self, rpc: Rpc) -> Outcome:
        """Judges the beginning of the call: its headers, which are in ``rpc``, as far as no element waits for more."""
        self._number(rpc)
        rpc.drop_hidden()
        begin(rpc, self._environment.now_ns)
        if not self._started:
            rpc.ended = True
            return Refused(STATUS_CODES["RESOURCE_EXHAUSTED"], b"out of memory in init")
        code = self._code(rpc)
        message = Message(rpc.signature.request, {}, rpc.metadata)
        for number in range(judged_at_headers(code, rpc.signature, ahead=self._ahead)):
            ended = self._reach(rpc, message, number + 1) or self._judge(rpc, message, number)
            if ended is not None:
                return ended
        ended = self._reach(rpc, message, reached_together(code, rpc.opened))
        waits = any(holds_headers(it) for it in code[rpc.begun :])
        return ended or (Forwarded({}) if waits else self._passed(rpc, message))

    def request(self, rpc: Rpc) -> Outcome:
        """Judges the request in ``rpc``, before a first one the call's beginning, and changes it as the elements do."""
        if rpc.opened == 0 and self._elements:
            begins = self.open(rpc)
            if not isinstance(begins, Forwarded):
                return begins
        self._number(rpc)
        code = self._code(rpc)
        message = Message(rpc.signature.request, rpc.message, rpc.metadata, size=rpc.size)
        for number in range(0 if rpc.signature.client_streaming else rpc.begun, len(code)):
            reaches = number == rpc.opened
            refused = self._reach(rpc, message, reached_together(code, number)) if reaches else None
            ended = refused or self._judge(rpc, message, number)
            if ended is not None:
                return ended
        return self._passed(rpc, message)

    def no_request(self, rpc: Rpc) -> Outcome:
        """Judges a stream of requests that ended without a message, as if a message without fields had come."""
        rpc.message = {}
        outcome = self.request(rpc)
        return Forwarded({}) if isinstance(outcome, Forwarded) else outcome

    def response(self, rpc: Rpc, status: int) -> Outcome:
        """Judges the response that is in ``rpc``, and changes it as the elements do.

        ``status``: its gRPC status; other than 0 makes it an error response. Of a stream each message is judged with
        status 0, and how it ends only where that is an error. An error has all that it brings in
        ``rpc.response_metadata``, unless the response has begun.
        """
        self._number(rpc)
        at_once = bool(status) and not rpc.response_begun
        trailers = rpc.response_metadata if at_once else rpc.response_trailers
        begun = bool(status) and rpc.response_begun and not rpc.response_passed
        metadata, size = rpc.response_metadata, 0 if status else rpc.size
        message = Message(
            rpc.signature.response, rpc.message, metadata, status, size=size, trailers=trailers, begun=begun
        )
        last = bool(status) or not rpc.signature.server_streaming
        if last:
            self._loads.remove(rpc)
        refused = self._respond(rpc, message, len(self._elements), last=last)
        if last or refused is not None:
            self._end(rpc)
        if refused is not None:
            return refused
        if not last:
            rpc.response_begun = rpc.response_passed = True
        return message.outcome()

    def passed_back(self, rpc: Rpc, made: Refused | Answered) -> Outcome:
        """Judges what an element behind this chain made of the call, in another module, process or machine.

        It passes the elements as what an element of this chain made would.
        """
        if isinstance(made, Refused):
            message = _error(rpc, made)
        else:
            leading, trailers = dict(made.metadata), dict(made.trailers)
            message = Message(rpc.signature.response, dict(made.fields), leading, made_here=True, trailers=trailers)
        refused = self._respond(rpc, message, len(self._elements), last=True)
        self._end(rpc)
        if refused is not None or isinstance(made, Refused):
            return refused or made
        return Answered(message.values(), message.metadata, message.trailers)

    def end(self, rpc: Rpc, status: int | None = None) -> None:
        """The call is over: with this status, which no `resp` sees, or cut off where that is None."""
        if status is not None and not rpc.ended:
            rpc.statuses = dict.fromkeys(range(rpc.opened), status)
            rpc.trailers = dict.fromkeys(range(rpc.opened), rpc.response_trailers)
        self._end(rpc)

    def merge(self) -> None:
        """Merges the instance's copies of weak state with those of others, if the store can be reached."""
        for element in self._elements:
            element.refresh()
            element.merge()

    def state_of(self, element: str) -> dict[str, Value]:
        """The values of the element's state variables now, by name."""
        self._named(element).refresh()
        return {name: copy_value(value) for name, value in self._named(element).state.items()}

    def set_state_of(self, element: str, values: Mapping[str, Value]) -> None:
        """Gives state variables of the element these values, by name, as if handlers had left them there."""
        self._named(element).state.update({name: copy_value(value) for name, value in values.items()})

    def load_hosts(self, loads: Mapping[int, int]) -> None:
        """So many more calls are in flight to each of these hosts."""
        self._loads.more(loads)

    def draw_from(self, element: str, draws: Sequence[int]) -> None:
        """The element's next draws are these, of 64 bits each."""
        self._named(element).draw_from(draws)

    def records(self) -> list[Record]:
        """What was appended to record streams since the start, in order: ("ELEMENT.VARIABLE", item)."""
        return list(self._records)

    def evicted(self) -> dict[str, int]:
        """How many entries and items full Maps and Vecs of elements' state let go since the start, by element."""
        return {it.element.name: it.evicted for it in self._elements if it.evicted}

    def elements(self) -> list[Element]:
        """The elements, in order from client to server."""
        return list(self._compiled)

    def _number(self, rpc: Rpc) -> None:
        if rpc.rpc_id == 0:
            self._calls += 1
            rpc.rpc_id = self._calls

    def _reach(self, rpc: Rpc, message: Message, limit: int) -> Refused | None:
        """The headers reach the elements up to ``limit``; the refusal of one that does not let the call begin."""
        code = self._code(rpc)
        while rpc.opened < limit:
            number, opening = rpc.opened, code[rpc.opened].open
            verdict = Forwards() if opening is None else self._elements[number].run(opening.body, rpc, message)
            if not isinstance(verdict, Forwards):
                return self._refuse(rpc, number, verdict, message)
            rpc.opened += 1
        return None

    def _judge(self, rpc: Rpc, message: Message, number: int) -> Outcome | None:
        """The message reaches an element; what it makes of the call where it ends it."""
        verdict = self._elements[number].run(self._code(rpc)[number].req.body, rpc, message)
        if isinstance(verdict, Answers):
            return self._answer(rpc, number, verdict, message)
        if not isinstance(verdict, Forwards):
            return self._refuse(rpc, number, verdict, message)
        rpc.begun = max(rpc.begun, number + 1)
        return None

    def _passed(self, rpc: Rpc, message: Message) -> Forwarded:
        goes_on(rpc, self._environment.now_ns)
        if rpc.destination is not None and rpc.backend is None:
            self._loads.add(rpc, rpc.destination)
        return message.outcome()

    def _end(self, rpc: Rpc) -> None:
        """Runs the ``end`` handlers, once, of the elements that the call had passed the beginning of."""
        self._loads.remove(rpc)
        if rpc.ended:
            return
        rpc.ended = True
        for number, code in enumerate(self._code(rpc)):
            began = number < rpc.opened if code.open is not None else self._let_pass(rpc, number)
            if code.end is not None and began:
                status = rpc.statuses.get(number, STATUS_CODES["CANCELLED"])
                trailers = rpc.trailers.get(number, {})
                message = Message(rpc.signature.response, status=status, made_here=True, trailers=trailers)
                self._elements[number].run(code.end.body, rpc, message, ends=True)

    def _let_pass(self, rpc: Rpc, number: int) -> bool:
        """Whether the element's ``req`` forwarded a message; one that only forwards lets all pass before they come."""
        return number < (rpc.opened if only_forwards(self._code(rpc)[number].req) else rpc.begun)

    def _code(self, rpc: Rpc) -> Sequence[Element]:
        """The elements as compiled for the call's method."""
        return self._others.get(rpc.signature.full_name, self._compiled)

    def _secrets(self, rpc: Rpc, body: Block) -> Secrets:
        """What is secret of what the handler with this body reads: found out where something is recorded."""
        key = rpc.signature.full_name, id(body)
        if key not in self._known:
            code = self._code(rpc)
            handlers = ((it, name) for it in code for name, one in it.handlers.items() if one.body is body)
            self._known[key] = ChainSecrets([(rpc.signature, code)]).of(rpc.signature, *next(handlers))
        return self._known[key]

    def _named(self, name: str) -> ElementInstance:
        return next(element for element in self._elements if element.element.name == name)

    def _refuse(self, rpc: Rpc, number: int, verdict: Verdict | None, message: Message) -> Refused:
        """The element ends the call; lets those before it see the error."""
        refused = _refusal(self._elements[number], verdict, message)
        rpc.refused_by = number
        rpc.statuses, rpc.trailers = {number: refused.code}, {number: dict(refused.metadata)}
        later = self._respond(rpc, _error(rpc, refused), number, last=True)
        self._end(rpc)
        return later if later is not None else refused

    def _answer(self, rpc: Rpc, number: int, answer: Answers, request: Message) -> Outcome:
        """The element ends the call with a response; lets those before it see, and change, it."""
        message = Message(rpc.signature.response, dict(answer.fields), dict(request.told), made_here=True)
        rpc.statuses, rpc.trailers = {number: STATUS_CODES["OK"]}, {}
        refused = self._respond(rpc, message, number, last=True)
        self._end(rpc)
        return refused if refused is not None else Answered(message.values(), message.metadata, message.trailers)

    def _respond(self, rpc: Rpc, message: Message, limit: int, *, last: bool) -> Refused | None:
        """Runs the ``resp`` handlers of the elements before ``limit``; the last refusal, if one of them refused.

        ``last``: whether the call ends with this response.
        """
        refused: Refused | None = None
        passed = list(zip(self._elements, self._code(rpc), strict=True))[:limit]
        for number, (element, code) in reversed(list(enumerate(passed))):
            if rpc.ended:
                break
            if self._let_pass(rpc, number):
                verdict = element.run(code.resp.body, rpc, message)
                if not isinstance(verdict, Forwards):
                    refused = _refusal(element, verdict, message)
                    message = _error(rpc, refused)
                    rpc.refused_by = number
            if last or refused is not None:
                rpc.statuses[number], rpc.trailers[number] = message.status, dict(message.trailers)
        return refused


def _refusal(element: ElementInstance, verdict: Verdict | None, message: Message) -> Refused:
    """What comes of the message in hand; what the handler set goes along."""
    if isinstance(verdict, RefusalVerdict):
        return Refused(verdict.code, verdict.text, dict(message.told))
    text = b"dropped by " + element.element.name.encode()
    return Refused(STATUS_CODES["UNAVAILABLE"], text, dict(message.told))


def _error(rpc: Rpc, refused: Refused) -> Message:
    """The error as earlier elements see it; what they make of its metadata is the refusal's."""
    leading, at_once = (rpc.response_metadata, False) if rpc.response_passed else (refused.metadata, True)
    return Message(rpc.signature.response, {}, leading, refused.code, made_here=at_once, trailers=refused.metadata)


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

    def more(self, loads: Mapping[int, int]) -> None:
        self._in_flight.update(loads)

    def remove(self, rpc: Rpc) -> None:
        if rpc.backend is not None:
            self._in_flight[rpc.backend] -= 1
            rpc.backend = None
