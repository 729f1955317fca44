"""What `check_source` takes an element's method from, and what it tells of several methods."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appnet.application.uses import uses_of
from appnet.compile.check import check_source
from appnet.compile.fit import Where, load_application
from appnet.compile.pipeline import compile_application
from appnet.deploy.kubernetes.manifests import ManifestSettings
from appnet.deploy.kubernetes.output import files
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.source import FileSource, TextSource, base_name
from appnet.optimize import Settings

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
        "E020 expected int, found string (for /shop.Shop/Buy)",
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
    for it in echo.glob("sample_echo_*.yaml"):
        it.unlink()
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


# --- what can be run here, and what in a cluster ---

CHOOSES = "state:\n    pass\n\ninit():\n    pass\n\nreq(rpc):\n    {line}\n    send(rpc, Down)\n\nresp(rpc):\n    send(rpc, Up)\n"
REFUSES = """state:
    pass

init():
    pass

req(rpc):
    match get(rpc, 'body') == 'x':
        true => {sends}
        false => send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""


def agree(folder: Path, target: str, name: str = "sidecar") -> list[str]:
    """What `check` warns of, which has to be what compiling for a cluster refuses, and nothing of compiling for here."""
    config = FileSource(folder / f"sample_echo_{name}.yaml")
    found = check_source(config, where=Where(target))
    assert {it.severity for it in found} <= {Severity.WARNING}
    refused: list[Diagnostic] = []
    try:
        version = compile_application(load_application(config), Settings(), Where(target, cluster=True))
        files(version, ManifestSettings())
    except DiagnosticError as error:
        refused = error.diagnostics
    assert [(it.code, it.title, it.help) for it in found] == [(it.code, it.title, it.help) for it in refused]
    return [it.code for it in found]


@pytest.mark.parametrize("target", ["native", "wasm"])
@pytest.mark.parametrize("line", ["set(rpc, 'dst', 1)", "set_metadata(rpc, 'dst', '0')"])
def test_what_only_runs_here_is_warned_of(echo: Path, line: str, target: str) -> None:
    (echo / "fault.appnet").write_text(CHOOSES.format(line=line))
    assert agree(echo, target) == ["C049"]


@pytest.mark.parametrize("line", ["", "delay(rpc, 0.5)"])
def test_what_runs_everywhere_is_not_warned_of(echo: Path, line: str) -> None:
    if line:
        (echo / "fault.appnet").write_text(CHOOSES.format(line=line))
    assert agree(echo, "wasm") == []


def test_services_that_a_cluster_cannot_tell_are_warned_of(echo: Path) -> None:
    manifest = echo / "echo.yaml"
    manifest.write_text(manifest.read_text().replace("  selector:\n    app: server\n", ""))
    assert agree(echo, "wasm") == ["C047"]


@pytest.mark.parametrize(
    ("port", "codes"),
    [
        ("- {name: tcp, port: 9000}", ["C053"]),
        ("- {name: grpc, appProtocol: TLS, port: 9000}", ["C053"]),
        ("- {name: tcp-metrics, port: 9100}\n    - {name: tls-grpc, port: 9000}", ["C053"]),
        ("- {name: tcp, appProtocol: kubernetes.io/h2c, port: 9000}", []),
        ("- {name: tcp-metrics, port: 9100}\n    - {name: grpc-api, port: 9000}", []),
        ("- {port: 9000}", []),
    ],
)
def test_ports_that_istio_does_not_look_into_are_warned_of(echo: Path, port: str, codes: list[str]) -> None:
    manifest = echo / "echo.yaml"
    text = manifest.read_text()
    old = "- name: grpc\n      port: 9000\n      targetPort: 9000\n      appProtocol: grpc"
    assert text.count(old) == 1
    manifest.write_text(text.replace(old, port))
    assert agree(echo, "wasm") == codes


@pytest.mark.parametrize("target", ["native", "wasm"])
@pytest.mark.parametrize(
    ("alone", "sends", "warned"),
    [
        (True, "send(err('later', UNAVAILABLE), Up)", True),
        (True, "pass", True),
        (True, "send(err('later', RESOURCE_EXHAUSTED), Up)", False),
        (False, "send(err('later', UNAVAILABLE), Up)", False),
    ],
    ids=["refused", "dropped", "another code", "with a chain where the call leaves"],
)
def test_refusals_that_istio_sends_again_are_warned_of(
    echo: Path, alone: bool, sends: str, warned: bool, target: str
) -> None:
    (echo / "firewall.appnet").write_text(REFUSES.format(sends=sends))
    config = echo / "sample_echo_sidecar.yaml"
    if alone:
        lines = config.read_text().splitlines(keepends=True)
        first, last = (next(n for n, it in enumerate(lines) if key in it) for key in ("clientChain", "serverChain"))
        without = "".join([*lines[:first], *lines[last:]])
        config.write_text(without.partition("  anyChain")[0] + "  proto: echo.proto\n")
    found = check_source(FileSource(config), where=Where(target))
    assert [(it.code, "`firewall`" in it.title) for it in found if it.code != "W001"] == ([("W022", True)] * warned)


