"""A call of a client that has one response, as its caller has it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import grpc

from appnet.grpc.frame import CANCELLED
from appnet.grpc.metadata import listed
from appnet.grpc.outcome import Cancelled, Failure, Outcome, outcome_of
from appnet.grpc.passage import Ended, Passage, unreadable, waiting


def code_of(call: Any) -> int:
    """The number of the status that a call ended with."""
    try:
        found = call.code()
    except AttributeError:
        found = None
    number: int = (found or grpc.StatusCode.UNKNOWN).value[0]
    return number


class UnaryCall(grpc.Call, grpc.Future):  # type: ignore[misc]
    """It has an outcome once the call behind it has one, and the chain has judged that."""

    def __init__(self, passage: Passage | None) -> None:
        super().__init__()
        self._passage = passage
        self._state = threading.Condition()
        self._call: Any = None
        self._timer: threading.Timer | None = None
        self._outcome: Any = None
        self._callbacks: list[Callable[[Any], None]] = []
        self._terminated: list[Callable[[], None]] = []

    # --- what becomes of it ---

    def waits_for(self, timer: threading.Timer) -> None:
        """It is made when the timer says."""
        self._timer = timer

    def follow(self, call: Any) -> None:
        """The call behind it is there."""
        self._call = call
        if self._outcome is not None:
            call.cancel()
        call.add_done_callback(self._judge_soon)

    def stop(self) -> bool:
        """Ends the call behind it, as the chain has ended this one; whether it could be reached."""
        if self._call is None:
            return False
        self._call.cancel()
        return True

    def settle(self, outcome: Any) -> None:
        """The call has ended for its caller: so, or by the error that it raised."""
        if self._passage is not None:
            self._passage.end()
        with self._state:
            if self._outcome is not None:
                return
            self._outcome = outcome
            callbacks, terminated = self._callbacks, self._terminated
            self._state.notify_all()
        for fn in callbacks:
            fn(self)
        for each in terminated:
            each()

    def fail(self, code: grpc.StatusCode, details: str) -> None:
        """The call was not made, for this reason."""
        self._finish_with(code.value[0], Failure(code=code, details=details))

    def _finish_with(self, code: int, outcome: Any) -> None:
        passage = self._passage
        assert passage is not None
        header, trailer = listed(outcome.initial_metadata()), listed(outcome.trailing_metadata())
        try:
            passage.finish_with(code, header, trailer)
        except Ended as ended:
            self.settle(outcome if outcome.cancelled() else outcome_of(ended))
            return
        if passage.changed and not outcome.cancelled():
            outcome = Failure(
                code=outcome.code(), details=outcome.details(), leading=passage.header, trailing=passage.trailer
            )
        self.settle(outcome)

    def _judge_soon(self, call: Any) -> None:
        """All calls of a channel end in one thread of gRPC's, which must not wait for the store."""
        assert self._passage is not None
        if self._passage.judge.waits:
            waiting().submit(self._judge, call)
        else:
            self._judge(call)

    def _judge(self, call: Any) -> None:
        passage = self._passage
        assert passage is not None
        if passage.ended is not None:
            self.settle(outcome_of(passage.ended))
            return
        if call.cancelled():
            self._finish_with(CANCELLED, call)
            return
        if call.exception() is not None:
            self._finish_with(code_of(call), call)
            return
        header = listed(call.initial_metadata()) if passage.judge.wants_response_metadata else []
        trailer = listed(call.trailing_metadata()) if passage.judge.wants_response_metadata else []
        try:
            response = passage.respond(call.result(), header, trailer, own=True)
        except Ended as ended:
            self.settle(outcome_of(ended))
            return
        except Exception as error:
            self.settle(outcome_of(unreadable(error)))
            return
        if passage.changed:
            self.settle(
                Outcome(
                    response=response, leading=passage.header, trailing=passage.trailer, details=call.details() or ""
                )
            )
        else:
            self.settle(call)

    # --- as a future ---

    def cancel(self) -> bool:
        """Whether it could be."""
        if self._outcome is not None:
            return False
        if self._timer is not None and self._call is None:
            self._timer.cancel()
            self._finish_with(CANCELLED, Cancelled())
            return True
        return bool(self._call is not None and self._call.cancel())

    def cancelled(self) -> bool:
        """Whether its caller ended it."""
        return self._outcome is not None and bool(self._outcome.cancelled())

    def running(self) -> bool:
        """Whether it goes on."""
        return self._outcome is None

    def done(self) -> bool:
        """Whether it has ended."""
        return self._outcome is not None

    def result(self, timeout: float | None = None) -> Any:
        """The response; raises the error."""
        return self._settled(timeout).result()

    def exception(self, timeout: float | None = None) -> Any:
        """The error, or None."""
        return self._settled(timeout).exception()

    def traceback(self, timeout: float | None = None) -> Any:
        """The error's, or None."""
        return self._settled(timeout).traceback()

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """Calls it with this when it has ended."""
        with self._state:
            if self._outcome is None:
                self._callbacks.append(fn)
                return
        fn(self)

    def _settled(self, timeout: float | None = None) -> Any:
        with self._state:
            if not self._state.wait_for(lambda: self._outcome is not None, timeout):
                raise grpc.FutureTimeoutError
        return self._outcome

    # --- as a call ---

    def initial_metadata(self) -> Any:
        """Waits for the end of the call, as the chain may change them until then."""
        return self._settled().initial_metadata()

    def trailing_metadata(self) -> Any:
        """Waits for the end of the call."""
        return self._settled().trailing_metadata()

    def code(self) -> Any:
        """Waits for the end of the call."""
        return self._settled().code()

    def details(self) -> Any:
        """Waits for the end of the call."""
        return self._settled().details()

    def is_active(self) -> bool:
        """Whether it goes on."""
        return self._outcome is None

    def time_remaining(self) -> Any:
        """In seconds; None where it has no end."""
        return self._call.time_remaining() if self._call is not None else None

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Calls it when the call has ended; False where it has already."""
        with self._state:
            if self._outcome is not None:
                return False
            self._terminated.append(callback)
        return True
