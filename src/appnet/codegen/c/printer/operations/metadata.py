"""gRPC metadata."""

from __future__ import annotations

from appnet.codegen.c.printer.context import InHand
from appnet.codegen.c.printer.operations.family import Body, Family
from appnet.ir.nodes import Call

FAMILY = Family()


def _metadata_direction(body: Body) -> str:
    return "AN_RESPONSE" if body.direction is InHand.RESPONSE else "AN_REQUEST"


@FAMILY.value
def _get_metadata(body: Body, call: Call) -> str:
    return f"an_metadata({body.scope()}, {_metadata_direction(body)}, {body.atom(call.args[0])})"


@FAMILY.effect
def _set_metadata(body: Body, call: Call) -> None:
    key, value = map(body.atom, call.args)
    body.line(f"an_metadata_set({body.call()}, {_metadata_direction(body)}, {key}, {value});")
