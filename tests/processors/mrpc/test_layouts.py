"""Layout tables are what Rust makes of the same messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.application.proto import load_proto
from appnet.diagnostics.source import TextSource
from appnet.processors.mrpc.bincode import Writer
from appnet.processors.mrpc.layouts import CONVENTIONS, KINDS, OPTIONAL, OptionShape, Shape, UnsupportedError, scalar
from tests.processors.mrpc.chains import layouts
from tests.processors.mrpc.crate import NEEDS_CARGO, HostError, Process, fields_told, known

pytestmark = NEEDS_CARGO

TABLES = known()


@pytest.fixture(scope="module")
def process() -> Process:
    return Process()


def test_every_field_lies_where_the_table_says(process: Process):
    told = fields_told(process.ask(b"k"))
    assert [it[0] for it in told] == [it.name for it in TABLES.messages]
    for layout, (name, size, align, fields) in zip(TABLES.messages, told, strict=True):
        assert (layout.shape.size, layout.shape.align) == (size, align), name
        for field, (offset, width, _) in zip(layout.fields, fields, strict=True):
            # Behind a tag the value does not lie where the option does.
            assert offset <= field.offset <= offset + width, f"{name}.{field.name}"
            if field.label != OPTIONAL or not field.presence.tagged:
                assert field.offset == offset, f"{name}.{field.name}"
            if field.label == OPTIONAL:
                assert offset <= field.presence.offset < offset + width, f"{name}.{field.name}"


def _probe(process: Process, message: int, field: int, shape: OptionShape) -> None:
    writer = Writer().u32(message).u32(field).u8(0).u32(shape.shape.size).u32(shape.shape.align).u32(shape.value)
    shape.presence.write(writer)
    process.ask(b"p", writer)


def _shape_of(message: int, number: int) -> OptionShape:
    """The option of a field, from where it begins, as its table has it."""
    field = TABLES.messages[message].fields[number]
    inner = TABLES.messages[TABLES.index(field.message)].shape if field.message else scalar(field.kind)
    word = field.presence
    start = field.offset if not word.tagged else word.offset
    moved = type(word)(word.offset - start, word.size, word.absent, word.present, word.tagged)
    value = field.offset - start
    size = inner.size if not word.tagged else -(-(value + inner.size) // inner.align) * inner.align
    return OptionShape(Shape(size, inner.align), value, moved)


def test_every_option_says_what_the_table_says(process: Process):
    probed = 0
    for message, layout in enumerate(TABLES.messages):
        for number, field in enumerate(layout.fields):
            if field.label == OPTIONAL:
                _probe(process, message, number, _shape_of(message, number))
                probed += 1
    assert probed >= 20


def test_a_wrong_table_is_told(process: Process):
    ask = TABLES.index("lay.Ask")
    names = [it.name for it in TABLES.messages[ask].fields]
    for name in ("maybe_small", "maybe_flag", "maybe_text", "inner", "numbers"):
        right = _shape_of(ask, names.index(name))
        word = right.presence
        other = type(word)(word.offset, word.size, word.absent + 1, word.present, word.tagged)
        with pytest.raises(HostError, match="in another way"):
            _probe(process, ask, names.index(name), OptionShape(right.shape, right.value, other))


def test_conventions_have_every_kind_of_number():
    widths = {(scalar(it).size, it in {"float", "double"}) for it in KINDS if it not in {"message", "string", "bytes"}}
    known = {(scalar(it).size, it in {"float", "double"}) for it in CONVENTIONS if it != "string"}
    assert widths == known


@pytest.mark.parametrize(
    ("fields", "path", "why"),
    [
        ("map<string, int32> counts = 1;", "p.M.counts", "a map"),
        ("oneof either { int32 a = 1; string b = 2; }", "p.M.a", "a member of the oneof either"),
        ("repeated sint64 steps = 1;", "p.M.steps", "a list of sint64"),
        ("repeated E shades = 1;", "p.M.shades", "a list of enum"),
        ("M again = 1;", "p.M", "the message holds itself"),
        ("repeated M again = 1;", "p.M", "the message holds itself"),
    ],
)
def test_what_has_no_layout(fields: str, path: str, why: str):
    text = f'syntax = "proto3"; package p; service S {{ rpc Call(M) returns (M); }} enum E {{ A = 0; }} message M {{ {fields} }}'
    proto = load_proto(TextSource(Path("m.proto"), text))
    with pytest.raises(UnsupportedError) as raised:
        layouts(proto, proto.method("Call"))
    assert (raised.value.path, raised.value.why) == (path, why)
