from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from appnet.application.load import load, read_applications
from appnet.application.manifest import load_manifest
from appnet.application.named import project_root
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import FileSource, TextSource, base_name
from appnet.diagnostics.yaml_reader import Located

ROOT = Path(__file__).parents[2]
ECHO = ROOT / "config" / "samples" / "echo"

PUBLIC_FORM = """
apiVersion: api.core.appnet.io/v1
kind: AppNetConfig
metadata:
  name: public # a comment
spec:
  backend: sidecar
  appName: echo
  clientService: frontend
  serverService: server
  method: echo
  appManifestFile: <APPNET_DIR_PATH>/config/samples/echo/echo.yaml
  anyChain:
    - name: nul
      file: <APPNET_DIR_PATH>/appnet/config/samples/echo/null.appnet # the folder around the project
      parameters:
        probability: "0.02"
        limit: 3
        strict: true
        ratio: 0.5
  proto: <APPNET_DIR_PATH>/config/samples/echo/echo.proto
  protoModName: example.com/echo-pb
  protoModLocation: <APPNET_DIR_PATH>/go-lib/echo-pb"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "anywhere" / "config" / "samples" / "echo"
    folder.mkdir(parents=True)
    for name in ("echo.yaml", "echo.proto", "null.appnet"):
        (folder / name).write_text("")
    (folder / "public.yaml").write_text(PUBLIC_FORM)
    return folder


def test_the_form_that_public_files_have(project: Path) -> None:
    (application,) = read_applications(FileSource(project / "public.yaml"))
    (chain,) = application.chains
    assert [it.value for it in chain.processors] == ["sidecar"]
    assert application.manifest == FileSource(project / "echo.yaml")
    (stop,) = chain.stops
    assert stop.spec.source == FileSource(project / "null.appnet")
    given = stop.spec.parameters
    values = {key: it.value for key, it in given.items()}
    assert values == {"probability": "0.02", "limit": 3, "strict": True, "ratio": 0.5}
    assert given["limit"].span is not None
    assert given["limit"].span.line == 18
    assert chain.proto_module == "example.com/echo-pb"


def test_the_root_is_the_nearest_folder_with_samples(project: Path) -> None:
    assert project_root(project / "public.yaml") == project.parents[2]
    assert project_root(Path("/public.yaml")) is None


def test_the_sample_loads_without_a_warning() -> None:
    application = load(FileSource(ECHO / "sample_echo_sidecar.yaml"))
    (edge,) = application.chains
    assert list(edge.elements) == ["fault", "logging", "metrics", "firewall"]
    assert application.warnings == ()
    assert edge.method.full_name == "/echo.EchoService/echo"
    assert {base_name(it) for it in application.sources} == {it.name for it in ECHO.iterdir()} - {
        "README.md",
        "local.yaml",
        "sample_echo_ambient.yaml",
        "sample_echo_sidecar.behaviour.yaml",
    }


def test_several_methods(tmp_path: Path) -> None:
    shutil.copytree(ECHO, tmp_path / "echo")
    proto, config = tmp_path / "echo/echo.proto", tmp_path / "echo/sample_echo_sidecar.yaml"
    proto.write_text(proto.read_text().replace("rpc echo", "rpc shout(Msg) returns (Msg);\n  rpc echo"))
    text = config.read_text()
    config.write_text(text.replace("method: echo ", "method: [echo, shout] "))
    (edge,) = load(FileSource(config)).chains
    assert [it.signature.full_name for it in edge.methods] == ["/echo.EchoService/echo", "/echo.EchoService/shout"]
    assert all(list(it.elements) == ["fault", "logging", "metrics", "firewall"] for it in edge.methods)
    config.write_text(text.replace("method: echo ", "method: '*' "))
    assert [it.signature for it in load(FileSource(config)).chains[0].methods] == [
        edge.methods[1].signature,
        edge.methods[0].signature,
    ]


def test_paths_are_relative_to_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ECHO)
    (application,) = read_applications(FileSource(Path("sample_echo_sidecar.yaml")))
    assert application.chains[0].proto.name == "echo.proto"


def test_all_errors_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text("kind: Pod\nspec:\n  appName: 1\n  clientChain: {}\n  x: 1\n")
    with pytest.raises(DiagnosticError) as caught:
        read_applications(FileSource(path))
    lines = [it.span.line for it in caught.value.diagnostics]
    assert lines == sorted(lines)
    assert len(lines) >= 8


def test_manifest_services_and_ports(tmp_path: Path) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_text(
        "apiVersion: v1\nkind: List\nitems:\n"
        "- {apiVersion: v1, kind: Service, metadata: {name: a, namespace: n}, spec: {ports: [{port: 80, name: web},"
        " {port: 81}]}}\n"
        "- {apiVersion: apps/v1, kind: Deployment, metadata: {name: b}}\n"
        "---\n"
        "kind: Service\nmetadata: {name: c}\nspec: {clusterIP: None}\n"
    )
    manifest = load_manifest(FileSource(path))
    assert [it.name for it in manifest.deployments] == ["b"]
    assert {
        it.name: (it.namespace, {name: port.number for name, port in it.ports.items()})
        for it in manifest.services.values()
    } == {
        "a": ("n", {"web": 80, "81": 81}),
        "c": ("default", {}),
    }
    place = manifest.services["a"].span
    assert manifest.service(Located("c", place)).name == "c"
    with pytest.raises(DiagnosticError, match="C040"):
        manifest.service(Located("b", place))


def test_replicas_are_those_of_the_deployments_that_a_service_selects(tmp_path: Path) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_text(
        "kind: Service\nmetadata: {name: a}\nspec: {selector: {app: a}}\n"
        "---\nkind: Service\nmetadata: {name: without}\nspec: {}\n"
        "---\nkind: Deployment\nmetadata: {name: a-1}\n"
        "spec: {replicas: 2, template: {metadata: {labels: {app: a, version: one}}}}\n"
        "---\nkind: Deployment\nmetadata: {name: a-2}\nspec: {template: {metadata: {labels: {app: a}}}}\n"
        "---\nkind: Deployment\nmetadata: {name: b}\nspec: {replicas: 5, template: {metadata: {labels: {app: b}}}}\n"
    )
    manifest = load_manifest(FileSource(path))
    assert manifest.replicas("a") == 3
    assert manifest.replicas("without") == 1


def test_replicas_are_a_number(tmp_path: Path) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_text("kind: Deployment\nmetadata: {name: a}\nspec: {replicas: many}\n")
    with pytest.raises(DiagnosticError, match="`replicas` must be a number of pods"):
        load_manifest(FileSource(path))


@pytest.mark.parametrize("empty", ["", ' ""', " ''", " # none"])
def test_what_programs_leave_empty_is_as_if_it_were_not_there(project: Path, empty: str) -> None:
    text = PUBLIC_FORM.replace("protoModName: example.com/echo-pb", f"protoModName:{empty}")
    text = text.replace("protoModLocation: <APPNET_DIR_PATH>/go-lib/echo-pb", f"protoModLocation:{empty}")
    (project / "public.yaml").write_text(f"---\n{text}\n---\n# nothing\n---\n")
    (application,) = read_applications(FileSource(project / "public.yaml"))
    (chain,) = application.chains
    assert (chain.proto_module, chain.proto_module_folder) == ("", "")


@pytest.mark.parametrize("empty", ["", ' ""'])
def test_empty_module_names_of_a_specification(tmp_path: Path, empty: str) -> None:
    for name in ("app.yaml", "it.appnet", "it.proto"):
        (tmp_path / name).write_text("")
    spec = f"""
