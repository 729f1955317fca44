from __future__ import annotations

from pathlib import Path

import pytest

from appnet.application.proto import ProtoFile, load_proto
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.place import Span
from appnet.diagnostics.source import FileSource
from appnet.language.types import BOOL, BYTES, FLOAT, INT, STRING, UINT, MapType, VecType

SHOP = """
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "parts/money.proto";

service Orders {
  rpc Place(Order) returns (Receipt);
  rpc Watch(Order) returns (stream Receipt);
}
service Returns { rpc Place(Order) returns (Receipt); }

message Order {
  string Customer = 1;
  Address address = 2;
  repeated string items = 3;
  map<string, int32> counts = 4;
  oneof payment { string card = 5; Money cash = 6; }
  optional sint32 discount = 7;
  google.protobuf.Timestamp placed = 8;
  Order previous = 9;
}
message Address { string city = 1; Money rent = 300; }
message Receipt {
  double f64 = 1; float f32 = 2; int64 i64 = 3; uint64 u64 = 4; int32 i32 = 5; fixed64 x64 = 6; fixed32 x32 = 7;
  bool yes = 8; string text = 9; bytes raw = 10; uint32 u32 = 11; State state = 12; sfixed32 sx32 = 13;
  sfixed64 sx64 = 14; sint32 s32 = 15; sint64 s64 = 16;
  enum State { NEW = 0; DONE = 1; }
}
"""
MONEY = 'syntax = "proto3"; package shop; message Money { int64 cents = 2; }'


@pytest.fixture
def shop(tmp_path: Path) -> ProtoFile:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "money.proto").write_text(MONEY)
    path = tmp_path / "shop.proto"
    path.write_text(SHOP)
    return load_proto(FileSource(path))


def test_fields_with_their_numbers_from_the_message_inwards(shop: ProtoFile) -> None:
    fields = shop.method("Watch").request.fields
    assert {path: (it.type, it.numbers, it.kind) for path, it in fields.items()} == {
        "Customer": (STRING, (1,), "string"),
        "items": (VecType(STRING), (3,), "string"),
        "counts": (MapType(STRING, INT), (4,), "int32"),
        "card": (STRING, (5,), "string"),
        "cash.cents": (INT, (6, 2), "int64"),
        "discount": (INT, (7,), "sint32"),
        "address.city": (STRING, (2, 1), "string"),
        "address.rent.cents": (INT, (2, 300, 2), "int64"),
        "placed.seconds": (INT, (8, 1), "int64"),
        "placed.nanos": (INT, (8, 2), "int32"),
    }


def test_reasons_why_other_fields_cannot_be_used(shop: ProtoFile) -> None:
    assert shop.method("Watch").request.unsupported == {
        "address": "it is a message: name a field in it",
        "cash": "it is a message: name a field in it",
        "placed": "it is a message: name a field in it",
        "previous": "`shop.Order` contains itself",
        "address.rent": "it is a message: name a field in it",
    }


def test_types_of_all_scalars(shop: ProtoFile) -> None:
    response = shop.method("Watch").response
    types = {it.kind: it.type for it in response.fields.values()}
    assert types == {
        **dict.fromkeys(("double", "float"), FLOAT),
        **dict.fromkeys(("int64", "int32", "sint32", "sint64", "sfixed32", "sfixed64", "enum"), INT),
        **dict.fromkeys(("uint64", "uint32", "fixed64", "fixed32"), UINT),
        "bool": BOOL,
        "string": STRING,
        "bytes": BYTES,
    }
    assert response.full_name == "shop.Receipt"


@pytest.mark.parametrize("name", ["Watch", "Orders.Watch", "Orders/Watch", "shop.Orders/Watch", "/shop.Orders/Watch"])
def test_ways_to_name_a_method(shop: ProtoFile, name: str) -> None:
    method = shop.method(name)
    assert method.full_name == "/shop.Orders/Watch"
    assert (method.client_streaming, method.server_streaming) == (False, True)


def test_a_name_that_ends_like_a_method_is_not_it(shop: ProtoFile) -> None:
    for name in ("atch", "rders.Watch", "watch"):
        with pytest.raises(DiagnosticError, match="did you mean"):
            shop.method(name)


