"""Random patterns of `matches`, well formed by construction, and texts that they may match."""

from __future__ import annotations

import random

_ATOMS = (
    "a", "b", "k", "S", "é", " ", ".", r"\d", r"\w", r"\s", r"\W", "[ab]", "[^a]", "[a-k]", "[à-ÿ]", "[^é\\n]", "[[:alpha:]]", r"\.",
    r"\x41", "-", "1", r"\101", r"\pL", r"\P{Lu}", r"\p{Greek}", r"\p{^Greek}", r"[\p{Nd}é]", r"[^\pL\d]", r"(?i:\p{Lu})", r"(?i:[^\p{Ll}])", r"\p{Any}",
)  # fmt: skip
_PLACES = ("^", "$", r"\b", r"\B", r"\A", r"\z", "(?m:^)", "(?m:$)")
_REPEATS = ("*", "+", "?", "*?", "{2}", "{0,2}", "{1,}")
_PIECES = (
    "a",
    "b",
    "k",
    "s",
    "A",
    "S",
    "K",
    "é",
    "ÿ",
    "ſ",
    "1",
    "2",
    " ",
    "-",
    ".",
    "\n",
    "_",
    "😀",
    "α",
    "Ω",
    "٣",
    "ǅ",
    "中",
)


def make_pattern(source: random.Random, depth: int = 3) -> str:
    """A pattern that RE2 and AppNet both take."""
    parts = []
    for _ in range(source.randint(1, 3)):
        part = source.choice(_ATOMS)
        if depth > 0 and source.random() < 0.3:
            inner = make_pattern(source, depth - 1)
            part = source.choice((f"({inner})", f"(?:{inner}|{make_pattern(source, 0)})", f"(?s:{inner})"))
        if source.random() < 0.3:
            part += source.choice(_REPEATS)
        if source.random() < 0.15:
            part = source.choice((source.choice(_PLACES) + part, part + source.choice(_PLACES)))
        parts.append(part)
    return "".join(parts)


def make_text(source: random.Random) -> bytes:
    """A short text of what patterns look for; now and then no UTF-8."""
    text = "".join(source.choice(_PIECES) for _ in range(source.randint(0, 8))).encode()
    if source.random() < 0.2:
        at = source.randint(0, len(text))
        text = text[:at] + source.randbytes(source.randint(1, 3)) + text[at + source.randint(0, 2) :]
    return text
