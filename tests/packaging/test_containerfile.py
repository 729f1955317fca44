"""The container file: what it copies is there and enough for the wheel, and the tool runs as nobody in particular.

No image is built here: that takes an engine, and images from a registry.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage, with what follows them."""
    found: list[list[tuple[str, str]]] = []
    for line in (ROOT / "Containerfile").read_text().splitlines():
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            found.append([])
        if line and not line.startswith("#"):
            found[-1].append((instruction, rest))
    return found


def test_what_is_copied_is_enough_for_the_wheel(tmp_path: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    wheel, _ = stages()
    for *sources, place in (rest.split() for instruction, rest in wheel if instruction == "COPY"):
        for it in sources:
            assert f"!{it}" in ignored
            if (ROOT / it).is_dir():
                shutil.copytree(ROOT / it, tmp_path / place)
            else:
                shutil.copy(ROOT / it, tmp_path / place)
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert len(list((tmp_path / "dist").glob("*.whl"))) == 1


def test_the_tool_is_what_runs_and_not_as_root() -> None:
    _, tool = stages()
    (entry,) = json.loads(next(rest for instruction, rest in tool if instruction == "ENTRYPOINT"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert entry in project["scripts"]
    version = tool[0][1].removeprefix("python:").removesuffix("-slim")
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]
    instructions = [it for it, _ in tool]
    assert instructions.index("USER") > max(n for n, it in enumerate(instructions) if it in {"COPY", "RUN"})
    (user,) = (rest for it, rest in tool if it == "USER")
    assert user.isdigit(), "Kubernetes must see that it is not root"
    assert any(f"useradd --create-home --uid {user} appnet" in rest for _, rest in tool)


def test_the_image_is_the_controllers_too() -> None:
    _, tool = stages()
    extras = re.search(r"pip install .*\[(\w+)\]", " ".join(rest for _, rest in tool))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert extras is not None
    assert {it.partition("==")[0] for it in project["optional-dependencies"][extras[1]]} >= {"kopf", "lightkube"}
