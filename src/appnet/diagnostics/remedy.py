"""Remedies that can be applied as they stand: what editors offer beside a diagnostic."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from appnet.diagnostics.near import near_names
from appnet.diagnostics.place import Span


@dataclass(frozen=True)
class Edit:
    """``text`` in the place of what stands at ``span``, which may be empty."""

    span: Span
    text: str


@dataclass(frozen=True)
class Remedy:
    """One way to mend what a diagnostic tells of; ``title`` says what it does."""

    title: str
    edits: tuple[Edit, ...]


def instead(span: Span, *texts: str) -> tuple[Remedy, ...]:
    """Each of the texts as a way to write what stands at ``span``."""
    return tuple(Remedy(f"Write `{it}`", (Edit(span, it),)) for it in texts)


def near(span: Span, name: str, known: Iterable[str], write: Callable[[str], str] = str) -> tuple[Remedy, ...]:
    """The names of ``known`` near the mistyped ``name`` at ``span``, each as ``write`` has it."""
    return instead(span, *(write(it) for it in near_names(name, sorted(set(known)))))


def without(span: Span, *spans: Span) -> tuple[Remedy, ...]:
    """What stands there is left out."""
    return (Remedy("Remove it", tuple(Edit(it, "") for it in (span, *spans))),)


def wrapped(span: Span, function: str) -> tuple[Remedy, ...]:
    """The expression at ``span`` as the argument of a function."""
    return (Remedy(f"Write `{function}(…)`", (Edit(start_of(span), f"{function}("), Edit(end_of(span), ")"))),)


def added(span: Span, text: str, title: str) -> tuple[Remedy, ...]:
    """The text at the empty ``span``."""
    return (Remedy(title, (Edit(span, text),)),)


def across(first: Span, last: Span) -> Span:
    """The place from the beginning of one to the end of another."""
    return replace(first, end_line=last.end_line, end_column=last.end_column)


def start_of(span: Span) -> Span:
    """The empty place before what stands at ``span``."""
    return replace(span, end_line=span.line, end_column=span.column)


def end_of(span: Span) -> Span:
    """The empty place behind what stands at ``span``."""
    return replace(span, line=span.end_line, column=span.end_column)
