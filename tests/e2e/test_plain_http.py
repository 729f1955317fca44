"""Callers that speak HTTP, but not gRPC."""

from __future__ import annotations

import http.client
from collections.abc import Mapping

import pytest

from appnet.language.statuses import STATUS_CODES
from tests.e2e.conftest import ECHO, Proxied, StartProxied
from tests.support.raw_grpc import RawClient, RecordingServer, frame, string_field

OF_CODES = {  # as Google's APIs map codes of gRPC to statuses of HTTP
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def by_headers(start_module_proxied: StartProxied) -> Proxied:
    return start_module_proxied("refusing_headers")


def ask(
    proxied: Proxied, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> tuple[int, str | None, bytes]:
    """Status, type and body of the answer to a request by HTTP/1.1."""
    connection = http.client.HTTPConnection("127.0.0.1", proxied.port, timeout=10)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type"), answer.read()
    finally:
        connection.close()


def test_http_1_is_answered_by_the_server(by_headers: Proxied) -> None:
    for path in ("/", ECHO):
        assert ask(by_headers, "GET", path)[0] == 200
        assert by_headers.server.seen[-1].header(":path") == path


@pytest.mark.parametrize("code", OF_CODES)
def test_a_refusal_has_the_status_that_says_the_same(by_headers: Proxied, code: str) -> None:
    seen, refuse = len(by_headers.server.seen), {"x-refuse": code}
    expected = (OF_CODES[code], "text/plain", f"no: {code}".encode())
    assert ask(by_headers, "POST", ECHO, {**JSON, **refuse}, b"{}") == expected
    assert ask(by_headers, "GET", ECHO, refuse) == expected
    with RawClient(by_headers.port) as client:
        stream = client.start(ECHO, list(refuse.items()), content_type="application/json")
        client.send(stream, b"{}", end_stream=True)
        plain = client.receive(stream)
        assert (plain.header(":status"), plain.header("content-type"), plain.body) == (
            *(str(expected[0]), "text/plain"),
            expected[2],
        )
        assert plain.grpc_status is None
        by_grpc = client.call(ECHO, frame(string_field(1, b"hello")), list(refuse.items()))
        assert (by_grpc.header(":status"), by_grpc.grpc_status) == ("200", STATUS_CODES[code])
        assert by_grpc.is_trailers_only
    assert len(by_headers.server.seen) == seen


def test_what_cannot_be_judged_is_a_bad_request(start_proxied: StartProxied) -> None:
    proxied = start_proxied("firewall")
    assert ask(proxied, "POST", ECHO, JSON, b"{}")[0] == 400
    assert ask(proxied, "GET", ECHO)[0] == 400
    assert proxied.server.seen == []


def test_a_refused_response_of_headers_alone_has_the_status_that_says_the_same(start_proxied: StartProxied) -> None:
    with (
        RecordingServer(b"", status=5) as server,
        RawClient(start_proxied("refusing_errors", server=server).port) as client,
    ):
        stream = client.start(ECHO, content_type="application/json")
        client.send(stream, b"{}", end_stream=True)
        plain = client.receive(stream)
        assert (plain.header(":status"), plain.header("content-type"), plain.grpc_status) == ("401", None, None)
        by_grpc = client.call(ECHO, frame(string_field(1, b"hello")))
        assert (by_grpc.header(":status"), by_grpc.grpc_status) == ("200", STATUS_CODES["UNAUTHENTICATED"])
