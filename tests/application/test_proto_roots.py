"""Protos as people keep them: below roots, by their packages' paths, with imports of each other and of googleapis."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from appnet.application.proto import load_proto
from appnet.application.proto_files import ProtoRoot, searched_first
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import FileSource, MemorySource

X = """syntax = "proto3";
package acme.v1;
import "acme/v1/y.proto";
service Shop { rpc Buy(Item) returns (Item); }
"""
Y = """syntax = "proto3";
package acme.v1;
import "acme/common/z.proto";
message Item { string name = 1; acme.common.Price price = 2; }
"""
Z = """syntax = "proto3";
package acme.common;
message Price { int64 amount = 1; }
"""


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


ACME = {"acme/v1/x.proto": X, "acme/v1/y.proto": Y, "acme/common/z.proto": Z}


def test_imports_begin_in_the_folder_above_the_packages_path(tmp_path: Path) -> None:
    root = written(tmp_path / "proto", ACME)
    loaded = load_proto(FileSource(root / "acme/v1/x.proto"))
    assert loaded.methods() == ["/acme.v1.Shop/Buy"]
    assert set(loaded.method("Buy").request.fields) == {"name", "price.amount"}
    assert {it.name for it in loaded.sources} == {
        str(root / "acme/v1" / it) for it in ("x.proto", "../../acme/v1/y.proto", "../../acme/common/z.proto")
    }
    place = loaded.place("acme.v1.Item", "price.amount")
    assert place is not None
    assert (Path(place.source.name).resolve(), place.line) == (root / "acme/common/z.proto", 3)


def test_a_change_of_an_import_is_seen(tmp_path: Path) -> None:
    root = written(tmp_path, ACME)
    source = FileSource(root / "acme/v1/x.proto")
    load_proto(source)
    (root / "acme/common/z.proto").write_text(Z.replace("amount", "cents"))
    assert "price.cents" in load_proto(source).method("Buy").request.fields


def test_texts_in_memory_have_roots_too() -> None:
    texts = {f"proto/{name}": text for name, text in ACME.items()}
    loaded = load_proto(MemorySource("proto/acme/v1/x.proto", texts))
    assert "price.amount" in loaded.method("Buy").request.fields


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("buf.yaml", "version: v2\nmodules:\n  - path: api/proto\n  - path: vendor\n"),
        ("buf.work.yaml", "version: v1\ndirectories:\n  - api/proto\n  - vendor\n"),
    ],
)
def test_roots_that_buf_names(tmp_path: Path, file: str, text: str) -> None:
    """The .proto lies elsewhere than its package says, and what it imports is in another module."""
    files = {
        file: text,
        "api/proto/shop.proto": X.replace("acme/v1/y.proto", "items/y.proto"),
        "api/proto/items/y.proto": Y.replace("acme/common/z.proto", "third/z.proto"),
        "vendor/third/z.proto": Z,
    }
    root = written(tmp_path, files)
    assert "price.amount" in load_proto(FileSource(root / "api/proto/shop.proto")).method("Buy").request.fields


def test_a_module_of_its_own_is_a_root(tmp_path: Path) -> None:
    files = {
        "proto/buf.yaml": "version: v1\n",
        "proto/shop/x.proto": X.replace("acme/v1/y.proto", "items/y.proto"),
        "proto/items/y.proto": Y.replace("acme/common/z.proto", "items/z.proto"),
        "proto/items/z.proto": Z,
    }
    root = written(tmp_path, files)
    assert load_proto(FileSource(root / "proto/shop/x.proto")).methods() == ["/acme.v1.Shop/Buy"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "modules: 3",
        "modules: [3, {path: 3}]",
        "directories: x",
        "a: &a [*a]",
        "modules: !!bool foo",
        "a: !!timestamp foo",
        'modules: [{path: "a\\0b"}]',
        'directories: ["\\ud800"]',
    ],
)
@pytest.mark.parametrize("file", ["buf.yaml", "buf.work.yaml"])
def test_files_of_buf_that_say_nothing_of_use_do_no_harm(tmp_path: Path, file: str, text: str) -> None:
    root = written(tmp_path, {**ACME, file: text})
    assert load_proto(FileSource(root / "acme/v1/x.proto")).methods() == ["/acme.v1.Shop/Buy"]


GIVEN = {
    "api/shop.proto": X.replace("package acme.v1", "package shop").replace("Item", "acme.v1.Item"),
    "vendor/acme/v1/y.proto": Y,
    "third/acme/common/z.proto": Z,
}


def test_roots_that_are_given(tmp_path: Path) -> None:
    """Nothing tells that the roots are such but those who name them."""
    root = written(tmp_path, GIVEN)
    source, roots = FileSource(root / "api/shop.proto"), [ProtoRoot.of(root / it) for it in ("vendor", "third")]
    with pytest.raises(DiagnosticError, match=r"acme/v1/y\.proto"):
        load_proto(source)
    assert "price.amount" in load_proto(source, roots).method("Buy").request.fields
    with searched_first(roots):
        assert "price.amount" in load_proto(source).method("Buy").request.fields
    with pytest.raises(DiagnosticError, match=r"acme/v1/y\.proto"):
        load_proto(source)


def test_given_roots_come_before_those_that_are_found(tmp_path: Path) -> None:
    root = written(tmp_path, {**ACME, "vendor/acme/common/z.proto": Z.replace("amount", "cents")})
    source = FileSource(root / "acme/v1/x.proto")
    assert "price.amount" in load_proto(source).method("Buy").request.fields
    assert "price.cents" in load_proto(source, [ProtoRoot.of(root / "vendor")]).method("Buy").request.fields


def test_the_same_file_in_two_given_roots_does_no_harm(tmp_path: Path) -> None:
    root = written(tmp_path, {**GIVEN, "third/acme/v1/y.proto": Y})
    roots = [ProtoRoot.of(root / it) for it in ("vendor", "third")]
    assert "price.amount" in load_proto(FileSource(root / "api/shop.proto"), roots).method("Buy").request.fields
    (root / "third/acme/v1/y.proto").write_text(Y.replace("price", "cost"))
    with pytest.raises(DiagnosticError) as caught:
        load_proto(FileSource(root / "api/shop.proto"), roots)
    (only,) = caught.value.diagnostics
    assert (only.code, only.span.line, len(only.places)) == ("C054", 3, 2)


def test_files_below_a_given_root_are_named_from_there(tmp_path: Path) -> None:
    """A .proto that others import by that name is one file, not two."""
    files = {
        "protos/shop/a.proto": X.replace("acme/v1/y.proto", "shop/b.proto"),
        "protos/shop/b.proto": Y.replace("acme/common/z.proto", "common/z.proto"),
        "protos/common/z.proto": Z,
    }
    root = written(tmp_path, files)
    loaded = load_proto(FileSource(root / "protos/shop/a.proto"), [ProtoRoot.of(root / "protos")])
    assert list(loaded.files) == ["shop/a.proto", "shop/b.proto", "common/z.proto"]


def test_googleapis_come_along(tmp_path: Path) -> None:
    text = """syntax = "proto3";
