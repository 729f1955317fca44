"""Samples as files to start from: where they are, what belongs to each, and copies of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

_HERE = Path(__file__).parent
_WORKFLOW = PurePath(".github", "workflows", "appnet.yml")
_WORKFLOW_TEXT = """\
# On each push: checks the files, tries the elements, and runs the application once.
name: appnet
on: [push, pull_request]
jobs:
  appnet:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: appnet-org/appnet@main
      - run: appnetctl run {config} --once
"""


@dataclass(frozen=True)
class Sample:
    """Files to start from.

    ``summary``: what they are. ``parts``: their folders among AppNet's samples, and where each goes in a copy.
    ``config``: the AppNetConfig to run first, in a copy.
    """

    summary: str
    parts: dict[str, str]
    config: str

    def files(self) -> Iterator[tuple[Path, PurePath]]:
        """Each file, and where it goes in a copy."""
        for name, place in self.parts.items():
            folder = samples_folder() / name
            for file in sorted(it for it in folder.rglob("*") if it.is_file()):
                yield file, PurePath(place, file.relative_to(folder))

    def places(self) -> list[PurePath]:
        """Where the files of a copy go, with the workflow that checks them."""
        return [*(it for _, it in self.files()), _WORKFLOW]

    def copy(self, folder: Path) -> None:
        """Writes the files into ``folder``, over what is there, and a workflow for GitHub. Raises OSError."""
        workflow = folder / _WORKFLOW
        workflow.parent.mkdir(parents=True, exist_ok=True)
        workflow.write_text(_WORKFLOW_TEXT.format(config=self.config), encoding="utf-8")
        for file, place in self.files():
            copied = folder / place
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copied)


SAMPLES = {
    "echo": Sample(
        "a frontend and a server with four elements between them",
        {"echo": "."},
        "sample_echo_sidecar.yaml",
    ),
    "hotel": Sample(
        "a frontend and five services behind it, with chains on three edges",
        {"hotel": "."},
        "sample_hotel_sidecar.yaml",
    ),
    "cookbook": Sample(
        "the standard elements, chains of them, and the application echo, in which they run",
        {it: it for it in ("cookbook", "echo", "elements", "shared")},
        "cookbook/protect.yaml",
    ),
}
"""By name."""


def samples_folder() -> Path:
    """Where AppNet's samples are: in the package where it was installed from a wheel, else in the clone."""
    installed = _HERE / "files"
    return installed if installed.is_dir() else _HERE.parents[2] / "config" / "samples"
