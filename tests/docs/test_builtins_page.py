"""The page of the built-ins is true to their declarations."""

from __future__ import annotations

import pytest

from tests.docs.builtins_page import page
from tests.docs.elements_page import ROOT
from tests.support import snapshots


def test_the_page_is_made_from_the_declarations(request: pytest.FixtureRequest) -> None:
    snapshots.compare(page(), ROOT / "docs" / "builtins.md", request)
