"""The recordings in the docs are what the commands show. `make recordings` records them anew."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.docs.recordings import RECORDINGS
from tests.support.svg import drawn_texts

pytestmark = pytest.mark.e2e

SVG = "{http://www.w3.org/2000/svg}"
IMAGES = Path("docs/images")


def told(svg: str) -> list[str]:
    """All that the frames say, but for what was measured."""
    texts = (it[:5] if it.endswith("…") else it for it in drawn_texts(svg))  # cut where numbers leave room
    return [re.sub(r"\b[0-9a-f]{12}\b|\d[\d.]*(?:e-\d+)?", "#", it) for it in texts]


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_is_what_is_shown(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    svg, kept = RECORDINGS[name](tmp_path), IMAGES / f"{name}.svg"
    if request.config.getoption("--update-snapshots"):
        kept.write_text(svg, encoding="utf-8")
    assert all(ElementTree.fromstring(svg).findtext(f"{SVG}{it}") for it in ("title", "desc"))
    assert told(svg) == told(kept.read_text(encoding="utf-8")), "make recordings, and look at them"