app_name: shop
app_manifest: app.yaml
app_structure:
- front->back
edge:
  front->back:
  - method: Place
    name: one
    path: it.appnet
    parameters:
    proto: it.proto
    proto_mod_name:{empty}
    proto_mod_location:{empty}
    processor:
    - sidecar
"""
    (tmp_path / "spec.yaml").write_text(spec)
    (application,) = read_applications(FileSource(tmp_path / "spec.yaml"))
    (chain,) = application.chains
    assert (chain.proto_module, chain.proto_module_folder) == ("", "")
    assert [dict(it.spec.parameters) for it in chain.stops] == [{}]


def test_empty_documents_of_a_manifest_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "app.yaml"
    service = "kind: Service\nmetadata:\n  name: {}\n"
    file.write_text(f"---\n---\n{service.format('one')}---\n# nothing here\n---\n{service.format('two')}---\n")
    assert list(load_manifest(FileSource(file)).services) == ["one", "two"]


@pytest.mark.parametrize("value", ["!chart name", "!!binary x", "2026-13-45", "!!int many"])
def test_a_value_that_is_none_is_told_where_it_stands(tmp_path: Path, value: str) -> None:
    (tmp_path / "app.yaml").write_text(f"kind: ConfigMap\nmetadata:\n  name: one\ndata: {value}\n")
    with pytest.raises(DiagnosticError) as caught:
        load_manifest(FileSource(tmp_path / "app.yaml"))
    (found,) = caught.value.diagnostics
    assert found.code == "C042"
    assert found.label


def test_a_document_that_says_null_is_no_object(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text("--- null\n")
    with pytest.raises(DiagnosticError) as caught:
        load_manifest(FileSource(tmp_path / "app.yaml"))
    assert [it.code for it in caught.value.diagnostics] == ["C042"]


def test_a_path_of_another_machine_brings_no_name_of_this_one(project: Path) -> None:
    (project / "public.yaml").write_text(
        PUBLIC_FORM.replace("<APPNET_DIR_PATH>/config/samples/echo/echo.proto", "/usrs/a")
    )
    with pytest.raises(DiagnosticError) as caught:
        read_applications(FileSource(project / "public.yaml"))
    (found,) = caught.value.diagnostics
    assert (found.code, found.help) == (
        "C033",
        "write the path of an existing file; relative paths start at the configuration's folder",
    )


def test_texts_inside_a_configuration(tmp_path: Path) -> None:
    """As clusters have them: each is what its file would be, and imports what lies beside the configuration."""
    text = (ECHO / "sample_echo_sidecar.yaml").read_text()
    wanted = load(FileSource(ECHO / "sample_echo_sidecar.yaml"))
    document = yaml.safe_load(text)
    spec = document["spec"]
    spec["appManifestInline"] = (ECHO / spec.pop("appManifestFile")).read_text()
    (tmp_path / "more.proto").write_text('syntax = "proto3"; message More {}')
    proto = (ECHO / spec.pop("proto")).read_text()
    spec["protoInline"] = proto.replace(
        "package echo;", 'package echo; import "more.proto"; message Uses { More more = 1; }'
    )
    for chain in ("clientChain", "anyChain", "serverChain"):
        for it in spec[chain]:
            it["inline"] = (ECHO / it.pop("file")).read_text()
    plain = {key: it for key, it in spec.items() if not key.endswith("Chain")}
    second = {**document, "spec": {**plain, "method": "other", "serverChain": [spec["clientChain"][0]]}}
    first, other = read_applications(TextSource(tmp_path / "it.yaml", yaml.safe_dump_all([document, second])))
    programs = {it.spec.source for one in (first, other) for it in one.chains[0].stops if it.spec.name.value == "fault"}
    assert len(programs) == 2, "the same name at another place"
    found = load(TextSource(tmp_path / "it.yaml", yaml.safe_dump(document)))
    assert found.manifest.services.keys() == wanted.manifest.services.keys()
    (chain,), (like,) = found.chains, wanted.chains
    assert chain.elements.keys() == like.elements.keys()
    assert chain.method.full_name == like.method.full_name
