"""What a controller finds to be shared, and where it is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from appnet.compile.fit import Where
from appnet.deploy.kubernetes.operator.judged import Judge
from appnet.deploy.kubernetes.operator.sharing import all_apart, doors, kept_apart, wanted_store
from appnet.optimize import Settings
from appnet.processors.envoy.cluster.node import ProxyNode
from appnet.processors.envoy.cluster.offers import Offers
from appnet.processors.processor import Caller
from appnet.state.gateway import Door
from appnet.state.health import Wanted
from tests.deploy.test_absent import configuration, judged
from tests.support.cluster import GROUP
from tests.support.proxies import KEY

MAPS = {"programs": {"quota.appnet": Path("config/samples/shared/global_quota.appnet").read_text()}}
WHERE = Where("native", cluster=True, controlled=True)


def test_native_proxies_share_and_manifests_do_not() -> None:
    judge = Judge("shop", None, Settings(), WHERE)
    body = configuration(state={"store": "redis://state.shop:6379", "secret": "fig"})
    found = judged(body, MAPS, judge)
    assert (found.version is not None, found.wrong, found.warnings) == (True, {}, [])
    assert found.version is not None
    assert wanted_store(found.version, "echo", WHERE, {"fig": "word"}) == Wanted(
        "redis://state.shop:6379", "word", durable=True
    )
    assert list(all_apart(found.version, "echo", WHERE)) == [
        "W004: `quota` shares state between instances, which is not supported on wasm: each instance keeps its own `used`"
    ]


def test_proxies_that_do_not_share_are_named() -> None:
    """A chain that merges, whose store is behind a socket of the proxies' pods."""
    weak = "state:\n    @consistency(weak)\n    total: int\ninit():\n    pass\nreq(rpc):\n    total = total + 1\n"
    maps = {"programs": {"quota.appnet": f"{weak}    send(rpc, Down)\nresp(rpc):\n    send(rpc, Up)\n"}}
    group = replace(GROUP, name="shop/echo/frontend/server.server.sidecar")
    caller, why, offers = Caller("shop", "echo-server"), "AppNet's loader is not in its pod", Offers(KEY)
    node = ProxyNode(group, "server-1.shop", caller, "127.0.0.1", ("wasm",), why, offers)
    title = "W004: `quota` merges state of its instances, which is not supported on wasm"
    apart = f"{title}: each of these keeps its own `total`: server-1.shop ({why})"
    for address, told in (("unix:///run/state", [apart]), ("redis://state.shop:6379", [])):
        version = judged(configuration(state={"store": address}), maps, Judge("shop", None, Settings(), WHERE)).version
        assert version is not None
        assert list(kept_apart(version, "echo", WHERE, [node])) == told


def test_a_gateway_leads_to_what_is_shared() -> None:
    judge = Judge("shop", None, Settings(), WHERE)
    for address, reached in (("redis://state.shop:6379", True), ("unix:///run/state", False)):
        version = judged(configuration(state={"store": address, "secret": "fig"}), MAPS, judge).version
        assert version is not None
        expected = {Door("appnet:shop.echo/frontend/server", address, "word")} if reached else set()
        assert set(doors(version, ("shop", "echo"), {"fig": "word"})) == expected


def test_shared_state_needs_a_store_that_native_code_reaches() -> None:
    judge = Judge("shop", None, Settings(), WHERE)
    for state, code in (({}, "C098"), ({"store": "rediss://state.shop:6380"}, "C099")):
        found = judged(configuration(state=state), MAPS, judge)
        assert ([it.code for it in found.wrong["echo"]], found.held) == ([code], {"echo"})
