"""Arithmetic, comparison and logic. Operands have one type; integers wrap, strings and bytes compare bytewise."""

from __future__ import annotations

from appnet.language.operations.built_in import Chapter, function
from appnet.language.operations.declaration import Operation

ARITHMETIC = Chapter(
    "Numbers",
    (
        Operation("add", "(N, N) -> N", "a + b", "The sum; integers wrap around.", "2 + 3 == 5"),
        Operation("sub", "(N, N) -> N", "a - b", "The difference; integers wrap around.", "2 - 3 == -1"),
        Operation("mul", "(N, N) -> N", "a * b", "The product; integers wrap around.", "2 * 3 == 6"),
        Operation(
            "div",
            "(N, N) -> N",
            "a / b",
            "The quotient, rounded towards zero for integers; an integer divided by 0 is 0.",
            "-7 / 2 == -3",
        ),
        Operation(
            "rem",
            "(I, I) -> I",
            "a % b",
            "The remainder of a / b, with the sign of a; 0 if b is 0.",
            "-7 % 3 == -1",
        ),
        Operation("neg", "(N) -> N", "-a", "The negation; integers wrap around.", "n = 7\n-n + 7 == 0"),
        function(
            Operation(
                "min",
                "(N, N) -> N",
                "min(a, b)",
                "The smaller value, a if they are equal; NaN if either is NaN.",
                "min(2, 3) == 2",
            )
        ),
        function(
            Operation(
                "max",
                "(N, N) -> N",
                "max(a, b)",
                "The larger value, a if they are equal; NaN if either is NaN.",
                "max(2.5, 3) == 3.0",
            )
        ),
        function(
            Operation(
                "abs", "(N) -> N", "abs(a)", "The absolute value; the smallest int stays as it is.", "abs(-2) == 2"
            ),
        ),
    ),
)

# The lowering turns a right operand with effects into a match, so `and` and `or` may evaluate both.
COMPARISON_AND_LOGIC = Chapter(
    "Comparison and logic",
    (
        Operation("eq", "(C, C) -> bool", "a == b", "Whether two scalars are equal.", "'a' == 'a'"),
        Operation("ne", "(C, C) -> bool", "a != b", "Whether two scalars differ.", "'a' != 'A'"),
        Operation("lt", "(C, C) -> bool", "a < b", "Whether the first is less.", "'B' < 'a'"),
        Operation("le", "(C, C) -> bool", "a <= b", "Whether the first is less or equal.", "2 <= 2"),
        Operation("gt", "(C, C) -> bool", "a > b", "Whether the first is greater.", "2.5 > 2"),
        Operation("ge", "(C, C) -> bool", "a >= b", "Whether the first is greater or equal.", "3 >= 2"),
        Operation("and", "(bool, bool) -> bool", "a and b", "Whether both are true.", "1 < 2 and 2 < 3"),
        Operation("or", "(bool, bool) -> bool", "a or b", "Whether at least one is true.", "1 > 2 or 2 < 3"),
        Operation("not", "(bool) -> bool", "not a", "Whether it is false.", "not 1 > 2"),
    ),
)

CHAPTERS = (ARITHMETIC, COMPARISON_AND_LOGIC)
