"""The connection of a chain's shared state to the store: a thread for each copy, which sends what the chain asks, and
makes the store's answers known to it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from hashlib import sha1
from typing import Any

from appnet.grpc.stores import Stores

_BEAT = 5.0
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.02, 0.5
_REFUSED = 1.0
_SILENT = 10.0  # a store that is busy that long is none
_CONNECT = 0.5
_LOOK = 0.01
_STEPS_PAUSE = 0.001

# The keys of strong state and of a variable that is merged, as the script takes them.
_STRONG = ("meta", "log", "values", "entries", "order", "instances")
_MERGED = ("meta", "gone", "clocks", "entries", "order", "instances")


def clock() -> tuple[int, int]:
    """The time, as chains are told it."""
    return time.monotonic_ns(), time.time_ns()


def _client(store: Any) -> Any:
    """Raises `ValueError` where the package is missing."""
    try:
        import valkey  # noqa: PLC0415 -- programs that share no state need none
    except ImportError as error:
        raise ValueError("it shares state, and the package `valkey` is not installed") from error
    connection: dict[str, Any] = (
        {"unix_socket_path": store.path} if store.path else {"host": store.host, "port": store.port}
    )
    return valkey.Valkey(
        **connection,
        db=store.database,
        username=store.user or None,
        password=store.password or None,
        socket_timeout=_SILENT,
        socket_connect_timeout=_CONNECT,
        socket_keepalive=not store.path,
    )


def _is_of_state(error: Exception) -> bool:
    """Whether it is about what the keys of one element hold: other elements can go on. The client leaves out the word
    ERR in front of such errors, and no other."""
    word = str(error).partition(" ")[0]
    return type(error).__name__ == "ResponseError" and (word == "WRONGTYPE" or not word.isupper())


class StoreCarrier:
    """As `appnet.grpc.chain.Carrier`; ``store``: a ``Store`` of library.proto. Raises `ValueError`."""

    def __init__(self, store: Any, complain: Callable[[str], None]) -> None:
        self.name = secrets.token_hex(8).encode()
        self.waits = False
        self._store, self._client, self._complain = store, _client(store), complain
        self._sha = sha1(store.script, usedforsecurity=False).hexdigest()
        self._lock = threading.Lock()
        self._woken: set[int] = set()  # nobody waits for them yet
        self._waiting: dict[int, threading.Event] = {}
        self._behind: dict[int, Callable[[], bool]] = {}
        self._some_wait = threading.Event()
        self._told = False
        self._lines: list[_Line] = []
        self._looking = threading.Thread(target=self._look, name="appnet", daemon=True)
        self.ending = threading.Event()

    def clock(self) -> tuple[int, int]:
        """The process's."""
        return clock()

    def begin(self, stores: Stores) -> None:
        """The instance joins the others, if that takes no longer than a call may wait: state ends with the last
        instance, and the version before must not end while this one is on its way to the store."""
        self.stores, self.waits = stores, stores.waits
        self._lines = [_Line(self, copy) for copy in range(len(stores.names))]
        for it in self._lines:
            it.thread.start()
        self._looking.start()
        until = time.monotonic() + self.timeout
        for it in self._lines:
            it.joined.wait(max(until - time.monotonic(), 0.0))

    @property
    def timeout(self) -> float:
        """The seconds that a call waits."""
        return float(self._store.timeout_ms) / 1000

    def interval(self, copy: int) -> float:
        """The seconds until a copy says something though nothing happens."""
        return float(self._store.merge_ms) / 1000 if self.stores.names[copy][1] else _BEAT

    # --- events that wait ---

    def wait(self, frame: int) -> None:
        """Until the event of the frame goes on."""
        woken = threading.Event()
        with self._lock:
            if frame in self._woken:
                self._woken.remove(frame)
                return
            self._waiting[frame] = woken
        self._asked()
        woken.wait()

    def leave_behind(self, frame: int, go_on: Callable[[], bool]) -> None:
        """The event goes on in a thread of the store's."""
        with self._lock:
            early = frame in self._woken
            self._woken.discard(frame)
            if not early:
                self._behind[frame] = go_on
        if early and not go_on():
            self.leave_behind(frame, go_on)
        self._asked()

    def _asked(self) -> None:
        self._some_wait.set()
        for it in self._lines:
            it.ready.set()

    def wake(self) -> None:
        """What the last word of the store has woken goes on."""
        for frame in self.stores.woken():
            with self._lock:
                behind = self._behind.pop(frame, None)
                waiting = self._waiting.pop(frame, None)
                if behind is None and waiting is None:
                    self._woken.add(frame)
            if waiting is not None:
                waiting.set()
            if behind is not None and not behind():
                self.leave_behind(frame, behind)

    def _look(self) -> None:
        """Lets go calls that have waited too long."""
        while not self.ending.is_set():
            self._some_wait.wait()
            self._some_wait.clear()
            while self._let_go() and not self.ending.wait(_LOOK):
                pass

    def _let_go(self) -> bool:
        """Whether any call waits."""
        waits = [it.let_go() for it in self._lines if not it.merges]
        return any(waits)

    # --- the store ---

    def ask(self, copy: int, parts: list[bytes]) -> bytes:
        """What the script answers. Raises what the client does."""
        element, variable = self.stores.names[copy]
        begins = f"{{{self._store.scope}/{element}}}:" + (f"{variable}:" if variable else "")
        keys = [begins + it for it in (_MERGED if variable else _STRONG)]
        try:
            answer = self._client.evalsha(self._sha, len(keys), *keys, *parts)
        except Exception as error:
            if type(error).__name__ != "NoScriptError":
                raise
            answer = self._client.eval(self._store.script, len(keys), *keys, *parts)
        if not isinstance(answer, bytes):
            raise TypeError("it speaks another protocol")
        return answer

    def tell(self, what: str) -> None:
        """Once for each time that the store is away."""
        if not self._told:
            self._told = True
            self._complain(f"the store of shared state: {what}")

    def heard(self) -> None:
        """It is there."""
        self._told = False

    def complain(self, copy: int, flaw: str) -> None:
        """Of what is in the store of one copy."""
        self._complain(f"the store of shared state: state of {'.'.join(filter(None, self.stores.names[copy]))}: {flaw}")

    # --- the end ---

    def end(self, free: Callable[[], None]) -> None:
        """No call is left; whoever lets the instance go does not wait."""

        def work() -> None:
            self.close()
            free()

        threading.Thread(target=work, name="appnet", daemon=True).start()

    def close(self) -> None:
        """Says goodbye to the store: what is not merged yet, and that it need not wait for this instance."""
        self.ending.set()
        self._asked()
        for it in (*(line.thread for line in self._lines), self._looking):
            it.join()
        for copy in range(len(self._lines)):
            self.stores.away(copy)  # where calls come all the same, they do not wait
        self.wake()
        self._client.close()


