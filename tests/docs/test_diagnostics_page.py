"""The page of diagnostics: made from the pages of the codes, with wrong programs that bring what stands there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.diagnostics_page import COMPARED, diagnostics_page, told
from tests.docs.elements_page import ROOT
from tests.support import snapshots


def test_the_page_is_made_from_the_pages_of_the_codes(request: pytest.FixtureRequest) -> None:
    snapshots.compare(diagnostics_page(), ROOT / "docs" / "diagnostics.md", request)


def test_ten_are_compared() -> None:
    assert len(COMPARED) == 10


@pytest.mark.parametrize("folder", COMPARED, ids=lambda it: it.name)
def test_what_is_compared_is_wrong(folder: Path) -> None:
    assert told(folder)
