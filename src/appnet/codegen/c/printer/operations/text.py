"""Strings and bytes."""

from __future__ import annotations

from appnet.codegen.c.printer.operations.family import Body, Family
from appnet.ir.nodes import Call, Const

FAMILY = Family(
    {
        "concat": "an_concat({scope}, {0}, {1})",
        "contains": "an_contains({scope}, {0}, {1})",
    }
)


@FAMILY.value
def _matches(body: Body, call: Call) -> str:
    text, pattern = call.args
    assert isinstance(pattern, Const)
    assert isinstance(pattern.value, bytes)
    return f"an_matches({body.atom(text)}, {body.types.pattern(pattern.value)})"