class _Line:
    """What is asked about one copy, one request after another."""

    def __init__(self, carrier: StoreCarrier, copy: int) -> None:
        self._carrier, self._copy = carrier, copy
        self.ready, self.joined = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, name="appnet", daemon=True)
        self.merges = bool(carrier.stores.names[copy][1])
        self._backoff = _FIRST_BACKOFF
        self._flawed = False
        self._due = time.monotonic() + carrier.interval(copy)

    def let_go(self) -> bool:
        """Lets go what has waited too long; whether something waits."""
        carrier, copy = self._carrier, self._copy
        waited = carrier.stores.waiting_for(copy)
        if waited >= carrier.timeout:
            carrier.tell("it does not answer in time")
            carrier.stores.away(copy)
            carrier.wake()
        return waited > 0.0

    def _run(self) -> None:
        carrier = self._carrier
        pause = 0.0
        while not carrier.ending.is_set():
            if pause:
                carrier.ending.wait(pause)
                pause = 0.0
            self.ready.clear()
            pause = self._round()
        if not pause:
            self._say_goodbye()

    def _round(self) -> float:
        """Asks what is to be asked, or waits until there is something; the seconds before it may ask again."""
        carrier, now = self._carrier, time.monotonic()
        due = now >= self._due
        parts = carrier.stores.take(self._copy, due=due)
        carrier.wake()
        if parts is not None:
            if due:
                self._due = now + carrier.interval(self._copy)
            return self._ask(parts)
        if due and self.merges:
            return _STEPS_PAUSE  # steps are under way
        self.ready.wait(max(self._due - now, _STEPS_PAUSE))
        return 0.0

    def _ask(self, parts: list[bytes]) -> float:
        carrier, stores = self._carrier, self._carrier.stores
        try:
            answer = carrier.ask(self._copy, parts)
        except Exception as error:  # of the client's many
            text = str(error)
            if not _is_of_state(error):
                carrier.tell(text or type(error).__name__)
                stores.unanswered(self._copy)
                carrier.wake()
                self._backoff, pause = min(2 * self._backoff, _LONGEST_BACKOFF), self._backoff
                return pause
            answer = b"\x03" + text.encode()[:200]  # as if the script had said it
        flaw = stores.answer(self._copy, answer)
        carrier.wake()
        carrier.heard()
        self._backoff = _FIRST_BACKOFF
        if flaw and not self._flawed:
            carrier.complain(self._copy, flaw)
        self._flawed = bool(flaw)
        if not flaw:
            self.joined.set()
        return _REFUSED if flaw else 0.0

    def _say_goodbye(self) -> None:
        stores, copy = self._carrier.stores, self._copy
        for _ in range(2 if self.merges else 0):  # a batch may be under way
            parts = stores.take(copy, due=True)
            if parts is not None and self._ask(parts):
                return
        try:
            self._carrier.ask(copy, stores.leave(copy))
        except Exception as error:
            self._carrier.tell(str(error))
