"""The call in hand."""

from __future__ import annotations

from appnet.language.operations.built_in import BuiltIn, Chapter, SpecialForm, function
from appnet.language.operations.call import Call
from appnet.language.operations.declaration import Effect, Operation
from appnet.language.scope import CheckError, Part
from appnet.language.typed import Delay, Operate, Value
from appnet.language.types import FLOAT, UNIT


def _delay(call: Call) -> Value:
    call.in_handler()
    call.count(2)
    if not call.is_rpc():
        title = "the first argument of `delay` is the RPC"
        raise CheckError("E022", title, call.span(0), help_=f"write {call.usage}")
    if call.scope.part not in {Part.OPEN, Part.REQ}:
        title, help_ = "only a request can be delayed", "delay it in `open` or `req`: delay(rpc, seconds)"
        raise CheckError("E036", title, call.node.span, help_=help_)
    call.scope.hoisted.append(Delay(call.typed(1, FLOAT)))
    return Operate("nothing", (), UNIT)


_DELAY = SpecialForm(
    "delay(rpc, seconds)",
    "Holds the request back for so many seconds before it goes on, without holding anything else. Each delay counts in "
    "whole milliseconds, rounded down, and is a day at most; those of one request add up.",
)

CHAPTERS = (
    Chapter(
        "The call",
        (
            function(
                Operation(
                    "rpc_id",
                    "() -> uint",
                    "rpc_id()",
                    "One number for the call, unique in its processor instance.",
                    "rpc_id() == 1",
                    Effect.READS_CALL,
                ),
            ),
            function(
                Operation(
                    "method",
                    "() -> string",
                    "method()",
                    "The full method name, /package.Service/Method.",
                    "method() == '/sample.Probe/Call'",
                    Effect.READS_CALL,
                ),
            ),
            function(
                Operation(
                    "status",
                    "() -> int",
                    "status(rpc)",
                    "The gRPC status code of the response; 0 in req.",
                    "status(rpc) == 0",
                    Effect.READS_STATUS,
                ),
            ),
            BuiltIn("delay", _delay, forms=(_DELAY,)),
        ),
    ),
)
