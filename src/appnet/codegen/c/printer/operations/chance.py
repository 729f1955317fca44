"""Chance."""

from __future__ import annotations

from appnet.codegen.c.printer.operations.family import Body, Family
from appnet.ir.nodes import Call
from appnet.language.types import VecType

FAMILY = Family(
    {
        "random_float": "{0} + ({1} - {0}) * (double)(an_draw(scope, {element}) >> 11) / 0x1p53",
        "random_int": "an_random_int(an_draw(scope, {element}), {0}, {1})",
    }
)


@FAMILY.value
def _random_choices(body: Body, call: Call) -> str:
    vec, count = call.args
    assert isinstance(vec.type, VecType)
    item = body.types.name(vec.type.item)
    return (
        f"an_vec_choices({body.scope()}, {body.element.index}, sizeof({item}), {body.place(vec)}, {body.atom(count)})"
    )
