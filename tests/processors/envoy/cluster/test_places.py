"""Groups come, change and go, and so do proxies: every stream has its place at all times."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from envoy.config.core.v3.base_pb2 import Node
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest

from appnet.application.model import EdgeEnd, Side
from appnet.processors.admission import LIMITS, TooManyError
from appnet.processors.envoy.cluster.identity import LOADER, Said
from appnet.processors.envoy.cluster.places import Asking, Places
from appnet.processors.envoy.cluster.state import FilterStream
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.processors.envoy.xds.snapshot import EXTENSIONS
from appnet.processors.processor import Acceptance, Caller, Group
from appnet.state.gateway import make_pass
from tests.support.asynchronous import asynchronous
from tests.support.cluster import CHAIN, GROUP, IDLE, LABELS, SERVER, Control, artifacts, sharing
from tests.support.proxies import KEY

OUT = Group(
    "default/echo/out", "default", "sidecar", EdgeEnd("server", "store", Side.CLIENT), {"app": "server"},
    frozenset({"echo-server"}), ("appnet.server_store.get.client",), 1,
)  # fmt: skip


def said(name: str = "server-1", loader: str = "L") -> Said:
    return Said(name, "default", "echo-server", LABELS, (1, 40), loader)


def asking(chain: str = CHAIN, it: Said | None = None, caller: Caller = SERVER, host: str = "10.0.0.1") -> Asking:
    request = DiscoveryRequest(type_url=EXTENSIONS, resource_names=[chain])
    return Asking(FilterStream.begun(request), it or said(), caller, host)


def entered(places: Places, *chains: str, it: Said | None = None) -> list[Asking]:
    lines = [asking(chain, it) for chain in chains]
    for line in lines:
        places.enter(line)
    return lines


def accept(line: Asking) -> None:
    response = line.due()
    assert response is not None
    assert line.state.receive(DiscoveryRequest(response_nonce=response.nonce))
    line.answered()


@pytest.fixture
def control() -> Control:
    return Control("v1", artifacts("one", WASM))


@pytest.fixture
def places(control: Control) -> Places:
    return Places(KEY, "L", control.arrived, control.left, LIMITS, linger=0.05)


@asynchronous
async def test_a_proxy_in_two_groups_is_a_node_in_each(places: Places, control: Control) -> None:
    places.expect([GROUP, OUT])
    lines = entered(places, CHAIN, IDLE, *OUT.chains)
    assert control.events == ["+default/echo/server/server-1.default", "+default/echo/out/server-1.default"]
    (inward,), (outward,) = (places.nodes(it.name) for it in (GROUP, OUT))
    assert (inward.proxy, inward.end, outward.end) == (outward.proxy, GROUP.end, OUT.end)
    for it in lines:
        places.leave(it)
    await asyncio.sleep(0.1)
    assert sorted(control.events[2:]) == ["-default/echo/out/server-1.default", "-default/echo/server/server-1.default"]
    assert places.is_empty


@asynchronous
async def test_one_that_comes_back_soon_has_never_left(places: Places, control: Control) -> None:
    places.expect([GROUP])
    (line,) = entered(places, CHAIN)
    accept(line)
    (node,) = places.nodes(GROUP.name)
    places.leave(line)
    assert (node.running, node.stands("v1").acceptance) == (False, Acceptance.ACKED)
    assert places.nodes(GROUP.name) == [node]
    (back,) = entered(places, CHAIN)
    await asyncio.sleep(0.1)
    assert control.events == [f"+{node.name}"]
    assert back.due() is not None  # as it does not say that it runs something, it is sent it
    places.leave(back)
    await asyncio.sleep(0.1)
    assert control.events == [f"+{node.name}", f"-{node.name}"]
    assert (places.nodes(GROUP.name), places.gone(GROUP.name)) == ([], [node])
    entered(places, CHAIN)
    assert places.gone(GROUP.name) == []
    assert places.nodes(GROUP.name) != [node]


@asynchronous
async def test_nobody_waits_for_one_that_is_cut_off(places: Places, control: Control) -> None:
    places.expect([GROUP])
    (line,) = entered(places, CHAIN)
    (node,) = places.nodes(GROUP.name)
    waiting = asyncio.create_task(node.answer("v1", 60))
    await asyncio.sleep(0)
    places.leave(line)
    assert (await asyncio.wait_for(waiting, 5)).acceptance is Acceptance.PENDING
    assert (await asyncio.wait_for(node.answer("v1", 60), 5)).acceptance is Acceptance.PENDING


@asynchronous
async def test_one_that_starts_anew_may_load_something_else(places: Places, control: Control) -> None:
    control.artifacts = artifacts("one", NATIVE)
    places.expect([GROUP])
    (line,) = entered(places, CHAIN)
    (node,) = places.nodes(GROUP.name)
    assert (node.target, node.stands("v1").acceptance) == (NATIVE, Acceptance.PENDING)
    places.leave(line)
    (line,) = entered(places, CHAIN, it=said(loader=""))
    assert places.nodes(GROUP.name) == [node]
    assert (node.target, node.why) == (WASM, "AppNet's loader is not in its pod")
    assert (line.due(), node.stands("v1").acceptance) == (None, Acceptance.NACKED)


@asynchronous
async def test_a_group_that_changes_keeps_its_proxies_while_they_fit(places: Places, control: Control) -> None:
    places.expect([GROUP])
    lines = entered(places, CHAIN, IDLE)
    (node,) = places.nodes(GROUP.name)
    wider = replace(GROUP, chains=(*GROUP.chains, "more"), hosts=3)
    places.expect([wider])
    assert (places.nodes(GROUP.name), node.group) == ([node], wider)
    places.expect([replace(GROUP, chains=(CHAIN,))])
    assert [it.chain for it in places.strangers()] == [IDLE]
    assert node.running
    places.expect([replace(GROUP, labels={"app": "other"})])
    assert {it.reason for it in places.strangers()} == {
        "it lacks labels of the proxies of default/echo/server: app=other"
    }
    assert control.events == [f"+{node.name}", f"-{node.name}"]
    assert places.gone(GROUP.name) == [node]
    places.expect([])
    assert places.gone(GROUP.name) == []
    for it in lines:
        places.leave(it)
    assert places.is_empty


@asynchronous
async def test_more_hosts_are_another_configuration(places: Places, control: Control) -> None:
    places.expect([GROUP])
    (line,) = entered(places, CHAIN)
    accept(line)
    (node,) = places.nodes(GROUP.name)
    node.offer("v1", control.artifacts)
    assert node.stands("v1").acceptance is Acceptance.ACKED
    places.expect([replace(GROUP, hosts=3)])
    node.offer("v1", control.artifacts)
    assert node.stands("v1").acceptance is Acceptance.PENDING
    accept(line)
    assert node.stands("v1").acceptance is Acceptance.ACKED


@asynchronous
async def test_a_stores_password_is_another_configuration_of_the_same_version(
    places: Places, control: Control, tmp_path: Path
) -> None:
    control.artifacts = sharing(tmp_path, "sidecar")
    places.expect([GROUP])
    (line,) = entered(places, CHAIN)
    (node,) = places.nodes(GROUP.name)
    assert node.stands("v1").error == "the password of the store in the Secret default/fig is not known"
    for password in ("first-word", "second-word"):
        group = replace(GROUP, passwords={"fig": password})
        assert password not in repr(group)
        places.expect([group])
        assert node.stands("v1").acceptance is Acceptance.PENDING
        response = line.due()
        assert response is not None
        sent = response.resources[0].value
        assert password.encode() in sent
        assert b"appnet:default.echo/frontend/server" in sent
        assert line.state.receive(DiscoveryRequest(response_nonce=response.nonce))
        line.answered()
        assert node.stands("v1").acceptance is Acceptance.ACKED
    places.expect([replace(GROUP, passwords={"fig": "second-word"}, accounts=frozenset({"echo-server", "more"}))])
    assert line.due() is None  # what it runs is the same


@asynchronous
async def test_webassembly_has_a_pass_and_no_password(places: Places, control: Control, tmp_path: Path) -> None:
    control.artifacts = sharing(tmp_path, "sidecar")
    places.expect([replace(GROUP, passwords={"fig": "first-word"})])
    (line,) = entered(places, CHAIN, it=said(loader=""))
    response = line.due()
    assert response is not None
    sent = response.resources[0].value
    shown = make_pass(KEY.gateway_secret, "appnet:default.echo/frontend/server", "redis://store:6379")
    assert (shown.encode() in sent, b"first-word" in sent) == (True, False)
    assert line.state.receive(DiscoveryRequest(response_nonce=response.nonce))
    places.expect([replace(GROUP, passwords={"fig": "second-word"})])
    assert line.due() is None


@asynchronous
async def test_a_group_goes_while_its_proxy_is_cut_off(places: Places, control: Control) -> None:
    places.expect([GROUP])
    (line,) = entered(places, CHAIN)
    places.leave(line)
    places.expect([])
    assert [it[0] for it in control.events] == ["+", "-"]
    assert places.is_empty
    await asyncio.sleep(0.1)
    assert [it[0] for it in control.events] == ["+", "-"]


@asynchronous
async def test_proxies_move_from_one_group_to_another(places: Places, control: Control) -> None:
    places.expect([GROUP])
    entered(places, CHAIN, IDLE)
    other = replace(GROUP, name="default/other")
    places.expect([other, GROUP])  # the first that fits
    assert [it[0] for it in control.events] == ["+", "+", "-"]
    assert (len(places.nodes(other.name)), places.nodes(GROUP.name)) == (1, [])
    (node,) = places.nodes(other.name)
    assert node._lines.keys() == {CHAIN, IDLE}


@asynchronous
async def test_those_that_left_are_remembered_for_a_while_only(places: Places) -> None:
    places.expect([GROUP])
    lines = [line for it in range(300) for line in entered(places, CHAIN, it=said(f"p{it}"))]
    for it in lines:
        places.leave(it)
    await asyncio.sleep(0.2)
    gone = [it.proxy for it in places.gone(GROUP.name)]
    assert len(gone) == 256
    assert gone[-1] == "p299.default"


@asynchronous
async def test_nobody_is_told_of_streams_that_end_with_the_server(places: Places, control: Control) -> None:
    places.expect([GROUP])
    (line,) = entered(places, CHAIN)
    places.close()
    places.leave(line)
    await asyncio.sleep(0.1)
    assert [it[0] for it in control.events] == ["+"]


@asynchronous
async def test_a_stranger_too_many_is_not_kept(control: Control) -> None:
    places = Places(KEY, "L", control.arrived, control.left, replace(LIMITS, account=1))
    places.expect([])
    (line,) = entered(places, CHAIN)
    with pytest.raises(TooManyError, match="nothing in the namespace default has this filter"):
        entered(places, CHAIN)
    assert [it.since for it in places.strangers()] == [line.since]
    places.leave(line)
    assert places.is_empty


# --- what a proxy can load ---


def node_message(version: tuple[int, int], loader: str, *extensions: str) -> Node:
    node = Node(id="n")
    node.metadata.update({"NAME": "n", LOADER: loader})
    node.user_agent_build_version.version.major_number, node.user_agent_build_version.version.minor_number = version
    for it in extensions:
        node.extensions.add(name=it)
    return node


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (node_message((1, 39), "L"), ""),
        (node_message((2, 0), "L", "envoy.filters.http.lua", "envoy.extensions.filters.http.dynamic_modules"), ""),
        (node_message((1, 40), "L", "envoy.filters.http.lua"), "its Envoy 1.40 has no dynamic modules"),
        (node_message((1, 38), "L"), "its Envoy 1.38 has no dynamic modules"),
        (node_message((0, 0), "L"), "it does not say which Envoy it is"),
        (node_message((1, 40), ""), "AppNet's loader is not in its pod"),
        (node_message((1, 40), "x" * 99), f"the pod has the loader '{'x' * 16}', but native code needs 'L'"),
    ],
)
def test_native_code_needs_a_new_envoy_and_the_loader(node: Node, why: str) -> None:
    assert Said.of(node).targets("L") == (((WASM,), why) if why else ((NATIVE, WASM), ""))
