"""Strings and bytes."""

from __future__ import annotations

from appnet.codegen.c.printer.operations.family import Body, Family, option
from appnet.ir.nodes import Call, Const

FAMILY = Family(
    {
        "concat": "an_concat({scope}, {0}, {1})",
        "contains": "an_contains({scope}, {0}, {1})",
        "lower": "an_lower({scope}, {0})",
        "upper": "an_upper({scope}, {0})",
        "replace": "an_replace({scope}, {0}, {1}, {2})",
        "split": "an_split({scope}, {0}, {1})",
        "join": "an_join({scope}, {0}, {1})",
        "base64_encode": "an_base64_text({scope}, {0})",
    },
    lasting=frozenset({"lower", "upper", "join", "base64_encode", "base64_decode"}),
)


@FAMILY.value
def _matches(body: Body, call: Call) -> str:
    text, pattern = call.args
    assert isinstance(pattern, Const)
    assert isinstance(pattern.value, bytes)
    return f"an_matches({body.atom(text)}, {body.types.pattern(pattern.value)})"


@FAMILY.value
def _base64_decode(body: Body, call: Call) -> str:
    return option(body, call, "an_base64_bytes", body.atom(call.args[0]))
