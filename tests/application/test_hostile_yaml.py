"""Whatever stands in a configuration or a manifest, what comes of it is a value or diagnostics, never a failure."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appnet.application.load import load, read_applications
from appnet.application.manifest import Manifest, load_manifest
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import FileSource

PARTS = Path(__file__).parent / "bad" / "parts"
GOOD = (PARTS / "good.yaml").read_text(encoding="utf-8")
MANIFEST = (PARTS / "echo.yaml").read_text(encoding="utf-8")
SPECIFICATION = """app_name: echo
app_manifest: echo.yaml
app_structure:
  - frontend->server
edge:
  frontend->server:
    - method: echo
      name: limit
      path: limit.appnet
      parameters:
        body: hello
      position: client
      processor:
        - sidecar
      proto: echo.proto
      envoy_native: true
link:
  frontend->server:
    - method: echo
      name1: first
      path1: fault.appnet
      name2: second
      path2: fault.appnet
      proto: echo.proto
transport:
  frontend->server:
    - method: echo
      name: reliable
"""

ODD_VALUES = [
    *("~", "''", "' '", "[]", "{}", "[[]]", "{a: {b: c}}", "12", "-0.5", "1e400", ".nan", "0x_", "true", "2020-13-45"),
    *("<<", "=", "? [a]", "!foo x", "!!int abc", "!!float x", "!!bool x", "!!binary x", "!!timestamp x", "!!set {a}"),
    *("&a [*a]", "&a {b: *a}", "*nowhere", '"a\\0b"', '"\\ud800"', "|\n    two\n    lines", "'open", "{", "a: b: c"),
    *(
        "9" * 5000,
        "x" * 5000,
        "[\n" * 2000,
        "../..",
        "/",
        "\x07",
        "\ufeff",
        "\u2028",
        "%",
        "@",
        "- a",
        "sidecar",
        "name",
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(PARTS, tmp_path_factory.mktemp("hostile") / "parts"))


def read(file: Path, text: str) -> None:
    """Reads ``text`` as an application and as a manifest; whatever they report must be showable."""
    file.write_text(text, encoding="utf-8")
    for reader in (read_applications, load_manifest):
        try:
            assert isinstance(reader(FileSource(file)), list | Manifest)
        except DiagnosticError as error:
            for it in error.diagnostics:
                assert it.title
                assert it.render().encode()
                assert it.span.line >= 1 <= it.span.column


@pytest.mark.parametrize("text", [GOOD, SPECIFICATION, MANIFEST], ids=["configuration", "specification", "manifest"])
@pytest.mark.parametrize("value", ODD_VALUES, ids=lambda it: ascii(it[:16]))
def test_an_odd_value_anywhere(folder: Path, text: str, value: str) -> None:
    lines = text.splitlines()
    for number, line in enumerate(lines):
        key, colon, _ = line.partition(": ")
        if colon:
            read(folder / "odd.yaml", "\n".join([*lines[:number], f"{key}: {value}", *lines[number + 1 :]]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_text_cut_in(folder: Path, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([GOOD, SPECIFICATION, MANIFEST]))
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    piece = data.draw(st.text("ab:- \n\t[]{}&*!|>'\"#%@,?\\~0é\x00", max_size=12))
    read(folder / "cut.yaml", text[:start] + piece + text[end:])


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab", max_size=3) | st.dates(),
    lambda it: st.lists(it, max_size=3) | st.dictionaries(st.sampled_from(["name", "file", "port", "kind", "x"]), it),
    max_leaves=8,
)


@given(st.data())
def test_any_tree_put_in(folder: Path, data: st.DataObject) -> None:
    documents = list(yaml.safe_load_all(data.draw(st.sampled_from([GOOD, SPECIFICATION, MANIFEST]))))
    document = data.draw(st.sampled_from(documents))
    place = document
    while True:
        steps = list(place) if isinstance(place, dict) else list(range(len(place)))
        step = data.draw(st.sampled_from(steps))
        if not isinstance(place[step], dict | list) or data.draw(st.booleans()):
            break
        place = place[step]
    place[step] = data.draw(TREES)
    read(folder / "tree.yaml", yaml.safe_dump_all(documents))


@pytest.mark.parametrize("value", [".inf", ".nan", "' 0.5 '", "1:30", "1e3", "7"])
def test_an_odd_number_for_a_parameter(folder: Path, value: str) -> None:
    assert "limit" in load(FileSource(with_probability(folder, value))).chains[0].elements


@pytest.mark.parametrize("value", ["1" + "0" * 400, "true", "0o7", "often", '"\\ud800"'])
def test_no_number_for_a_parameter(folder: Path, value: str) -> None:
    with pytest.raises(DiagnosticError, match="E041") as caught:
        load(FileSource(with_probability(folder, value))).chains[0]
    assert caught.value.diagnostics[0].span.line == 16


def with_probability(folder: Path, value: str) -> Path:
    """A configuration that gives an element ``value`` for a number, in its line 16."""
    element = f"- name: limit\n      file: limit.appnet\n      parameters: {{body: a, probability: {value}}}"
    text = GOOD.replace("- name: fault\n      file: fault.appnet", element)
    assert text != GOOD
    file = folder / "number.yaml"
    file.write_text(text, encoding="utf-8")
    return file
