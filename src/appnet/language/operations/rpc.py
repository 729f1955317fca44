"""The call in hand."""

from __future__ import annotations

from appnet.language.operations.call import function
from appnet.language.operations.declaration import Chapter, Effect, Operation

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
        ),
    ),
)
