"""gRPC metadata."""

from __future__ import annotations

from appnet.codegen.c.printer.context import InHand, noted_trailer
from appnet.codegen.c.printer.operations.family import Body, Family
from appnet.ir.nodes import Call, Const

FAMILY = Family()


def _metadata_direction(body: Body) -> str:
    return "AN_RESPONSE" if body.direction is InHand.RESPONSE else "AN_REQUEST"


@FAMILY.value
def _get_metadata(body: Body, call: Call) -> str:
    return f"an_metadata({body.scope()}, {_metadata_direction(body)}, {body.atom(call.args[0])})"


@FAMILY.value
def _get_metadata_all(body: Body, call: Call) -> str:
    return f"an_metadata_all({body.scope()}, {_metadata_direction(body)}, {body.atom(call.args[0])})"


@FAMILY.value
def _get_trailer(body: Body, call: Call) -> str:
    if body.direction is InHand.END:
        key = call.args[0]
        assert isinstance(key, Const)
        assert isinstance(key.value, bytes)
        return noted_trailer(body.element, key.value, body.call())
    return f"an_trailer({body.scope()}, {body.atom(call.args[0])})"


@FAMILY.effect
def _set_metadata(body: Body, call: Call) -> None:
    key, value = map(body.atom, call.args)
    body.line(f"an_metadata_set({body.call()}, {_metadata_direction(body)}, {key}, {value});")
    if body.tells:
        body.line(f"an_tell({body.call()}, {key}, {value});")


@FAMILY.effect
def _delete_metadata(body: Body, call: Call) -> None:
    key = body.atom(call.args[0])
    body.line(f"an_metadata_delete({body.call()}, {_metadata_direction(body)}, {key});")
    if body.tells:
        body.line(f"an_untell({body.call()}, {key});")


@FAMILY.effect
def _set_trailer(body: Body, call: Call) -> None:
    key, value = map(body.atom, call.args)
    body.line(f"an_trailer_set({body.call()}, {key}, {value});")
    if body.tells:
        body.line(f"an_tell({body.call()}, {key}, {value});")
