"""Patterns of `matches`, beside RE2 itself: the same texts match, and what is refused says where and why."""

from __future__ import annotations

import random

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from appnet.language.patterns import PatternError, compile_pattern
from tests.support.patterns import make_pattern, make_text

QUIET = re2.Options()
QUIET.log_errors = False

CORNERS = [
    "", "^$", "a|", "(|a)b", "^*a", "(?:^|x)a", "a{0}b", "a{2,}", "(?i)kS", "(?i)[^k]", r"(?i)[^\w]", r"[\d-z]", "[--/]", "[]a]",
    "[^]a]", r"\bfoo\b", r"\B.\B", "(?m)^b$", "(?m:^)a$", "(?s)a.b", "(?i-s:A.)b", "é+", "[à-ÿ]", "[^é]", r"\x{1F600}", "[[:^alpha:]]",
    r"[\W\D]", r"^\p{Greek}+$", r"\P{Greek}", r"[\p{^Nd}\p{Nd}]", r"(?i)\p{Lu}{2}", r"(?i)[^\p{Lu}]", r"\pN", r"\pC", r"\p{Cs}", r"\PZ", r"\p{Han}|\pM",
    r"[^\s\S]", r"a[^\s\S]?", r"[^\pL]", r"^\pL\PL$", r"\141\60", r"\0601", "a.{3}b", r"^[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}$", r"(?P<year>\d{4})-\d\d", "[ࠀ-\U0010ffff]", "[\u0080-\U0010ffff]",
]  # fmt: skip


def same_as_re2(pattern: str, text: bytes) -> None:
    expected = re2.compile(pattern.encode(), QUIET).search(text) is not None
    assert compile_pattern(pattern.encode()).matches(text) == expected, (pattern, text)


def refusal(pattern: str) -> PatternError | None:
    try:
        compile_pattern(pattern.encode())
    except PatternError as error:
        return error
    return None


@pytest.mark.parametrize("pattern", CORNERS)
def test_corners_match_what_re2_matches(pattern: str) -> None:
    source = random.Random(pattern)
    for _ in range(300):
        same_as_re2(pattern, make_text(source))


@settings(max_examples=400)
@given(source=st.randoms(use_true_random=False))
def test_random_patterns_match_what_re2_matches(source: random.Random) -> None:
    pattern = make_pattern(source)
    refused = refusal(pattern)
    if refused is not None:
        assert "states" in refused.why, (pattern, refused.why)
        return
    for _ in range(20):
        same_as_re2(pattern, make_text(source))


@given(text=st.text("()[]{}|*+?^$\\.aé-:,1d<>P=!imsxz", max_size=12))
def test_what_is_taken_re2_takes(text: str) -> None:
    refused = refusal(text)
    if refused is None:
        same_as_re2(text, text.encode())
    else:
        assert refused.help
        assert 0 <= refused.start < refused.end <= max(len(text), refused.start + 1)


@pytest.mark.parametrize(
    ("pattern", "place", "why"),
    [
        ("a(b", "(", "this group is not closed"),
        ("ab)", ")", "`)` closes no group"),
        ("x[a", "[", "this set is not closed"),
        ("[z-a]", "z-a", "the range is backwards"),
        ("a**", "*", "a repetition is repeated"),
        ("|*", "*", "`*` has nothing to repeat"),
        ("a{3,2}", "{3,2}", "the bounds are in the wrong order"),
        ("a{,2}", "{,2", "`{` does not begin a repetition"),
        ("(a{100}){20}", "{20}", "the pattern repeats too often"),
        (r"(a)\1", r"\1", r"`\1` is not an escape"),
        (r"\q", r"\q", r"`\q` is not an escape"),
        (r"\p{Grek}", r"\p{Grek}", "unknown Unicode class"),
        (r"\p{Greek", r"\p{", "unknown Unicode class"),
        (r"\p", r"\p", "unknown Unicode class"),
        (r"\p{L}[é]\p{^}", r"\p{^}", "unknown Unicode class"),
        (r"[a-\pL]", r"a-\p", "a character class cannot end a range"),
        (r"(\8)", r"\8", r"`\8` is not an escape"),
        ("(?=a)", "(?=", "`(?=` is not a group in RE2"),
        ("(?i)é", "é", "(?i) supports only ASCII letters"),
        ("[[:letter:]]", "[:letter:]", "unknown character class"),
        ("(?P<a>x)(?P<a>y)", "(?P<a>", "two groups are named `a`"),
        (r"\x{110000}", r"\x{110000}", "not a character's hexadecimal number"),
        ("a.{20}b", "a.{20}b", "the pattern needs more than 1,024 states"),
    ],
)
def test_what_is_refused(pattern: str, place: str, why: str) -> None:
    with pytest.raises(PatternError) as raised:
        compile_pattern(pattern.encode())
    error = raised.value
    assert (pattern[error.start : error.end], error.why) == (place, why)


def test_tables_are_the_least() -> None:
    automaton = compile_pattern(b"a|a|aa|b")
    assert (len(automaton.table), len(automaton.table[0])) == (3, 3)
