"""Carries what a native module asks of the store of shared state, as the loader does, but one call at a time."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, Structure, c_bool, c_char_p, c_size_t, c_uint64, c_void_p
from typing import Any

from appnet.codegen.c.chain_abi import View

PARTS = 8

Wait = CFUNCTYPE(None, c_void_p)
Ready = CFUNCTYPE(None, c_void_p, c_size_t)
_Number = CFUNCTYPE(c_uint64, c_void_p, c_size_t)
_Event = CFUNCTYPE(None, c_void_p, c_size_t)


class Carrier(Structure):
    """An ``an_carrier``."""

    _fields_ = [("host", c_void_p), ("id", View), ("wait", Wait), ("wake", Wait), ("ready", Ready)]


class Sharing(Structure):
    """An ``an_sharing``."""

    _fields_ = [
        ("count", CFUNCTYPE(c_size_t, c_void_p)),
        ("element", CFUNCTYPE(View, c_void_p, c_size_t)),
        ("variable", CFUNCTYPE(View, c_void_p, c_size_t)),
        ("request_take", CFUNCTYPE(c_bool, c_void_p, c_size_t, c_bool, POINTER(View), POINTER(c_size_t))),
        ("answer", CFUNCTYPE(c_char_p, c_void_p, c_size_t, View)),
        ("unanswered", _Event),
        ("away", _Event),
        ("waits_since", _Number),
        ("leave", CFUNCTYPE(None, c_void_p, c_size_t, POINTER(View), POINTER(c_size_t))),
    ]


Ask = Callable[[str, str, list[bytes]], bytes | None]
"""Has the script run on the strong state of an element, or on its weak variable of the second name, with these
arguments, and gives its answer; None while the store is away. Without arguments it runs nothing, and only says whether
the store is there."""


class StateCarrier:
    """What a host gives to one instance. ``ask``: how it reaches the store. ``flaws``: what was wrong with answers.

    ``slow``: calls wait until `send` and `receive` have carried what they ask, and what is answered.
    """

    def __init__(self, name: bytes, ask: Ask) -> None:
        self.flaws: list[str] = []
        self.slow = False
        self._under_way: tuple[int, bytes] | None = None
        self._ask = ask
        self._name = ctypes.create_string_buffer(name, len(name))
        self._woken: set[int] = set()
        self._waiting: list[threading.Thread] = []
        self._parked: dict[threading.Thread, int] = {}
        self._changed = threading.Condition()
        self._table: Any = None
        self._instance = 0
        self.table = Carrier(
            None, View(ctypes.addressof(self._name), len(name)), Wait(self._wait), Wait(self._wake), Ready(_nothing)
        )

    def attach(self, sharing: Any, instance: int) -> None:
        """The instance is there: it joins the others."""
        self._table, self._instance = sharing.contents, instance
        self.carry()
        self.merge(due=False)

    def settle(self) -> None:
        """The store left or came back: what can be done now is done."""
        self.carry()
        self._rest()

    def carry(self) -> None:
        """Has everything asked that the instance has to ask, but for merges."""
        for copy in self._copies(merged=False):
            while self._step(copy):
                pass

    def beat(self) -> None:
        """Tells the store that the instance is alive."""
        for copy in self._copies(merged=False):
            self._step(copy, due=True)

    def merge(self, *, due: bool = True) -> None:
        """Merges the instance's weak state, if the store is there; not ``due``: it only joins the others."""
        for copy in self._copies(merged=True):
            if self._asked(copy, []) is not None:
                self._step(copy, due=due)
        self.carry()  # steps may have waited

    def send(self) -> bool:
        """One request about strong state reaches the store, and its answer waits for `receive`.

        False: there is nothing to ask, or another answer is under way.
        """
        for copy in self._copies(merged=False) if self._under_way is None else ():
            parts = self._taken(copy)
            if parts is not None:
                answer = self._asked(copy, parts)
                assert answer is not None
                self._under_way = copy, answer
                self._rest()
                return True
        return False

    def receive(self) -> None:
        """The answer that is under way arrives, if any is."""
        if self._under_way is not None:
            self._answered(*self._under_way)
            self._under_way = None
            self._rest()

    def _copies(self, *, merged: bool) -> list[int]:
        return [it for it in range(self._table.count(self._instance)) if bool(self._variable(it)) is merged]

    def _variable(self, copy: int) -> str:
        text: bytes = self._table.variable(self._instance, copy).read()
        return text.decode()

    def leave(self) -> bool:
        """The instance ends. False: something still waits for the store."""
        if any(it.is_alive() for it in self._waiting):
            return False
        for copy in range(self._table.count(self._instance)):
            parts, count = (View * PARTS)(), c_size_t()
            self._table.leave(self._instance, copy, parts, ctypes.byref(count))
            self._asked(copy, [it.read() for it in parts[: count.value]])
        return True

    def run(self, work: Callable[[], None]) -> None:
        """Does what may wait until the store is back, and returns once it is done or waits."""
        self._waiting.append(threading.Thread(target=work, daemon=True))
        self._waiting[-1].start()
        self._rest()

    def _rest(self) -> None:
        """Waits until all that runs is done, or waits for the store."""
        for it in self._waiting:
            while it.is_alive() and it not in self._parked:
                it.join(0.001)
        self._waiting = [it for it in self._waiting if it.is_alive()]

    def _wait(self, call: int) -> None:
        if not self.slow:
            self.carry()
        with self._changed:
            if call not in self._woken:
                self._parked[threading.current_thread()] = call
            self._changed.wait_for(lambda: call in self._woken)
            self._woken.remove(call)

    def _wake(self, call: int) -> None:
        with self._changed:
            for thread in [it for it, parked in self._parked.items() if parked == call]:
                del self._parked[thread]
            self._woken.add(call)
            self._changed.notify_all()

    def _asked(self, copy: int, parts: list[bytes]) -> bytes | None:
        """What the store answers about the state of the copy."""
        element: bytes = self._table.element(self._instance, copy).read()
        return self._ask(element.decode(), self._variable(copy), parts)

    def _step(self, copy: int, *, due: bool = False) -> bool:
        parts = self._taken(copy, due=due)
        if parts is None:
            return False
        answer = self._asked(copy, parts)
        if answer is None:
            self._table.unanswered(self._instance, copy)
            self._table.away(self._instance, copy)
            return False
        return self._answered(copy, answer)

    def _taken(self, copy: int, *, due: bool = False) -> list[bytes] | None:
        """What the instance has to ask now."""
        parts, count = (View * PARTS)(), c_size_t()
        if not self._table.request_take(self._instance, copy, due, parts, ctypes.byref(count)):
            return None
        return [it.read() for it in parts[: count.value]]

    def _answered(self, copy: int, answer: bytes) -> bool:
        kept = ctypes.create_string_buffer(answer, max(len(answer), 1))
        flaw: bytes | None = self._table.answer(self._instance, copy, View(ctypes.addressof(kept), len(answer)))
        if flaw is not None:
            self.flaws.append(flaw.decode("utf-8", "replace"))
        return flaw is None


def _nothing(_host: int, _copy: int) -> None:
    pass
