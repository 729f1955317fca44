"""Names near a mistyped one, as the help of a diagnostic."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SHOWN = 12


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Those of ``known`` that someone who wrote ``name`` may have meant, best first; at most three.

    Case and the way in which words are joined (``userName``, ``user_name``, ``user-name``) make no difference.
    """
    by_folded: dict[str, str] = {}
    for it in known:
        by_folded.setdefault(_folded(it), it)
    same = by_folded.get(_folded(name))
    if same is not None:
        return [same]
    matches = difflib.get_close_matches(_folded(name), by_folded, n=3, cutoff=0.6)
    return [by_folded[it] for it in matches]


def suggestion(name: str, known: Iterable[str], *, what: str) -> str:
    """A help text: the near names of ``known``, or else the first few of all; ``what`` is their plural noun."""
    names = sorted(set(known))
    near = near_names(name, names)
    if near:
        return f"did you mean {_either(near)}?"
    if not names:
        return f"there are no {what}"
    shown = ", ".join(f"`{it}`" for it in names[:_SHOWN])
    more = ", …" if len(names) > _SHOWN else ""
    return f"the {what} are {shown}{more}" if len(names) > 1 else f"there is only {shown}"


def _either(names: list[str]) -> str:
    """``a``, ``a or b``, or ``a, b or c``."""
    *others, last = (f"`{it}`" for it in names)
    return f"{', '.join(others)} or {last}" if others else last


def _folded(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "").replace(" ", "")
