"""Applications compiled: the examples, what stands in the manifests, and what cannot be compiled."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from appnet.application.load import load
from appnet.application.manifest import object_name
from appnet.application.model import DEFAULT_MAX_MESSAGE
from appnet.compile.fit import Where
from appnet.compile.pipeline import Version, compile_application, plan_application, print_artifacts
from appnet.compile.written import write
from appnet.deploy.kubernetes.manifests import ManifestSettings
from appnet.deploy.kubernetes.output import files
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import FileSource, TextSource
from appnet.language.operations.metadata import HIDDEN_KEYS
from appnet.observe.otlp import Resource
from appnet.optimize import Settings
from appnet.optimize.placement import OptLevel
from appnet.processors.envoy.targets import REPLY_MARK
from appnet.system.address import Address
from tests.support import snapshots

CHAIN = Path("examples/chain")
ECHO = CHAIN / "echo.yaml"
BAD = Path(__file__).parent / "bad"


def built(spec: Path, level: OptLevel = OptLevel.WEAK, target: str = "wasm", by_hand: Path | None = None) -> Version:
    where = Where(target, cluster=True)
    return compile_application(load(FileSource(spec)), Settings(level), where, by_hand=by_hand)


def objects(found: Mapping[str, bytes]) -> dict[str, list[dict[str, Any]]]:
    """The objects of each manifest, by its name."""
    return {
        path.removeprefix("kubernetes/"): list(yaml.safe_load_all(content))
        for path, content in found.items()
        if path.startswith("kubernetes/")
    }


@pytest.mark.parametrize(
    ("name", "modules", "filters"), [("echo", 2, 2), ("ping", 2, 2), ("kvstore", 4, 4), ("hotel", 5, 5)]
)
def test_the_examples(name: str, modules: int, filters: int) -> None:
    application = built(CHAIN / f"{name}.yaml")
    found = files(application, ManifestSettings())
    assert len([it for it in found if it.endswith(".wasm")]) == len(application.artifacts) == modules
    manifests = objects(found)
    order = yaml.safe_load(found["order.yaml"])
    assert order["apply"] == [f"kubernetes/{it}" for it in sorted(manifests)]
    assert order["remove"] == order["apply"][::-1]
    kinds = [it["kind"] for listed in manifests.values() for it in listed]
    assert kinds.count("EnvoyFilter") == filters
    assert set(kinds) <= {"EnvoyFilter", "Service", "Deployment", "ServiceAccount"}
    for listed in manifests.values():
        assert all(it["apiVersion"] and it["metadata"]["name"] == object_name(it["metadata"]["name"]) for it in listed)


def test_a_chain_is_in_its_place_and_travels_by_itself() -> None:
    application = built(ECHO)
    manifests = objects(files(application, ManifestSettings()))
    (filter_,) = manifests["30-frontend.server.echo.server.yaml"]
    assert filter_["spec"]["workloadSelector"] == {"labels": {"app": "server"}}
    code, callers, place, room, sent_once = filter_["spec"]["configPatches"]
    removed = callers["patch"]["value"]["typed_config"]["mutations"]["request_mutations"]
    assert {it["remove"] for it in removed} == HIDDEN_KEYS, "what callers send of these has no effect"
    assert (sent_once["applyTo"], sent_once["match"]) == ("HTTP_ROUTE", {"context": "SIDECAR_INBOUND"})
    assert sent_once["patch"]["value"]["route"]["retry_policy"] == {"retry_on": "never", "num_retries": 0}
    assert (code["applyTo"], place["applyTo"]) == ("EXTENSION_CONFIG", "HTTP_FILTER")
    assert code["patch"]["value"]["name"] == place["patch"]["value"]["name"]
    assert place["match"]["context"] == "SIDECAR_INBOUND"
    machine = code["patch"]["value"]["typed_config"]["config"]["vm_config"]
    assert (room["applyTo"], room["match"]) == ("LISTENER", {"context": "SIDECAR_INBOUND"})
    assert room["patch"]["value"]["per_connection_buffer_limit_bytes"] > DEFAULT_MAX_MESSAGE
    assert base64.b64decode(machine["code"]["local"]["inline_bytes"]) == application.artifacts[1].binary
    configuration = code["patch"]["value"]["typed_config"]["config"]["configuration"]["secret"]["inline_bytes"]
    told: Any = Resource.FromString(base64.b64decode(configuration)[28:])  # behind the numbers
    assert {it.key: it.value.string_value for it in told.attributes} == {
        "service.name": "server",
        "appnet.processor": "server-sidecar",
        "appnet.version": application.artifacts[1].version,
        "appnet.client": "frontend",
        "appnet.server": "server",
        "appnet.side": "server",
    }
    source = place["patch"]["value"]["config_discovery"]["config_source"]
    assert source == {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "2s"}
    until_then = place["patch"]["value"]["config_discovery"]["default_config"]
    assert until_then["@type"] in place["patch"]["value"]["config_discovery"]["type_urls"]
    (policy,) = until_then["rules"]["policies"].values()
    assert (until_then["rules"]["action"], policy["permissions"]) == (
        "DENY",
        [{"url_path": {"path": {"exact": "/echo.EchoService/echo"}}}],
    )
    (filter_,) = manifests["40-frontend.server.echo.client.yaml"]
    assert filter_["spec"]["configPatches"][2]["match"]["listener"]["portNumber"] == 9000


def route_of(patch: dict[str, Any]) -> dict[str, Any]:
    return dict(patch["patch"]["value"].get("route", {}))


def test_the_limits_of_calls_are_kept() -> None:
    usual = built(ECHO)
    limited = TextSource(ECHO, f"max_message: 20MiB\nidle_timeout: 90s\n{ECHO.read_text(encoding='utf-8')}")
    application = compile_application(load(limited), Settings(OptLevel.WEAK), Where("wasm", cluster=True))
    assert application.id != usual.id, "nodes are told"
    assert [it.version for it in application.artifacts] == [it.version for it in usual.artifacts]
    before, now = (objects(files(it, ManifestSettings())) for it in (usual, application))
    for name in ("30-frontend.server.echo.server.yaml", "40-frontend.server.echo.client.yaml"):
        patches = now[name][0]["spec"]["configPatches"]
        (room,) = (it for it in patches if it["applyTo"] == "LISTENER")
        assert room["patch"]["operation"] == "MERGE"
        assert room["patch"]["value"]["per_connection_buffer_limit_bytes"] > 20 << 20
        assert [route_of(it)["idle_timeout"] for it in patches if it["applyTo"] == "HTTP_ROUTE"] == ["90s"]
        assert all("idle_timeout" not in route_of(it) for it in before[name][0]["spec"]["configPatches"])


@pytest.mark.parametrize("target", ["wasm", "native"])
def test_wasm_modules_reply_through_a_filter_behind_them(tmp_path: Path, target: str) -> None:
    text = (
        ECHO.read_text().replace("name: fault", "name: cache").replace("samples/echo/fault.", "samples/elements/cache.")
    )
    spec = tmp_path / "echo.yaml"
    spec.write_text(text.replace("../../", f"{Path.cwd()}/"))
    manifests = objects(files(built(spec, target=target), ManifestSettings()))
    (filter_,) = manifests["40-frontend.server.echo.client.yaml"]
    placed = [it for it in filter_["spec"]["configPatches"] if it["applyTo"] == "HTTP_FILTER"]
    assert {it["patch"]["operation"] for it in placed} == {"INSERT_BEFORE"}, "the last stands next to the router"
    last = placed[-1]["patch"]["value"]
    if target == "native":
        assert len(placed) == 2
        assert "config_discovery" in last
        return
    assert len(placed) == 3
    assert placed[0]["match"] == placed[1]["match"]
    script = last["typed_config"]["default_source_code"]["inline_string"]
    assert REPLY_MARK in script
    assert f'"{last["name"]}"' in script, "it knows its own calls"


def test_as_written_each_element_is_a_filter_in_request_order() -> None:
    manifests = objects(files(built(ECHO, OptLevel.NO), ManifestSettings()))
    (filter_,) = manifests["40-frontend.server.echo.client.yaml"]
    filters_ = [it["patch"]["value"] for it in filter_["spec"]["configPatches"] if it["applyTo"] == "HTTP_FILTER"]
    places = [it["name"] for it in filters_ if "config_discovery" in it]
    assert places == ["appnet.frontend_server.echo.client-fault", "appnet.frontend_server.echo.client-logging"]


def test_replicas_are_those_of_services_that_are_judged_or_call() -> None:
    manifests = objects(files(built(CHAIN / "hotel.yaml"), ManifestSettings(replicas=3)))
    deployments = [it for it in manifests["50-application.yaml"] if it["kind"] == "Deployment"]
    replicas = {it["metadata"]["name"]: it["spec"]["replicas"] for it in deployments}
    assert replicas["frontend"] == replicas["geo"] == replicas["rate"] == 3
    assert replicas["mongodb-geo"] == replicas["memcached-rate"] == 1


def test_wasm_proxies_have_one_worker_where_elements_need_it() -> None:
    manifests = objects(files(built(CHAIN / "ping.yaml", OptLevel.STRONG), ManifestSettings()))
    templates = {
        it["metadata"]["name"]: it["spec"]["template"]
        for it in manifests["50-application.yaml"]
        if it["kind"] == "Deployment"
    }
    config = templates["ping"]["metadata"]["annotations"]["proxy.istio.io/config"]
    assert yaml.safe_load(config)["concurrency"] == 1, "the rate limit is one for all calls"
    assert "annotations" not in templates["frontend"]["metadata"]


def test_native_modules_come_with_their_loader_and_records_with_their_collector() -> None:
    application = built(ECHO, target="native")
    assert {it.segment.place.target for it in application.artifacts} == {"native"}
    found = files(application, ManifestSettings(collector=Address("otel.observability", 4318)))
    assert found["code/frontend_server/echo.client.so"].startswith(b"\x7fELF")
    manifests = objects(found)
    (loader,) = manifests["20-loader.yaml"]
    (name,) = loader["binaryData"]
    (filter_,) = manifests["40-frontend.server.echo.client.yaml"]
    config = filter_["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]
    assert name == f"lib{config['dynamic_module_config']['name']}.so"
    assert base64.b64decode(loader["binaryData"][name]).startswith(b"\x7fELF")
    template = next(it for it in manifests["50-application.yaml"] if it["kind"] == "Deployment")["spec"]["template"]
    assert "appnet-loader" in template["metadata"]["annotations"]["sidecar.istio.io/userVolume"]
    (telemetry,) = manifests["10-telemetry.yaml"]
    cluster = telemetry["spec"]["configPatches"][0]["patch"]["value"]
    assert cluster["name"] == "appnet-telemetry"


@pytest.mark.parametrize(
    ("annotations", "volumes"),
    [
        ("", ["appnet-loader"]),
        ("{}", ["appnet-loader"]),
        ("{sidecar.istio.io/userVolume: }", ["appnet-loader"]),
        (
            """{sidecar.istio.io/userVolume: '[{"name": "keys"}, {"name": "appnet-loader"}]'}""",
            ["keys", "appnet-loader"],
        ),
        ("""{sidecar.istio.io/userVolume: '{"keys": {"emptyDir": {}}}'}""", ["keys", "appnet-loader"]),
    ],
    ids=["empty", "none", "an empty one", "a list", "by name"],
)
def test_the_loader_joins_what_a_pod_is_annotated_with(tmp_path: Path, annotations: str, volumes: list[str]) -> None:
    shutil.copytree("config/samples/echo", tmp_path / "echo")
    manifest = tmp_path / "echo" / "echo.yaml"
    labels = "    metadata:\n      labels:"
    assert labels in manifest.read_text()
    manifest.write_text(
        manifest.read_text().replace(labels, f"    metadata:\n      annotations: {annotations}\n      labels:")
    )
    found = objects(files(built(tmp_path / "echo" / "sample_echo_sidecar.yaml", target="native"), ManifestSettings()))
    template = next(it for it in found["50-application.yaml"] if it["kind"] == "Deployment")["spec"]["template"]
    listed = json.loads(template["metadata"]["annotations"]["sidecar.istio.io/userVolume"])
    assert [it["name"] for it in listed] == volumes


def test_a_chain_that_asks_for_it_is_native(tmp_path: Path) -> None:
    text = ECHO.read_text().replace("../../", f"{Path.cwd()}/").replace("upgrade: true", "envoy_native: true", 1)
    (tmp_path / "echo.yaml").write_text(text)
    assert {it.segment.place.target for it in built(tmp_path / "echo.yaml").artifacts} == {"native"}


def test_equal_chains_share_plan_and_code(tmp_path: Path) -> None:
    text = ECHO.read_text().replace("../../", f"{Path.cwd()}/")
    structure, _, edges = text.partition("edge:\n")
    edge, _, _ = edges.partition("transport:\n")
    text = structure.replace("->server", "->server\n  - server->frontend") + "edge:\n" + edge
    text += edge.replace("frontend->server", "server->frontend")
    (tmp_path / "echo.yaml").write_text(text)
    version = built(tmp_path / "echo.yaml")
    first, second = (
        [it.code for it in version.artifacts if it.edge is chain.chain.edge] for chain in version.application.chains
    )
    assert first == second
    assert first[0] is second[0]
    one, other = version.plans
    assert one.arrangement is other.arrangement
    assert [str(it.plan.edge) for it in (one, other)] == ["frontend->server", "server->frontend"]


def test_code_by_hand_takes_the_place_of_what_is_printed(tmp_path: Path) -> None:
    printed = built(ECHO)
    artifact = printed.artifacts[0]
    file = tmp_path / f"{artifact.stem}.c"
    file.parent.mkdir()
    file.write_text(artifact.code.text.replace("fault_injected", "fault by hand"))
    by_hand = built(ECHO, by_hand=tmp_path)
    assert b"fault by hand" in by_hand.artifacts[0].binary
    assert by_hand.artifacts[0].version != artifact.version
    assert by_hand.artifacts[1].binary == printed.artifacts[1].binary


def test_code_by_hand_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    spec = ECHO.resolve()
    stem = built(spec).artifacts[0].stem
    monkeypatch.chdir(tmp_path)
    folder = Path("mine")
    (folder / stem).parent.mkdir(parents=True)
    with pytest.raises(DiagnosticError) as caught:
        built(spec, by_hand=folder)
    snapshots.compare(str(caught.value), BAD / "no_code.txt", request)
    (folder / f"{stem}.c").write_text("int main(void) { return 0; }\n")
    (folder / f"{stem}s.c").write_text("int main(void) { return 0; }\n")
    with pytest.raises(DiagnosticError) as caught:
        built(spec, by_hand=folder)
    snapshots.compare(str(caught.value), BAD / "code_for_no_module.txt", request)
    (folder / f"{stem}s.c").unlink()
    (folder / f"{stem}.c").write_text("int main(void) {\n  return nothing;\n}\n")
    with pytest.raises(DiagnosticError) as caught:
        built(spec, by_hand=folder)
    snapshots.compare(str(caught.value), BAD / "code_that_does_not_compile.txt", request)
    (folder / f"{stem}.c").write_bytes(b"/* \xff */")
    with pytest.raises(DiagnosticError, match=f"C001.*{Path(stem).name}.c is not UTF-8 text"):
        built(spec, by_hand=folder)


def test_files_replace_those_of_before_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    application = built(ECHO)
    found = files(application, ManifestSettings())
    others = files(built(CHAIN / "hotel.yaml"), ManifestSettings())
    monkeypatch.chdir(tmp_path)
    output = Path("generated")
    write(others, output)
    write(found, output)
    assert {str(it.relative_to(output)) for it in output.rglob("*") if it.is_file()} == set(found)
    for path in ("notes.txt", "kubernetes/10-own.yaml", "code/own/own.c"):
        own = output / path
        own.parent.mkdir(exist_ok=True)
        own.write_text("of the user")
        with pytest.raises(DiagnosticError, match=own.name):
            write(found, output)
        assert own.read_text() == "of the user"
        own.unlink()
    (output / "order.yaml").write_text("no order")
    (output / "kubernetes").rename(tmp_path / "kubernetes")
    (output / "code").rename(tmp_path / "code")
    (output / "plan.json").unlink()
    (output / "README.md").unlink()
    with pytest.raises(DiagnosticError) as caught:
        write(found, output)
    snapshots.compare(str(caught.value), BAD / "folder_of_others.txt", request)


MANIFEST_WITHOUT_SELECTOR = ("  selector:\n    app: server\n", "")
TWO_EDGES = """app_name: echo
app_manifest: echo.manifest.yaml
app_structure: [frontend->server, frontend->other, third->server]
edge:
  frontend->server:
    - {method: echo, name: fault, path: fault.appnet, proto: echo.proto, position: client}
    - {method: echo, name: firewall, path: firewall.appnet, proto: echo.proto, position: server}
  frontend->other:
    - {method: echo, name: fault, path: fault.appnet, proto: echo.proto, position: client}
  third->server:
    - {method: echo, name: fault, path: fault.appnet, proto: echo.proto, position: client}
    - {method: echo, name: firewall, path: firewall.appnet, proto: echo.proto, position: server}
