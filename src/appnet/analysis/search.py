"""Looks for a run on which two orders are told apart: random runs on the interpreter, cut down to what matters."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from appnet.analysis.computed import Computed
from appnet.analysis.decision import Counterexample, Event, Strength
from appnet.analysis.replay import replay
from appnet.analysis.samples import Samples
from appnet.interpret.random import coupled_seed
from appnet.interpret.rpc import is_header_value
from appnet.interpret.values import Value
from appnet.ir.nodes import Element, Handler
from appnet.language.messages import MethodSignature

FROM_INIT = 150
FROM_STATES = 700
"""Runs that are tried from what `init` left, and from states of any kind."""

_MOST_TRIES = 400  # to cut one run down


@dataclass(frozen=True)
class _Question:
    first: Element
    second: Element
    method: MethodSignature
    strength: Strength

    def answer(self, run: Counterexample) -> Counterexample | None:
        """The run up to where the orders part; None where they do not."""
        parting = replay(self.first, self.second, self.method, self.strength, run)
        if parting is None:
            return None
        return dataclasses.replace(
            run, events=run.events[: parting.event + 1], as_written=parting.as_written, swapped=parting.swapped
        )


def search(first: Element, second: Element, method: MethodSignature, strength: Strength) -> Counterexample | None:
    """A run on which the interpreter tells the orders apart; None where none was found.

    Runs from what `init` left are tried first, then runs from any state of the variables' types.
    """
    question = _Question(first, second, method, strength)
    for run in random_runs(first, second, method, seed=0, from_init=FROM_INIT, from_states=FROM_STATES):
        found = question.answer(run)
        if found is not None:
            return _shrunk(question, found)
    return None


def random_runs(
    first: Element, second: Element, method: MethodSignature, *, seed: int, from_init: int, from_states: int
) -> Iterator[Counterexample]:
    """So many random runs, of values that the two elements may care about; what came of them is left empty."""
    source = random.Random(seed)  # noqa: S311 -- the same runs every time
    samples = Samples((first, second), source)
    computed = [Computed(it, method, samples.texts(), source) for it in (first, second)]
    for number in range(from_init + from_states):
        samples.turn()
        start = {it.name: samples.state(it) for it in (first, second)} if number >= from_init else {}
        events = _events(samples, source, (first, second), method)
        events = tuple(_adapted(event, computed, source) for event in events)
        yield Counterexample(events, "", "", start, _seed(source, (first, second)))


def _events(
    samples: Samples, source: random.Random, elements: tuple[Element, Element], method: MethodSignature
) -> tuple[Event, ...]:
    """Some calls, with answers in any order."""
    asked, answered = [_used([getattr(it, handler) for it in elements]) for handler in ("req", "resp")]
    events: list[Event] = []
    flying: list[int] = []
    waiting = list(range(1, source.choice((1, 2, 2, 3, 8)) + 1))
    while waiting or flying:
        if waiting and (not flying or source.random() < 0.5):
            flying.append(waiting.pop(0))
            fields = samples.fields(method.request, asked)
            events.append(Event("request", flying[-1], samples.step_ns(), fields, samples.headers()))
        else:
            call, status = flying.pop(source.randrange(len(flying))), samples.status()
            fields = {} if status else samples.fields(method.response, answered)
            events.append(Event("response", call, samples.step_ns(), fields, samples.headers(), status))
    return tuple(events)


def _adapted(event: Event, computed: list[Computed], source: random.Random) -> Event:
    """The event, half of the time with a text that one of the elements would compute of it."""
    texts = [text for it in computed for text in it.texts(event)] if source.random() < 0.5 else []
    places = [path for path, value in event.fields.items() if isinstance(value, bytes)]
    place = source.choice([*places, *event.metadata]) if texts and (places or event.metadata) else None
    if place is None:
        return event
    text = source.choice(texts)
    if place in places:
        return dataclasses.replace(event, fields={**event.fields, place: text})
    if not is_header_value(text):
        return event
    return dataclasses.replace(event, metadata={**event.metadata, place: text})


def _used(handlers: list[Handler]) -> list[str]:
    return list(dict.fromkeys(it.path for handler in handlers for it in handler.effects.fields))


def _seed(source: random.Random, elements: tuple[Element, Element]) -> int:
    """A seed; often one that makes a small or a large first draw for the first call."""
    drawing = [
        (it.name, name)
        for it in elements
        for name, handler in (("req", it.req), ("resp", it.resp))
        if handler.effects.uses_random
    ]
    if not drawing or source.random() < 0.3:
        return source.getrandbits(64)
    element, handler = source.choice(drawing)
    share = source.random() ** source.choice((1, 4, 10))
    return coupled_seed(element, 1, handler, source.choice((share, 1.0 - share)))


# --- cutting down ----------------------------------------------------------------------------


def _shrunk(question: _Question, run: Counterexample) -> Counterexample:
    """A run from which nothing can be left out, if that does not take too many tries."""
    tries = 0
    smaller = True
    while smaller and tries < _MOST_TRIES:
        smaller = False
        for candidate in _smaller(run):
            tries += 1
            found = question.answer(candidate)
            if found is not None:
                run, smaller = found, True
                break
    return run


def _smaller(run: Counterexample) -> Iterator[Counterexample]:
    if run.start:
        yield dataclasses.replace(run, start={})
    for element, values in run.start.items():
        for name in values:
            kept = {it: values[it] for it in values if it != name}
            yield dataclasses.replace(run, start=_without_empty({**run.start, element: kept}))
    half = len(run.events) // 2
    while half > 1:
        for at in range(0, len(run.events), half):
            yield dataclasses.replace(run, events=run.events[:at] + run.events[at + half :])
        half //= 2
    for number, event in enumerate(run.events):
        before, after = run.events[:number], run.events[number + 1 :]
        yield dataclasses.replace(run, events=before + after)
        for simpler in _simpler(event):
            yield dataclasses.replace(run, events=(*before, simpler, *after))


def _simpler(event: Event) -> Iterator[Event]:
    if event.after_ns:
        yield dataclasses.replace(event, after_ns=0)
    if event.status:
        yield dataclasses.replace(event, status=0)
    for path in event.fields:
        yield dataclasses.replace(event, fields={it: event.fields[it] for it in event.fields if it != path})
    for key in event.metadata:
        yield dataclasses.replace(event, metadata={it: event.metadata[it] for it in event.metadata if it != key})


def _without_empty(start: Mapping[str, Mapping[str, Value]]) -> dict[str, Mapping[str, Value]]:
    return {element: values for element, values in start.items() if values}
