"""Makes the Markdown that is written for GitHub a site: MkDocs calls what is here, as mkdocs.yml says.

The site has pages from outside `docs/`, too; links to other files of the repository lead to GitHub.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import lexer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pygments.lexers import LEXERS

ROOT = Path(__file__).parents[2]
OUTSIDE = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
} | {f"benchmarks/results/{it.name}": f"results/{it.name}" for it in (ROOT / "benchmarks" / "results").glob("*.svg")}
"""Files outside `docs/` that the site has, and where."""

LEXERS["AppNetLexer"] = (lexer.__name__, "AppNet", ("appnet",), ("*.appnet",), ())

_LINK = re.compile(r"(\[[^\]]*\]\()([^)#\s]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^```(\w+) (?:file=(\S+)|.+)$", re.MULTILINE)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """The files of `docs/`, and those in `OUTSIDE`."""
    for path, uri in OUTSIDE.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, **_: object) -> str:
    """The page's text with links that hold on the site, and a title over each block of code that is a file."""
    inside = {uri: path for path, uri in OUTSIDE.items()}
    source = inside.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def link(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[2]))
        return f"{found[1]}{_target(path, page.file.src_uri, config) or found[2]}{found[3] or ''})"

    def fence(found: re.Match[str]) -> str:
        return f"```{found[1]}" + (f' title="{found[2]}"' if found[2] else "")

    return _FENCE.sub(fence, _LINK.sub(link, markdown))


def _target(path: str, page: str, config: MkDocsConfig) -> str | None:
    """What a page of the site links to for a file of the repository; None for what is none."""
    if not (ROOT / path).exists():
        return None
    if path in OUTSIDE or path.startswith("docs/"):
        return posixpath.relpath(OUTSIDE.get(path, path.removeprefix("docs/")), posixpath.dirname(page))
    return f"{config.repo_url}/{'tree' if (ROOT / path).is_dir() else 'blob'}/main/{path}"
