"""Time: the clocks of the processor."""

from __future__ import annotations

from appnet.language.expressions import mismatch, unify
from appnet.language.operations.built_in import Chapter, function
from appnet.language.operations.call import Call
from appnet.language.operations.declaration import Effect, Operation
from appnet.language.typed import Operate, Value
from appnet.language.types import FLOAT, INSTANT


def _time_diff(call: Call) -> Value:
    call.count(2)
    a, b, type_ = unify(call.any(0), call.any(1), (call.span(0), call.span(1)))
    if type_ == INSTANT:
        return Operate("time_diff", (a, b), FLOAT)
    if type_ == FLOAT:  # instants kept as seconds
        return Operate("sub", (a, b), FLOAT)
    raise mismatch(type_, INSTANT, call.span(0))


CHAPTERS = (
    Chapter(
        "Time",
        (
            function(
                Operation(
                    "now",
                    "() -> Instant",
                    "current_time()",
                    "The processor's monotonic clock.",
                    "current_time() >= current_time()",
                    Effect.TIME,
                ),
                elsewhere=("now", "time"),
            ),
            function(
                Operation(
                    "wall_time",
                    "() -> float",
                    "wall_time()",
                    "Seconds since the Unix epoch: nanoseconds as a double, divided by 1e9. The clock may be set back.",
                    "wall_time() == 1700000005.0",
                    Effect.TIME,
                ),
                elsewhere=("now", "time", "unix_time", "timestamp"),
            ),
            function(
                Operation(
                    "time_diff",
                    "(Instant, Instant) -> float",
                    "time_diff(later, earlier)",
                    "The seconds between the two: the difference in nanoseconds as a double, divided by 1e9.",
                    "time_diff(current_time(), current_time()) == 0.0",
                ),
                _time_diff,
            ),
        ),
    ),
)
