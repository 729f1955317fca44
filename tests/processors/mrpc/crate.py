"""The host in Rust, built and driven: its test program lays messages out as Rust does, and judges events one by one."""

from __future__ import annotations

import hashlib
import math
import os
import struct
import subprocess
import weakref
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from appnet.application.proto import ProtoFile, load_proto
from appnet.diagnostics.source import FileSource
from appnet.language.messages import MethodSignature
from appnet.processors.mrpc.bincode import Reader, Writer
from appnet.processors.mrpc.layouts import IMPLICIT, KINDS, REPEATED, REQUIRED, Layout, Layouts, layouts_of
from appnet.system.cache import cache_directory

RUST = Path(__file__).parents[3] / "rust"
DRIVE = Path(__file__).parent / "drive"
METHODS = {
    "/lay.Probe/Call": load_proto(FileSource(Path(__file__).with_name("layouts.proto"))),
    "/echo.EchoService/echo": load_proto(FileSource(Path(__file__).parents[3] / "config/samples/echo/echo.proto")),
}
"""The methods whose messages the driver has."""
MISSING = """what these tests need is written in Rust, and no `cargo` (1.77 or newer) runs from the PATH.
This brings it: apt install cargo; or, where rustup is there: rustup default stable"""

_TYPES = {
    "bool": "bool", "float": "f32", "double": "f64", "enum": "i32", "string": "Text", "bytes": "Text",
    **dict.fromkeys(("int32", "sint32", "sfixed32"), "i32"), **dict.fromkeys(("uint32", "fixed32"), "u32"),
    **dict.fromkeys(("int64", "sint64", "sfixed64"), "i64"), **dict.fromkeys(("uint64", "fixed64"), "u64"),
}  # fmt: skip
_FORMS = {"bool": "<?", "i32": "<i", "u32": "<I", "i64": "<q", "u64": "<Q", "f32": "<f", "f64": "<d"}


def sides(proto: ProtoFile, method: MethodSignature) -> tuple[Descriptor, Descriptor]:
    """A method's request and response."""
    request, response = (proto.message_class(it.full_name).DESCRIPTOR for it in (method.request, method.response))
    return request, response


