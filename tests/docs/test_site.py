"""`make docs`: the site is built without a broken link, leads to files that exist, and needs no other host."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.elements_page import ROOT

pytestmark = pytest.mark.skipif(importlib.util.find_spec("material") is None, reason="install what it needs: make docs")
REPOSITORY = "https://github.com/appnet-org/appnet/"


MADE_OF = (
    "docs",
    "config",
    "charts",
    "utils",
    "editors",
    "benchmarks/results",
    "mkdocs.yml",
    "LICENSE",
    *(it.name for it in ROOT.glob("*.md")),
)


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(site)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    run = build(ROOT, folder)
    assert run.returncode == 0, run.stderr
    return folder


def test_broken_links_fail(tmp_path: Path) -> None:
    for name in MADE_OF:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (tmp_path / name).parent.mkdir(exist_ok=True)
        copy(ROOT / name, tmp_path / name)
    links = ["nowhere.md", "language.md#nowhere", "../config/nowhere.yaml", "images/nowhere.svg"]
    with (tmp_path / "docs" / "local.md").open("a", encoding="utf-8") as page:
        page.writelines(f"\n[here]({it})\n" for it in links)
    run = build(tmp_path, tmp_path / "site")
    assert run.returncode != 0
    told = re.findall(r"WARNING -  Doc file 'local.md' contains a link '(.*?)',", run.stderr)
    assert sorted(told) == sorted(links)


def pages(site: Path) -> dict[str, str]:
    """The HTML by the name of the page."""
    return {it.stem: it.read_text(encoding="utf-8") for it in site.glob("*.html")}


def test_links_to_the_repository_name_what_is_there(site: Path) -> None:
    links = {it for text in pages(site).values() for it in re.findall(rf'href="{REPOSITORY}(\w+/main/[^"#]+)', text)}
    assert "blob/main/config/samples/echo/README.md" in links
    for link in links:
        kind, _, path = link.split("/", 2)
        assert (ROOT / path).is_dir() == (kind == "tree")
        assert (ROOT / path).exists(), link


def test_nothing_comes_from_other_hosts(site: Path) -> None:
    for name, text in pages(site).items():
        assert not re.findall(r'<(?:script|img|iframe)[^>]* src="?(?:https?:)?//[^>]*>', text), name
        assert not re.findall(r'<link[^>]* href="?(?:https?:)?//[^>]*>', text), name
        assert 'data-md-component="source"' not in text, "GitHub is asked for stars"
    for sheet in site.rglob("*.css"):
        assert not re.findall(r"(?:@import|url\()\s*['\"]?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_pictures_are_those_of_the_page(site: Path) -> None:
    for picture in (ROOT / "docs" / "images").iterdir():
        assert (site / "images" / picture.name).read_bytes() == picture.read_bytes()
    for picture in (ROOT / "benchmarks" / "results").glob("*.svg"):
        assert f'src="results/{picture.name}"' in pages(site)["benchmarks"]


def test_every_page_can_be_searched(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    sections = {it["location"]: it["text"] for it in index["docs"]}
    assert {it.partition("#")[0] for it in sections} == {f"{it}.html" for it in pages(site) if it != "404"}
    assert "token bucket" in sections["elements.html#rate_limit"]


def test_elements_are_coloured(site: Path) -> None:
    tutorial = pages(site)["tutorial"]
    assert '<span class="kd">req</span>' in tutorial
    assert '<span class="nb">get</span>' in tutorial
    assert '<span class="filename">quota.appnet</span>' in tutorial
