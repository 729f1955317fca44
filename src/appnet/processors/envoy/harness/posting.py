"""The gateway as a wasm module under test sees it, and the timer by which it merges."""

from __future__ import annotations

from typing import Protocol

from appnet.processors.envoy.harness.sharing import Ask
from appnet.state.gateway import Request, read_post, write_answers

FIRST_TOKEN = 2
"""By which answers of the gateway are told from those of collectors, which have 1."""
MERGE_MS = 24 * 3600 * 1000
"""The module's time between merges: so long that none comes by itself."""
TIMEOUT_MS = 1
"""How long its calls wait."""
_REST_NS = 10**9  # after a failure it asks nothing for a while


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
        self._posted: dict[int, bytes] = {}
        self._tokens = FIRST_TOKEN
        self._seen: dict[tuple[str, str], bytes] = {}
        self._merges = 0

    def post(self, body: bytes) -> int:
        """The module posts; `answer` comes later. Gives its token."""
        self._tokens += 1
        self._posted[self._tokens] = body
        return self._tokens

    def answer(self) -> None:
        """Answers what was posted, and what is posted then."""
        while self._posted:
            token = next(iter(self._posted))
            answers = [self._asked(it) for it in read_post(self._posted.pop(token))]
            whole = [it for it in answers if it is not None]
            self._module.answered(token, write_answers(whole) if len(whole) == len(answers) else None)

    def settle(self) -> None:
        """The instance is there, or the store left or came back: it joins the others, if it has not yet."""
        self._later(_REST_NS)
        self.carry()

    def carry(self) -> None:
        """Has answered what calls wait for; if the store is away, they have waited long enough."""
        self.answer()
        if self._ask("", "", []) is None:
            self._later(TIMEOUT_MS * 10**6)

    def _later(self, by_ns: int) -> None:
        """The timer's time has come, so much later; then it is now again, and what was posted is answered."""
        now_ns = self._module.now_ns
        self._module.now_ns += by_ns
        self._module.tick()
        self._module.now_ns = now_ns
        self.answer()

    def merge(self) -> None:
        """Merges the instance's weak state, if the store is there."""
        if self._ask("", "", []) is None:
            return
        self._merges += 1
        self._later(self._merges * 2 * MERGE_MS * 10**6)

    def leave(self) -> bool:
        """The instance ends, as if killed, but the store hears of it."""
        for (element, variable), name in self._seen.items():
            self._ask(element, variable, [b"part" if variable else b"leave", name])
        return True

    def _asked(self, it: Request) -> bytes | None:
        self._seen[it.element, it.variable] = it.parts[1]
        return self._ask(it.element, it.variable, list(it.parts))
