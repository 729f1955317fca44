"""Places in what users wrote: a source, a span of it, and what a span has to do with a diagnostic."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol


class Source(Protocol):
    """A text that has a place. Two sources are equal where they are the same place, whatever stands there."""

    @property
    def name(self) -> str:
        """As diagnostics show it; of a file, its path as it was given."""

    @property
    def path(self) -> Path | None:
        """The file to be watched or edited, where it is one."""

    def text(self) -> str:
        """What stands there now. Raises `UnreadableError`."""

    def beside(self, name: str) -> Source:
        """What it names: a path that is relative to the folder that it stands in."""


@dataclass(frozen=True)
class Span:
    """A place in a source. Lines and columns count from 1; ``end_column`` is exclusive."""

    source: Source
    line: int
    column: int
    end_line: int
    end_column: int

    @staticmethod
    def whole(source: Source) -> Span:
        """The source as such: it is shown at its beginning."""
        return Span(source, 1, 1, 1, 2)

    def of_first(self, length: int, text: str) -> Span | None:
        """The place of the first characters of the ``text`` that stands here; None where it is written otherwise."""
        plain = self.line == self.end_line and self.end_column - self.column == len(text)
        return replace(self, end_column=self.column + length) if plain else None


@dataclass(frozen=True)
class Label:
    """Another place that explains a diagnostic, and what it has to do with it: "declared here"."""

    span: Span
    text: str
