"""The same calls on each way through a mesh, judged by what `appnetctl compile` writes."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.kubernetes.cluster import Cluster, await_
from tests.kubernetes.conftest import Application
from tests.kubernetes.meshes import ALL, SIDECARS, WAYPOINT, Mesh
from tests.kubernetes.pods import listener_errors

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

REFUSED = "ABORTED"  # by the firewall


@pytest.mark.parametrize("mesh", ALL, ids=str, indirect=True)
def test_calls_are_judged(echo: Application, cluster: Cluster, mesh: Mesh) -> None:
    before = cluster.refused()
    echo.compile()
    echo.apply()
    echo.start_pods()
    assert [echo.call(it) for it in ("hello", "test", "hello")] == ["OK", REFUSED, "OK"]
    assert echo.call("test", "another") == "OK", "a method that nobody judges"
    assert echo.server.seen == ["/echo.EchoService/echo"] * 2 + ["/echo.EchoService/another"]
    assert cluster.refused() == before
    assert [error for it in mesh.pods for error in listener_errors(it)] == []


@pytest.mark.parametrize("mesh", [SIDECARS, WAYPOINT], ids=str, indirect=True)
def test_records_reach_a_collector(echo: Application) -> None:
    bodies: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        echo.compile("--collector", f"127.0.0.1:{server.server_port}")
        echo.apply()
        echo.start_pods()
        assert echo.call("unheard-of") == "OK"
        await_("the record", lambda: any(b"unheard-of" in it for it in bodies), 20)
        server.shutdown()


SLOW = """state:
    pass

init():
    pass

req(rpc):
    match get(rpc, 'body') == 'slow':
        true => delay(rpc, 60.0)
        false => pass
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""


@pytest.mark.parametrize("element", ["fault", "firewall"], ids=["client", "server"])
@pytest.mark.parametrize("target", ["native", "wasm"])
def test_calls_are_delayed(echo: Application, element: str) -> None:
    (echo.folder / f"{element}.appnet").write_text(SLOW)
    echo.compile()
    echo.apply()
    echo.start_pods()
    assert echo.call("hello") == "OK"
    assert echo.call("slow", timeout=1.0) == "DEADLINE_EXCEEDED"
    assert len(echo.server.seen) == 1, "it waits in a sidecar"
    asked = [("x-envoy-fault-delay-request", "60000")]
    assert echo.call("hello", metadata=asked) == "OK", "callers cannot have others wait"
    assert len(echo.server.seen) == 2
