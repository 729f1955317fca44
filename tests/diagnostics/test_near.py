"""Which names are taken for meant."""

from __future__ import annotations

import pytest

from appnet.diagnostics.near import near_names, suggestion

KNOWN = ["user_name", "userId", "client-chain", "total", "totals"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("userName", ["user_name"]),
        ("USER_NAME", ["user_name"]),
        ("user_id", ["userId"]),
        ("clientChain", ["client-chain"]),
        ("totl", ["total", "totals"]),
        ("nothing like it", []),
        ("", []),
    ],
)
def test_near_names(written: str, meant: list[str]) -> None:
    assert near_names(written, KNOWN) == meant


@pytest.mark.parametrize(
    ("written", "known", "text"),
    [
        ("totl", ["total"], "did you mean `total`?"),
        ("totl", ["total", "totals"], "did you mean `total` or `totals`?"),
        ("tota", ["total", "totals", "tonal"], "did you mean `total`, `totals` or `tonal`?"),
        ("x", ["b", "a", "a"], "the keys are `a`, `b`"),
        ("x", ["total"], "the only one is `total`"),
        ("x", [], "there are no keys"),
        (
            "?",
            [chr(97 + it) for it in range(13)],
            "the keys are " + ", ".join(f"`{it}`" for it in "abcdefghijkl") + ", …",
        ),
    ],
)
def test_suggestions(written: str, known: list[str], text: str) -> None:
    assert suggestion(written, known, what="keys") == text
