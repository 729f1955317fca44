"""Every code has a page, whose example brings it, and whose mended example brings nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appnet.cli.main import app
from appnet.diagnostics.pages import codes, page
from tests.diagnostics.examples import ROOT, RUN, examples, run_example

NOT_RUN = {"console", "yaml"}
OF_COMMANDS = {  # they take a command, a proxy or several files; other tests bring them
    *(
        "E004",
        "E006",
        "C001",
        "C018",
        "C019",
        "C025",
        "C026",
        "C047",
        "C048",
        "C049",
        "C052",
        "C053",
        "C054",
        "C055",
        "W022",
    ),
    *("C061", "C062", "C063", "C064", "C065", "C066", "C067", "C068"),
    *("C021", "C095", "C096", "C097", "C098", "C099", "C100", "C110", "N008", "W004"),
    *("C076", "C085", "C086", "C087", "C088", "C089", "C091", "N001", "N002", "N003", "N004", "N005", "N006", "N007"),
}


@pytest.mark.parametrize("code", codes())
def test_a_page_is_short_and_whole(code: str) -> None:
    found = page(code)
    assert found.title.endswith(".")
    headings = re.findall(r"^## (.*)$", found.body, re.MULTILINE)
    assert headings == ["Example", "What to do" if code.startswith("N") else "Fix"]
    assert all(it.kind in RUN | NOT_RUN and it.text.strip() for it in examples(code))
    assert len(found.body.split("\n")) < 60


@pytest.mark.parametrize("code", sorted(set(codes()) - OF_COMMANDS))
def test_its_example_brings_the_code_and_the_mended_one_nothing(code: str, tmp_path: Path) -> None:
    wrong, mended = examples(code)
    assert code in {it.code for it in run_example(wrong, tmp_path / "wrong")}
    assert run_example(mended, tmp_path / "mended") == []


def test_all_others_say_that_they_are_not_run() -> None:
    assert {it for it in codes() if not {example.kind for example in examples(it)} <= RUN} == OF_COMMANDS


def test_every_code_in_the_source_has_a_page_and_none_has_one_for_nothing() -> None:
    told: set[str] = set()
    for file in (ROOT / "src" / "appnet").rglob("*.py"):
        told |= set(re.findall(r'"([EWCN]\d{3})"', file.read_text(encoding="utf-8")))
    assert told == set(codes())


def explained(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["explain-code", *arguments], env={"COLUMNS": "200"})
    return result.exit_code, result.stdout, result.stderr


def test_a_page_is_shown_as_text() -> None:
    status, text, _ = explained("e014")
    assert status == 0
    assert text.startswith("E014: A field that the message does not have.\n\n")
    assert "```" not in text
    assert "\nExample\n\n    req(rpc):\n        if get(rpc, 'bodi') == '':\n" in text


def test_several_pages() -> None:
    status, text, _ = explained("E014", "C013")
    assert (status, re.findall(r"^[EC]\d+:", text, re.MULTILINE)) == (0, ["E014:", "C013:"])


def test_without_a_code_all_are_listed() -> None:
    status, text, _ = explained()
    assert status == 0
    assert text.splitlines() == [f"{code}  {page(code).title}" for code in codes()]


def test_an_unknown_code_has_near_ones() -> None:
    status, text, told = explained("E14")
    assert (status, text) == (2, "")
    assert "there is no code E14; did you mean `E014`" in re.sub(r"[\s│]+", " ", told)


def test_an_unknown_code_leaves_the_others_explained() -> None:
    status, text, told = explained("X1", "E014")
    assert (status, text.startswith("E014: ")) == (2, True)
    assert "there is no code X1" in told
