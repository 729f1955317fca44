"""Each way that was seen to pass calls unjudged, or to stop a proxy, in a real Istio; AppNet's objects do none of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import yaml

from appnet.processors.processor import Acceptance
from appnet.system.address import Address
from tests.kubernetes.asking import Asked
from tests.kubernetes.cluster import Cluster, answers, await_
from tests.kubernetes.conftest import Application, EchoServer, await_filters
from tests.kubernetes.meshes import ALL, SIDECARS, WAYPOINT, WAYPOINT_POD, Mesh
from tests.kubernetes.pods import CLIENT_POD, HOST, Pod, listener_errors
from tests.support.cluster import damaged

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

BOTH = pytest.mark.parametrize("mesh", [SIDECARS, WAYPOINT], ids=str, indirect=True)
IN_WAYPOINT = pytest.mark.parametrize("mesh", [WAYPOINT], ids=str, indirect=True)
ON_WASM = pytest.mark.parametrize("target", ["wasm"])
ON_NATIVE = pytest.mark.parametrize("target", ["native"])

DENIED = "PERMISSION_DENIED"  # by whoever stands in for a module that is not there
REFUSED = "ABORTED"  # by the firewall
OTHER = Address("127.0.0.4", 9000)


@pytest.fixture
def second(cluster: Cluster) -> Iterator[EchoServer]:
    """Another service's server, without a sidecar."""
    cluster.kubectl("apply", "-f", "-", given=SECOND_SERVICE)
    found = EchoServer()
    running = found.start(OTHER)
    yield found
    running.stop(None).wait()
    cluster.kubectl("delete", "-f", "-", given=SECOND_SERVICE)


def outcomes(echo: Application, *bodies: str) -> list[str]:
    return [echo.call(it) for it in bodies]


def are(echo: Application, *wanted: str) -> bool:
    return outcomes(echo, "hello", "test") == list(wanted)


def assert_denied(echo: Application) -> None:
    """What is judged is refused, and nothing else."""
    assert await_("proxies take calls", lambda: echo.call("hello") != "UNAVAILABLE")
    assert outcomes(echo, "hello", "test") == [DENIED, DENIED]
    assert echo.call("test", "another") == "OK"


def errors(mesh: Mesh) -> list[str]:
    return [error for it in mesh.pods for error in listener_errors(it)]


# --- while the control plane is away ---


@BOTH
@ON_WASM
def test_no_control_plane_when_proxies_start(echo: Application, asked: Asked, cluster: Cluster, mesh: Mesh) -> None:
    """With another timeout, or without a default, proxies never open, or answer all calls of the chain with 500. A source
    in a cluster of CDS, or one that the bootstrap lacks, is refused, and calls pass."""
    before = cluster.refused()
    asked.apply(*asked.entries())
    asked.start_pods()
    assert_denied(echo)
    asked.start()
    asked.offer("v1", asked.compiled().artifacts)
    assert asked.answers("v1") == {Acceptance.ACKED}
    assert are(echo, "OK", REFUSED)
    assert cluster.refused() == before
    assert errors(mesh) == []


@BOTH
@ON_WASM
def test_no_control_plane_when_filters_come_to_running_proxies(echo: Application, asked: Asked, mesh: Mesh) -> None:
    """Without a timeout, the old listener goes on unjudged, and no later change of it takes effect."""
    asked.start_pods()
    assert are(echo, "OK", "OK")
    asked.apply(*asked.entries())
    await_("they are there", partial(are, echo, DENIED, DENIED), 20)
    assert_denied(echo)
    asked.remove()
    await_("they are gone", partial(are, echo, "OK", "OK"), 20)
    assert errors(mesh) == []


@ON_WASM
def test_who_chose_open_is_not_denied(echo: Application, asked: Asked) -> None:
    asked.apply(*asked.entries(closed=False))
    asked.start_pods()
    assert are(echo, "OK", "OK")
    asked.start()
    asked.offer("v1", asked.compiled().artifacts)
    assert asked.answers("v1") == {Acceptance.ACKED}
    assert are(echo, "OK", REFUSED)


# --- what proxies refuse ---


@BOTH
@pytest.mark.parametrize("target", ["native", "wasm"])
def test_the_first_version_is_refused(echo: Application, asked: Asked) -> None:
    good = asked.compiled().artifacts
    asked.start()
    asked.offer("bad", [damaged(it) for it in good])
    asked.apply(*asked.entries())
    asked.start_pods()
    assert asked.answers("bad") == {Acceptance.NACKED}
    assert_denied(echo)
    asked.offer("good", good)
    assert asked.answers("good") == {Acceptance.ACKED}
    assert are(echo, "OK", REFUSED)


