"""The page of behaviour files: its examples run, and it has every key that the reader takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from appnet.behaviour import reader
from tests.docs.console import Reader, Write, steps
from tests.docs.elements_page import ROOT

PAGE = (ROOT / "docs" / "behaviour.md").read_text(encoding="utf-8")
FILES = [yaml.safe_load(it.content) for it in steps(PAGE) if isinstance(it, Write)]
CASES = [case for file in FILES for case in file["cases"]]
STEPS = [step for case in CASES for step in case["steps"]]


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    Reader(tmp_path).follow(PAGE)


@pytest.mark.parametrize(
    ("title", "keys", "examples"),
    [
        ("key of the file", reader._TOP_KEYS, FILES),
        ("key of a case", reader._CASE_KEYS, CASES),
        ("key of a step", reader._STEP_KEYS, STEPS),
    ],
)
def test_every_key_has_its_row_and_an_example(
    title: str, keys: tuple[str, ...], examples: list[dict[str, Any]]
) -> None:
    assert set(_rows(title)) == set(keys)
    assert {key for it in examples for key in it} == set(keys)


def _rows(title: str) -> Iterator[str]:
    _, _, table = PAGE.partition(f"| {title} | meaning |\n|---|---|\n")
    for row in table.partition("\n\n")[0].splitlines():
        yield from re.findall(r"`(\w+)`", row.split("|")[1])
