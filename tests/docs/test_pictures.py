"""The pictures of the docs are what the commands beside them, and `drawings`, draw. `make pictures` draws them anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from appnet.cli.main import app
from tests.docs.drawings import DRAWINGS
from tests.docs.elements_page import RECIPES
from tests.support import snapshots

IMAGES = Path("docs/images")
DRAWN = {
    "hotel": "examples/chain/hotel.yaml",
    "hotel_sample": "config/samples/hotel/sample_hotel_sidecar.yaml",
    **{name: f"config/samples/cookbook/{name}.yaml" for name in RECIPES.values()},
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_what_explain_draws(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    drawn = tmp_path / "drawn.svg"
    answer = CliRunner().invoke(app, ["explain", DRAWN[name], "--opt-level", "weak", "--svg", str(drawn)])
    assert answer.exit_code == 0, answer.output
    snapshots.compare(drawn.read_text(encoding="utf-8"), IMAGES / f"{name}.svg", request)


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_picture_is_what_is_drawn_here(name: str, request: pytest.FixtureRequest) -> None:
    snapshots.compare(DRAWINGS[name](), IMAGES / f"{name}.svg", request)
