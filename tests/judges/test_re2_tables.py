"""Patterns of `matches` beside the tables that RE2 wrote of itself, as the Go distribution has them."""

from __future__ import annotations

import ast
import bz2
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from appnet.language.patterns import PatternError, compile_pattern
from tests.judges.tools import Tools

pytestmark = [pytest.mark.judges, pytest.mark.timeout(1200)]

TABLES = Path("src", "regexp", "testdata")
_ANYWHERE = 1
"""The column that says where a text has a match, if anywhere; others ask for the whole text, or the longest match."""


def unquoted(literal: str) -> str:
    """What a literal of Go stands for; those of the tables mean the same in Python, where line ends are escaped."""
    return str(ast.literal_eval(literal.strip("\n").replace("\r", "\\r")))


def cases(lines: Iterable[str]) -> Iterator[tuple[str, list[str], list[bool]]]:
    """Each pattern with its texts, and whether each holds a match."""
    texts: list[str] = []
    found: list[bool] = []
    pattern, reads_texts = "", False
    for line in lines:
        match line[0]:
            case "s":
                texts, reads_texts = [], True
            case "r":
                reads_texts = False
            case '"' if reads_texts:
                texts.append(unquoted(line))
            case '"':
                pattern, found = unquoted(line), []
            case "-" | "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9":
                found.append(line.split(";")[_ANYWHERE].strip() != "-")
                if len(found) == len(texts):
                    yield pattern, texts, found


def agree(lines: Iterable[str]) -> int:
    """How many patterns agree with the table on each of their texts; those with ``\\C`` are no patterns here."""
    count = 0
    for pattern, texts, expected in cases(lines):
        if "\\C" in pattern:
            with pytest.raises(PatternError):
                compile_pattern(pattern.encode())
            continue
        automaton = compile_pattern(pattern.encode())
        found = [automaton.matches(it.encode()) for it in texts]
        assert found == expected, (
            pattern,
            [it for it, one, other in zip(texts, found, expected, strict=True) if one != other],
        )
        count += 1
    return count


def test_search_table(tools: Tools) -> None:
    with (tools.goroot() / TABLES / "re2-search.txt").open(encoding="utf-8", newline="\n") as lines:
        assert agree(lines) > 900


def test_exhaustive_table(tools: Tools) -> None:
    with bz2.open(tools.goroot() / TABLES / "re2-exhaustive.txt.bz2", "rt", encoding="utf-8", newline="\n") as lines:
        assert agree(lines) > 90_000
