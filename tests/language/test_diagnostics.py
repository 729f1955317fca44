"""Every wrong program in bad/ is told as the text beside it says: place, cause and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.pages import codes
from appnet.diagnostics.source import FileSource
from appnet.ir import compile_element
from tests.support.signatures import ECHO
from tests.support.snapshots import compare

BAD = sorted((Path(__file__).parent / "bad").glob("*.appnet"))


def diagnostics_of(path: Path) -> list[Diagnostic]:
    try:
        return list(compile_element(FileSource(path), ECHO).warnings)
    except DiagnosticError as error:
        return error.diagnostics


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_it_is_told_as_written_beside_it(path: Path, request: pytest.FixtureRequest) -> None:
    found = diagnostics_of(path)
    assert found, "nothing is wrong with it"
    for diagnostic in found:
        assert diagnostic.code in codes()
        assert diagnostic.help, "a remedy is missing"
        assert path.name.startswith("warn_") == (diagnostic.severity is Severity.WARNING)
    text = "\n\n".join(it.render() for it in found).replace(str(path), path.name)
    compare(text, path.with_suffix(".expected"), request)


def test_every_code_has_a_program_that_brings_it() -> None:
    told = {it.code for path in BAD for it in diagnostics_of(path)}
    assert told | {"E006", "W004", "W022"} == {
        it for it in codes() if it[0] in "EW"
    }  # test_braces.py, tests/compile/test_check.py and test_fit.py
