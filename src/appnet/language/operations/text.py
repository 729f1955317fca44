"""Strings and bytes: joined, searched and taken apart."""

from __future__ import annotations

from dataclasses import replace

from appnet.language import syntax
from appnet.language.expressions import mismatch, type_of
from appnet.language.operations.built_in import Chapter, function
from appnet.language.operations.call import Call, by_signature, to_text
from appnet.language.operations.declaration import Effect, Operation
from appnet.language.patterns import PatternError, compile_pattern
from appnet.language.scope import CheckError, Follows
from appnet.language.typed import Literal, Operate, Value
from appnet.language.types import BOOL, BYTES, STRING, UINT

_CONCAT = Operation(
    "concat",
    "(S, S) -> S",
    "concat(a, b) or a + b",
    "The first text followed by the second.",
    "concat('ab', 'c') == 'abc' and 'ab' + 'c' == 'abc'",
)


def _concat(call: Call) -> Value:
    several = "; join more with a + b + c" if len(call.arguments) > 2 else ""
    call.count(2, advice=several)
    return by_signature(call, _CONCAT)


def _matches(call: Call) -> Value:
    call.count(2)
    pattern: Literal | None = None
    try:
        pattern = _pattern(call.arguments[1])
    except CheckError as error:  # what is wrong with the text is told all the same
        call.scope.found.errors.append(error.diagnostic)
    text = call.any(0)
    if type_of(text, call.span(0)) not in {STRING, BYTES}:
        raise mismatch(text.type, STRING, call.span(0))
    if pattern is None:
        raise Follows
    return Operate("matches", (text, pattern), BOOL)


def _pattern(node: syntax.Expression) -> Literal:
    if not isinstance(node, syntax.Text):
        help_ = "write the pattern as a literal: it is compiled with the program"
        raise CheckError("E026", "a pattern is a literal string", node.span, help_=help_)
    try:
        compile_pattern(node.value)
    except PatternError as error:
        raise _bad_pattern(node, error) from None
    return Literal(node.value, STRING)


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
                ),
                elsewhere=("startswith", "has_prefix"),
            ),
            function(
                Operation(
                    "ends_with",
                    "(S, S) -> bool",
                    "ends_with(text, part)",
                    "Whether the first ends with the second.",
                    "ends_with('abc', 'bc')",
                    opaque=True,
                ),
                elsewhere=("endswith", "has_suffix"),
            ),
            function(
                Operation(
                    "matches",
                    "(S, string) -> bool",
                    "matches(text, 'pattern')",
                    "Whether the regular expression, a literal in RE2 syntax, matches some part of the text.",
                    "matches('user-7', '^user-[0-9]+$')",
                    opaque=True,
                ),
                _matches,
            ),
            function(
                Operation(
                    "lower",
                    "(S) -> S",
                    "lower(text)",
                    "The text with ASCII letters in lower case; other bytes stay as they are.",
                    "lower('GET /É') == 'get /É'",
                    opaque=True,
                ),
                elsewhere=("lowercase", "to_lower", "tolower", "downcase"),
            ),
            function(
                Operation(
                    "upper",
                    "(S) -> S",
                    "upper(text)",
                    "The text with ASCII letters in upper case; other bytes stay as they are.",
                    "upper('get /é') == 'GET /é'",
                    opaque=True,
                ),
                elsewhere=("uppercase", "to_upper", "toupper", "upcase"),
            ),
            function(
                Operation(
                    "trim",
                    "(S) -> S",
                    "trim(text)",
                    "The text without ASCII whitespace (0x09-0x0d, 0x20) at either end.",
                    "trim('  a b\\n') == 'a b'",
                    opaque=True,
                ),
                elsewhere=("strip",),
            ),
            function(
                Operation(
                    "substring",
                    "(S, int, int) -> S",
                    "substring(text, start, end)",
                    "The bytes from start (counted from 0) up to, but not including, end, as far as there are any.",
                    "substring('user-7', 5, 99) == '7'",
                    opaque=True,
                ),
                elsewhere=("substr", "slice"),
            ),
            function(
                Operation(
                    "replace",
                    "(S, S, S) -> S",
                    "replace(text, part, by)",
                    "The text with each occurrence of the part replaced, from the left, without overlaps. "
                    "An empty part does not occur.",
                    "replace('a-b-c', '-', '::') == 'a::b::c'",
                    opaque=True,
                ),
                elsewhere=("replace_all", "gsub"),
            ),
            function(
                Operation(
                    "split",
                    "(S, S) -> Vec<S>",
                    "split(text, separator)",
                    "The parts between the separators: one more than there are separators, so one for an empty text. "
                    "An empty separator does not occur. There are at most 65,536 parts, and the last has the rest.",
                    "tags = split('a,b,,c', ',')\nsize(tags) == 4 and get(tags, 1, '') == 'b'",
                    cost="container",
                    opaque=True,
                ),
            ),
            function(
                Operation(
                    "join",
                    "(Vec<S>, S) -> S",
                    "join(vec, separator)",
                    "The items with the separator between them; empty for an empty Vec.",
                    "join(split('a,b,c', ','), '; ') == 'a; b; c'",
                    effects=Effect.READS_CONTAINER,
                    opaque=True,
                ),
            ),
            function(
                Operation(
                    "base64_encode",
                    "(S) -> string",
                    "base64_encode(text)",
                    "The bytes in base64, with padding.",
                    "base64_encode('user:7') == 'dXNlcjo3'",
                    opaque=True,
                ),
                elsewhere=("base64", "b64encode", "encode_base64"),
            ),
            function(
                Operation(
                    "base64_decode",
                    "(string) -> Option<string>",
                    "base64_decode(text)",
                    "The decoded bytes; None if the text is not valid base64. Padding is required, and unused "
                    "bits must be 0.",
                    "plain = 'none'\nmatch base64_decode('dXNlcjo3'):\n    Some(x) => plain = x\nplain == 'user:7'",
                    opaque=True,
                ),
                elsewhere=("b64decode", "decode_base64", "unbase64"),
            ),
            function(
                Operation(
                    "hash",
                    "(S) -> uint",
                    "hash(text)",
                    "The 64-bit FNV-1a hash of the bytes.",
                    "to_string(hash('')) == '14695981039346656037'",
                    opaque=True,
                ),
                _hash,
            ),
        ),
    ),
)
