"""What `appnetctl compile` writes, applied as its README says, in a real Kubernetes and Istio."""

from __future__ import annotations

import threading
from collections import Counter
from functools import partial
from itertools import pairwise

import pytest
import yaml

from tests.kubernetes.cluster import Cluster, await_
from tests.kubernetes.conftest import Application, await_filters
from tests.kubernetes.pods import CLIENT_POD, SERVER_POD, listener_errors
from tests.support.raw_grpc import string_field

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

CLIENT, SERVER = "appnet.frontend_server.echo.client", "appnet.frontend_server.echo.server"
DENIED = "PERMISSION_DENIED"  # by whoever stands in for a module that is not there
REFUSED = "ABORTED"  # by the firewall


def start(echo: Application) -> None:
    echo.compile()
    echo.apply()
    echo.start_pods()
    await_filters(CLIENT_POD, {CLIENT})
    await_filters(SERVER_POD, {SERVER})


def test_calls_are_judged_between_pods(echo: Application, cluster: Cluster) -> None:
    before = cluster.refused()
    start(echo)
    assert [echo.call(it) for it in ("hello", "test", "hello")] == ["OK", REFUSED, "OK"]
    assert echo.server.seen == ["/echo.EchoService/echo"] * 2
    assert cluster.refused() == before
    assert listener_errors(CLIENT_POD) == listener_errors(SERVER_POD) == []


def test_elements_that_moved_are_gone_from_their_old_place(echo: Application) -> None:
    start(echo)
    line = "  serverChain:                 # ... then these, on the server's side\n"
    echo.edit("sample_echo_sidecar.yaml", line, "")  # so the firewall is the last on the client's side
    echo.compile()
    echo.apply()
    await_filters(SERVER_POD, set())
    assert [echo.call(it) for it in ("hello", "test")] == ["OK", REFUSED]
    echo.remove()
    await_filters(CLIENT_POD, set())


def test_upgrades_lose_no_call(echo: Application) -> None:
    start(echo)
    codes: Counter[str] = Counter()
    over = threading.Event()

    def calls() -> None:
        while not over.is_set():
            codes[echo.call("hello")] += 1

    caller = threading.Thread(target=calls)
    caller.start()
    words = ["test", *(f"test{number}" for number in range(5))]
    try:
        for old, new in pairwise(words):
            echo.edit("firewall.appnet", f"'{old}'", f"'{new}'")
            echo.compile()
            echo.apply()
            await_(f"{new} is refused", partial(_is_refused, echo, new), 20)
    finally:
        over.set()
        caller.join()
    assert set(codes) == {"OK"}
    assert codes["OK"] > 100


def _is_refused(echo: Application, body: str) -> bool:
    return echo.call(body) == REFUSED


def test_what_a_proxy_refuses_is_not_passed_unjudged(echo: Application, cluster: Cluster, target: str) -> None:
    echo.compile()
    (path,) = (echo.output / "kubernetes").glob("30-*.server.yaml")
    (filter_,) = yaml.safe_load_all(path.read_text())
    (code,) = (it for it in filter_["spec"]["configPatches"] if it["applyTo"] == "EXTENSION_CONFIG")
    config = code["patch"]["value"]["typed_config"]
    if target == "wasm":
        config["config"]["vm_config"]["code"]["local"]["inline_bytes"] = "AGFzbQEAAAA="  # a module without anything
    else:
        config["filter_config"]["secret"]["inline_bytes"] = "bm90aGluZw=="
    path.write_text(yaml.safe_dump(filter_))
    before = cluster.refused()
    echo.apply()
    echo.start_pods()
    await_("the proxy refuses", lambda: cluster.refused() > before, 20)
    assert await_("the server's sidecar takes calls", lambda: echo.call("hello") != "UNAVAILABLE")
    assert [echo.call(it) for it in ("hello", "test")] == [DENIED, DENIED]
    assert echo.call("hello", "another") == "OK", "a method that nobody judges"
    assert echo.server.seen == ["/echo.EchoService/another"]


RELUCTANT = """state:
    seen: int

init():
    seen = 0

req(rpc):
    seen = seen + 1
    match seen < 3:
        true => send(err('later', UNAVAILABLE), Up)
        false => send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""


@pytest.mark.parametrize("sides", [1, 2])
def test_calls_are_sent_again_only_where_the_compiler_warns_of_it(echo: Application, sides: int) -> None:
    (echo.folder / "firewall.appnet").write_text(RELUCTANT)
    if sides == 1:
        config = echo.folder / "sample_echo_sidecar.yaml"
        head, _, chains = config.read_text().partition("  clientChain:")
        firewall = chains[chains.index("  serverChain:") : chains.index("  anyChain:")]
        config.write_text(f"{head}{firewall}  proto: echo.proto\n")
    assert ("W022" in echo.compile()) == (sides == 1)
    echo.apply()
    echo.start_pods()
    await_filters(SERVER_POD, {SERVER})
    assert echo.call("hello") == ("OK" if sides == 1 else "UNAVAILABLE"), "its third attempt, or its only one"
    assert len(echo.server.seen) == (sides == 1)


def test_streams_of_long_messages_arrive_whole(echo: Application) -> None:
    for it in ("echo(Msg)", "returns (Msg)"):
        echo.edit("echo.proto", it, it.replace("(Msg)", "(stream Msg)"))
    start(echo)
    bodies = ["x" * 100_000] * 10
    assert echo.talk(*bodies) == [string_field(1, it.encode()) for it in bodies]