"""
ONE_EDGE = TWO_EDGES.partition("  frontend->other")[0].replace(", frontend->other, third->server", "")
SERVICE = "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {0}}}\nspec: {{selector: {{app: {0}}}, ports: [{{port: 9000}}]}}\n"
BAD_APPLICATIONS = {
    "no_selector": (ONE_EDGE, MANIFEST_WITHOUT_SELECTOR),
    "edges_mixed_up": (TWO_EDGES, ("", "")),
    "proxies_not_set_up": (ONE_EDGE.replace("name: fault, path: fault", "name: sticky, path: sticky"), ("", "")),
}


@pytest.mark.parametrize("name", BAD_APPLICATIONS)
def test_what_sidecars_cannot_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    spec, change = BAD_APPLICATIONS[name]
    samples = Path.cwd() / "config" / "samples"
    monkeypatch.chdir(tmp_path)
    for it in ("echo/fault.appnet", "echo/firewall.appnet", "echo/echo.proto", "elements/sticky.appnet"):
        shutil.copy(samples / it, tmp_path)
    manifest = (samples / "echo" / "echo.yaml").read_text().replace(*change)
    Path("echo.manifest.yaml").write_text(manifest + SERVICE.format("other") + SERVICE.format("third"))
    Path("echo.yaml").write_text(spec)
    with pytest.raises(DiagnosticError) as caught:
        files(built(Path("echo.yaml"), OptLevel.STRONG), ManifestSettings())
    snapshots.compare(str(caught.value), BAD / f"{name}.txt", request)


def test_objects_keep_their_namespace_which_comes_first(tmp_path: Path) -> None:
    text = ECHO.read_text().replace("../../", f"{Path.cwd()}/")
    manifest = Path("config/samples/echo/echo.yaml").read_text()
    manifest = manifest.replace("metadata:\n  name: ", "metadata:\n  namespace: shop\n  name: ")
    (tmp_path / "manifest.yaml").write_text(
        f"{manifest}---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: shop}}\n"
    )
    text = text.replace(f"{Path.cwd()}/config/samples/echo/echo.yaml", "manifest.yaml")
    (tmp_path / "echo.yaml").write_text(text)
    manifests = objects(files(built(tmp_path / "echo.yaml"), ManifestSettings()))
    assert [it["metadata"]["name"] for it in manifests["00-namespaces.yaml"]] == ["shop"]
    assert min(manifests) == "00-namespaces.yaml"
    for name, listed in manifests.items():
        if "EnvoyFilter" in {it["kind"] for it in listed}:
            assert {it["metadata"]["namespace"] for it in listed} == {"shop"}, name


def test_texts_that_kubernetes_would_read_as_numbers_are_quoted() -> None:
    application = replace(built(ECHO), id="12345e678901")
    found = files(application, ManifestSettings())
    (path,) = (it for it in found if it.startswith("kubernetes/30-"))
    assert b"appnet.io/version: '12345e678901'\n" in found[path]


def test_names_that_kubernetes_takes() -> None:
    assert object_name("appnet.frontend.server.echo.client") == "appnet.frontend.server.echo.client"
    assert object_name("a.Get") != object_name("a.get")
    assert len(object_name("x" * 300)) <= 253


def test_a_chain_on_all_methods(tmp_path: Path) -> None:
    text = (CHAIN / "kvstore.yaml").read_text().replace("../", f"{CHAIN.resolve()}/../")
    head, _, _ = text.partition("edge:\n")
    element = f"{Path.cwd()}/examples/elements/key_rules.appnet"
    text = f"{head}edge:\n  frontend->kvstore:\n    - {{method: '*', name: rules, path: {element}, proto: {CHAIN.resolve()}/../proto/kv.proto}}\n"
    (tmp_path / "kv.yaml").write_text(text)
    version = built(tmp_path / "kv.yaml")
    (chain,) = version.application.chains
    assert [it.signature.full_name for it in chain.methods] == ["/kv.KVService/get", "/kv.KVService/set"]
    assert [it.stem for it in version.artifacts] == ["frontend_kvstore/all.client"]


def test_the_first_module_of_a_proxy_counts_calls_for_those_behind_it(tmp_path: Path) -> None:
    folder = Path(shutil.copytree("config/samples/echo", tmp_path / "echo"))
    passes = "state:\n    pass\n\ninit():\n    pass\n\nreq(rpc):\n    {line}\n    send(rpc, Down)\n\nresp(rpc):\n    send(rpc, Up)\n"
    for name in ("logging", "metrics", "firewall"):
        line = "pass" if name == "firewall" else "set_metadata(rpc, 'x-number', to_string(rpc_id()))"
        (folder / f"{name}.appnet").write_text(passes.format(line=line))
    application = load(FileSource(folder / "sample_echo_sidecar.yaml"))
    numbers = {}
    for level in (OptLevel.NO, OptLevel.IGNORE):
        plans = plan_application(application, Settings(level), Where())
        for it in print_artifacts(application.chains, plans):
            flags = dict(re.findall(r"\.numbers\.(\w+) = (\w+),", it.code.text))
            numbers[level, "+".join(one.name for one in it.elements)] = [
                name for name, on in flags.items() if on == "true"
            ]
    fused = {names: told for (level, names), told in numbers.items() if level is OptLevel.IGNORE}
    assert {names: told for (level, names), told in numbers.items() if level is OptLevel.NO} == {
        "fault": ["counts", "gives"],
        "logging": ["takes", "gives"],
        "metrics": ["takes"],
        "firewall": [],
    }
    assert all(
        told == (["counts"] if "logging" in names or "metrics" in names else []) for names, told in fused.items()
    )
