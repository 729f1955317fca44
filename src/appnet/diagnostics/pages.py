"""What each code means: a page of Markdown for each in ``pages/``, which is all that there is to say of it.

A page has a title, ``# E014: …``, which names the problem; an explanation; ``## Example``, which triggers it; and
``## Fix`` (of a note ``## What to do``), with the corrected example. What a fence says of an example:

``appnet``                       blocks of an element on the method of the echo sample; others do nothing
``appnet whole``                 a program
``appnet shop``                  as the first, for a message with ``repeated Item items`` and ``string user``
``yaml config``                  keys of an AppNetConfig; the others are those of the echo sample
``yaml application``             the same of a specification
``yaml manifest``, ``behaviour``, ``profile``, ``prices``, ``properties``, and ``proto``
``console``, ``yaml``            what takes a command, a proxy or several files: no test runs it
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).with_name("pages")
_GROUPS = "EWCN"


@dataclass(frozen=True)
class Page:
    """``title`` says when the code is told; ``body`` is the Markdown below it."""

    code: str
    title: str
    body: str


def codes() -> list[str]:
    """All codes: errors and warnings of elements, errors of what stands around them, notes."""
    return sorted((it.stem for it in _FOLDER.glob("*.md")), key=lambda it: (_GROUPS.index(it[0]), it))


def page(code: str) -> Page:
    """The page of a code. Raises KeyError for one that there is not."""
    file = _FOLDER / f"{code}.md"
    if not file.is_file():
        raise KeyError(code)
    heading, body = file.read_text(encoding="utf-8").split("\n", 1)
    return Page(code, heading.removeprefix(f"# {code}: "), body.strip("\n"))
