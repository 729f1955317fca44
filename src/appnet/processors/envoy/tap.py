"""RPCs as Envoy's tap filter captures them: ``envoy.data.tap.v3.TraceWrapper`` as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from envoy.data.tap.v3.wrapper_pb2 import TraceWrapper
from google.protobuf import json_format

from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity, UnreadableError
from appnet.diagnostics.place import Source, Span
from appnet.diagnostics.source import NOT_TEXT, base_name
from appnet.processors.envoy.framing import FRAME_SIZE, is_framed
from appnet.processors.processor import CapturedCall, CapturedMessage, ForeignCaptureError

_FORMAT = "JSON_BODY_AS_BYTES"
_UNKNOWN = 2


def captured_calls(file: Source, method: str) -> Iterator[CapturedCall]:
    """The calls of the method (its full name) in the file.

    Raises `ForeignCaptureError` for a file that is no capture, and ``DiagnosticError`` for bodies that are no whole
    message.
    """
    for number, trace in enumerate(_traces(file), 1):
        if _headers(trace.request.headers).get(":path") == method:
            yield _call(file, f"{base_name(file)}#{number}", trace)


def _traces(file: Source) -> Iterator[Any]:
    """The traces in a file: one object, or one after another as the admin endpoint streams them."""
    reason = "it has no buffered HTTP trace"
    try:
        found = [json_format.ParseDict(it, TraceWrapper()) for it in _objects(file.text())]
        if found and all(it.HasField("http_buffered_trace") for it in found):
            return (it.http_buffered_trace for it in found)
    except UnreadableError as error:
        if error.reason != NOT_TEXT:
            raise
        reason = error.reason
    except (ValueError, json_format.ParseError) as error:
        reason = str(error).splitlines()[0]
    help_ = f"capture with `format: {_FORMAT}` and without `streaming` in output_config"
    wrong = _wrong(file, f"{base_name(file)} was not captured by Envoy's tap filter", reason, help_)
    raise ForeignCaptureError(wrong.diagnostics)


def _objects(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    text = text.strip()
    while text:
        found, end = decoder.raw_decode(text)
        yield found
        text = text[end:].lstrip()


def _call(file: Source, name: str, trace: Any) -> CapturedCall:
    request = _message(file, f"the request of {name}", trace.request, 0)
    if not trace.HasField("response"):
        return CapturedCall(file, name, request, None)
    status = (_headers(trace.response.headers) | _headers(trace.response.trailers)).get("grpc-status", "")
    code = int(status) if status.isdigit() else _UNKNOWN
    return CapturedCall(file, name, request, _message(file, f"the response of {name}", trace.response, code))


def _message(file: Source, what: str, message: Any, status: int) -> CapturedMessage:
    metadata = {
        key: value.encode()
        for key, value in _headers(message.headers).items()
        if not key.startswith((":", "grpc-")) and key not in {"content-type", "te"}
    }
    at_ns = message.headers_received_time.ToNanoseconds()
    return CapturedMessage(at_ns, metadata, b"" if status else _unframed(file, what, message.body), status)


def _unframed(file: Source, what: str, body: Any) -> bytes:
    data: bytes = body.as_bytes
    if body.WhichOneof("body_type") == "as_string":
        reason, help_ = "its body was captured as text", f"capture with `format: {_FORMAT}`"
    elif body.truncated:
        reason, help_ = "the capture truncated it", "raise max_buffered_rx_bytes and max_buffered_tx_bytes"
    elif not is_framed(data):
        reason, help_ = "its body is not one uncompressed gRPC message", "remove it"
    else:
        return data[FRAME_SIZE:]
    raise _wrong(file, f"{what} cannot be read", reason, help_)


def _headers(values: Any) -> dict[str, str]:
    return {it.key: it.value for it in values}


def _wrong(file: Source, title: str, label: str, help_: str) -> DiagnosticError:
    return DiagnosticError([Diagnostic("C076", Severity.ERROR, title, Span.whole(file), label, help_)])
