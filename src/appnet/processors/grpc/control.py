"""What tells libraries their chains: processes follow it, and say what they make of each version."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from appnet.application.model import Side
from appnet.processors.artifact import Artifact
from appnet.processors.grpc.versions import LIBRARY_SERVICE, Signer, digest, message_class, told
from appnet.processors.listening import Context, Listening, check_token
from appnet.processors.processor import Acceptance, NodeAnswer, Nodes, NodeSettings, ProcessorError
from appnet.processors.signing import user_key
from appnet.processors.stores import store_of
from appnet.system.address import ANY_LOCAL_PORT, Address
from appnet.system.tls import ServerTls

_OPTIONS = (
    ("grpc.max_receive_message_length", 1 << 20),
    # A process whose machine is gone must not be waited for.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)


class _Said(NamedTuple):
    """What a process has said of a version, and when."""

    version: str
    accepted: bool
    error: str
    at: float


@dataclass
class _Follower:
    """A process, as far as it is one end of edges."""

    instance: str
    service: str
    server: bool
    queue: asyncio.Queue[Any]
    answers: dict[str, _Said] = field(default_factory=dict)  # by node

    def is_of(self, settings: NodeSettings) -> bool:
        """Whether a node is in the process."""
        end = settings.end
        same = (end.service, end.side is Side.SERVER) == (self.service, self.server)
        return same and self.instance in ("", self.service, settings.instance)


class LibraryNode:
    """One end of an edge in the processes of a service's instance. It is where calls would go without it."""

    def __init__(self, settings: NodeSettings, control: LibraryControl, signer: Signer) -> None:
        self.name, self.end, self.processor = settings.name, settings.end, settings.processor
        self.settings = settings
        self._control, self._signer = control, signer
        self._since = 0.0
        self.version = ""
        self.message: Any = None

    @property
    def address(self) -> Address:
        """Where its calls go."""
        return self.settings.upstream[0]

    @property
    def running(self) -> bool:
        """Whether a process follows."""
        return bool(self._control.followers_of(self))

    def last_words(self) -> str:
        """They are its program's."""
        return "no process of it follows the control plane"

    def offer(self, version: str, artifacts: Sequence[Artifact]) -> None:
        """Makes these all that it is to run."""
        self.version, self._since = version, time.time()
        whole = told(self.settings, version, artifacts, store_of=lambda it: store_of(it, self.settings.application))
        self.message = self._signer.signed(whole, self._signer.now())
        for it in self._control.followers_of(self):
            it.queue.put_nowait(self.message)

    async def answer(self, version: str, timeout_seconds: float) -> NodeAnswer:
        """Waits until every process that follows has accepted the version, or one has refused it."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            found = self._answer(version)
            left = deadline - time.monotonic()
            if found.acceptance is not Acceptance.PENDING or left <= 0 or not self.running:
                return found
            await self._control.wait_for_news(left)

    def _answer(self, version: str) -> NodeAnswer:
        if version != self.version:
            return NodeAnswer(self.name, version, Acceptance.SUPERSEDED, since=self._since)
        answers = [it.answers.get(self.name) for it in self._control.followers_of(self)]
        there = [it for it in answers if it is not None and it.version == version]
        refused = next((it for it in there if not it.accepted), None)
        if refused is not None:
            return NodeAnswer(self.name, version, Acceptance.NACKED, refused.error, refused.at)
        if answers and len(there) == len(answers):
            return NodeAnswer(self.name, version, Acceptance.ACKED, since=max(it.at for it in there))
        return NodeAnswer(self.name, version, Acceptance.PENDING, since=self._since)


class LibraryControl:
    """Serves `library.proto` on an address, by ``tls`` or without, to whoever shows the ``token`` in a file, if there
    is one; raises OSError where the address cannot be had."""

    def __init__(self, bind: Address = ANY_LOCAL_PORT, tls: ServerTls | None = None, token: Path | None = None) -> None:
        self.nodes: list[LibraryNode] = []
        self._token = token
        self._followers: list[_Follower] = []
        self._news = asyncio.Event()
        self._listening = Listening(bind, tls, options=_OPTIONS)

    async def __aenter__(self) -> LibraryControl:
        read, write = message_class("Report").FromString, message_class("SignedVersion").SerializeToString
        await self._listening.start(LIBRARY_SERVICE, {"Follow": self._follow}, read, write)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listening.stop()

    @property
    def address(self) -> Address:
        """Where processes follow."""
        return self._listening.address

    def strangers(self) -> frozenset[str]:
        """Ends of services that follow, and are no node's."""
        there = [it for it in self._followers if not any(it.is_of(node.settings) for node in self.nodes)]
        return frozenset(f"{it.instance or it.service} ({'server' if it.server else 'client'})" for it in there)

    def followers_of(self, node: LibraryNode) -> list[_Follower]:
        """The processes that a node is in."""
        return [it for it in self._followers if it.is_of(node.settings)]

    async def wait_for_news(self, seconds: float) -> None:
        """Until somebody has said something, or for so long."""
        self._news.clear()
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            return

    async def _follow(self, reports: AsyncIterator[Any], context: Context) -> None:
        await check_token(context, self._token)
        queue: asyncio.Queue[Any] = asyncio.Queue()
        mine: list[_Follower] = []
        reading = asyncio.create_task(self._read(reports, queue, mine))
        try:
            while (message := await queue.get()) is not None:
                await context.write(message)
        finally:
            reading.cancel()
            self._followers = [it for it in self._followers if it not in mine]
            self._news.set()

    async def _read(self, reports: AsyncIterator[Any], queue: asyncio.Queue[Any], mine: list[_Follower]) -> None:
        try:
            async for report in reports:
                self._note(report, queue, mine)
                self._news.set()
        finally:
            queue.put_nowait(None)

    def _note(self, report: Any, queue: asyncio.Queue[Any], mine: list[_Follower]) -> None:
        same = (report.instance, report.service, report.server)
        follower = next((it for it in mine if (it.instance, it.service, it.server) == same), None)
        if follower is None:
            follower = _Follower(*same, queue)
            mine.append(follower)
            self._followers.append(follower)
            runs = {it.node: it.digest for it in report.running}
            for node in self.nodes:
                if not follower.is_of(node.settings) or node.message is None:
                    continue
                if runs.get(node.name) == digest(node.message):
                    follower.answers[node.name] = _Said(node.version, True, "", time.time())
                else:
                    queue.put_nowait(node.message)
        if report.version:
            follower.answers[report.node] = _Said(report.version, report.accepted, report.error, time.time())


