"""The cookbook of the standard elements: true to the elements, and these short."""

from __future__ import annotations

import re

import pytest

from appnet.application.load import load
from appnet.diagnostics.source import FileSource
from appnet.language import parse
from tests.docs.elements_page import (
    CHAPTERS,
    COOKBOOK,
    ELEMENTS,
    RECIPES,
    ROOT,
    logic_lines,
    page,
    parameters,
    source_of,
)
from tests.support import snapshots

NAMES = sorted(it.stem for it in ELEMENTS.glob("*.appnet"))


def test_the_page_is_made_from_the_elements(request: pytest.FixtureRequest) -> None:
    snapshots.compare(page(), ROOT / "docs" / "elements.md", request)


def test_each_element_is_in_one_chapter() -> None:
    assert sorted(name for chapter in CHAPTERS.values() for name in chapter) == NAMES


def test_each_recipe_is_in_one_chapter_and_has_elements_of_it() -> None:
    assert sorted(RECIPES.values()) == sorted(it.stem for it in COOKBOOK.glob("*.yaml"))
    for chapter, name in RECIPES.items():
        application = load(FileSource(COOKBOOK / f"{name}.yaml"))
        assert not application.warnings
        (edge,) = application.chains
        assert len(edge.elements.keys() & set(CHAPTERS[chapter])) >= 2


def test_each_element_is_in_the_table_of_its_folder_with_its_parameters() -> None:
    text = (ELEMENTS / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (.*)\|$", text, re.MULTILINE))
    told = {name: re.findall(r"`(\w+)`", given) for name, given in rows.items()}
    assert told == {name: [it.split(" = ")[0] for it in parameters(source_of(name))] for name in NAMES}


def test_elements_are_short() -> None:
    lines = {name: logic_lines(source_of(name)) for name in NAMES}
    assert max(lines.values()) <= 20
    assert sum(it < 12 for it in lines.values()) > len(lines) * 3 / 4


def test_parameters_are_those_of_the_program() -> None:
    for name in NAMES:
        program = parse(FileSource(ELEMENTS / f"{name}.appnet"))
        assert [it.split(" = ")[0] for it in parameters(source_of(name))] == [it.name.name for it in program.parameters]


def test_what_is_counted() -> None:
    source = "state:\n    a: int\n\ninit(a = 1):\n    pass\n\nreq(rpc):\n    # why\n    a = 2\n\n    send(rpc, Down)\n"
    assert logic_lines(source) == 1
