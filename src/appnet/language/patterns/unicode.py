"""Classes of Unicode, as RE2 has them, which is what `matches` means in the interpreter."""

from __future__ import annotations

from functools import lru_cache

import re2

from appnet.language.patterns.tree import GREATEST, Ranges

_SURROGATES_TOO = "surrogatepass"


@lru_cache(maxsize=64)
def unicode_class(name: str, *, fold: bool) -> Ranges | None:
    """The code points of a category such as ``Lu``, of a script such as ``Greek``, or ``Any``; None where it is none.

    ``fold``: with those that differ from one of them by case alone.
    """
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not fold
    try:
        pattern = re2.compile(f"\\p{{{name}}}+".encode(), options)
    except re2.error:
        return None
    runs = (found.group().decode(errors=_SURROGATES_TOO) for found in pattern.finditer(_every_character()))
    return tuple((ord(run[0]), ord(run[-1])) for run in runs)


@lru_cache(maxsize=1)
def _every_character() -> bytes:
    return "".join(map(chr, range(GREATEST + 1))).encode(errors=_SURROGATES_TOO)