@ON_WASM
def test_equal_bytes_after_a_refusal(echo: Application, asked: Asked) -> None:
    """Envoy says that it takes them, and applies nothing, whoever sends them."""
    good = asked.compiled().artifacts
    asked.start()
    asked.offer("good", good)
    asked.apply(*asked.entries())
    asked.start_pods()
    assert asked.answers("good") == {Acceptance.ACKED}
    bad = [damaged(it) for it in good]
    asked.offer("bad", bad)
    assert asked.answers("bad") == {Acceptance.NACKED}
    asked.offer("again", bad)
    assert asked.answers("again") == {Acceptance.NACKED}
    asked.stop()
    asked.start()
    assert asked.answers("again") == {Acceptance.NACKED}
    assert are(echo, "OK", REFUSED), "the last that they took"


@ON_WASM
def test_a_version_that_is_longer_than_grpc_takes_by_itself(echo: Application, asked: Asked) -> None:
    """More than 4 MiB end the stream, again and again, and an older version goes on."""
    asked.start()
    asked.offer("long", [replace(it, binary=padded(it.binary, 5 << 20)) for it in asked.compiled().artifacts])
    asked.apply(*asked.entries())
    asked.start_pods()
    assert asked.answers("long") == {Acceptance.ACKED}
    assert are(echo, "OK", REFUSED)


# --- what listeners have, and routes ---


@ON_WASM
@IN_WAYPOINT
def test_listeners_and_chains_of_a_waypoint(echo: Application) -> None:
    """A `workloadSelector` is ignored; without the listener's and the chain's names filters stand where tunnels end, and
    before single pods."""
    echo.compile()
    echo.apply()
    echo.start_pods()
    await_filters(WAYPOINT_POD, {"appnet.frontend_server.echo.server"})
    assert chains_with_filters(WAYPOINT_POD) == [("main_internal", f"inbound-vip|9000|http|{HOST.partition(':')[0]}")]
    assert are(echo, "OK", REFUSED)


@ON_WASM
def test_another_service_on_the_same_port(echo: Application, second: EchoServer) -> None:
    """A filter in the listener of a port is for all services on it. One that is disabled needs a typed, empty
    configuration in the routes of a host, or istiod drops what enables it."""
    (echo.folder / "fault.appnet").write_text(NEVER)
    echo.compile()
    echo.apply()
    echo.start_pods()
    await_filters(CLIENT_POD, {"appnet.frontend_server.echo.client"})
    assert_first_alone(echo, second)


@ON_WASM
def test_another_service_on_a_port_whose_filters_are_asked_for(
    echo: Application, asked: Asked, second: EchoServer
) -> None:
    """What stands in for a filter denies calls of its host alone, too."""
    (echo.folder / "fault.appnet").write_text(NEVER)
    asked.apply(*asked.entries())
    asked.start_pods()
    assert echo.call("hello") == DENIED
    assert echo.call("hello", host=SECOND_HOST) == "OK"
    asked.start()
    asked.offer("v1", asked.compiled().artifacts)
    assert asked.answers("v1") == {Acceptance.ACKED}
    assert_first_alone(echo, second)


def assert_first_alone(echo: Application, second: EchoServer) -> None:
    assert echo.call("hello") == "FAILED_PRECONDITION"
    assert echo.call("hello", host=SECOND_HOST) == "OK"
    assert second.seen
    assert not echo.server.seen


@ON_WASM
def test_a_port_that_does_not_say_what_it_speaks(echo: Application) -> None:
    """Istio looks into its calls, but names its routes otherwise."""
    (echo.folder / "fault.appnet").write_text(NEVER)
    echo.edit(
        "echo.yaml", "- name: grpc\n      port: 9000\n      targetPort: 9000\n      appProtocol: grpc", "- port: 9000"
    )
    echo.compile()
    echo.apply()
    echo.start_pods()
    await_filters(CLIENT_POD, {"appnet.frontend_server.echo.client"})
    assert echo.call("hello") == "FAILED_PRECONDITION"


