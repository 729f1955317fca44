"""What has to agree when a version is cut: the version, the changelog, the package's words and its import contract."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path

import appnet

ROOT = Path(__file__).parents[2]
SECTION = re.compile(r"^## (\S+) - (Unreleased|\d{4}-\d\d-\d\d)$")


def test_the_changelog_begins_with_this_version() -> None:
    heads = [it for it in (ROOT / "CHANGELOG.md").read_text().splitlines() if it.startswith("## ")]
    sections = [found.groups() for it in heads if (found := SECTION.match(it))]
    assert len(sections) == len(heads), heads
    versions, days = [it for it, _ in sections], [it for _, it in sections]
    assert versions[0] == appnet.__version__
    numbers = [tuple(map(int, it.split("."))) for it in versions]
    assert numbers == sorted(set(numbers), reverse=True)
    released = [date.fromisoformat(it) for it in (days[1:] if days[0] == "Unreleased" else days)]
    assert released == sorted(released, reverse=True)


def test_the_package_names_its_rooms_in_the_order_of_the_contract() -> None:
    assert appnet.__doc__ is not None
    told = [set(re.findall(r"``(\w+)``", line)) for line in appnet.__doc__.splitlines() if line.startswith("``")]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = next(it for it in settings["tool"]["importlinter"]["contracts"] if it["type"] == "layers")["layers"]
    assert told == [set(it.split(" | ")) for it in reversed(layers) if it != "__main__"]
