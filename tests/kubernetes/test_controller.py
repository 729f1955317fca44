"""The controller: AppNetConfigs in a real Kubernetes and Istio become what real sidecars do."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from appnet.processors.envoy.native.loader import MODULES
from appnet.processors.signing import TRUSTED_KEYS, SigningKey
from tests.kubernetes.cluster import Cluster, await_
from tests.kubernetes.conftest import Application, EchoServer
from tests.kubernetes.control import Controlled, echo_folder, with_texts
from tests.kubernetes.pods import CLIENT_POD, MESH, SERVER_POD, start_sidecar, stop_sidecar

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

CONFIG = "sample_echo_sidecar.yaml"
NAME = "sample-echo-sidecar"
DENIED, REFUSED = "PERMISSION_DENIED", "ABORTED"

TO_TCP = [
    {"op": "replace", "path": "/spec/ports/0/name", "value": "tcp"},
    {"op": "remove", "path": "/spec/ports/0/appProtocol"},
]
"""Of a Service: Istio takes its calls for TCP."""
FRONTEND = f"""
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {CLIENT_POD.name}}}
spec: {{address: {CLIENT_POD.address}, labels: {{app: frontend}}, serviceAccount: {CLIENT_POD.account}}}
"""
"""What stands for the frontend's pod."""


@pytest.fixture
def controlled(cluster: Cluster) -> Iterator[Controlled]:
    found = Controlled(cluster)
    found.install()
    found.start()
    yield found
    found.stop()


@pytest.fixture
def echo(controlled: Controlled, tmp_path: Path, target: str) -> Iterator[Application]:
    """The application and its sidecars, without any chain."""
    cluster = controlled.cluster
    server = EchoServer()
    running = server.start()
    folder = echo_folder(tmp_path)
    cluster.kubectl("apply", "-f", "-", given=f"{MESH}---{FRONTEND}")
    cluster.kubectl("apply", "-f", str(folder / "echo.yaml"))
    metadata = loader_metadata(cluster, tmp_path / "loader") if target == "native" else {}
    for it in (SERVER_POD, CLIENT_POD):
        start_sidecar(cluster, it, metadata)
    application = Application(cluster, folder, target, server)
    try:
        yield application
    finally:
        application.close()
        for it in (CLIENT_POD, SERVER_POD):
            if it.name in cluster.processes:
                stop_sidecar(cluster, it)
        running.stop(None).wait()
        cluster.kubectl("delete", "appnetconfigs", "--all", "--timeout=100s")
        cluster.kubectl("delete", "-f", str(folder / "echo.yaml"))
        cluster.kubectl("delete", "--ignore-not-found", "-f", "-", given=f"{MESH}---{FRONTEND}")


def loader_metadata(cluster: Cluster, folder: Path) -> dict[str, str]:
    """What `appnetctl loader` gives a pod's sidecar, so that it runs native modules of this controller; its ConfigMap is
    a folder here."""
    folder.mkdir()
    (library,) = yaml.safe_load(printed(cluster, "loader"))["binaryData"].items()
    (folder / library[0]).write_bytes(base64.b64decode(library[1]))
    template = json.loads(printed(cluster, "loader", "--patch"))["spec"]["template"]
    annotations = template["metadata"]["annotations"]
    assert json.loads(annotations["sidecar.istio.io/userVolume"])[0]["configMap"] == {"name": "appnet-loader"}
    metadata: dict[str, str] = yaml.safe_load(annotations["proxy.istio.io/config"])["proxyMetadata"]
    assert set(metadata) == {MODULES, TRUSTED_KEYS, "ISTIO_META_APPNET_LOADER"}
    return {**metadata, MODULES: str(folder)}


