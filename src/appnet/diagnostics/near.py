"""Names near a mistyped one, as the help of a diagnostic."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SHOWN = 8


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Those of ``known`` that someone who wrote ``name`` may have meant, best first; at most three."""
    by_folded: dict[str, str] = {}
    for it in known:
        by_folded.setdefault(it.casefold(), it)
    matches = difflib.get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.6)
    return [by_folded[it] for it in matches]


def suggestion(name: str, known: Iterable[str], *, what: str) -> str:
    """A help text: the near names of ``known``, or else the first few of all; ``what`` is their plural noun."""
    names = list(known)
    near = near_names(name, names)
    if near:
        return "did you mean " + " or ".join(f"`{it}`" for it in near) + "?"
    if not names:
        return f"there are no {what}"
    shown = ", ".join(f"`{it}`" for it in sorted(names)[:_SHOWN])
    more = ", …" if len(names) > _SHOWN else ""
    return f"the {what} are {shown}{more}" if len(names) > 1 else f"the only one is {shown}"
