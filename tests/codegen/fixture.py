"""The handwritten chain of c/fixture.c as a module under test, and its messages."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from appnet.application.proto import load_proto
from appnet.diagnostics.source import FileSource
from appnet.processors.envoy.build import build
from appnet.processors.envoy.harness import native as native_harness
from appnet.processors.envoy.harness import wasm as wasm_harness
from appnet.processors.envoy.harness.calls import CallUnderTest, DeliveredBody
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.processors.processor import Denied

HERE = Path(__file__).parent / "c"
JUDGE, HEADERS, WATCH, STATUS = (f"/fixture.Fixture/{name}" for name in ("Judge", "Headers", "Watch", "Status"))
BOTH = (NATIVE, WASM)

FIELDS = {
    "name": "string",
    "inner.deep.data": "bytes",
    "flag": "bool",
    "int32": "int32",
    "int64": "int64",
    "uint32": "uint32",
    "uint64": "uint64",
    "sint32": "sint32",
    "sint64": "sint64",
    "colour": "int32",
    "fixed32": "uint32",
    "fixed64": "uint64",
    "sfixed32": "int32",
    "sfixed64": "int64",
    "float": "float",
    "double": "double",
    "bytes": "bytes",
    "inner.text": "string",
    "inner.number": "int64",
    "inner.deep.count": "uint32",
    "other.text": "string",
    "other.number": "int64",
    "other.deep.data": "bytes",
    "other.deep.count": "uint32",
}
"""The paths in the order of FIELDS of fixture.c, and how protobuf holds them."""


@cache
def message_class() -> type[Message]:
    """The class of `fixture.All`, with bytes for strings, because protobuf's strings are UTF-8 alone."""
    with tempfile.TemporaryDirectory() as folder:
        twin = Path(folder, "twin.proto")
        twin.write_text((HERE / "fixture.proto").read_text().replace("string ", "bytes "))
        return load_proto(FileSource(twin)).message_class("fixture.All")


@cache
def module(target: str) -> bytes:
    """The compiled chain."""
    return build((HERE / "fixture.c").read_text(), target)


def instance(target: str, **options: Any) -> Any:
    """A new instance of the chain."""
    harness: Any = native_harness if target == NATIVE else wasm_harness
    return harness.ModuleUnderTest(module(target), **options)


def frame(message: bytes, flag: int = 0) -> bytes:
    """The message with gRPC's five bytes in front."""
    return bytes([flag]) + len(message).to_bytes(4, "big") + message


@dataclass(frozen=True)
class Kept:
    """What the chain's state says of the last message: fields present, with their values as 64 bits or bytes."""

    requests: int
    responses: int
    status: int
    load: int
    values: dict[str, int | bytes]


def kept(chain: Any) -> Kept:
    """Reads the state dump of fixture.c; long texts are cut after 512 bytes."""
    lines = chain.state_dump().splitlines()
    values: dict[str, int | bytes] = {}
    for (path, kind), line in zip(FIELDS.items(), lines[5:], strict=True):
        present, bits, size, text = line.split()
        if present == "1":
            content = bytes.fromhex(text[1:])
            assert len(content) == min(int(size), 512)
            values[path] = content if kind in ("string", "bytes") else int(bits)
    requests, responses, status, load = (int(line) for line in lines[:4])
    return Kept(requests, responses, status, load, values)


def bits_of(value: Any, kind: str) -> int | bytes:
    """A value as fixture.c keeps it."""
    if kind in ("float", "double"):
        number: int = struct.unpack("<Q", struct.pack("<d", value))[0]
        return number
    return value if isinstance(value, bytes) else int(value) % 2**64


def get(message: Message, path: str) -> Any:
    """The field of this path."""
    value: Any = message
    for name in path.split("."):
        value = getattr(value, name)
    return value


def put(message: Message, path: str, value: Any) -> None:
    """Sets the field of this path."""
    *outer, last = path.split(".")
    for name in outer:
        message = getattr(message, name)
    setattr(message, last, value)


def writes(values: Mapping[str, Any]) -> dict[str, bytes]:
    """The metadata that has fixture.c write these fields."""
    metadata = {}
    for path, value in values.items():
        bits = bits_of(value, FIELDS[path])
        data = bits if isinstance(bits, bytes) else bits.to_bytes(8, "little")
        metadata[f"w{list(FIELDS).index(path):02}"] = data.hex().encode()
    return metadata


def judge(chain: Any, body: bytes, metadata: Mapping[str, bytes] | None = None) -> DeliveredBody | Denied:
    """What becomes of a request with this body, in one piece."""
    call: CallUnderTest = chain.call()
    try:
        return call.run_request(JUDGE, metadata or {}, [body])
    finally:
        call.end()
