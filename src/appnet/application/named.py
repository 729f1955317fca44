"""Files that a YAML file names, and the folder that a placeholder in their paths stands for."""

from __future__ import annotations

import os
from pathlib import Path

from appnet.diagnostics.near import near_names
from appnet.diagnostics.yaml_reader import Located, Problems, Section

_ROOT = "<APPNET_DIR_PATH>"
_ROOT_MARK = Path("config", "samples")


def named_file(section: Section, key: str, what: str) -> Path | None:
    """The file at ``key``, which has to be there; ``what`` says what it is for. None after an error."""
    problems = section.problems
    text = section.text(key, needed=what)
    if text is None:
        return None
    path = _resolve(text, problems)
    reason = _no_file(path) if path is not None else ""
    if path is not None and reason:
        help_ = _near_file(path, problems.file.parent) or "relative paths start at the folder of the configuration"
        problems.add("C033", f"`{key}` names no file", text.span, reason, help_)
        return None
    return path


def _resolve(text: Located, problems: Problems) -> Path | None:
    if not text.value.startswith(_ROOT):
        return Path(problems.file.parent, text.value)
    root = project_root(problems.file)
    if root is None:
        help_ = f"write a relative path, or keep the configuration below a folder with {_ROOT_MARK}"
        label = f"no folder above has {_ROOT_MARK}"
        problems.add("C034", f"`{_ROOT}` stands for nothing here", text.span, label, help_)
        return None
    rest = text.value.removeprefix(_ROOT).lstrip("/")
    found = root / rest
    # Some public samples take the placeholder for the folder around the project.
    below = root / rest.removeprefix("appnet/")
    return below if _no_file(found) and not _no_file(below) else found


def _near_file(path: Path, start: Path) -> str:
    """Help that names the files in the folder of ``path`` whose names are near it; empty if there are none."""
    try:
        files = sorted(it for it in path.parent.iterdir() if it.is_file())
    except OSError:
        return ""
    there = {it.stem: it.name for it in files if path.suffix in {"", it.suffix}}
    near = [Path(os.path.relpath(path.parent, start), there[it]) for it in near_names(path.stem, there)]
    return "did you mean " + " or ".join(f"`{it}`" for it in near) + "?" if near else ""


def _no_file(path: Path) -> str:
    """Why ``path`` cannot be read as a file; empty if it can."""
    try:
        if path.is_file():
            return "" if os.access(path, os.R_OK) else f"not readable: {path}"
        return f"{'a folder' if path.is_dir() else 'no file'}: {path}"
    except OSError as error:  # such as a name longer than the file system takes
        return (error.strerror or "no file").lower()


def project_root(path: Path) -> Path | None:
    """The nearest folder above ``path`` that has ``config/samples``."""
    return next((it for it in path.resolve().parents if (it / _ROOT_MARK).is_dir()), None)
