"""What a terminal showed, as a picture that plays without scripts."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from pyte.screens import Char

from appnet.optimize.picture.canvas import DARK, document
from tests.support.terminal import COLUMNS, LINES, Terminal

_WIDE, _HIGH, _EDGE = 8, 17, 12  # of a character, and around the screen
_STYLE = (
    "text{font:13px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}.b{font-weight:bold}"
    f".page{{fill:{DARK.page};stroke:{DARK.quiet}}}text{{fill:{DARK.ink}}}.other{{fill:{DARK.quiet}}}"
    f".other+path{{stroke:{DARK.quiet}}}.frame{{visibility:hidden}}"
    "@media(prefers-reduced-motion:reduce){.frame{animation:none!important}}"
)
_COLOURS = {
    "red": "#ff7b72",
    "green": DARK.boxes["moved"][1],
    "brown": DARK.boxes["module"][1],  # what terminals name yellow
    "blue": DARK.boxes["service"][1],
    "cyan": "#56d4dd",
    "magenta": DARK.lines["push"],
}
_STEADY = (  # what no two runs have in common, and what stands for it
    (re.compile(r"(?<=127\.0\.0\.1:)\d{5}"), "40000"),
    (re.compile(r"(?<=server-)[0-9a-f]{6}"), "5e12c7"),
)


@dataclass(frozen=True)
class Frame:
    """``other``: what another terminal shows; ``seconds``: how long to look at it."""

    cells: list[list[Char]]
    other: tuple[str, ...]
    seconds: float


def frame(terminal: Terminal, seconds: float, other: Sequence[str] = ()) -> Frame:
    """What stands on the terminal now."""
    assert all(len(it) <= COLUMNS for it in other), other
    return Frame([_steady(it) for it in terminal.cells], tuple(map(_steady_text, other)), seconds)


def _steady(row: list[Char]) -> list[Char]:
    text = _steady_text("".join(it.data or " " for it in row))
    return [it._replace(data=letter) for it, letter in zip(row, text, strict=True)]


def _steady_text(text: str) -> str:
    for pattern, instead in _STEADY:
        text = pattern.sub(instead, text)
    return text


def recording(frames: Sequence[Frame], still: int, title: str, description: str) -> str:
    """The SVG text; ``still``: the frame to show where nothing may move."""
    below = max(len(it.other) for it in frames)
    width, high = COLUMNS * _WIDE + 2 * _EDGE, LINES * _HIGH + 2 * _EDGE
    height = high + ((below + 1) * _HIGH + _EDGE if below else 0)
    total = sum(it.seconds for it in frames)
    rules, begin = [f".f{still}{{visibility:visible}}"], 0.0
    for number, it in enumerate(frames if len(frames) > 1 else ()):
        rules.append(_keyframes(number, begin / total, (begin + it.seconds) / total, total))
        begin += it.seconds
    read = " ".join(" ".join(_words(frames[still])).split())
    parts = [f'<rect class="page" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="6"/>']
    for number, it in enumerate(frames):
        parts += [f'<g class="frame f{number}">', *_drawn(it, high), "</g>"]
    return document((width, height), title, f"{description} {read}", _STYLE + "".join(rules), parts)


def _keyframes(number: int, begin: float, end: float, total: float) -> str:
    """Shows one frame for its share of the time, over and over."""
    steps = {0.0: "hidden", begin: "visible", end: "hidden", 1.0: "hidden" if end < 1 else "visible"}
    shown = "".join(f"{at:.2%}{{visibility:{it}}}" for at, it in steps.items())
    return f"@keyframes f{number}{{{shown}}}.f{number}{{animation:f{number} {total:.0f}s step-end infinite}}"


def _drawn(it: Frame, high: int) -> Iterator[str]:
    for number, row in enumerate(it.cells):
        for begin, end, look in _runs(row):
            words = "".join(cell.data for cell in row[begin:end])
            yield _text(begin, _EDGE + number * _HIGH, words, look)
    if it.other:
        yield f'<text class="other" x="{_EDGE}" y="{high + 9}" textLength="{16 * _WIDE}">another terminal</text>'
        yield f'<path d="M{_EDGE + 17 * _WIDE} {high + 4.5}H{COLUMNS * _WIDE + _EDGE}"/>'
    for number, line in enumerate(it.other):
        yield _text(0, high + (number + 1) * _HIGH, line, "")


def _text(column: int, top: int, words: str, look: str) -> str:
    place = f'x="{_EDGE + column * _WIDE}" y="{top + 13}" textLength="{len(words) * _WIDE}"'
    return f"<text {place}{look}>{escape(words, quote=False)}</text>"


def _runs(row: Sequence[Char]) -> Iterator[tuple[int, int, str]]:
    """Words in one colour, without the blanks around them."""
    place = 0
    for look, cells in itertools.groupby(row, _look):
        text = "".join(it.data for it in cells)
        for it in re.finditer(r"\S+(?: \S+)*", text):
            yield place + it.start(), place + it.end(), look
        place += len(text)


def _look(cell: Char) -> str:
    colour = _COLOURS.get(cell.fg, "")
    return (' class="b"' if cell.bold else "") + (f' style="fill:{colour}"' if colour else "")


def _words(it: Frame) -> Iterator[str]:
    """Its text, line by line."""
    for row in it.cells:
        yield "".join(cell.data for cell in row)
    yield from it.other
