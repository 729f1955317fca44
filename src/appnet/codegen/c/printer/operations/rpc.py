"""The call in hand."""

from __future__ import annotations

from appnet.codegen.c.printer.context import InHand
from appnet.codegen.c.printer.operations.family import Body, Family
from appnet.codegen.c.printer.text import view
from appnet.ir.nodes import Call

FAMILY = Family(
    {
        "rpc_id": "{call}->rpc_id",
        "message_size": "an_message_size({call})",
        "authority": "an_authority({scope})",
        "peer": "an_peer({scope})",
        "deadline": "an_seconds_left({call})",
    },
    lasting=frozenset({"method"}),
)


@FAMILY.value
def _method(body: Body, _call: Call) -> str:
    return view(body.element.method.full_name.encode())


@FAMILY.value
def _status(body: Body, _call: Call) -> str:
    return f"(int64_t){body.call()}->status" if body.direction in {InHand.RESPONSE, InHand.END} else "0"


@FAMILY.effect
def _set_deadline(body: Body, call: Call) -> None:
    body.line(f"an_shorten({body.call()}, {body.atom(call.args[0])});")