def test_errors_point_where_the_name_was_written(shop: ProtoFile) -> None:
    place = Span(FileSource(Path("config.yaml")), 3, 5, 3, 9)
    for name, code in (("Place", "C052"), ("Plaice", "C051")):
        with pytest.raises(DiagnosticError) as caught:
            shop.method(name, place)
        assert [(it.code, it.span) for it in caught.value.diagnostics] == [(code, place)]


def test_message_classes(shop: ProtoFile) -> None:
    order = shop.message_class("shop.Order")(Customer="Ada", address={"city": "Rome"})
    assert order.SerializeToString() == b"\n\x03Ada\x12\x06\n\x04Rome"
    with pytest.raises(KeyError):
        shop.message_class("shop.Nothing")


def test_bytes_in_place_of_strings(tmp_path: Path) -> None:
    file = tmp_path / "it.proto"
    file.write_text(
        'syntax = "proto2"; message M { optional string a = 1 [default = "\\"\\xc3\\xa9"]; map<string, string> b = 2; }'
    )
    cut = load_proto(FileSource(file)).bytes_class("M").FromString(b"\x12\x06\n\x01k\x12\x01\xc3")
    assert cut.a == '"é'.encode()
    assert dict(cut.b) == {"k": b"\xc3"}


def test_what_is_too_much_for_the_library_is_told(tmp_path: Path) -> None:
    file = tmp_path / "it.proto"
    fields = "".join(f"string a{number} = {number + 1}; " for number in range(15_000))
    file.write_text(f'syntax = "proto3"; message M {{ {fields} }}')
    with pytest.raises(DiagnosticError) as caught:
        load_proto(FileSource(file))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "C050"
    assert diagnostic.help


def test_files_it_was_read_from(shop: ProtoFile) -> None:
    folder = Path(shop.source.name).parent
    assert shop.sources == (FileSource(folder / "shop.proto"), FileSource(folder / "parts" / "money.proto"))


def test_proto2_has_groups_closed_enums_and_defaults(tmp_path: Path) -> None:
    path = tmp_path / "old.proto"
    path.write_text(
        'syntax = "proto2"; service S { rpc M(In) returns (In); } message In { optional int32 a = 1 [default = 7];'
        " optional int32 b = 2 [default = 0]; optional group G = 3 { optional int32 c = 1; } required bool d = 4;"
        ' enum E { ONE = 1; } optional E e = 5; optional string f = 6 [default = "\u00e9"]; }'
    )
    request = load_proto(FileSource(path)).method("M").request
    assert {path: it.default for path, it in request.fields.items()} == {
        "a": 7,
        "b": None,
        "d": None,
        "e": 1,
        "f": b"\xc3\xa9",
        "g.c": None,
    }
    assert all(it.presence for it in request.all_fields())
    assert request.fields["e"].names == (1,)
    assert request.fields["g.c"].groups == (True, False)
    assert request.unsupported == {"g": "it is a message: name a field in it"}


def test_fields_within_many_messages(tmp_path: Path) -> None:
    path = tmp_path / "many.proto"
    path.write_text(
        'syntax = "proto3"; service S { rpc M(In) returns (In); } message Part { int32 id = 1; repeated string tags = 2;'
        " map<string, int32> counts = 3; repeated Part parts = 4; } message In { repeated Part parts = 5;"
        " map<int32, Part> by_number = 6; optional string note = 7; string text = 8; }"
    )
    request = load_proto(FileSource(path)).method("M").request
    shapes = {it.path: (it.type, it.numbers, it.within, it.presence) for it in request.all_fields()}
    assert shapes == {
        "note": (STRING, (7,), "", True),
        "text": (STRING, (8,), "", False),
        "parts.id": (VecType(INT), (5, 1), "parts", False),
        "parts.tags": (VecType(STRING), (5, 2), "parts", False),
        "by_number.values.id": (VecType(INT), (6, 2, 1), "by_number", False),
        "by_number.values.tags": (VecType(STRING), (6, 2, 2), "by_number", False),
        "parts": (UINT, (5,), "", False),
        "by_number": (UINT, (6,), "", False),
        "parts.parts": (UINT, (5, 4), "parts", False),
        "by_number.values.parts": (UINT, (6, 2, 4), "by_number", False),
    }
    assert request.unsupported["parts.counts"] == "it is a map, and each of `parts` has its own"
    assert request.unsupported["parts.parts"] == "`Part` contains itself"
    assert load_proto(FileSource(path)).place("In", "by_number.values.id") is not None