@pytest.mark.parametrize("mesh", ALL, ids=str, indirect=True)
@ON_WASM
def test_a_port_that_istio_takes_for_tcp(echo: Application, mesh: Mesh) -> None:
    """Patches for it match nothing, and nothing tells."""
    echo.edit(
        "echo.yaml",
        "- name: grpc\n      port: 9000\n      targetPort: 9000\n      appProtocol: grpc",
        "- {name: tcp, port: 9000}",
    )
    with pytest.raises(AssertionError, match="C053"):
        echo.compile()
    assert not echo.output.exists()


# --- what kubectl does ---


@ON_WASM
def test_an_object_that_is_too_long_for_an_annotation(echo: Application) -> None:
    """A client-side apply refuses it, and the application runs without."""
    echo.compile()
    (path,) = (echo.output / "kubernetes").glob("30-*.server.yaml")
    (filter_,) = yaml.safe_load_all(path.read_text())
    local = code_of(filter_)["config"]["vm_config"]["code"]["local"]
    local["inline_bytes"] = base64.b64encode(padded(base64.b64decode(local["inline_bytes"]), 300 << 10)).decode()
    path.write_text(yaml.safe_dump(filter_, width=2**31))
    assert path.stat().st_size > 400 << 10
    echo.apply()
    echo.start_pods()
    assert are(echo, "OK", REFUSED)


@pytest.mark.parametrize("mesh", [SIDECARS, WAYPOINT], ids=str, indirect=True)
@ON_WASM
def test_kubectl_is_told_another_namespace(echo: Application, cluster: Cluster, mesh: Mesh) -> None:
    """Hosts have namespaces in their names: there, filters would match nothing."""
    echo.compile()
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}})
    for it in sorted((echo.output / "kubernetes").iterdir()):
        with pytest.raises(AssertionError, match="does not match the namespace"):
            cluster.kubectl("apply", "--server-side", "-n", "elsewhere", "-f", str(it))


# --- where native code comes from ---


@pytest.mark.parametrize("mesh", [SIDECARS, WAYPOINT], ids=str, indirect=True)
@ON_NATIVE
def test_no_file_can_be_written(echo: Application, mesh: Mesh) -> None:
    """Fetched modules are written to a file first. Where that fails, Envoy says that it takes them, and calls pass."""
    echo.compile()
    echo.apply()
    nowhere = {"TMPDIR": "/nowhere"}
    mesh.start(echo.cluster, lambda it: {**echo.metadata(it, echo.template(it.app)), **nowhere})
    assert are(echo, "OK", REFUSED)


@ON_NATIVE
def test_nobody_is_trusted(echo: Application, mesh: Mesh) -> None:
    """A module whose signer the pod does not know is none."""
    echo.compile()
    echo.apply()
    nobody = {"APPNET_TRUSTED_KEYS": ""}
    mesh.start(echo.cluster, lambda it: {**echo.metadata(it, echo.template(it.app)), **nobody})
    assert_denied(echo)


NEVER = """state:
    pass

init():
    pass

req(rpc):
    send(err('never', FAILED_PRECONDITION), Up)

resp(rpc):
    send(rpc, Up)
"""
SECOND_HOST = "other.default.svc.cluster.local:9000"
SECOND_SERVICE = f"""
apiVersion: v1
kind: Service
metadata: {{name: other}}
spec: {{selector: {{app: other}}, ports: [{{name: grpc, port: 9000, appProtocol: grpc}}]}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: other-1}}
spec: {{address: {OTHER.host}, labels: {{app: other}}}}
"""


def chains_with_filters(pod: Pod) -> list[tuple[str, str]]:
    """The listeners and their filter chains that have AppNet's filters."""
    dump = json.loads(answers(f"http://127.0.0.1:{pod.ports[0]}/config_dump?resource=dynamic_listeners"))
    listeners = [it["active_state"]["listener"] for it in dump["configs"]]
    return [
        (listener["name"], chain["name"])
        for listener in listeners
        for chain in (*listener.get("filter_chains", ()), listener.get("default_filter_chain", {}))
        if '"appnet.' in json.dumps(chain)
    ]


def code_of(filter_: dict[str, Any]) -> Any:
    (code,) = (it for it in filter_["spec"]["configPatches"] if it["applyTo"] == "EXTENSION_CONFIG")
    return code["patch"]["value"]["typed_config"]


def padded(module: bytes, size: int) -> bytes:
    """The WebAssembly module with a section of no meaning."""
    padding = b"\x04none" + b"x" * size
    return module + b"\0" + leb128(len(padding)) + padding


def leb128(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + leb128(rest) if rest else bytes([low])
