"""Records on their way out: as OTLP has them, by the batch, and counted where they are lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appnet.interpret.rpc import WALL_AHEAD_NS
from appnet.observe import otlp
from appnet.processors.envoy.targets import NATIVE
from tests.codegen import fixture
from tests.codegen.fixture import BOTH, WATCH, frame, message_class

HELLO = frame(b"")


def watch(chain: Any, **fields: Any) -> None:
    """A call whose response has these fields; its name and its bytes are recorded."""
    call = chain.call()
    call.run_request(WATCH, {}, [HELLO])
    call.run_response({}, [frame(message_class()(**fields).SerializeToString())], 0)
    call.end()


@pytest.mark.parametrize("target", BOTH)
def test_a_batch_has_resource_scopes_and_times(target: str):
    resource = otlp.Resource()
    resource.attributes.add(key="service.name").value.string_value = "shop"
    chain = fixture.instance(target, resource=resource.SerializeToString())
    assert chain.take_telemetry() == []
    for number in range(3):
        chain.now_ns += 1_000
        watch(chain, name=b"n%d" % number, double=0.5, bytes=bytes(number))
    (batch,) = chain.take_telemetry()
    (logs,) = otlp.ExportLogsServiceRequest.FromString(batch).resource_logs
    assert logs.resource == resource
    assert [scope.scope.name for scope in logs.scope_logs] == ["fixture.names", "fixture.blobs"]
    times = [record.time_unix_nano - WALL_AHEAD_NS for record in logs.scope_logs[0].log_records]
    assert times == [1_000_001_000, 1_000_002_000, 1_000_003_000]
    first = logs.scope_logs[0].log_records[0].body.array_value.values
    assert first[0].string_value == "n0"
    assert [first[1].array_value.values[0].int_value, first[1].array_value.values[1].double_value] == [0, 0.5]
    assert [record.body.bytes_value for record in logs.scope_logs[1].log_records] == [b"", b"\0", b"\0\0"]
    assert chain.take_telemetry() == []


@pytest.fixture(scope="module")
def native() -> Any:
    return fixture.instance(NATIVE)


@given(st.one_of(st.binary(max_size=40), st.text(max_size=200).map(str.encode), st.binary(min_size=120, max_size=140)))
def test_texts_are_strings_where_they_are_utf_8(native: Any, text: bytes):
    watch(native, name=text, bytes=text)
    try:
        expected: str | bytes = text.decode()
    except UnicodeDecodeError:
        expected = text
    assert native.records() == [("fixture.names", (expected, (0, 0.0))), ("fixture.blobs", text)]


@pytest.mark.parametrize("size", [0, 100, 127, 128, 16_383, 16_384, 300_000])
@pytest.mark.parametrize("target", BOTH)
def test_lengths_of_every_size(target: str, size: int):
    chain = fixture.instance(target)
    for _ in range(2):
        watch(chain, name=b"x" * size)
    assert chain.records() == [("fixture.names", ("x" * size, (0, 0.0)))] * 2 + [("fixture.blobs", b"")] * 2


@pytest.mark.parametrize("target", BOTH)
def test_what_nobody_fetches_is_dropped_and_counted(target: str):
    chain = fixture.instance(target)
    for _ in range(7):
        watch(chain, bytes=b"y" * 700_000)  # the stream takes 4 MiB
    records = chain.records()
    blobs = [value for scope, value in records if scope == "fixture.blobs"]
    assert [len(blob) for blob in blobs] == [700_000] * 5
    assert [value for scope, value in records if scope == "appnet.dropped"] == [("fixture.blobs", 2)]
    assert len([scope for scope, _ in records if scope == "fixture.names"]) == 7
    watch(chain, bytes=b"again")
    assert chain.records() == [("fixture.names", ("", (0, 0.0))), ("fixture.blobs", b"again")]