def test_features_of_editions(tmp_path: Path) -> None:
    path = tmp_path / "new.proto"
    path.write_text(
        'edition = "2023"; service S { rpc M(In) returns (In); } enum Open { ZERO = 0; }'
        " enum Closed { option features.enum_type = CLOSED; NONE = 0; } message Part { int32 n = 1; }"
        " message In { int32 a = 1 [default = 7]; int32 b = 2 [features.field_presence = IMPLICIT]; Open c = 3;"
        " Closed d = 4; Part e = 5; Part f = 6 [features.message_encoding = DELIMITED]; }"
    )
    request = load_proto(FileSource(path)).method("M").request
    assert {path: (it.default, it.presence, it.names) for path, it in request.fields.items()} == {
        "a": (7, True, ()),
        "b": (None, False, ()),
        "c": (None, True, ()),
        "d": (None, True, (0,)),
        "e.n": (None, True, ()),
        "f.n": (None, True, ()),
    }
    assert request.fields["f.n"].groups == (True, False)


def test_a_deep_message_is_read_to_eight_levels(tmp_path: Path) -> None:
    path = tmp_path / "deep.proto"
    messages = [f"message M{n} {{ M{n + 1} next = 1; int32 here = 2; }}" for n in range(10)]
    path.write_text(f'syntax = "proto3"; service S {{ rpc M(M0) returns (M0); }} {" ".join(messages)} message M10 {{}}')
    request = load_proto(FileSource(path)).method("M").request
    assert max(it.count(".") for it in request.fields) == 7
    assert request.unsupported["next." * 7 + "next"] == "it is nested deeper than 8 messages"


def test_of_a_very_large_message_the_nearest_fields_are_read(tmp_path: Path) -> None:
    path = tmp_path / "wide.proto"
    messages = [
        f"message M{n} {{ string s = 99; {' '.join(f'M{n + 1} f{it} = {it + 1};' for it in range(12))} }}"
        for n in range(6)
    ]
    path.write_text(f'syntax = "proto3"; service S {{ rpc M(M0) returns (M6); }} {" ".join(messages)} message M6 {{}}')
    request = load_proto(FileSource(path)).method("M").request
    assert {"s", "f0.s", "f11.f11.s"} <= set(request.fields)
    assert len(request.fields) + len(request.unsupported) < 200_000
    assert "very large" in request.unsupported["f11.f11.f11.f11"]


@pytest.mark.parametrize("name", ["größe.proto", "a b.proto", "a:b.proto", "-x.proto", "noextension"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text('syntax = "proto3"; service S { rpc M(In) returns (In); } message In {}')
    assert load_proto(FileSource(path)).methods() == ["/S/M"]
    path.write_text('syntax = "proto3";\nmessage {}')
    with pytest.raises(DiagnosticError) as caught:
        load_proto(FileSource(path))
    assert caught.value.diagnostics[0].span == Span(FileSource(path), 2, 9, 2, 10)


def test_what_did_not_change_is_not_compiled_again(shop: ProtoFile) -> None:
    assert load_proto(FileSource(Path(shop.source.name))) is shop
    money = Path(shop.source.name).parent / "parts" / "money.proto"
    money.write_text(MONEY.replace("cents", "pence"))
    assert "address.rent.pence" in load_proto(FileSource(Path(shop.source.name))).method("Watch").request.fields
    money.unlink()
    with pytest.raises(DiagnosticError, match="parts/money"):
        load_proto(FileSource(Path(shop.source.name)))
    money.write_text(MONEY)
    assert "address.rent.cents" in load_proto(FileSource(Path(shop.source.name))).method("Watch").request.fields


def test_a_file_that_comes_before_googles_own_is_noticed(shop: ProtoFile) -> None:
    own = Path(shop.source.name).parent / "google" / "protobuf" / "timestamp.proto"
    own.parent.mkdir(parents=True)
    own.write_text('syntax = "proto3"; package google.protobuf; message Timestamp { string text = 1; }')
    assert "placed.text" in load_proto(FileSource(Path(shop.source.name))).method("Watch").request.fields