class LibraryNodes:
    """Makes nodes, whose processes come by themselves."""

    def __init__(self, control: LibraryControl, signer: Signer) -> None:
        self._control, self._signer = control, signer

    @property
    def control(self) -> Address:
        """Where processes follow."""
        return self._control.address

    def strangers(self) -> frozenset[str]:
        """Processes that are no node's."""
        return self._control.strangers()

    async def start(self, settings: NodeSettings, version: str, artifacts: Sequence[Artifact]) -> LibraryNode:
        """A node that has its version ready for when its process comes. Raises `ProcessorError`."""
        if len(settings.upstream) > 1 and not artifacts:
            raise ProcessorError(
                f"{settings.end.server} has {len(settings.upstream)} instances, and nothing in {settings.end.client} "
                "spreads calls over them: write `replicas: 1`, give the clientChain an element, or add `sidecar` to "
                "the processors"
            )
        node = LibraryNode(settings, self._control, self._signer)
        self._control.nodes.append(node)
        node.offer(version, artifacts)
        return node


@asynccontextmanager
async def library_nodes(
    control: Address = ANY_LOCAL_PORT, tls: ServerTls | None = None, token: Path | None = None
) -> AsyncIterator[Nodes]:
    """Configures the libraries of processes that follow ``control``, until the end of the context."""
    key = await asyncio.to_thread(user_key)  # as `bootstrap` tells programs
    async with LibraryControl(control, tls, token) as served:
        yield LibraryNodes(served, Signer(key))
