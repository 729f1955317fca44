"""A call of a client that has a stream of responses, as its caller has it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import grpc

from appnet.grpc.calls import code_of
from appnet.grpc.frame import CANCELLED
from appnet.grpc.metadata import Metadata, listed
from appnet.grpc.outcome import Cancelled, Failure, Outcome, outcome_of
from appnet.grpc.passage import Ended, Passage


class StreamCall(grpc.Call, grpc.Future):  # type: ignore[misc]
    """Its responses are those that the chain lets pass. What the chain has not touched is the underlying call's."""

    def __init__(self, passage: Passage | None) -> None:
        super().__init__()
        self._passage = passage
        self._made = threading.Event()
        self._call: Any = None
        self._timer: threading.Timer | None = None
        self._outcome: Any = None  # by the chain, or of a call that was not made
        self._leading: Metadata | None = None  # as elements have changed them
        self._early: Metadata = []  # trailers that elements set before they came
        self._read = False  # the answer was

    def __del__(self) -> None:
        if self._passage is not None:
            self._passage.end()

    # --- what becomes of it ---

    def waits_for(self, timer: threading.Timer) -> None:
        """It is made when the timer says."""
        self._timer = timer

    def follow(self, call: Any) -> None:
        """The call behind it is there."""
        self._call = call
        if self._outcome is not None or (self._passage is not None and self._passage.ended is not None):
            call.cancel()
        self._made.set()

    def stop(self) -> bool:
        """Ends the call behind it, as the chain has ended this one: the reader gets to know how."""
        if self._call is not None:
            self._call.cancel()
        return True

    def settle(self, outcome: Any) -> None:
        """The call has ended for its caller."""
        if self._outcome is None:
            self._outcome = outcome
        if self._passage is not None:
            self._passage.end()
        self._made.set()

    def fail(self, code: grpc.StatusCode, details: str) -> None:
        """The call was not made, for this reason."""
        self._finish_with(code.value[0], Failure(code=code, details=details))

    def _finish_with(self, code: int, outcome: Any) -> None:
        assert self._passage is not None
        try:
            self._passage.finish_with(code, *self._metadata(outcome, last=True))
        except Ended as ended:
            outcome = outcome_of(ended)
        else:
            if self._passage.changed or self._leading is not None or self._early:
                made = Failure if code else Outcome
                outcome = made(
                    code=outcome.code(),
                    details=outcome.details(),
                    leading=self._passage.header,
                    trailing=self._passage.trailer,
                )
        self.settle(outcome)

    def _metadata(self, call: Any, *, last: bool) -> tuple[Metadata, Metadata]:
        """What elements may see of the response's, as they have made it."""
        assert self._passage is not None
        if not self._passage.judge.wants_response_metadata:
            return [], []
        leading = self._leading if self._leading is not None else listed(call.initial_metadata())
        keys = {key for key, _ in self._early}
        came = listed(call.trailing_metadata()) if last else []
        return leading, [it for it in came if it[0] not in keys] + self._early

    # --- responses ---

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self._made.wait()
        if self._outcome is not None:
            return self._ended()
        try:
            response = next(self._call)
        except StopIteration:
            self._over(0)
        except grpc.RpcError as error:
            self._over(code_of(error), error)
        else:
            return self._judged(response)
        return self._ended()

    def _judged(self, response: Any) -> Any:
        passage = self._passage
        assert passage is not None
        if passage.ended is None and not passage.over:
            leading, trailing = self._metadata(self._call, last=False)
            try:
                response = passage.respond(response, leading, trailing, own=True)
            except Ended as ended:
                self._call.cancel()
                self.settle(outcome_of(ended))
                return self._ended()
            if passage.changed:
                self._leading, self._early = passage.header, passage.trailer
            return response
        if passage.ended is not None:
            self._call.cancel()
            self.settle(outcome_of(passage.ended))
            return self._ended()
        return response

    def _over(self, code: int, error: Any = None) -> None:
        passage = self._passage
        assert passage is not None
        if passage.ended is not None:
            self.settle(outcome_of(passage.ended))
        elif not passage.over:
            self._finish_with(code, error if code else self._call)
        else:
            self.settle(error if code else self._call)

    def _ended(self) -> Any:
        """What a reader gets of a call that has ended."""
        outcome = self._outcome
        if isinstance(outcome, Failure) or (
            isinstance(outcome, grpc.RpcError) and outcome.code() is not grpc.StatusCode.OK
        ):
            raise outcome
        if isinstance(outcome, Cancelled):
            raise Failure(code=outcome.code(), details=outcome.details())
        answer = outcome.result() if type(outcome) is Outcome else None
        if answer is None or self._read:
            raise StopIteration
        self._read = True
        return answer

    # --- as a call ---

    def cancel(self) -> bool:
        """Whether it could be."""
        if self._outcome is not None:
            return False
        if self._call is None:
            if self._timer is not None:
                self._timer.cancel()
            self._finish_with(CANCELLED, Cancelled())
            return True
        found = bool(self._call.cancel())
        if self._passage is not None:
            self._passage.end()
        return found

    def _final(self) -> Any:
        """What knows how the call ended."""
        self._made.wait()
        return self._outcome if self._outcome is not None else self._call

    def initial_metadata(self) -> Any:
        """As the chain made them, once it has seen a response."""
        return tuple(self._leading) if self._leading is not None else self._final().initial_metadata()

    def trailing_metadata(self) -> Any:
        """As the chain made them, once the responses have been read."""
        return self._final().trailing_metadata()

    def code(self) -> Any:
        """Waits for the end of the call."""
        return self._final().code()

    def details(self) -> Any:
        """Waits for the end of the call."""
        return self._final().details()

    def is_active(self) -> bool:
        """Whether it goes on."""
        return self._outcome is None and (self._call is None or bool(self._call.is_active()))

    def time_remaining(self) -> Any:
        """In seconds; None where it has no end."""
        return self._call.time_remaining() if self._call is not None else None

    def add_callback(self, callback: Any) -> bool:
        """Calls it when the call has ended; False where it has already."""
        return bool(self._final().add_callback(callback))

    # --- as a future ---

    def cancelled(self) -> bool:
        """Whether its caller ended it."""
        return (self._outcome is not None or self._call is not None) and bool(self._final().cancelled())

    def running(self) -> bool:
        """Whether it goes on."""
        return not self.done()

    def done(self) -> bool:
        """Whether it has ended."""
        return self._made.is_set() and bool(self._final().done())

    def result(self, timeout: float | None = None) -> Any:
        """Waits for the end of the call; raises its error."""
        return self._final().result(timeout)

    def exception(self, timeout: float | None = None) -> Any:
        """Waits for the end of the call; its error, or None."""
        return self._final().exception(timeout)

    def traceback(self, timeout: float | None = None) -> Any:
        """The error's, or None."""
        return self._final().traceback(timeout)

    def add_done_callback(self, fn: Any) -> None:
        """Calls it with this when it has ended."""
        self._final().add_done_callback(lambda _: fn(self))
