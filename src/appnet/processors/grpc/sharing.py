"""Carries what a driven chain asks of the store of shared state: at once, in the thread that drives it."""

from __future__ import annotations

from collections.abc import Callable

from appnet.diagnostics.diagnostic import InternalError
from appnet.grpc.stores import Stores
from appnet.processors.processor import Sharer


class DrivenCarrier:
    """As `appnet.grpc.chain.Carrier`; ``clock``: the driver's."""

    def __init__(self, sharer: Sharer, clock: Callable[[], tuple[int, int]]) -> None:
        self.name, self._ask, self.clock = sharer.name, sharer.ask, clock
        self.waits = False
        self._woken: set[int] = set()
        self._behind: dict[int, Callable[[], bool]] = {}

    def begin(self, stores: Stores) -> None:
        """The instance joins the others."""
        self._stores, self.waits = stores, stores.waits
        self.settle()
        self.merge(due=False)

    def wait(self, frame: int) -> None:
        """Has everything asked that the event waits for."""
        self._carry()
        if frame not in self._woken:
            raise InternalError("a call goes on once the store has answered, or is away", str(self._stores.names))
        self._woken.remove(frame)

    def leave_behind(self, frame: int, go_on: Callable[[], bool]) -> None:
        """The event goes on when the store is there."""
        self._behind[frame] = go_on
        self.settle()

    def settle(self) -> None:
        """What waits for the store happens, as far as it can."""
        self._carry()
        while ready := self._woken & self._behind.keys():
            for frame in sorted(ready):
                self._woken.remove(frame)
                if self._behind[frame]():
                    del self._behind[frame]
            self._carry()

    def merge(self, *, due: bool = True) -> None:
        """Merges the instance's weak state, if the store is there; not ``due``: it only joins the others."""
        for copy, (_, variable) in enumerate(self._stores.names):
            if variable and self._asked(copy, []) is not None:
                self._step(copy, due=due)
        self.settle()  # steps may have waited

    def leave(self) -> None:
        """The instance ends, unless something of it still waits for the store."""
        if not self._behind:
            for copy in range(len(self._stores.names)):
                self._asked(copy, self._stores.leave(copy))

    def end(self, free: Callable[[], None]) -> None:
        """Nobody has the instance any more."""
        free()

    def _carry(self) -> None:
        for copy, (_, variable) in enumerate(self._stores.names):
            while not variable and self._step(copy):
                pass

    def _step(self, copy: int, *, due: bool = False) -> bool:
        stores = self._stores
        parts = stores.take(copy, due=due)
        self._woken.update(stores.woken())
        if parts is None:
            return False
        answer = self._asked(copy, parts)
        if answer is None:
            stores.unanswered(copy)
            stores.away(copy)
        flaw = "it is away" if answer is None else stores.answer(copy, answer)
        self._woken.update(stores.woken())
        return not flaw

    def _asked(self, copy: int, parts: list[bytes]) -> bytes | None:
        return self._ask(*self._stores.names[copy], parts)
