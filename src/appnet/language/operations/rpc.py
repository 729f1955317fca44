"""The call in hand."""

from __future__ import annotations

from appnet.language.operations.built_in import BuiltIn, Chapter, Resolver, SpecialForm, function
from appnet.language.operations.call import Call, by_signature
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
    "Holds the request back for this many seconds, and nothing else. Each delay counts in "
    "whole milliseconds, rounded down, and is at most a day; delays of one request add up.",
)


def _while_it_lasts(operation: Operation) -> Resolver:
    """Of what is known of a call until it ends."""

    def resolve(call: Call) -> Value:
        call.has_metadata()
        return by_signature(call, operation)

    return resolve


def _of_the_call(operation: Operation) -> BuiltIn:
    return function(operation, _while_it_lasts(operation))


def _set_deadline(call: Call) -> Value:
    call.in_handler()
    if call.scope.part not in {Part.OPEN, Part.REQ}:
        title = "a response comes too late to shorten the deadline"
        help_ = "set it at the request: set_deadline(rpc, seconds) in `req`"
        raise CheckError("E036", title, call.node.span, help_=help_)
    return by_signature(call, _SET_DEADLINE)


_SET_DEADLINE = Operation(
    "set_deadline",
    "(float) -> unit",
    "set_deadline(rpc, seconds)",
    "Ends the call with DEADLINE_EXCEEDED in this many seconds, whatever the server does, unless it has an earlier "
    "deadline. The elements behind and the server see the new one. Values below 0 count as 0; NaN, and "
    "4,000,000,000 or more, change nothing.",
    "set_deadline(rpc, 2.0)\ndeadline(rpc) == 2.0",
    Effect.SETS_DEADLINE,
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
                    "The number of the call, unique in its processor instance and the same for all elements "
                    "there. On the other side of the wire, the call has another number.",
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
                    "The gRPC status code of the response, or in `end` of the call; 0 in `open` and `req`.",
                    "status(rpc) == 0",
                    Effect.READS_STATUS,
                ),
            ),
            _of_the_call(
                Operation(
                    "authority",
                    "() -> string",
                    "authority(rpc)",
                    "The host that the caller addressed, HTTP's :authority; the same in `open`, `req` and `resp`.",
                    "authority(rpc) == ''",
                    Effect.READS_CALL,
                ),
            ),
            _of_the_call(
                Operation(
                    "peer",
                    "() -> string",
                    "peer(rpc)",
                    "The identity of the connection's other end, from mutual TLS: the first URI in its certificate, "
                    "such as 'spiffe://cluster.local/ns/shop/sa/cart'; the empty string if there is none.",
                    "peer(rpc) == ''",
                    Effect.READS_CALL,
                ),
            ),
            _of_the_call(
                Operation(
                    "deadline",
                    "() -> float",
                    "deadline(rpc)",
                    "The seconds left until the call's deadline; 0 once it has passed, inf if there is none. "
                    "They count from when the processor received the request, which carries the caller's timeout.",
                    "deadline(rpc) == inf",
                    Effect.READS_DEADLINE,
                ),
            ),
            function(_SET_DEADLINE, _set_deadline),
            BuiltIn("delay", _delay, forms=(_DELAY,)),
        ),
    ),
)
