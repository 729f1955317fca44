"""Pictures of plans: text stays in its box and apart from other text, whatever it says."""

from __future__ import annotations

import itertools
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appnet.application.model import Side
from appnet.optimize.explain import Explanation, Move
from appnet.optimize.picture import picture
from appnet.optimize.picture.canvas import BOXES, DARK, LIGHT, LINES, Canvas, Colours
from tests.support.svg import drawn_texts, read

IMAGES = sorted(
    it for it in (Path(__file__).parents[2] / "docs" / "images").glob("*.svg") if not it.stem.startswith("recorded_")
)

NAMES = st.text(min_size=1, max_size=60) | st.from_regex(r"[a-z][a-z_]{0,30}", fullmatch=True)


@st.composite
def explanations(draw: st.DrawFn) -> Explanation:
    elements = draw(st.lists(NAMES, max_size=14, unique=True))
    sides = {"client grpc": Side.CLIENT, "client sidecar": Side.CLIENT, "server": Side.SERVER}
    if draw(st.booleans()):
        sides = {"client": Side.CLIENT, "server": Side.SERVER}
    written, planned = ({label: [] for label in sides} for _ in range(2))
    moves = []
    for it in elements:
        before, after = draw(st.sampled_from(list(sides))), draw(st.sampled_from(list(sides)))
        written[before].append(it)
        planned[after].append(it)
        moves += [Move(it, before, after)] if before != after else []
    client, server = draw(NAMES), draw(NAMES)
    level = draw(st.sampled_from(["no", "weak", "strong"]))
    return Explanation(client, server, ("m",), level, sides, written, planned, 24.81, 1234.5, tuple(moves), ())


def check(svg: str) -> None:
    """That it can be read, and that no text leaves its box, the picture, or lies over other text or a border."""
    drawn = read(svg)
    assert drawn.title
    assert drawn.description
    for text, box in drawn.texts:
        assert drawn.page.holds(text.place), text
        if box is not None:
            assert box.holds(text.place), (text, box)
    for (one, _), (other, _) in itertools.combinations(drawn.texts, 2):
        assert not one.place.meets(other.place), (one, other)
    for text, own in drawn.texts:
        for box in drawn.boxes:
            assert box is own or box.holds(text.place) or not box.meets(text.place), (text, box)


@given(explanations())
def test_text_fits(explanation: Explanation) -> None:
    check(picture([explanation]))


@given(st.lists(st.tuples(NAMES, NAMES), min_size=2, max_size=12, unique=True), st.data())
def test_text_fits_between_services(edges: list[tuple[str, str]], data: st.DataObject) -> None:
    costs = [data.draw(explanations()) for _ in range(data.draw(st.integers(0, 2)))]
    chains = [
        Explanation(*data.draw(st.sampled_from(edges)), *list(vars(it).values())[2:])  # of any edges
        for it in costs
    ]
    check(picture(chains, edges))


@pytest.mark.parametrize("file", IMAGES, ids=lambda it: it.stem)
def test_text_fits_in_the_docs(file: Path) -> None:
    check(file.read_text(encoding="utf-8"))


def test_what_is_checked_can_fail() -> None:
    canvas = Canvas()
    canvas.box("service", 10, 10, 40, 30, "too wide for it")
    with pytest.raises(AssertionError):
        check(canvas.svg("title", "description"))
    canvas = Canvas()
    canvas.text(10, 10, "one over")
    canvas.text(40, 14, "the other")
    with pytest.raises(AssertionError):
        check(canvas.svg("title", "description"))


def alone(element: str) -> Explanation:
    """Of a chain with one element."""
    placed = {"server": [element]}
    return Explanation("c", "s", ("m",), "weak", {"server": Side.SERVER}, placed, placed, 1, 1, (), ())


def test_long_names_are_cut_and_kept_as_titles() -> None:
    name = "a" * 30 + "b" * 30
    svg = picture([alone(name)])
    assert drawn_texts(svg).count("a" * 20 + "…" + "b" * 19) == 1
    titles = [it.text for it in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}title")]
    assert name in titles


def test_the_legend_says_what_is_there_and_no_more() -> None:
    told = drawn_texts(picture([alone("a")]))
    assert {it for it in (BOXES | LINES).values() if it in told and it != "service"} == {
        BOXES["place"],
        BOXES["module"],
        LINES["request"],
    }


def luminance(colour: str) -> float:
    parts = [int(colour[it : it + 2], 16) / 255 for it in (1, 3, 5)]
    linear = [it / 12.92 if it <= 0.04045 else ((it + 0.055) / 1.055) ** 2.4 for it in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_lines_stand_out(colours: Colours) -> None:
    """As WCAG 2.2 asks: 4.5 for text, 3 for what has to be seen."""
    fills = {kind: fill for kind, (fill, _) in colours.boxes.items()} | {"page": colours.page}
    assert all(contrast(colours.ink, it) >= 4.5 for it in fills.values())
    assert all(contrast(colours.quiet, fills[it]) >= 4.5 for it in ("page", "place"))
    assert all(contrast(border, colours.page) >= 3 for _, border in colours.boxes.values())
    assert all(contrast(it, colours.page) >= 3 for it in colours.lines.values())
    assert (set(colours.boxes), set(colours.lines)) == (set(BOXES), set(LINES))