package shop;
import "google/api/annotations.proto";
import "google/protobuf/timestamp.proto";
import "google/rpc/status.proto";
service Shop {
  rpc Buy(Order) returns (google.rpc.Status) { option (google.api.http) = { post: "/v1/orders" body: "*" }; }
}
message Order { string item = 1; google.protobuf.Timestamp at = 2; }
"""
    method = load_proto(FileSource(written(tmp_path, {"shop.proto": text}) / "shop.proto")).method("Buy")
    assert set(method.request.fields) == {"item", "at.seconds", "at.nanos"}
    assert {"code", "message"} <= set(method.response.fields)


def test_an_import_that_is_not_there_is_told_once(tmp_path: Path) -> None:
    """And not again for each name that it would have brought."""
    root = written(tmp_path, {"acme/v1/x.proto": X.replace("returns", "returns ")})
    with pytest.raises(DiagnosticError) as caught:
        load_proto(FileSource(root / "acme/v1/x.proto"))
    (only,) = caught.value.diagnostics
    assert only.code == "C050"
    assert "acme/v1/y.proto" in only.label
    assert "above its package's path" in only.help


def descriptor_set(root: Path, *options: str) -> Path:
    """What a compiler makes of the files below the root."""
    file = root / "shop.binpb"
    arguments = [f"-I{root}", f"--descriptor_set_out={file}", *options, *map(str, sorted(root.rglob("*.proto")))]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments], check=True)
    return file


def test_a_descriptor_set_stands_for_its_files(tmp_path: Path) -> None:
    file = descriptor_set(written(tmp_path, ACME), "--include_imports")
    loaded = load_proto(FileSource(file))
    assert loaded.methods() == ["/acme.v1.Shop/Buy"]
    assert set(loaded.method("Buy").request.fields) == {"name", "price.amount"}
    assert loaded.message_class("acme.v1.Item")(name="x").SerializeToString() == b"\n\x01x"
    assert loaded.bytes_class("acme.v1.Item")(name=b"\xff").SerializeToString() == b"\n\x01\xff"
    assert loaded.sources == (FileSource(file),)


def test_what_is_no_descriptor_set(tmp_path: Path) -> None:
    lacking = written(tmp_path / "lacking", ACME)
    without = lacking / "without.binpb"
    arguments = [f"-I{lacking}", f"--descriptor_set_out={without}", str(lacking / "acme/v1/x.proto")]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments], check=True)
    for name, content in (("text.binpb", b"syntax"), ("empty.binpb", b""), ("without.binpb", without.read_bytes())):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DiagnosticError) as caught:
            load_proto(FileSource(tmp_path / name))
        (only,) = caught.value.diagnostics
        assert only.code == "C050"
        assert "buf build" in only.help


@pytest.mark.parametrize("name", ["a\0b.proto", "x" * 5_000 + ".proto"])
def test_imports_of_names_that_no_file_has(tmp_path: Path, name: str) -> None:
    root = written(tmp_path, {"x.proto": f'syntax = "proto3";\nimport "{name}";\n'})
    with pytest.raises(DiagnosticError, match="C050"):
        load_proto(FileSource(root / "x.proto"))
