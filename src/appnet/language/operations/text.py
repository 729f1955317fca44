"""Strings and bytes: joined, searched and taken apart."""

from __future__ import annotations

from dataclasses import replace

from appnet.language import syntax
from appnet.language.expressions import mismatch, type_of
from appnet.language.operations.call import Call, by_signature, function, to_text
from appnet.language.operations.declaration import Chapter, Operation
from appnet.language.patterns import PatternError, compile_pattern
from appnet.language.scope import CheckError
from appnet.language.typed import Literal, Operate, Value
from appnet.language.types import BOOL, BYTES, STRING, UINT

_CONCAT = Operation(
    "concat",
    "(S, S) -> S",
    "concat(a, b) or a + b",
    "The second after the first.",
    "concat('ab', 'c') == 'abc' and 'ab' + 'c' == 'abc'",
    opaque=True,
)


def _concat(call: Call) -> Value:
    several = "; join more by a + b + c" if len(call.arguments) > 2 else ""
    call.count(2, advice=several)
    return by_signature(call, _CONCAT)


def _matches(call: Call) -> Value:
    call.count(2)
    text = call.any(0)
    if type_of(text, call.span(0)) not in {STRING, BYTES}:
        raise mismatch(text.type, STRING, call.span(0))
    node = call.arguments[1]
    if not isinstance(node, syntax.Text):
        help_ = "write the pattern as a literal: it is compiled with the program"
        raise CheckError("E026", "a pattern is a literal string", node.span, help_=help_)
    try:
        compile_pattern(node.value)
    except PatternError as error:
        raise _bad_pattern(node, error) from None
    return Operate("matches", (text, Literal(node.value, STRING)), BOOL)


def _bad_pattern(node: syntax.Text, error: PatternError) -> CheckError:
    """The error, placed at the part of the pattern where the literal shows it as it is."""
    span = node.span
    text = node.value.decode("utf-8", "replace")
    label = f"in `{text[error.start : error.end]}`, character {error.start + 1} of the pattern"
    if span.end_column - span.column == len(text) + 2:  # no escapes
        begin = span.column + 1
        span = replace(span, column=begin + error.start, end_column=begin + min(error.end, len(text) + 1))
        label = ""
    help_ = error.help.replace("\\", "\\\\")  # as literals of programs have it
    return CheckError("E026", error.why, span, label, help_)


def _hash(call: Call) -> Value:
    call.count(1)
    value = call.any(0)
    if type_of(value, call.span(0)) not in {STRING, BYTES}:
        value = to_text(value, call.span(0))
    return Operate("hash", (value,), UINT)


CHAPTERS = (
    Chapter(
        "Text",
        (
            function(_CONCAT, _concat),
            function(
                Operation(
                    "contains",
                    "(S, S) -> bool",
                    "contains(text, part)",
                    "Whether the second occurs in the first.",
                    "contains('abc', 'bc')",
                )
            ),
            function(
                Operation(
                    "starts_with",
                    "(S, S) -> bool",
                    "starts_with(text, part)",
                    "Whether the first begins with the second.",
                    "starts_with('abc', 'ab')",
                    opaque=True,
                )
            ),
            function(
                Operation(
                    "matches",
                    "(S, string) -> bool",
                    "matches(text, 'pattern')",
                    "Whether the regular expression, a literal in the syntax of RE2, matches some part of the text.",
                    "matches('user-7', '^user-[0-9]+$')",
                    opaque=True,
                ),
                _matches,
            ),
            function(
                Operation(
                    "hash",
                    "(S) -> uint",
                    "hash(text)",
                    "FNV-1a, 64 bits, of its bytes.",
                    "to_string(hash('')) == '14695981039346656037'",
                    opaque=True,
                ),
                _hash,
            ),
        ),
    ),
)
