"""Programs of a cluster follow a control plane: who they are decides what they get, and what they run is known."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from appnet.application.model import EdgeEnd, Side
from appnet.grpc.signed import opened
from appnet.processors.admission import LIMITS, Limits
from appnet.processors.grpc.cluster.server import LibraryServer
from appnet.processors.grpc.versions import LIBRARY_SERVICE, message_class
from appnet.processors.processor import Acceptance, Caller, Group, Serving
from appnet.processors.signing import SigningKey
from appnet.system.address import ANY_LOCAL_PORT, Address
from tests.support.asynchronous import asynchronous, eventually
from tests.support.cluster import Control, Tokens, sharing

KEY = SigningKey.generate()
TRUSTED = [bytes.fromhex(KEY.public_text)]
GROUP = Group(
    "default/echo/frontend/server.server.grpc", "default", "grpc", EdgeEnd("frontend", "server", Side.SERVER),
    {"app": "server"}, frozenset({"echo-server"}), ("appnet.frontend_server.echo.server",), 1,
)  # fmt: skip
CLIENT = replace(
    GROUP, name="default/echo/frontend/server.client.grpc", accounts=frozenset({"echo-frontend"}),
    end=EdgeEnd("frontend", "server", Side.CLIENT),
)  # fmt: skip
KNOWN = {
    "server": Caller("default", "echo-server", "server-1"),
    "frontend": Caller("default", "echo-frontend", "frontend-1"),
    "foreign": Caller("other", "echo-server", "server-1"),
}
FOLLOW = f"/{LIBRARY_SERVICE}/Follow"


@contextlib.asynccontextmanager
async def serving(
    control: Control, authenticate: Any = None, limits: Limits = LIMITS, groups: Sequence[Group] = (GROUP, CLIENT)
) -> AsyncIterator[LibraryServer]:
    given = authenticate or Tokens(KNOWN), control.arrived, control.left, KEY, Address("1.2.3.4", 5)
    server = LibraryServer(Serving(ANY_LOCAL_PORT, None, *given), limits=limits, linger=0.1)
    async with server.started():
        server.expect(groups)
        yield server


@dataclass
class Process:
    """An end of a program, as far as a control plane sees it."""

    call: Any
    service: str
    server: bool

    async def reports(self, **said: Any) -> None:
        await self.call.write(message_class("Report")(service=self.service, server=self.server, host="vm", **said))

    async def told(self) -> Any:
        """The next version, and as it is signed."""
        signed = await asyncio.wait_for(self.call.read(), 10)
        assert signed is not grpc.aio.EOF
        return opened(signed, TRUSTED), signed

    async def is_told_nothing(self) -> None:
        reading = asyncio.ensure_future(self.call.read())
        await asyncio.sleep(0.2)
        assert not reading.done()
        self.call.cancel()
        with contextlib.suppress(asyncio.CancelledError, grpc.RpcError):
            await reading

    async def ended(self) -> tuple[str, str]:
        return (await asyncio.wait_for(self.call.code(), 10)).name, await self.call.details()


@contextlib.asynccontextmanager
async def process(
    server: LibraryServer, token: str | None = "server", running: Sequence[Any] = (), service: str = ""
) -> AsyncIterator[Process]:
    shown = (("authorization", f"Bearer {token}"),) if token is not None else ()
    async with grpc.aio.insecure_channel(str(server.address), [("grpc.use_local_subchannel_pool", 1)]) as channel:
        method = channel.stream_stream(
            FOLLOW, message_class("Report").SerializeToString, message_class("SignedVersion").FromString
        )
        it = Process(method(metadata=shown), service or ("frontend" if token == "frontend" else "server"),
                     token != "frontend")  # fmt: skip
        with contextlib.suppress(asyncio.InvalidStateError, grpc.RpcError):
            await it.reports(running=running)
        yield it


async def answer(server: LibraryServer, group: Group = GROUP, version: str = "v1") -> tuple[Acceptance, str]:
    (node,) = server.nodes(group.name)
    found = await node.answer(version, 0.2)
    return found.acceptance, found.error


@pytest.mark.parametrize("token", [None, "", "bad"])
@asynchronous
async def test_who_proves_nothing_is_turned_away(token: str | None) -> None:
    control = Control("v1")
    async with serving(control) as server, process(server, token) as it:
        code, text = await it.ended()
        assert code == "UNAUTHENTICATED"
        assert text.startswith("no valid token of a service account")
        await eventually(lambda: server.is_idle)
        assert control.events == []


@asynchronous
async def test_where_nobody_can_tell_who_it_is_it_may_come_back() -> None:
    async def broken(_token: str | None, _peer: str | None) -> Caller | None:
        raise RuntimeError("the API server is away")

    async with serving(Control("v1"), broken) as server, process(server) as it:
        assert await it.ended() == ("UNAVAILABLE", "the caller cannot be checked now: try again later")


@pytest.mark.parametrize("service", ["\n", "a" * 300])
@asynchronous
async def test_who_says_nonsense_is_turned_away(service: str) -> None:
    async with serving(Control("v1")) as server, process(server, service=service) as it:
        assert await it.ended() == ("INVALID_ARGUMENT", "the process does not say what its service is")
        await eventually(lambda: server.is_idle)


@pytest.mark.parametrize(
    ("token", "service", "reason"),
    [
        ("foreign", "server", "no AppNetConfig in the namespace other has elements in libraries for calls to server"),
        ("server", "other", "no AppNetConfig in the namespace default has elements in libraries for calls to other"),
        (
            "frontend",
            "server",
            "no AppNetConfig in the namespace default has elements in libraries for calls of server",
        ),
    ],
)
@asynchronous
async def test_who_is_somebody_else_gets_nothing(token: str, service: str, reason: str) -> None:
    async with serving(Control("v1")) as server, process(server, token, service=service) as it:
        await eventually(server.strangers)
        (stranger,) = server.strangers()
        assert (stranger.caller, stranger.reason) == (KNOWN[token], reason)
        await it.is_told_nothing()


@asynchronous
async def test_of_another_account_it_gets_nothing_until_its_group_has_it() -> None:
    group = replace(GROUP, accounts=frozenset({"others"}))
    async with serving(Control("v1"), groups=[group]) as server, process(server) as it:
        await eventually(server.strangers)
        (stranger,) = server.strangers()
        assert stranger.reason == "the processes of server run as others, not as echo-server"
        assert stranger.chain == GROUP.chains[0]
        server.expect([GROUP])
        version, _ = await it.told()
        assert (version.id, version.node, version.server, version.at_server) == ("v1", GROUP.name, "server", True)
        assert version.records == "1.2.3.4:5"
        assert not server.strangers()


@asynchronous
async def test_few_strangers_may_wait() -> None:
    limits = replace(LIMITS, account=1)
    async with serving(Control("v1"), limits=limits, groups=[]) as server, process(server):
        await eventually(server.strangers)
        async with process(server) as second:
            assert (await second.ended())[0] == "RESOURCE_EXHAUSTED"


@asynchronous
async def test_answers_and_what_it_runs_already() -> None:
    control = Control("v1")
    async with serving(control) as server:
        async with process(server) as it:
            version, signed = await it.told()
            assert await answer(server) == (Acceptance.PENDING, "")
            await it.reports(node=version.node, version="v0", accepted=True)  # an answer to something else
            await it.reports(node=version.node, version="v1", error="it does not fit")
            await eventually(lambda: server.nodes(GROUP.name)[0].stands("v1").acceptance is Acceptance.NACKED)
            assert await answer(server) == (Acceptance.NACKED, "it does not fit")
            server.nodes(GROUP.name)[0].offer("v1", [])
            _, again = await it.told()
            assert (again.version, again.made > signed.made) == (signed.version, True), "it is tried once more"
            await it.reports(node=version.node, version="v1", accepted=True)
            await eventually(lambda: server.nodes(GROUP.name)[0].stands("v1").acceptance is Acceptance.ACKED)
        # It may come back; later it has left.
        assert await answer(server) == (Acceptance.ACKED, "")
        await eventually(lambda: not server.nodes(GROUP.name))
        assert control.events == [f"+{GROUP.name}/server-1.default", f"-{GROUP.name}/server-1.default"]
        running = message_class("Running")(
            node=version.node, version="v1", digest=hashlib.sha256(signed.version).digest()
        )
        async with process(server, running=[running]) as it:
            await eventually(lambda: server.nodes(GROUP.name))
            assert await answer(server) == (Acceptance.ACKED, "")
            await it.is_told_nothing()


@asynchronous
async def test_all_processes_of_a_pod_have_to_accept() -> None:
    async with serving(Control("v1")) as server, process(server) as one, process(server) as other:
        version, _ = await one.told()
        await other.told()
        await one.reports(node=version.node, version="v1", accepted=True)
        assert await answer(server) == (Acceptance.PENDING, "")
        await other.reports(node=version.node, version="v1", accepted=True)
        await eventually(lambda: server.nodes(GROUP.name)[0].stands("v1").acceptance is Acceptance.ACKED)
        async with process(server, "frontend") as client:
            assert (await client.told())[0].node == CLIENT.name


@asynchronous
async def test_to_go_back_is_a_newer_version() -> None:
    async with serving(Control("v1")) as server, process(server) as it:
        version, first = await it.told()
        assert version.application == "default/echo"
        (node,) = server.nodes(GROUP.name)
        before = first
        for number in (2, 1):
            await it.reports(node=version.node, version=version.id, accepted=True)
            node.offer(f"v{number}", [])
            version, signed = await it.told()
            assert version.id == f"v{number}"
            assert signed.made > before.made
            before = signed
        assert before.version == first.version


@asynchronous
async def test_a_stores_password_is_a_newer_version_of_the_same_content(tmp_path: Path) -> None:
    async with serving(Control("v1", sharing(tmp_path, "grpc"))) as server, process(server) as it:
        await eventually(lambda: server.nodes(GROUP.name))
        told = "the password of the store in the Secret default/fig is not known"
        assert await answer(server) == (Acceptance.NACKED, told)
        made = 0
        for password in ("first-word", "second-word"):
            server.expect([replace(GROUP, passwords={"fig": password}), CLIENT])
            version, signed = await it.told()
            (chain,) = version.chains
            assert (chain.store.password, chain.store.scope) == (password, "appnet:default.echo/frontend/server")
            assert (version.id, version.application, signed.made > made) == ("v1", "default/echo", True)
            made = signed.made
            assert await answer(server) == (Acceptance.PENDING, "")
            await it.reports(node=version.node, version="v1", accepted=True)
            await eventually(lambda: server.nodes(GROUP.name)[0].stands("v1").acceptance is Acceptance.ACKED)
        accounts = frozenset({"echo-server", "more"})
        server.expect([replace(GROUP, passwords={"fig": "second-word"}, accounts=accounts), CLIENT])
        await it.is_told_nothing()


@asynchronous
async def test_what_is_no_more_is_taken_away() -> None:
    async with serving(Control("v1")) as server, process(server) as it:
        version, signed = await it.told()
        await it.reports(node=version.node, version="v1", accepted=True)
        await eventually(lambda: server.nodes(GROUP.name)[0].stands("v1").acceptance is Acceptance.ACKED)
        server.expect([CLIENT])
        empty, last = await it.told()
        assert (empty.node, list(empty.chains), empty.server, empty.at_server) == (GROUP.name, [], "server", True)
        assert (empty.application, last.made > signed.made) == ("default/echo", True)


@asynchronous
async def test_nothing_is_taken_away_before_all_is_known() -> None:
    """A control plane that has just begun does not know of all that its programs run."""
    running = message_class("Running")(node=GROUP.name, version="v1", digest=b"x")
    async with serving(Control("v1"), groups=[CLIENT]) as server, process(server, running=[running]) as it:
        await eventually(server.strangers)
        server.expect([CLIENT], lambda _: False)
        server.expect([CLIENT], lambda namespace: namespace == "other")
        reading = asyncio.ensure_future(it.told())
        await asyncio.sleep(0.2)
        assert not reading.done()
        server.expect([CLIENT], lambda namespace: namespace == "default")
        empty, _ = await reading
        assert (empty.node, list(empty.chains)) == (GROUP.name, [])
