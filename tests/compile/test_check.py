"""What `check_source` takes an element's method from, and what it tells of several methods."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appnet.application.uses import uses_of
from appnet.compile.check import check_source
from appnet.diagnostics.source import FileSource, TextSource, base_name

ECHO = Path(__file__).parents[2] / "config" / "samples" / "echo"
TWO_METHODS = """syntax = "proto3";
package shop;
message Order { string item = 1; int64 count = 2; }
message Query { string text = 1; }
message Done { }
service Shop {
  rpc Buy(Order) returns (Done);
  rpc Find(Query) returns (Done);
}
"""
ELEMENT = """state:
    pass

init():
    pass

req(rpc):
    set(rpc, '{field}', {value})
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ECHO, tmp_path / "echo"))


def told(file: Path, **options: object) -> list[str]:
    return [f"{it.code} {it.title}" for it in check_source(FileSource(file), **options)]  # type: ignore[arg-type]


def test_an_element_is_checked_against_all_methods_of_a_proto(tmp_path: Path) -> None:
    (tmp_path / "shop.proto").write_text(TWO_METHODS)
    element = tmp_path / "it.appnet"
    element.write_text(ELEMENT.format(field="count", value="'three'"))
    assert told(element, proto=FileSource(tmp_path / "shop.proto")) == [
        "E014 shop.Query has no field `count` (for /shop.Shop/Find)",
        "E020 string where int is needed (for /shop.Shop/Buy)",
    ]
    element.write_text(ELEMENT.format(field="count", value="1"))
    assert told(element, proto=FileSource(tmp_path / "shop.proto"), method="Buy") == []


def test_what_is_wrong_for_every_method_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "shop.proto").write_text(TWO_METHODS)
    element = tmp_path / "it.appnet"
    element.write_text(ELEMENT.format(field="x", value="1").replace("Down", "Up"))
    assert "E030 `req` sends the request Up" not in told(element)
    assert told(element, proto=FileSource(tmp_path / "shop.proto")).count("E030 `req` sends the request Down") == 1


def test_without_a_proto_the_configurations_that_use_it_tell_its_method(echo: Path) -> None:
    element = echo / "firewall.appnet"
    element.write_text(element.read_text().replace("'Body'", "'bodi'"))
    assert told(element)[0].startswith("E014 ")
    (echo / "sample_echo_sidecar.yaml").unlink()
    assert told(element) == []


def test_configurations_above_count_up_to_the_project(echo: Path) -> None:
    inner = echo / "elements"
    inner.mkdir()
    shutil.move(echo / "fault.appnet", inner)
    config = echo / "sample_echo_sidecar.yaml"
    config.write_text(config.read_text().replace("fault.appnet", "elements/fault.appnet"))
    assert [use.element.name.value for use in uses_of(FileSource(inner / "fault.appnet"))] == ["fault"]
    deeper = inner / "deeper"
    deeper.mkdir()
    shutil.move(inner / "fault.appnet", deeper)
    config.write_text(config.read_text().replace("elements/fault", "elements/deeper/fault"))
    assert uses_of(FileSource(deeper / "fault.appnet")) == []
    (echo / ".git").mkdir()
    assert [base_name(use.source) for use in uses_of(FileSource(deeper / "fault.appnet"))] == [config.name]


def test_text_that_is_not_saved_yet(echo: Path) -> None:
    element = echo / "fault.appnet"
    assert check_source(FileSource(element)) == []
    assert [it.code for it in check_source(TextSource(element, "state:\n"))] == ["E003"]
