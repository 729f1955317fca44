"""The gateway as a wasm module under test sees it, and the timer by which it merges."""

from __future__ import annotations

from typing import Protocol

from appnet.processors.envoy.harness.sharing import Ask
from appnet.state.gateway import Request, read_post, write_answers

GATEWAY_TOKEN = 2
"""By which answers of the gateway are told from those of collectors."""
MERGE_MS = 24 * 3600 * 1000
"""The module's time between merges: so long that none comes by itself."""


class Posting(Protocol):
    """A module that posts."""

    now_ns: int

    def tick(self) -> None:
        """The timer's time has come."""

    def answered(self, token: int, body: bytes | None) -> None:
        """A post is answered; None: it failed."""


class PostCarrier:
    """Answers what one instance posts. ``ask``: how the store is reached."""

    def __init__(self, module: Posting, ask: Ask) -> None:
        self._module, self._ask = module, ask
        self._posted: bytes | None = None
        self._seen: dict[tuple[str, str], bytes] = {}
        self._merges = 0

    def post(self, body: bytes) -> None:
        """The module posts; `answer` comes later."""
        assert self._posted is None, "one post at a time"
        self._posted = body

    def answer(self) -> None:
        """Answers what was posted."""
        while self._posted is not None:
            asked, self._posted = list(read_post(self._posted)), None
            answers = [self._asked(it) for it in asked]
            whole = [it for it in answers if it is not None]
            self._module.answered(GATEWAY_TOKEN, write_answers(whole) if len(whole) == len(answers) else None)

    def settle(self) -> None:
        """The instance is there, or the store left or came back: it joins the others, if it has not yet."""
        self._module.tick()

    def carry(self) -> None:
        """Calls wait for nothing."""

    def merge(self) -> None:
        """Merges the instance's weak state, if the store is there."""
        if self._ask("", "", []) is None:
            return
        now_ns, self._merges = self._module.now_ns, self._merges + 1
        self._module.now_ns += self._merges * 2 * MERGE_MS * 10**6
        self._module.tick()
        self._module.now_ns = now_ns

    def leave(self) -> bool:
        """The instance ends, as if killed, but the store hears of it."""
        for (element, variable), name in self._seen.items():
            self._ask(element, variable, [b"part", name])
        return True

    def _asked(self, it: Request) -> bytes | None:
        self._seen[it.element, it.variable] = it.parts[1]
        return self._ask(it.element, it.variable, list(it.parts))
