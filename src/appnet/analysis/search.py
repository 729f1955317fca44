"""Looks for a run on which two orders are told apart: random runs on the interpreter, cut down to what matters.

A run after which the orders hold different state, though nothing that anybody sees has differed yet, is a lead: it goes
on with more messages, and comes again from other states.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from appnet.analysis.decision import Counterexample, Event, Strength
from appnet.analysis.influence import influencing
from appnet.analysis.properties import infer
from appnet.analysis.replay import BothOrders, replay
from appnet.analysis.runs import Runs
from appnet.interpret.values import Value
from appnet.ir.nodes import Element
from appnet.language.messages import MethodSignature

T = TypeVar("T")

FROM_INIT = 150
FROM_STATES = 1_500
"""Runs that are tried from what `init` left, and from states of any kind."""

LEADS = 1
"""Leads that are tried again after each run from any state."""

LONGER = 8
"""Messages by which a lead goes on."""

_MOST_KEPT = 100
_MOST_TRIES = 400  # to cut one run down
_MOST_SEEDS = 200  # that are tried to number its calls anew


def search(first: Element, second: Element, method: MethodSignature, strength: Strength) -> Counterexample | None:
    """A run on which the interpreter tells the orders apart; None where none was found.

    Runs from what `init` left are tried first, then runs from any state of the variables' types, then leads.
    """
    found = _Search(first, second, method, strength).found()
    return _shrunk(_Question(first, second, method, strength), found) if found is not None else None


class _Search:
    """``leads``: runs that left different state. ``passed``: messages that went through."""

    def __init__(self, first: Element, second: Element, method: MethodSignature, strength: Strength) -> None:
        self._pair = (first, second, method)
        self._strength = strength
        self._source = random.Random(0)  # noqa: S311 -- the same search every time
        self._runs = Runs(first, second, method, seed=0, all_apart=True)
        self._matters = {it.name: infer(it).lasting() & influencing(it) for it in (first, second)}
        self._leads: list[Counterexample] = []
        self._passed: list[Event] = []

    def found(self) -> Counterexample | None:
        """The first run that tells the orders apart."""
        return next((found for run in self._tried() if (found := self._told_apart(run)) is not None), None)

    def _tried(self) -> Iterator[Counterexample]:
        for _ in range(FROM_INIT):
            yield self._runs.one(from_init=True)
        for _ in range(FROM_STATES):
            yield self._runs.one(from_init=False)
            for _ in range(LEADS if self._leads else 0):
                yield self._runs.varied(self._source.choice(self._leads))

    def _told_apart(self, run: Counterexample) -> Counterexample | None:
        """The run up to where the orders part, with what comes after it where it is a lead."""
        orders = BothOrders(*self._pair, run)
        events: list[Event] = []
        more = itertools.islice(self._runs.more(run, self._passed), LONGER)
        for event in itertools.chain(run.events, more):
            if len(events) == len(run.events):
                if orders.in_step(self._matters):
                    return None
                self._keep(self._leads, run)
            events.append(event)
            difference = orders.step(event, self._strength)
            if difference is not None:
                return dataclasses.replace(run, events=tuple(events), as_written=difference[0], swapped=difference[1])
            if orders.passed:
                self._keep(self._passed, event)
        return None

    def _keep(self, kept: list[T], one: T) -> None:
        if len(kept) < _MOST_KEPT:
            kept.append(one)
        else:
            kept[self._source.randrange(_MOST_KEPT)] = one


# --- cutting down ----------------------------------------------------------------------------


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
    return _renumbered(question, _without_strays(question, run))


def _without_strays(question: _Question, run: Counterexample) -> Counterexample:
    """The run without what comes to calls that have not begun; nobody sees it, but that time passes."""
    asked: set[int] = set()
    kept: list[Event] = []
    waited = 0
    for event in run.events:
        if event.kind in {"headers", "request"}:
            asked.add(event.call)
        if event.call in asked:
            kept.append(dataclasses.replace(event, after_ns=event.after_ns + waited))
        waited = 0 if event.call in asked else waited + event.after_ns
    return question.answer(dataclasses.replace(run, events=tuple(kept))) or run


def _renumbered(question: _Question, run: Counterexample) -> Counterexample:
    """The run with calls numbered from 1, with draws that make it one again, if there are any soon."""
    numbers: dict[int, int] = {}
    events = [dataclasses.replace(it, call=numbers.setdefault(it.call, len(numbers) + 1)) for it in run.events]
    for seed in (run.seed, *range(_MOST_SEEDS)):
        found = question.answer(dataclasses.replace(run, events=tuple(events), seed=seed))
        if found is not None and len(found.events) == len(events):
            return found
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
        if after and event.after_ns:
            later = dataclasses.replace(after[0], after_ns=event.after_ns + after[0].after_ns)
            yield dataclasses.replace(run, events=(*before, later, *after[1:]))
        for simpler in _simpler(event):
            yield dataclasses.replace(run, events=(*before, simpler, *after))


def _simpler(event: Event) -> Iterator[Event]:
    if event.after_ns:
        yield dataclasses.replace(event, after_ns=0)
    if event.status and event.kind == "response":
        yield dataclasses.replace(event, status=0)
    for path in event.fields:
        yield dataclasses.replace(event, fields={it: event.fields[it] for it in event.fields if it != path})
    for key in event.metadata:
        yield dataclasses.replace(event, metadata={it: event.metadata[it] for it in event.metadata if it != key})


def _without_empty(start: Mapping[str, Mapping[str, Value]]) -> dict[str, Mapping[str, Value]]:
    return {element: values for element, values in start.items() if values}
