"""Texts kept beside the input they came from: compared, or written anew with `pytest --update-snapshots`."""

from __future__ import annotations

from pathlib import Path

import pytest


def compare(seen: str, kept: Path, request: pytest.FixtureRequest) -> None:
    """Fails the test unless ``seen`` is the text in the file ``kept``."""
    seen = seen.rstrip("\n") + "\n"
    if request.config.getoption("--update-snapshots"):
        kept.write_text(seen, encoding="utf-8")
    assert kept.exists(), f"no {kept}: run pytest with --update-snapshots and read what it wrote"
    assert seen == kept.read_text(encoding="utf-8"), "read the difference; --update-snapshots accepts it"
