"""How a call of a client ended, for callers of gRPC's blocking interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from appnet.grpc.metadata import Metadata
from appnet.grpc.passage import Ended


class Outcome(grpc.Call, grpc.Future):  # type: ignore[misc]
    """A call that has ended well."""

    def __init__(
        self,
        *,
        response: Any = None,
        leading: Metadata | None = None,
        trailing: Metadata | None = None,
        code: grpc.StatusCode = grpc.StatusCode.OK,
        details: str = "",
    ) -> None:
        super().__init__()
        self._response, self._code, self._details = response, code, details
        self._leading, self._trailing = tuple(leading or ()), tuple(trailing or ())

    def initial_metadata(self) -> Any:
        """As the chain made them."""
        return self._leading

    def trailing_metadata(self) -> Any:
        """As the chain made them."""
        return self._trailing

    def code(self) -> grpc.StatusCode:
        """The status that the caller sees."""
        return self._code

    def details(self) -> str:
        """The text of the status."""
        return self._details

    def is_active(self) -> bool:
        """It is over."""
        return False

    def time_remaining(self) -> float | None:
        """None: it is over."""
        return None

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """False: it is over, and nothing will be called."""
        del callback
        return False

    def cancel(self) -> bool:
        """False: it is over."""
        return False

    def cancelled(self) -> bool:
        """Whether the caller ended it."""
        return False

    def running(self) -> bool:
        """It is over."""
        return False

    def done(self) -> bool:
        """It is over."""
        return True

    def result(self, timeout: float | None = None) -> Any:
        """The response."""
        del timeout
        return self._response

    def exception(self, timeout: float | None = None) -> Any:
        """None: it ended well."""
        del timeout

    def traceback(self, timeout: float | None = None) -> Any:
        """None: it ended well."""
        del timeout

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """Calls it at once."""
        fn(self)


class Failure(Outcome, grpc.RpcError):  # type: ignore[misc]
    """The error that a caller gets: by the chain, or as the chain left it."""

    def __str__(self) -> str:
        return f"<{self._code}: {self._details}>"

    def result(self, timeout: float | None = None) -> Any:
        """Raises it."""
        del timeout
        raise self

    def exception(self, timeout: float | None = None) -> Any:
        """Itself."""
        del timeout
        return self

    def traceback(self, timeout: float | None = None) -> Any:
        """Where it came from."""
        del timeout
        return self.__traceback__


class Cancelled(Outcome):
    """A call that its caller cancelled before it was made."""

    def __init__(self) -> None:
        super().__init__(code=grpc.StatusCode.CANCELLED, details="Locally cancelled by application!")

    def cancelled(self) -> bool:
        """Yes."""
        return True

    def result(self, timeout: float | None = None) -> Any:
        """Raises `grpc.FutureCancelledError`."""
        del timeout
        raise grpc.FutureCancelledError

    def exception(self, timeout: float | None = None) -> Any:
        """Raises `grpc.FutureCancelledError`."""
        del timeout
        raise grpc.FutureCancelledError


def outcome_of(ended: Ended) -> Outcome:
    """What a caller gets of a call that the chain ended."""
    if ended.answers:
        return Outcome(response=ended.response, leading=ended.leading, trailing=ended.trailing)
    return Failure(code=ended.code, details=ended.details, trailing=ended.trailing)
