"""Tries the cases of behaviour files, and tells where something else came of a step than was expected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from appnet.behaviour.document import (
    Behaviour,
    Case,
    Fields,
    RecordCheck,
    Refuses,
    Replies,
    StateCheck,
    StepOutcome,
)
from appnet.behaviour.driven import DrivenSubject
from appnet.behaviour.subject import InterpreterSubject, Subject
from appnet.behaviour.values import from_dump
from appnet.diagnostics.place import Source
from appnet.interpret.dump import value_text
from appnet.interpret.shown import plain, shown
from appnet.interpret.values import Value
from appnet.ir.needs import needs
from appnet.ir.sharing import shared_state
from appnet.language.messages import MessageSchema, MethodSignature
from appnet.language.statuses import STATUS_CODES
from appnet.language.types import STRING, Type, VecType
from appnet.processors import registry
from appnet.processors.gaps import title_of

INTERPRETER = "interpreter"

_CODE_NAMES = {code: name for name, code in STATUS_CODES.items()}


@dataclass(frozen=True)
class Failure:
    """What came of a step that should have come to something else; both as a behaviour file would write it.

    ``expected_data`` and ``got_data``: the same as data.
    """

    source: Source
    line: int
    case: str
    target: str
    subject: str
    expected: str
    got: str
    expected_data: Any
    got_data: Any


@dataclass(frozen=True)
class Result:
    """One case on one target; it went well where ``failures`` is empty. ``skipped``: why it could not be tried."""

    source: Source
    case: str
    target: str
    failures: tuple[Failure, ...] = ()
    skipped: str = ""


def targets() -> tuple[str, ...]:
    """What cases can be tried on: the interpreter, and all that chains can be compiled to."""
    return (INTERPRETER, *registry.targets())


def run_behaviour(behaviour: Behaviour, targets: Sequence[str]) -> Iterator[Result]:
    """Each case on each target, on a fresh instance; where a target cannot run its elements, it is skipped.

    A case ends at its first failure.
    """
    for case in behaviour.cases:
        for target in targets:
            reasons = _reasons_to_skip(case, behaviour.method, target)
            if reasons:
                yield Result(behaviour.source, case.name, target, skipped="; ".join(reasons))
                continue
            failures = tuple(_Trial(behaviour, case, target, _subject(behaviour, case, target)).failures())
            yield Result(behaviour.source, case.name, target, failures)


def _subject(behaviour: Behaviour, case: Case, target: str) -> Subject:
    if target == INTERPRETER:
        return InterpreterSubject(case, behaviour.method, behaviour.proto)
    processor, built = registry.targets()[target]
    return DrivenSubject(behaviour, case, processor, built.name)


def _reasons_to_skip(case: Case, method: MethodSignature, name: str) -> list[str]:
    """What the elements need and the target does not give; it is driven with a single worker."""
    if name == INTERPRETER:
        return []
    if case.given is not None:
        return ["only the interpreter can begin with what is given"]
    _, target = registry.targets()[name]
    asked = {(it.name, one.need): None for it in case.elements for one in needs(it, method)}
    if case.tries_sharing:
        asked |= {(it.name, one.need): None for it in case.elements for one in shared_state(it)}
    return [title_of(need, element, name) for element, need in asked if need not in target.alone]


@dataclass(frozen=True)
class _Trial:
    behaviour: Behaviour
    case: Case
    target: str
    subject: Subject

    def failures(self) -> list[Failure]:
        for step in self.case.steps:
            for _ in range(step.times):
                got = self.subject.run(step)
                if got == step.outcome or step.outcome is None or got is None:
                    continue
                method, both = self.behaviour.method, (step.outcome, got)
                expected, seen = (told(it, step.kind, method) for it in both)
                if expected != seen:  # NaN is no other NaN
                    data = [plain_outcome(it, step.kind, method) for it in both]
                    return [self._failure(step.span.line, "the RPC", (expected, seen), data)]
            found = self._check(step.checks, step.instance)
            if found:
                return found
        return self._check(self.case.checks, 0)

    def _check(self, checks: Sequence[StateCheck | RecordCheck], instance: int) -> list[Failure]:
        return [it for check in checks if (it := self._checked(check, instance))]

    def _checked(self, check: StateCheck | RecordCheck, instance: int) -> Failure | None:
        name, type_ = f"{check.element}.{check.variable.name}", check.variable.type
        if isinstance(check, RecordCheck):
            assert isinstance(type_, VecType)
            got = self.subject.records(instance).get(name, [])
            if value_text(got, type_) == value_text(check.items, type_):
                return None
            return self._differs(check.span.line, f"records {name}", type_, check.items, got)
        text = self.subject.state(instance)[name]
        if text == value_text(check.value, type_):
            return None
        return self._differs(check.span.line, f"state {name}", type_, check.value, from_dump(text, type_))

    def _differs(self, line: int, subject: str, type_: Type, *both: Value) -> Failure:
        return self._failure(line, subject, [shown(it, type_) for it in both], [plain(it, type_) for it in both])

    def _failure(self, line: int, subject: str, texts: Sequence[str], data: Sequence[Any]) -> Failure:
        """``texts`` and ``data``: what was expected, and what came."""
        return Failure(self.behaviour.source, line, self.case.name, self.target, subject, *texts, *data)


def status_name(code: int) -> str:
    """The gRPC status as a behaviour file writes it."""
    return _CODE_NAMES[code]


def told(outcome: StepOutcome, kind: str, method: MethodSignature) -> str:
    """What became of a request or response (``kind``), as a behaviour file writes it."""
    if isinstance(outcome, Refuses):
        return f"refuses: {status_name(outcome.code)} {outcome.text.decode(errors='backslashreplace')}".rstrip()
    if isinstance(outcome, Replies):
        return f"replies: {told_fields(outcome.fields, method.response)}"
    schema = method.request if kind == "request" else method.response
    parts = [f"forwards: {told_fields(outcome.fields, schema)}"]
    if outcome.metadata:
        headers = ", ".join(f"{key}: {shown(it, STRING)}" for key, it in outcome.metadata.items())
        parts.append(f"sets: {{{headers}}}")
    parts += [f"host: {outcome.host}"] if outcome.host is not None else []
    parts += [f"waits: {outcome.wait_ms / 1e3:.12g}"] if outcome.wait_ms else []
    return ", ".join(parts)


def told_fields(fields: Fields, schema: MessageSchema) -> str:
    """Fields as a behaviour file writes them."""
    return f"{{{', '.join(f'{path}: {shown(it, schema.fields[path].type)}' for path, it in fields.items())}}}"


def plain_outcome(outcome: StepOutcome, kind: str, method: MethodSignature) -> dict[str, Any]:
    """The same as data, with the keys of a behaviour file."""
    if isinstance(outcome, Refuses):
        message = outcome.text.decode(errors="backslashreplace")
        return {"refuses": {"status": status_name(outcome.code), "message": message}}
    if isinstance(outcome, Replies):
        return {"replies": plain_fields(outcome.fields, method.response)}
    schema = method.request if kind == "request" else method.response
    found: dict[str, Any] = {"forwards": plain_fields(outcome.fields, schema)}
    if outcome.metadata:
        found["sets"] = {key: plain(it, STRING) for key, it in outcome.metadata.items()}
    if outcome.host is not None:
        found["host"] = outcome.host
    if outcome.wait_ms:
        found["waits"] = outcome.wait_ms / 1e3
    return found


def plain_fields(fields: Fields, schema: MessageSchema) -> dict[str, Any]:
    """Fields as data."""
    return {path: plain(it, schema.fields[path].type) for path, it in fields.items()}