def _cargo_runs() -> bool:
    """Not so where there is none, and where it is rustup's, which has no toolchain for this user."""
    try:
        return subprocess.run(["cargo", "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


NEEDS_CARGO = pytest.mark.skipif(not _cargo_runs(), reason=MISSING)


class NoToolsError(Exception):
    """Cargo could not build something."""


@cache
def target() -> Path:
    """Where builds of this checkout are kept, in the user's cache."""
    checkout = hashlib.sha256(str(RUST).encode()).hexdigest()[:8]
    folder = cache_directory().parent / "appnet-tests" / f"rust-{checkout}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def cargo(*arguments: str, folder: Path = RUST, **environment: str) -> str:
    """What the command printed. Raises `NoToolsError` where it fails."""
    done = subprocess.run(
        ["cargo", *arguments], cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"CARGO_TARGET_DIR": str(target())} | environment,
    )  # fmt: skip
    if done.returncode != 0:
        raise NoToolsError(f"cargo {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def structs(layouts: Layouts) -> str:
    """The messages as Rust has them, for the driver."""
    return f"messages! {{\n{''.join(map(_struct, layouts.messages))}}}\n"


def _type_name(message: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in message.split("."))


def _struct(layout: Layout) -> str:
    fields = ""
    for it in layout.fields:
        inner = _TYPES.get(it.kind) or _type_name(it.message)
        wrapper = {IMPLICIT: "{}", REQUIRED: "{}", REPEATED: "Vector<{}>"}.get(it.label, "Option<{}>")
        fields += f"{it.name}: {wrapper.format(inner)}, "
    return f'    "{layout.name}" {_type_name(layout.name)} {{ {fields}}}\n'


@cache
def known() -> Layouts:
    """All messages that the driver has."""
    return layouts_of({path: sides(proto, proto.method(path)) for path, proto in METHODS.items()})


@cache
def driver() -> Path:
    """The test program. Raises `NoToolsError` where it does not build."""
    messages, rust = target() / "messages.rs", structs(known())
    if not messages.exists() or messages.read_text() != rust:
        messages.write_text(rust)
    cargo("build", "--quiet", folder=DRIVE, APPNET_MESSAGES=str(messages))
    return target() / "debug" / "appnet-mrpc-drive"


class HostError(Exception):
    """What the host says of something that it cannot do."""


class Process:
    """A process of the driver, which ``arguments`` make a service; it ends with this."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen([driver(), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        weakref.finalize(self, _end, self._process)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def ask(self, event: bytes, told: Writer | None = None) -> Reader:
        """What became of an event. Raises `HostError`."""
        assert self._process.stdin
        assert self._process.stdout
        frame = event + (told.finish() if told is not None else b"")
        self._process.stdin.write(struct.pack("<I", len(frame)) + frame)
        self._process.stdin.flush()
        size = self._process.stdout.read(4)
        if len(size) < 4:
            raise RuntimeError(f"the driver ended with {self._process.wait()}")
        answer = self._process.stdout.read(int.from_bytes(size, "little"))
        if not answer[0]:
            raise HostError(answer[1:].decode())
        return Reader(answer[1:])

    def message(
        self,
        ids: tuple[int, int],
        function: int,
        kind: int,
        told: bytes,
        *,
        goes_out: bool,
        denied: bool = False,
        blind: bool = False,
    ) -> Reader | None:
        """What becomes of a message: None where it is refused, else for how long it waits, whether a copy of it goes
        on, and that; ``blind``: nothing of that."""
        event = (
            Writer().bool(goes_out).bool(blind).u64(ids[0]).u64(ids[1]).u32(function).bool(denied).u32(kind).raw(told)
        )
        answer = self.ask(b"m", event)
        return answer if answer.bool() else None


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    assert process.stdout
    process.stdin.close()
    process.wait()
    process.stdout.close()


# --- messages as the driver is told them: fields in their order, texts as bytes ---


def encode(message: Any) -> bytes:
    """A message, whose strings are bytes."""
    writer = Writer()
    _write_message(writer, message)
    return writer.finish()


def _write_message(writer: Writer, message: Any) -> None:
    for it in message.DESCRIPTOR.fields:
        value = getattr(message, it.name)
        if it.is_repeated:
            writer.list(value, _writer_of(it))
        elif it.has_presence and not it.is_required:
            writer.option(value if message.HasField(it.name) else None, _writer_of(it))
        else:
            _writer_of(it)(writer, value)


_KIND_OF = {getattr(FieldDescriptor, f"TYPE_{kind.upper()}"): kind for kind in KINDS}


def kind_of(it: FieldDescriptor) -> str:
    """The kind of a field, as ``chain.h`` calls it."""
    return _KIND_OF[it.type]


def _writer_of(it: FieldDescriptor) -> Callable[[Writer, Any], object]:
    kind = kind_of(it)
    if kind == "message":
        return _write_message
    if kind in {"string", "bytes"}:
        return Writer.bytes
    form = _FORMS[_TYPES[kind]]
    # One NaN is as good as another.
    return lambda writer, value: writer.raw(struct.pack(form, value if value == value else math.nan))


def decode(reader: Reader, message: Any) -> Any:
    """Fills an empty message with what the driver tells."""
    for it in message.DESCRIPTOR.fields:
        if it.is_repeated:
            _read_list(reader, it, getattr(message, it.name))
        elif not it.has_presence or it.is_required:
            setattr(message, it.name, _read(reader, it))
        elif reader.bool():
            if it.message_type is not None:
                getattr(message, it.name).SetInParent()
                decode(reader, getattr(message, it.name))
            else:
                setattr(message, it.name, _read(reader, it))
    return message


def _read_list(reader: Reader, it: FieldDescriptor, to: Any) -> None:
    for _ in range(reader.u64()):
        if it.message_type is not None:
            decode(reader, to.add())
        else:
            to.append(_read(reader, it))


def _read(reader: Reader, it: FieldDescriptor) -> Any:
    kind = kind_of(it)
    if kind in {"string", "bytes"}:
        return reader.bytes()
    form = _FORMS[_TYPES[kind]]
    return struct.unpack(form, reader.raw(struct.calcsize(form)))[0]


def index_of(descriptor: Descriptor) -> int:
    """The number that the driver has for a message."""
    return known().index(descriptor.full_name)


def fields_told(reader: Reader) -> list[tuple[str, int, int, list[tuple[int, int, int]]]]:
    """Each message that the driver knows: its name, size, alignment, and where its fields lie."""

    def placed(it: Reader) -> tuple[int, int, int]:
        return it.u64(), it.u64(), it.u64()

    def message(it: Reader) -> tuple[str, int, int, list[tuple[int, int, int]]]:
        return it.text(), it.u64(), it.u64(), it.list(placed)

    found: Iterable[tuple[str, int, int, list[tuple[int, int, int]]]] = reader.list(message)
    return list(found)
