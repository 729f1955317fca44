"""The tutorial, followed to the letter; and what follows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.console import Reader, Type, Wait, Write, match, steps

ROOT = Path(__file__).parents[2]


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    assert sum(isinstance(it, Type) for it in steps(page)) >= 12
    Reader(tmp_path).follow(page)


def test_output_that_differs_is_told(tmp_path: Path) -> None:
    assert match("a\n…\nc\n", "a\nb\nb\nc\n") is not None
    assert match("a … c\n", "a b c\n") is not None
    assert match("a\nc\n", "a\nb\nc\n") is None
    assert match("at PORT\nstill at PORT\n", "at 80\nstill at 80\n") == {"port": "80"}
    assert match("at PORT\nstill at PORT\n", "at 80\nstill at 81\n") is None
    with pytest.raises(AssertionError, match="is not"):
        Reader(tmp_path).follow("```console\n$ echo one\ntwo\n```\n")


def test_a_command_may_stay(tmp_path: Path) -> None:
    page = (
        "```text file=said\nwords\n```\n"
        "```console stays\n$ cat said; echo at 80; sleep 60\nwords\nat PORT\n```\n"
        "```console\n$ echo PORT\n80\n```\n"
    )
    assert [type(it) for it in steps(page)] == [Write, Type, Type]
    assert list(steps("```console\n^C\n```\n")) == [Wait("^C\n")]
    Reader(tmp_path).follow(page)
