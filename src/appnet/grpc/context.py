"""What a handler sees of its call in the place of gRPC's own context."""

from __future__ import annotations

from typing import Any

import grpc

from appnet.grpc.metadata import Metadata, listed
from appnet.grpc.passage import Ended, Passage


class Aborted(Exception):  # noqa: N818 -- as a handler's `abort` ends it
    """The handler ended the call; the chain is yet to see it."""


class HeldContext:
    """gRPC's context of a call, but that what a handler says of its response is held until the chain has judged it.

    Everything else is the context's own.
    """

    def __init__(self, context: Any, passage: Passage) -> None:
        self._context, self._passage = context, passage
        self._waits = passage.judge.wants_response_metadata
        self._sent = False
        self.header: Metadata = []
        self.trailer: Metadata = []
        self.status: grpc.StatusCode | None = None
        self.text: Any = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def invocation_metadata(self) -> Any:
        """Those of the request, as elements have made them."""
        return tuple(self._passage.metadata)

    def time_remaining(self) -> Any:
        """In seconds, as elements have made it."""
        return self._passage.left() if self._passage.shortened else self._context.time_remaining()

    def is_active(self) -> bool:
        """Whether anybody waits for a response."""
        below = getattr(self._context, "is_active", None)  # functions in a loop's server have none
        return (below is None or bool(below())) and not self._passage.is_late and self._passage.ended is None

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """Goes with the end of the call."""
        self.trailer = listed(trailing_metadata)

    def trailing_metadata(self) -> Any:
        """What was set so far."""
        return tuple(self.trailer)

    def set_code(self, code: Any) -> None:
        """The status of the call."""
        self.status = code

    def set_details(self, details: Any) -> None:
        """The text of the status."""
        self.text = details

    def code(self) -> Any:
        """The status so far."""
        return self.status

    def details(self) -> Any:
        """The text so far."""
        return self.text.encode() if isinstance(self.text, str) else self.text

    @property
    def number(self) -> int:
        """That of the status."""
        status = self.status
        number: int = 0 if status is None else getattr(status, "value", (status,))[0]
        return number

    def take(self) -> None:
        """Takes over what the chain has made of the response's metadata."""
        if self._passage.changed:
            self.header, self.trailer = self._passage.header, self._passage.trailer

    def told(self, code: int) -> Ended | None:
        """Shows the chain an end that is not its own; what it makes of that, where it is another."""
        try:
            self._passage.finish_with(code, self.header, self.trailer)
        except Ended as ended:
            return ended
        self.take()
        return None

    def ending(self, ended: Ended) -> Ended:
        """How the call ends: by the chain, or so, where the chain leaves it at that."""
        return self._passage.ended or self.told(ended.code.value[0]) or ended

    def leave(self) -> None:
        """Tells gRPC how the call ends, where it ends by returning."""
        if self.trailer:
            self._context.set_trailing_metadata(tuple(self.trailer))
        if self.status is not None:
            self._context.set_code(self.status)
        if self.text:
            self._context.set_details(self.text)

    def hold(self, metadata: Any) -> bool:
        """Holds leading metadata for the chain; False where they are to go at once."""
        if not self._waits or self._sent:
            return False
        self.header += listed(metadata)
        return True

    def unsent(self) -> Metadata:
        """The leading metadata that are to go now, once."""
        header, sent = self.header, self._sent or not self._waits
        self._sent = True
        return [] if sent else header

    def refused(self, ended: Ended) -> Metadata:
        """The trailing metadata of a call that the chain ended."""
        return self.trailer_before(ended) + ended.trailing

    def trailer_before(self, ended: Ended) -> Metadata:
        """What the handler had set, of a stream that it had begun to answer."""
        return self.trailer if self._sent and not ended.answers else []


class BlockingContext(HeldContext):
    """That of a handler in a thread."""

    def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Goes with the first response."""
        if not self.hold(initial_metadata):
            self._context.send_initial_metadata(initial_metadata)

    def abort(self, code: Any, details: str) -> None:
        """Ends the call with this status, for what the chain makes of it."""
        self.status, self.text = code, details
        raise Aborted

    def abort_with_status(self, status: Any) -> None:
        """Ends the call with this status, for what the chain makes of it."""
        self.trailer = listed(status.trailing_metadata)
        self.abort(status.code, status.details)

    def release(self) -> None:
        """Lets the leading metadata go on."""
        header = self.unsent()
        if header:
            self._context.send_initial_metadata(tuple(header))

    def end_with(self, ended: Ended) -> Any:
        """Ends the call as the chain has: the answer, or gRPC's exception."""
        if ended.answers:
            if ended.leading:
                self._context.send_initial_metadata(tuple(ended.leading))
            self._context.set_trailing_metadata(tuple(ended.trailing))
            return ended.response
        self.release()
        self._context.set_trailing_metadata(tuple(self.refused(ended)))
        self._context.abort(ended.code, ended.details)
        return None

    def end_as_told(self) -> None:
        """Ends the call with the handler's own status."""
        self.release()
        self._context.set_trailing_metadata(tuple(self.trailer))
        self._context.abort(self.status, self.text)


grpc.ServicerContext.register(BlockingContext)  # handlers' decorators may ask what they have