def test_edges_that_a_cluster_cannot_tell_apart_are_warned_of(echo: Path) -> None:
    manifest, config = echo / "echo.yaml", echo / "sample_echo_sidecar.yaml"
    another = "apiVersion: v1\nkind: Service\nmetadata:\n  name: second\nspec:\n  selector:\n    app: second\n  ports:\n  - port: 9000\n"
    manifest.write_text(f"{manifest.read_text()}---\n{another}")
    both = config.read_text()
    config.write_text(f"{both}---\n{both.replace('serverService: server', 'serverService: second')}")
    assert agree(echo, "wasm") == [], "the called host tells them apart"
    config.write_text(f"{both}---\n{both.replace('clientService: frontend', 'clientService: second')}")
    assert set(agree(echo, "wasm")) == {"C048"}


NAMESPACE = (
    "apiVersion: v1\nkind: Namespace\nmetadata: {{name: default, labels: {{istio.io/use-waypoint: {0}}}}}\n---\n"
)


@pytest.mark.parametrize(
    ("service", "namespace", "codes"),
    [
        ("", "", []),
        ("none", "", ["C055"]),
        ("", "none", ["C055"]),
        ("waypoint", "none", []),
        ("none", "waypoint", ["C055"]),
    ],
)
def test_calls_that_pass_no_waypoint_are_warned_of(echo: Path, service: str, namespace: str, codes: list[str]) -> None:
    manifest = echo / "echo.yaml"
    head, kind, rest = manifest.read_text().partition("kind: Service\nmetadata:\n  name: server\n  labels:\n")
    assert kind
    label = f"    istio.io/use-waypoint: {service}\n" if service else ""
    manifest.write_text(f"{NAMESPACE.format(namespace) if namespace else ''}{head}{kind}{label}{rest}")
    assert agree(echo, "wasm", "ambient") == codes


def test_sidecars_that_pass_no_waypoint_are_warned_of(echo: Path) -> None:
    config = echo / "sample_echo_ambient.yaml"
    config.write_text(config.read_text().replace("    - ambient\n", "    - ambient\n    - sidecar\n"))
    assert agree(echo, "wasm", "ambient") == ["C055"]


def test_callers_that_a_waypoint_cannot_tell_apart_are_warned_of(echo: Path) -> None:
    config = echo / "sample_echo_ambient.yaml"
    text = config.read_text()
    other = text.replace("clientService: frontend", "clientService: second").replace(
        "  - name: frontend", "  - name: second"
    )
    manifest = echo / "echo.yaml"
    another = "apiVersion: v1\nkind: Service\nmetadata:\n  name: second\nspec:\n  selector:\n    app: second\n  ports:\n  - port: 9000\n"
    manifest.write_text(f"{manifest.read_text()}---\n{another}")
    config.write_text(f"{text}---\n{other}")
    assert set(agree(echo, "wasm", "ambient")) == {"C048"}


def test_what_is_decided_at_each_message_is_noted_without_an_application(tmp_path: Path) -> None:
    proto = tmp_path / "shop.proto"
    proto.write_text(TWO_METHODS.replace("Buy(Order)", "Buy(stream Order)"))
    element = tmp_path / "it.appnet"
    refuses = "    if get_metadata(rpc, 'user') != 'ann':\n        send(err('no'), Up)\n    send(rpc, Down)"
    text = ELEMENT.replace("    set(rpc, '{field}', {value})\n    send(rpc, Down)", refuses)
    element.write_text(text)
    title = "N004 `it` decides at every message of a stream, but reads none of them"
    assert told(element, proto=FileSource(proto), method="Buy") == [title]
    assert told(element, proto=FileSource(proto)) == [f"{title} (for /shop.Shop/Buy)"]
    element.write_text(text.replace("init():", "init(a, b):"))
    assert told(element, proto=FileSource(proto), method="Find") == []
