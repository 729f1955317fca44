"""Every remedy that a diagnostic carries, applied as an editor does: what it was for is gone, and the text still reads."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from appnet.compile.fit import load_application
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError
from appnet.diagnostics.remedy import Remedy
from appnet.diagnostics.source import TextSource
from appnet.editor.edits import applied
from appnet.ir import compile_element
from tests.support.signatures import ECHO

TESTS = Path(__file__).parents[1]
PROGRAMS = sorted([*(TESTS / "language" / "bad").glob("*.appnet"), *(TESTS / "language" / "broken").glob("*.appnet")])
APPLICATIONS = sorted((TESTS / "application" / "bad").glob("*.yaml"))
MENDED = {
    *("C010", "C012", "C014", "C015", "C020", "C033", "C040", "C051", "C052", "E001", "E003", "E005", "E010", "E012"),
    *("E013", "E014", "E020", "E021", "E030", "E031", "E032", "E040", "E041", "W001", "W002", "W004", "W005", "W010"),
    "W020",
}
SYNTAX = {"E001", "E002", "E003", "E005", "C002"}

Check = Callable[[Path, str], list[Diagnostic]]


@dataclass(frozen=True)
class Mended:
    """A remedy that was applied to a text, with what was wrong before and after."""

    name: str
    wrong: Diagnostic
    remedy: Remedy
    before: list[Diagnostic]
    after: list[Diagnostic]


def element(path: Path, text: str) -> list[Diagnostic]:
    try:
        return list(compile_element(TextSource(path, text), ECHO).warnings)
    except DiagnosticError as error:
        return error.diagnostics


def application(path: Path, text: str) -> list[Diagnostic]:
    try:
        return list(load_application(TextSource(path, text)).warnings)
    except DiagnosticError as error:
        return error.diagnostics


def mended(path: Path, check: Check) -> list[Mended]:
    """Each remedy for what is wrong with the file, if it mends that file."""
    text = path.read_text(encoding="utf-8")
    before = check(path, text)
    return [
        Mended(path.name, wrong, remedy, before, check(path, applied(text, remedy.edits)))
        for wrong in before
        for remedy in wrong.remedies
        if all(it.span.source == TextSource(path, "") for it in remedy.edits)
    ]


def assert_mended(it: Mended) -> None:
    said = Counter((known.code, known.title) for known in it.before)
    says = Counter((known.code, known.title) for known in it.after)
    wrong = (it.wrong.code, it.wrong.title)
    assert says[wrong] < said[wrong], f"{it.name}: {it.remedy.title}: {it.wrong.title}"
    assert not {code for code, _ in says if code in SYNTAX} - {code for code, _ in said}, (
        f"{it.name}: {it.remedy.title}"
    )


def readable(path: Path) -> bool:
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True


def test_every_remedy_mends_what_it_is_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(TESTS / "application" / "bad", tmp_path / "bad")
    monkeypatch.chdir(tmp_path / "bad")
    found = [it for path in PROGRAMS if readable(path) for it in mended(path, element)]
    found += [it for path in APPLICATIONS if readable(path) for it in mended(Path(path.name), application)]
    for it in found:
        assert_mended(it)
    assert {it.wrong.code for it in found} >= MENDED
