"""What stands where in a picture, measured with a font of its own and not by those who drew it."""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
from PIL import ImageFont

_NS = "{http://www.w3.org/2000/svg}"
_EDGE = 1.0  # pixels that rounding may take


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float
    height: float

    def holds(self, other: Box) -> bool:
        return (
            self.x - _EDGE <= other.x
            and self.y - _EDGE <= other.y
            and other.x + other.width <= self.x + self.width + _EDGE
            and other.y + other.height <= self.y + self.height + _EDGE
        )

    def meets(self, other: Box) -> bool:
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


@dataclass(frozen=True)
class Text:
    words: str
    place: Box


@dataclass(frozen=True)
class Drawn:
    """``texts``: each with the box that it is written in, if it is in one."""

    title: str
    description: str
    page: Box
    boxes: list[Box]
    texts: list[tuple[Text, Box | None]]


@functools.cache
def _font(*, bold: bool) -> Any:
    name = f"DejaVuSansMono{'-Bold' if bold else ''}.ttf"  # wider than the other fonts that pictures name
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), 100)


def _width(words: str, size: float, *, bold: bool) -> float:
    wide = sum(unicodedata.east_asian_width(it) in "WF" for it in words)  # as wide as high, in fonts that have them
    narrow = "".join(
        it for it in words if unicodedata.east_asian_width(it) not in "WF" and not unicodedata.combining(it)
    )
    return (float(_font(bold=bold).getlength(narrow, features=["-liga"])) / 100 + wide) * size


def _text(node: ElementTree.Element) -> Text:
    looks = node.get("class", "").split()
    size, words = (11.0 if "small" in looks else 13.0), node.text or ""
    width = _width(words, size, bold="bold" in looks)
    left = {"start": 0.0, "middle": 0.5, "end": 1.0}[node.get("text-anchor", "start")] * width
    baseline = float(node.get("y", ""))
    return Text(words, Box(float(node.get("x", "")) - left, baseline - 0.75 * size, width, 0.95 * size))


def read(svg: str) -> Drawn:
    """The picture's parts."""
    root = ElementTree.fromstring(svg)
    page = Box(0, 0, float(root.get("width", "")), float(root.get("height", "")))
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    assert set(root.get("aria-labelledby", "").split()) == {it.get("id") for it in root[:2]}
    boxes: list[Box] = []
    texts: list[tuple[Text, Box | None]] = [(_text(it), None) for it in root.findall(f"{_NS}text")]
    for group in root.findall(f"{_NS}g"):
        rect = group.find(f"{_NS}rect")
        assert rect is not None
        box = Box(*(float(rect.get(it, "")) for it in ("x", "y", "width", "height")))
        boxes.append(box)
        texts += [(_text(it), box) for it in group.findall(f"{_NS}text")]
    title, description = (root.findtext(f"{_NS}{it}") or "" for it in ("title", "desc"))
    return Drawn(title, description, page, boxes, texts)


def drawn_texts(svg: str) -> list[str]:
    """The words of all texts."""
    return [it.text or "" for it in ElementTree.fromstring(svg).iter(f"{_NS}text")]