def printed(cluster: Cluster, *command: str) -> str:
    """What `appnetctl` prints."""
    done = subprocess.run(
        [Path(sys.executable).parent / "appnetctl", *command],
        env=cluster.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def apply(cluster: Cluster, echo: Application, change: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
    """Applies the sample's AppNetConfig, as its files are now."""
    config = with_texts(echo.folder, CONFIG)
    change(config)
    cluster.apply(config)


def ready(controlled: Controlled, name: str = NAME) -> None:
    controlled.await_condition(name, "Ready", lambda it: it["status"] == "True")


def refuses(echo: Application, body: str, seconds: float = 60) -> None:
    await_(f"{body} is refused", lambda: echo.call(body) == REFUSED, seconds)


@contextmanager
def calling(echo: Application, body: str = "hello") -> Iterator[Counter[str]]:
    """Calls without a pause, and how many ended with which code."""
    codes: Counter[str] = Counter()
    over = threading.Event()

    def calls() -> None:
        while not over.is_set():
            codes[echo.call(body)] += 1

    caller = threading.Thread(target=calls)
    caller.start()
    try:
        yield codes
    finally:
        over.set()
        caller.join()


def test_the_guides_calls(controlled: Controlled, echo: Application, target: str) -> None:
    cluster = controlled.cluster
    with calling(echo) as codes:
        assert echo.call("test") == "OK"
        apply(cluster, echo)
        ready(controlled)
        assert echo.call("test") == REFUSED
        status = controlled.status()
        assert {it["target"] for it in status["proxies"]} == {target}
        assert (status["rolledOut"], status["edge"]) == ("2/2", "frontend -> server")
        for old, new in (("'test'", "'never'"), ("'never'", "'test'")):
            echo.edit("firewall.appnet", old, new)
            apply(cluster, echo)
            refuses(echo, new.strip("'"))
        cluster.kubectl("delete", "appnetconfig", NAME, "--timeout=100s")
        await_("the plain path is back", lambda: echo.call("test") == "OK", 20)
    assert set(codes) == {"OK"}
    assert cluster.kubectl("get", "envoyfilters", "-A", "-o", "name") == ""


def test_whoever_dies_meanwhile_no_call_is_lost(controlled: Controlled, echo: Application) -> None:
    cluster = controlled.cluster
    apply(cluster, echo)
    ready(controlled)
    words = iter(f"word{it}" for it in range(10))
    last = "test"

    def upgrade() -> str:
        new = next(words)
        echo.edit("firewall.appnet", f"'{last}'", f"'{new}'")
        apply(cluster, echo)
        return new

    with calling(echo) as codes:
        controlled.kill()
        last = upgrade()  # nobody is there to see it
        assert echo.call("test") == REFUSED
        controlled.start()
        refuses(echo, last, 60)
        for name in ("istiod", "apiserver", "etcd"):
            cluster.restart(name, signal.SIGKILL)
            last = upgrade()

            def is_live(last: str = last) -> bool:
                controlled.keep_up()
                return echo.call(last) == REFUSED

            await_(f"{last} is refused", is_live, 90)
        ready(controlled)
    assert set(codes) == {"OK"}


def test_what_is_wrong_is_told_and_changes_nothing(controlled: Controlled, echo: Application) -> None:
    cluster = controlled.cluster
    apply(cluster, echo)
    ready(controlled)
    version = controlled.status()["version"]
    with calling(echo) as codes:
        echo.edit("firewall.appnet", "req(rpc):", "req(rpc)")
        apply(cluster, echo)
        told = controlled.await_condition(NAME, "Compiled", lambda it: it["status"] == "False")
        assert (told["reason"], told["observedGeneration"]) == ("Invalid", 2)
        status = controlled.status()
        assert status["version"] == version
        assert status["lastError"]["place"].startswith(f"default/{NAME}/firewall.appnet:")
        assert echo.call("test") == REFUSED
        echo.edit("firewall.appnet", "req(rpc)", "req(rpc):")
        apply(cluster, echo)
        ready(controlled)
    assert set(codes) == {"OK"}
    cluster.kubectl("patch", "service", "server", "--type=json", "-p", json.dumps(TO_TCP))
    told = controlled.await_condition(NAME, "Compiled", lambda it: it["status"] == "False")
    assert told["message"].endswith("; the version before runs on")
    status = controlled.status()
    assert (status["version"], status["rolledOut"]) == (version, "2/2")
    assert status["lastError"]["place"] == "Service default/server, spec.ports[0].name"
    cluster.kubectl("apply", "-f", str(echo.folder / "echo.yaml"))
    controlled.await_condition(NAME, "Compiled", lambda it: it["status"] == "True")
    events = yaml.safe_load(cluster.kubectl("get", "events", "-o", "yaml"))["items"]
    assert {"Invalid", "Accepted"} <= {it["reason"] for it in events}
    assert f"2 of 2 proxies run version {version}" in {it["message"] for it in events}
    assert f"default/{NAME}: 2 of 2 proxies run version {version}" in controlled.log()


def test_what_others_change_is_restored(controlled: Controlled, echo: Application) -> None:
    cluster = controlled.cluster
    foreign = {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "foreign"},
        "spec": {"workloadSelector": {"labels": {"app": "server"}}, "configPatches": []},
    }
    cluster.apply(foreign)
    apply(cluster, echo)
    ready(controlled)
    names = set(cluster.kubectl("get", "envoyfilters", "-o", "name").split())
    server = "appnet.frontend.server.echo.server"
    cluster.kubectl("patch", "envoyfilter", server, "--type=merge", "-p", '{"spec":{"configPatches":[]}}')
    await_("it is restored", lambda: "router" in cluster.kubectl("get", "envoyfilter", server, "-o", "json"), 20)
    cluster.kubectl("delete", "envoyfilter", server)
    await_("it is back", lambda: set(cluster.kubectl("get", "envoyfilters", "-o", "name").split()) == names, 20)
    cluster.kubectl("delete", "appnetconfig", NAME, "--timeout=100s")
    assert cluster.kubectl("get", "envoyfilters", "-A", "-o", "name").split() == [
        "envoyfilter.networking.istio.io/foreign"
    ]
    cluster.kubectl("delete", "envoyfilter", "foreign")


def test_a_version_that_a_proxy_refuses_goes_back_everywhere(
    controlled: Controlled, echo: Application, target: str
) -> None:
    """The server's sidecar trusts another key: it refuses the first native module that it is offered."""
    if target != "native":
        pytest.skip("only native modules are signed")
    cluster = controlled.cluster
    stop_sidecar(cluster, SERVER_POD)
    metadata = loader_metadata(cluster, echo.folder / "other")
    start_sidecar(cluster, SERVER_POD, {**metadata, TRUSTED_KEYS: SigningKey.generate().public_text})
    apply(cluster, echo)
    told = controlled.await_condition(NAME, "Delivered", lambda it: it["reason"] == "Refused")
    assert "server-1.default refused version" in told["message"]
    assert echo.call("hello") == DENIED


def test_a_canary_tries_a_version_before_the_others_run_it(controlled: Controlled, echo: Application) -> None:
    cluster = controlled.cluster
    second = replace(CLIENT_POD, name="frontend-2", address="127.0.0.5", ports=(15300, 15320, 15390, 15321))
    cluster.kubectl(
        "apply", "-f", "-", given=FRONTEND.replace("frontend-1", "frontend-2").replace("127.0.0.3", "127.0.0.5")
    )
    # Both listen where the one program's calls come: only its configuration matters here.
    start_sidecar(cluster, second)

    def with_canary(config: dict[str, Any]) -> None:
        config["spec"]["rollout"] = {"canary": 1, "wait": "5s"}

    try:
        apply(cluster, echo, with_canary)
        await_("three proxies", lambda: controlled.status().get("rolledOut") == "3/3", 60)
        before = controlled.status()["version"]
        echo.edit("fault.appnet", "fault_injected", "injected")
        apply(cluster, echo, with_canary)
        told = controlled.await_condition(NAME, "Delivered", lambda it: it["reason"] == "Canary")
        assert "is tried on 1 proxies" in told["message"]
        versions = Counter(it["version"] for it in controlled.status()["proxies"])
        assert versions[before] == 2
        controlled.await_condition(NAME, "Delivered", lambda it: it["reason"] == "Accepted")
        status = controlled.status()
        assert status["version"] != before
        assert [it["reason"] for it in status["history"]] == ["canary passed", "first"]
    finally:
        stop_sidecar(cluster, second)
        cluster.kubectl("delete", "workloadentry", "frontend-2")


def test_before_the_first_version_it_is_as_the_user_chose(controlled: Controlled, echo: Application) -> None:
    cluster = controlled.cluster
    controlled.stop()
    for choice, code in (("closed", DENIED), ("open", "OK")):
        controlled.start()
        apply(cluster, echo, lambda it, choice=choice: it["spec"].update(beforeFirstVersion=choice))
        ready(controlled)
        controlled.kill()
        stop_sidecar(cluster, SERVER_POD)
        start_sidecar(cluster, SERVER_POD)  # a new proxy, and nobody there to tell it
        assert await_("it takes calls", lambda: echo.call("hello") != "UNAVAILABLE")
        assert echo.call("hello") == code
        assert echo.call("hello", "another") == "OK"
    controlled.start()


def test_a_pause_outlives_the_controller(controlled: Controlled, echo: Application) -> None:
    cluster = controlled.cluster
    apply(cluster, echo)
    ready(controlled)
    echo.edit("firewall.appnet", "'test'", "'other'")
    apply(cluster, echo, lambda it: it["spec"].update(rollout={"paused": True}))
    controlled.kill()
    controlled.start()
    controlled.await_condition(NAME, "Compiled", lambda it: it["status"] == "True")
    ready(controlled)
    assert (echo.call("test"), echo.call("other")) == (REFUSED, "OK")
    apply(cluster, echo)
    refuses(echo, "other")


def test_code_in_the_objects_where_proxies_cannot_reach_the_controller(
    controlled: Controlled, echo: Application, target: str
) -> None:
    if target == "native":
        pytest.skip("the objects have wasm, which every proxy runs")
    cluster = controlled.cluster
    with calling(echo) as codes:
        apply(cluster, echo, lambda it: it["spec"].update(delivery="manifest"))
        refuses(echo, "test")
        told = controlled.condition(NAME, "Delivered")
        assert (told["status"], told["reason"]) == ("True", "Applied")
        echo.edit("firewall.appnet", "'test'", "'other'")
        apply(cluster, echo, lambda it: it["spec"].update(delivery="manifest"))
        refuses(echo, "other")
        apply(cluster, echo)  # and by the controller from now on
        ready(controlled)
        assert echo.call("other") == REFUSED
    assert set(codes) == {"OK"}


def test_a_sidecar_without_elements_is_left_alone_where_that_is_allowed(
    controlled: Controlled, echo: Application
) -> None:
    cluster = controlled.cluster

    def on_the_server_alone(config: dict[str, Any]) -> None:
        for it in ("clientChain", "anyChain"):
            config["spec"].pop(it, None)
        config["spec"]["anyChain"] = [{"name": "audit", "inline": (echo.folder / "logging.appnet").read_text()}]

    def allowed(config: dict[str, Any]) -> None:
        on_the_server_alone(config)
        config["spec"]["bypass"] = "allowed"

    telemetry = "envoyfilter.networking.istio.io/appnet-telemetry"
    both = {f"envoyfilter.networking.istio.io/appnet.frontend.server.echo.{it}" for it in ("client", "server")}
    apply(cluster, echo, on_the_server_alone)
    ready(controlled)
    assert set(cluster.kubectl("get", "envoyfilters", "-o", "name").split()) == {*both, telemetry}
    apply(cluster, echo, allowed)
    await_("one is gone", lambda: len(cluster.kubectl("get", "envoyfilters", "-o", "name").split()) == 2, 20)
    ready(controlled)
    assert echo.call("test") == REFUSED
