"""What an AppNetConfig names and its namespace does not have, as a controller's status tells it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from appnet.compile.fit import Where
from appnet.deploy.kubernetes.operator.fields import place_of
from appnet.deploy.kubernetes.operator.judged import Judge, Judged
from appnet.deploy.kubernetes.operator.sources import own_texts
from appnet.optimize import Settings

_SAMPLE = Path("config/samples/echo")
_PASS = "state:\n    pass\ninit():\n    pass\nreq(rpc):\n    send(rpc, Down)\nresp(rpc):\n    send(rpc, Up)\n"
_SERVICES = "\n---\n".join(
    f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\n"
    f"spec: {{selector: {{app: {name}}}, ports: [{{name: grpc, port: 9000}}]}}"
    for name in ("frontend", "server")
)


def configuration(**spec: Any) -> dict[str, Any]:
    usual = {
        "processors": ["sidecar"],
        "appName": "echo",
        "clientService": "frontend",
        "serverService": "server",
        "method": "echo",
        "serverChain": [
            {"name": "quota", "fileFrom": {"configMapKeyRef": {"name": "programs", "key": "quota.appnet"}}}
        ],
        "protoInline": (_SAMPLE / "echo.proto").read_text(),
    }
    kind = {"apiVersion": "api.core.appnet.io/v1", "kind": "AppNetConfig", "metadata": {"name": "echo"}}
    return {**kind, "spec": {**usual, **spec}}


def judged(
    body: dict[str, Any],
    maps: dict[str, dict[str, str]],
    judge: Judge,
    services: str = _SERVICES,
    lacking: Mapping[str, str] = MappingProxyType({}),
) -> Judged:
    return judge.judge({"echo": own_texts("echo", body, maps)}, services, ("wasm",), None, {}, lacking)


def controller(root: Path | None = None) -> Judge:
    return Judge("shop", root, Settings(), Where("wasm", cluster=True))


@pytest.mark.parametrize(
    ("spec", "maps", "services", "message", "place", "help_"),
    [
        (
            {},
            {},
            _SERVICES,
            "no text `quota.appnet` in a ConfigMap `programs` of namespace shop",
            "spec.serverChain[0].fileFrom",
            "make it: `kubectl create configmap programs -n shop --from-file=quota.appnet`",
        ),
        (
            {},
            {"programs": {"qouta.appnet": _PASS}},
            _SERVICES,
            "no text `quota.appnet` in a ConfigMap `programs` of namespace shop",
            "spec.serverChain[0].fileFrom",
            "did you mean `qouta.appnet`?",
        ),
        (
            {"serverService": "sever"},
            {"programs": {"quota.appnet": _PASS}},
            _SERVICES,
            "no Service `sever` in namespace shop",
            "spec.serverService",
            "did you mean `server`?",
        ),
        (
            {},
            {"programs": {"quota.appnet": _PASS}},
            "",
            "no Service `frontend` in namespace shop",
            "spec.clientService",
            "Services of its own namespace",
        ),
        (
            {"serverChain": [{"name": "quota", "file": "quota.appnet"}]},
            {},
            _SERVICES,
            "quota.appnet is a file, and a controller in a cluster reads none",
            "spec.serverChain[0].file",
            "use `appnetctl apply`",
        ),
        (
            {"method": "ecko"},
            {"programs": {"quota.appnet": _PASS}},
            _SERVICES,
            "no method `ecko`",
            "spec.method",
            "did you mean `echo`?",
        ),
    ],
    ids=["ConfigMap", "key", "Service", "no Services", "file", "method"],
)
def test_it_is_told_in_the_clusters_words(
    spec: dict[str, Any], maps: dict[str, dict[str, str]], services: str, message: str, place: str, help_: str
) -> None:
    found = judged(configuration(**spec), maps, controller(), services)
    first, *_ = found.wrong["echo"]
    assert first.title == message
    assert help_ in first.help
    assert place_of(first.span) == f"AppNetConfig shop/echo, {place}"
    assert (found.version, found.held) == (None, {"echo"})


@pytest.mark.parametrize(
    ("state", "lacking", "place", "message"),
    [
        (
            {"store": "redis://a:6379", "secret": "fig"},
            {"fig": "no Secret `fig`: make it"},
            "secret",
            "no Secret `fig`",
        ),
        ({"store": "redis://:word@a:6379"}, {}, "store", "a password in an AppNetConfig, which many may read"),
        ({"store": "redis://:$HOME@a:6379"}, {}, "store", "a password in an AppNetConfig, which many may read"),
    ],
)
def test_a_stores_password_comes_from_a_secret(
    state: dict[str, str], lacking: dict[str, str], place: str, message: str
) -> None:
    maps, judge = {"programs": {"quota.appnet": _PASS}}, controller()
    body = configuration(state=state)
    found = judged(body, maps, judge, lacking=lacking)
    (wrong,) = found.wrong["echo"]
    assert (wrong.code, wrong.title) == ("C110", message)
    assert place_of(wrong.span) == f"AppNetConfig shop/echo, spec.state.{place}"
    assert "word" not in wrong.help
    assert not judged(configuration(state={"store": "redis://a:6379", "secret": "fig"}), maps, judge).wrong


def test_a_port_is_told_by_its_service() -> None:
    services = _SERVICES.replace("name: grpc", "name: tcp")
    found = judged(configuration(), {"programs": {"quota.appnet": _PASS}}, controller(), services)
    (wrong,) = found.wrong["echo"]
    assert wrong.code == "C053"
    assert place_of(wrong.span).startswith("Service shop/server, spec.ports[0]")


def test_a_place_in_a_text_has_its_line() -> None:
    found = judged(configuration(), {"programs": {"quota.appnet": "what?"}}, controller())
    assert place_of(found.wrong["echo"][0].span).startswith("shop/echo/configmaps/programs/quota.appnet:1:")


def test_a_file_that_breaks_leaves_what_it_said_before(tmp_path: Path) -> None:
    file = tmp_path / "quota.appnet"
    file.write_text(_PASS)
    body = configuration(serverChain=[{"name": "quota", "file": "quota.appnet"}])
    judge = controller(tmp_path.resolve())
    before = judged(body, {}, judge).version
    assert before is not None
    file.write_text(_PASS.replace("Down", "Dwon"))
    found = judged(body, {}, judge)
    assert found.wrong["echo"][0].code.startswith("E")
    assert found.version is not None
    assert (found.version.id, found.held) == (before.id, set())
    file.write_text(_PASS)
    assert not judged(body, {}, judge).wrong


def test_files_of_an_earlier_version_last_longer_than_the_controller(tmp_path: Path) -> None:
    kept = {
        **own_texts("echo", configuration(serverChain=[{"name": "quota", "file": "quota.appnet"}]), {}),
        "quota.appnet": _PASS,
    }
    judge = controller(tmp_path.resolve())
    judge.remember(kept, ["echo"])
    version = judge.earlier(_SERVICES, ("wasm",), {})
    assert version is not None, "the file is not there any more"
    assert yaml.safe_load(kept["echo.yaml"])["spec"]["serverChain"][0]["file"] == "quota.appnet"
