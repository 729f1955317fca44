"""An Envoy that traces by itself, as Istio's do: modules and Envoy tell of the same trace, and nobody's context is torn."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.quickstart.serving import outcome, ports, serving, started, variables
from tests.quickstart.support import APPNETCTL, sample
from tests.quickstart.test_listener import listener, merged
from tests.support.raw_grpc import RawClient, RecordingServer, SeenRequest, frame, string_field

pytestmark = [pytest.mark.judges, pytest.mark.timeout(300)]

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
_EXTENSIONS = "type.googleapis.com/envoy.config.trace.v3"
TRACERS: dict[str, dict[str, Any]] = {
    "opentelemetry": {
        "@type": f"{_EXTENSIONS}.OpenTelemetryConfig",
        "grpc_service": {"envoy_grpc": {"cluster_name": "nowhere"}},
        "service_name": "mine",
    },
    "zipkin": {
        "@type": f"{_EXTENSIONS}.ZipkinConfig",
        "collector_cluster": "nowhere",
        "collector_endpoint": "/spans",
        "collector_endpoint_version": "HTTP_JSON",
    },
}
CONTEXTS = {
    "opentelemetry": {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=1"},
    "zipkin": {
        "x-b3-traceid": TRACE,
        "x-b3-spanid": CALLER,
        "x-b3-sampled": "1",
        "x-b3-parentspanid": "00000000000000aa",
    },
}


def traced(configuration: dict[str, Any], tracer: str) -> dict[str, Any]:
    """The same with Envoy's own tracing of all calls, as Istio writes it."""
    static = configuration["static_resources"]
    static["clusters"].append({"name": "nowhere", "connect_timeout": "1s", "type": "STATIC"})
    manager = static["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    provider = {"name": f"envoy.tracers.{tracer}", "typed_config": TRACERS[tracer]}
    manager["tracing"] = {"provider": provider, "random_sampling": {"value": 100}}
    return configuration


def span_of(request: SeenRequest, tracer: str) -> tuple[str, str]:
    """The trace and the span that the application is called by."""
    if tracer == "zipkin":
        return request.header("x-b3-traceid") or "", request.header("x-b3-spanid") or ""
    _, trace, span, _ = (request.header("traceparent") or "---").split("-")
    return trace, span


def spans(status: int, trace: str) -> list[dict[str, Any]]:
    """What AppNet knows of a trace, once it has a span of it."""
    deadline = time.monotonic() + 60
    command = [*APPNETCTL, "traces", trace, f"--status=127.0.0.1:{status}", "-o", "json"]
    while True:
        told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if told.returncode == 0 and TRACE in told.stdout:
            return [json.loads(it) for it in told.stdout.splitlines()]
        assert time.monotonic() < deadline, told.stderr
        time.sleep(0.2)


@pytest.mark.parametrize("tracer", list(TRACERS))
def test_the_callers_trace_stays_whole(tmp_path: Path, tracer: str) -> None:
    (port,) = ports(1)
    with RecordingServer(frame(string_field(1, b"hit"))) as upstream, ExitStack() as stack:
        serve = stack.enter_context(serving(tmp_path, sample(tmp_path), "--upstream=server=127.0.0.1:1"))
        pieces, told = listener(serve, "server-sidecar")
        configuration = traced(merged(pieces, port, upstream.port), tracer)
        stack.enter_context(started(tmp_path, "mine", json.dumps(configuration), variables(told)))
        assert outcome(port, "hello")[0] == 0
        with RawClient(port) as client:
            for context in (CONTEXTS[tracer], {}):
                answer = client.call("/echo.EchoService/echo", frame(string_field(1, b"hello")), list(context.items()))
                assert answer.grpc_status == 0
        within, begun = upstream.seen[-2:]
        (trace,) = spans(serve.status, TRACE)
        (span,) = trace["spans"]
        assert (span["parent_id"], span["attributes"]["appnet.chain"]) == (CALLER, "server")
        assert span_of(within, tracer)[0] == TRACE
        assert span_of(within, tracer)[1] != span["span_id"], "what Envoy tells has the last word"
        assert within.header("tracestate") == CONTEXTS[tracer].get("tracestate")
        assert within.header("x-b3-parentspanid") == CONTEXTS[tracer].get("x-b3-parentspanid")
        assert span_of(begun, tracer)[0] not in {"", TRACE}, "Envoy has begun a trace"
