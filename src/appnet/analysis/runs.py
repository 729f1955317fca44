"""Random runs of two elements: calls with what they may care about, from states that they may be in."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence

from appnet.analysis.computed import Computed
from appnet.analysis.decision import Counterexample, Event
from appnet.analysis.samples import Samples
from appnet.interpret.random import coupled_seed
from appnet.ir.nodes import Element, Handler
from appnet.ir.stages import only_forwards
from appnet.language.messages import MethodSignature
from appnet.language.operations.metadata import is_header_value
from appnet.language.statuses import STATUS_CODES

_LIKE_BEFORE = 0.5
_VARIED = 0.3
_ANOTHER = 0.4  # of a stream: that a message is not the last one
_ENDS = 0.1


class Runs:
    """Makes random runs of two elements, the same ones for the same seed.

    Where one of the two sees calls begin, headers may come before their message. A `req` that looks at no field runs at
    the headers or later, and that alone is not judged (docs/analysis.md), so such pairs are left out but for
    ``all_apart``.
    """

    def __init__(
        self, first: Element, second: Element, method: MethodSignature, seed: int, *, all_apart: bool = False
    ) -> None:
        self._source = random.Random(seed)  # noqa: S311 -- the same runs every time
        self._elements = (first, second)
        self._method = method
        self._samples = Samples((first, second), self._source)
        self._texts = [*self._samples.texts()]
        self._most_texts = 2 * len(self._texts)
        self._computed = [Computed(it, method, self._texts, self._source) for it in (first, second)]
        self._asked, self._answered = (_used([first.req, second.req]), _used([first.resp, second.resp]))
        sees_begin = any(it.open is not None for it in self._elements)
        self._apart = sees_begin and (all_apart or not any(_runs_early(it) for it in self._elements))
        self._sees_end = any(it.end is not None for it in self._elements)

    def one(self, *, from_init: bool) -> Counterexample:
        """Some calls, with answers in any order."""
        self._samples.turn()
        start = {} if from_init else {it.name: self._samples.state(it) for it in self._elements}
        calls = self._source.choice((1, 2, 2, 3, 8))
        return Counterexample(tuple(self._events(range(1, calls + 1))), "", "", start, self._seed(calls))

    def varied(self, run: Counterexample) -> Counterexample:
        """The run from another state: some of the variables have other values."""
        self._samples.turn()
        start = dict(run.start)
        for it in self._elements:
            drawn = self._samples.state(it)
            changed = {name: value for name, value in drawn.items() if self._source.random() < _VARIED}
            start[it.name] = {**start.get(it.name, {}), **changed}
        return dataclasses.replace(run, start=start)

    def more(self, run: Counterexample, like: Sequence[Event]) -> Iterator[Event]:
        """Events that may follow the run, without end; many have the content of one that they are `like`."""
        calls = max(it.call for it in run.events)
        over = {it.call for it in run.events if it.kind in {"response", "end"}}
        asked = {it.call for it in run.events if it.kind == "request"}
        begun = [call for call in dict.fromkeys(it.call for it in run.events) if call not in over]
        flying = [call for call in begun if call in asked]
        announced = [call for call in begun if call not in asked]
        while True:
            for event in self._events(range(calls + 1, calls + 4), flying, announced):
                known = [it for it in like if it.kind == event.kind]
                again = known and self._source.random() < _LIKE_BEFORE
                content = self._source.choice(known) if again else event
                yield dataclasses.replace(content, call=event.call, after_ns=event.after_ns)
            calls += 3
            flying, announced = [], []

    def _events(self, calls: range, flying: Sequence[int] = (), announced: Sequence[int] = ()) -> Iterator[Event]:
        """Events of new calls, of those in flight, and of those of which only the headers have come."""
        source, samples = self._source, self._samples
        open_calls, begun = list(flying), list(announced)
        waiting = list(calls)
        while waiting or begun or open_calls:
            if waiting and (not (begun or open_calls) or source.random() < 0.5):
                call = waiting.pop(0)
                apart = self._apart and source.random() < 0.5
                (begun if apart else open_calls).append(call)
                event = (
                    Event("headers", call, samples.step_ns(), {}, samples.headers()) if apart else self._request(call)
                )
            elif self._sees_end and source.random() < _ENDS:
                event = self._end(open_calls or begun, may_end_well=bool(open_calls))
            elif begun and (not open_calls or source.random() < 0.5):
                open_calls.append(begun.pop(source.randrange(len(begun))))
                event = self._request(open_calls[-1])
            elif self._method.client_streaming and source.random() < _ANOTHER:
                event = self._request(source.choice(open_calls))
            else:
                call, status = open_calls.pop(source.randrange(len(open_calls))), samples.status()
                fields = {} if status else samples.fields(self._method.response, self._answered)
                event = Event("response", call, samples.step_ns(), fields, samples.headers(), status)
                if self._method.server_streaming and not status and source.random() < _ANOTHER:
                    open_calls.append(call)
            yield self._adapted(event)

    def _end(self, calls: list[int], *, may_end_well: bool) -> Event:
        """One of the calls ends without another message."""
        well = may_end_well and self._method.server_streaming and self._source.random() < 0.5
        status = STATUS_CODES["OK" if well else "CANCELLED"]
        return Event("end", calls.pop(self._source.randrange(len(calls))), self._samples.step_ns(), status=status)

    def _request(self, call: int) -> Event:
        samples = self._samples
        fields = samples.fields(self._method.request, self._asked)
        return Event("request", call, samples.step_ns(), fields, samples.headers())

    def _adapted(self, event: Event) -> Event:
        """The event, half of the time with a text that one of the elements would compute of it."""
        source = self._source
        computes = event.kind != "end" and source.random() < 0.5
        texts = [text for it in self._computed for text in it.texts(event)] if computes else []
        places = [path for path, value in event.fields.items() if isinstance(value, bytes)]
        place = source.choice([*places, *event.metadata]) if texts and (places or event.metadata) else None
        if place is None:
            return event
        text = source.choice(texts)
        if len(self._texts) < self._most_texts:
            self._texts.append(text)  # for the other one to make more of: to encrypt what is compressed
        if place in places:
            return dataclasses.replace(event, fields={**event.fields, place: text})
        if not is_header_value(text):
            return event
        return dataclasses.replace(event, metadata={**event.metadata, place: text})

    def _seed(self, calls: int) -> int:
        """A seed; often one that makes a small or a large first draw for one of so many calls."""
        source = self._source
        drawing = [
            (it.name, name)
            for it in self._elements
            for name, handler in it.handlers.items()
            if handler.effects.uses_random
        ]
        if not drawing or source.random() < 0.3:
            return source.getrandbits(64)
        element, handler = source.choice(drawing)
        share = source.random() ** source.choice((1, 4, 10))
        return coupled_seed(element, source.randint(1, calls), handler, source.choice((share, 1.0 - share)))


def _runs_early(element: Element) -> bool:
    return not (element.req.effects.reads_message or only_forwards(element.req))


def _used(handlers: list[Handler]) -> list[str]:
    return list(dict.fromkeys(it.path for handler in handlers for it in handler.effects.fields))
