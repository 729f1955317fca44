"""What happens inside a chain, step by step: the rows that fire, and the state before and after."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from appnet.behaviour.document import Behaviour, Case, Refuses, Replies, Step, StepOutcome
from appnet.behaviour.subject import InterpreterSubject
from appnet.interpret.instance import ElementInstance
from appnet.interpret.shown import shown
from appnet.interpret.values import Value, copy_value
from appnet.ir.nodes import Arm, Block, Refuse, StateVariable
from appnet.ir.rows import Row, match_action_rows, refusal_rows


@dataclass(frozen=True)
class Change:
    """A state variable before and after a handler."""

    variable: StateVariable
    before: Value
    after: Value


@dataclass(frozen=True)
class HandlerTrace:
    """One run of a handler. ``rows``: those that fired; where there is nothing to match, the one that always does.

    ``refused``: where it refused, and ``refused_row``: the number of the row around that.
    """

    element: str
    handler: str
    rows: tuple[Row, ...]
    changes: tuple[Change, ...]
    refused: Refuse | None = None
    refused_row: str | None = None


@dataclass(frozen=True)
class StepTrace:
    """One event of a case, the handlers it ran in their order, and what became of it; None at an end."""

    step: Step
    handlers: tuple[HandlerTrace, ...]
    outcome: StepOutcome | None


def trace_case(behaviour: Behaviour, case: Case) -> Iterator[StepTrace]:
    """Runs the case on the interpreter; every event counts, also those of a repeated step."""
    recorder = _Recorder()
    subject = InterpreterSubject(case, behaviour.method, behaviour.proto, recorder)
    refused: set[str] = set()
    for step in case.steps:
        if step.kind != "request" and step.call in refused:
            continue  # it was captured, or expected, where the chain let the request pass
        for _ in range(step.times):
            outcome = subject.run(step)
            (refused.add if isinstance(outcome, Refuses | Replies) else refused.discard)(step.call)
            yield StepTrace(step, recorder.take(), outcome)


@dataclass
class _Run:
    """A handler that is running or has run."""

    instance: ElementInstance
    body: Block
    before: Mapping[str, Value]
    arms: list[Arm] = field(default_factory=list)
    refused: Refuse | None = None

    def finished(self) -> HandlerTrace:
        element = self.instance.element
        rows = match_action_rows(self.body)
        by_arm = {id(row.arm): row for row in rows if row.arm is not None}
        fired = [by_arm[id(arm)] for arm in self.arms] or rows[:1]
        changes = [change for it in element.state if (change := self._change(it)) is not None]
        handler = next(name for name, it in element.handlers.items() if it.body is self.body)
        row = refusal_rows(self.body)[id(self.refused)] if self.refused is not None else None
        return HandlerTrace(element.name, handler, tuple(fired), tuple(changes), self.refused, row)

    def _change(self, variable: StateVariable) -> Change | None:
        before, after = (values[variable.name] for values in (self.before, self.instance.state))
        same = shown(before, variable.type) == shown(after, variable.type)
        return None if same else Change(variable, before, copy_value(after))


class _Recorder:
    """Notes what the interpreter tells."""

    def __init__(self) -> None:
        self._running: _Run | None = None
        self._finished: list[HandlerTrace] = []

    def enters(self, element: ElementInstance, body: Block) -> None:
        self._finish()
        self._running = _Run(element, body, copy.deepcopy(element.state))

    def takes(self, arm: Arm) -> None:
        assert self._running is not None, "arms belong to a handler"
        self._running.arms.append(arm)

    def refuses(self, statement: Refuse) -> None:
        assert self._running is not None, "a handler refuses"
        self._running.refused = statement

    def take(self) -> tuple[HandlerTrace, ...]:
        """The handlers since the last time."""
        self._finish()
        taken, self._finished = tuple(self._finished), []
        return taken

    def _finish(self) -> None:
        if self._running is not None:
            self._finished.append(self._running.finished())
            self._running = None
