"""Names near a mistyped one, as the help of a diagnostic."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

_SHOWN = 12


def near_names(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> list[str]:
    """Those of ``known`` that someone who wrote ``name`` may have meant, best first; at most three.

    ``cutoff``: how near they are at least, from 0 to 1.
    Case and the way in which words are joined (``userName``, ``user_name``, ``user-name``) make no difference.
    """
    return list(_near_names(name, tuple(known), cutoff))


@lru_cache(1024)
def _near_names(name: str, known: tuple[str, ...], cutoff: float) -> list[str]:
    by_folded: dict[str, str] = {}
    for it in known:
        by_folded.setdefault(_folded(it), it)
    same = by_folded.get(_folded(name))
    if same is not None:
        return [same]
    matches = difflib.get_close_matches(_folded(name), by_folded, n=3, cutoff=cutoff)
    return [by_folded[it] for it in matches]


def suggestion(name: str, known: Iterable[str], *, what: str) -> str:
    """A help text: the near names of ``known``, or else the first few of all; ``what`` is their plural noun."""
    names = sorted(set(known))
    near = did_you_mean(near_names(name, names))
    if near:
        return near
    if not names:
        return f"there are no {what}"
    shown = ", ".join(f"`{it}`" for it in names[:_SHOWN])
    more = ", …" if len(names) > _SHOWN else ""
    return f"the {what} are {shown}{more}" if len(names) > 1 else f"the only one is {shown}"


def near_paths(path: Path) -> list[Path]:
    """What is there under a name near that of the first part of ``path`` that is not, best first; at most three.

    Files with its suffix come before others. A path whose first folder is missing is of another machine: nothing is
    near it.
    """
    missing = next((it for it in (*reversed(path.parents), path) if not os.path.lexists(it)), None)
    if missing is None or (missing != path and missing.parent == Path(missing.anchor)):
        return []
    try:
        there = sorted(it for it in missing.parent.iterdir() if missing == path or it.is_dir())
    except OSError:
        return []
    for suffix in (missing.suffix, ""):
        by_stem = {it.stem: it for it in there if suffix in {"", it.suffix}}
        near = [by_stem[it] for it in near_names(missing.stem, by_stem)]
        if near:
            return near
    return []


def did_you_mean(names: Iterable[object]) -> str:
    """A help text that names them; empty where there are none."""
    found = [str(it) for it in names]
    return f"did you mean {either(found)}?" if found else ""


def either(names: list[str]) -> str:
    """The names in backquotes: ``a``, ``a or b``, or ``a, b or c``."""
    *others, last = (f"`{it}`" for it in names)
    return f"{', '.join(others)} or {last}" if others else last


def _folded(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "").replace(" ", "")
