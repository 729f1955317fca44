"""The custom resource in a real API server: what it takes, what it refuses in which words, and what it shows."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appnet.application.kinds import API_VERSION, KIND, is_meant
from appnet.deploy.kubernetes.definition import NAME
from appnet.deploy.kubernetes.status_schema import MOST_HISTORY, MOST_PROXIES
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.programs import kubectl

pytestmark = pytest.mark.kubernetes

SAMPLES = sorted(it for it in Path("config/samples").rglob("*.yaml") if f"kind: {KIND}" in it.read_text())
ELEMENT = {"name": "fault", "inline": "…"}
FROM = {"configMapKeyRef": {"name": "programs", "key": "fault.appnet"}}
SPEC: dict[str, Any] = {
    "processors": ["sidecar"],
    "appName": "echo",
    "clientService": "frontend",
    "serverService": "server",
    "method": "echo",
    "protoInline": "…",
    "clientChain": [ELEMENT],
}
LEFT_OUT = object()
NOW = "2026-11-26T12:00:00Z"


@pytest.fixture(scope="module")
def defined(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, which knows the resource."""
    cluster.kubectl("apply", "--server-side", "-k", "config/crd")
    cluster.kubectl("wait", "--for=condition=established", f"crd/{NAME}", "--timeout=100s")
    yield cluster
    cluster.kubectl("delete", "-k", "config/crd")


def configuration(name: str = "it", **changed: Any) -> str:
    spec = {key: value for key, value in (SPEC | changed).items() if value is not LEFT_OUT}
    return json.dumps({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec})


def element(**changed: Any) -> dict[str, Any]:
    return {"clientChain": [{key: value for key, value in (ELEMENT | changed).items() if value is not LEFT_OUT}]}


def refusal(cluster: Cluster, text: str, *options: str) -> list[str]:
    """What kubectl says is wrong, one by one; nothing of an object that is taken."""
    command = [str(kubectl()), "create", "--dry-run=server", "-f", "-", *options]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, timeout=60, env=cluster.environment
    )
    if done.returncode == 0:
        return []
    told = re.sub(r'^The AppNetConfig "[^"]*" is invalid:', "", done.stderr).split("\n")
    found = [it.removeprefix("* ").strip() for it in told]
    return [it for it in found if it and "correct the existing errors to complete validation" not in it]


TAKEN: dict[str, dict[str, Any]] = {
    "as it is": {},
    "a list of methods": {"method": ["echo", "EchoService.list"]},
    "the older key": {"processors": LEFT_OUT, "backend": "ambient"},
    "an element from a ConfigMap": element(inline=LEFT_OUT, fileFrom=FROM),
    "parameters of each type": element(parameters={"text": "a", "whole": 1, "real": 1.5, "flag": True}),
    "all from ConfigMaps": {"protoInline": LEFT_OUT, "protoFrom": FROM, "appManifestFrom": FROM},
    "limits as texts": {"maxMessage": "16 MiB", "idleTimeout": "1.5m", "traces": "0.1%"},
    "limits as numbers": {"maxMessage": 4096, "idleTimeout": 0},
    "plans that follow traffic": {"replan": "auto"},
    "plans that follow traffic in some way": {"replan": {"mode": "suggest", "interval": "1h", "saving": "5%"}},
    "a share as canary": {"rollout": {"canary": "10%", "wait": "60s"}},
    "a number of canaries": {"rollout": {"canary": 2, "wait": 60, "paused": True}},
    "manifests": {"delivery": "manifest", "beforeFirstVersion": "open", "rollout": {"paused": True}},
    "bypass": {"bypass": "allowed"},
    "the longest program": element(inline="é" * (128 << 10) + "e" * (128 << 10)),
    "as many elements as there may be": {
        chain: [{**ELEMENT, "name": f"{chain}{it}"} for it in range(64)]
        for chain in ("clientChain", "anyChain", "pairChain", "serverChain")
    },
}

TWICE = "spec: Invalid value: two elements have the same name: give each its own, which records and errors carry"
SOURCES = "an element has exactly one of file, inline and fileFrom"
WHERE = "say where elements may run, once: `processors: [sidecar]` (`backend: sidecar` is the older form)"
ELEMENT_NAME = "an element's name has letters, digits, `_` and `-`, and starts with a letter"
PARTNER = "an element has no partner: list pairs, the client's element and then the server's that undoes it"
UNREADABLE = (
    'Error from server (BadRequest): error when creating "STDIN": '
    'AppNetConfig in version "v1" cannot be handled as a AppNetConfig'
)
SIZE = "write a size from 1 byte to 1 GiB, such as 16MiB"
CANARY = "write a share of the proxies, such as 10%, or a number of them from 1"

REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"serverService": "frontend"},
        "spec.serverService: Invalid value: clientService and serverService must be two different Services",
    ),
    (
        {"clientChain": LEFT_OUT},
        "spec: Invalid value: no elements: add a clientChain, anyChain, pairChain or serverChain",
    ),
    ({"clientChain": []}, "spec.clientChain: Invalid value: 0: spec.clientChain in body should have at least 1 items"),
    (
        {"clientChain": [{**ELEMENT, "name": f"fault{it}"} for it in range(65)]},
        "spec.clientChain: Too many: 65: must have at most 64 items",
    ),
    ({"clientChain": [ELEMENT, ELEMENT]}, TWICE),
    ({"serverChain": [ELEMENT]}, TWICE),
    ({"pairChain": [{**ELEMENT, "name": "a"}, {**ELEMENT, "name": "a"}]}, TWICE),
    (
        {"pairChain": [{**ELEMENT, "name": "encrypt"}]},
        f"spec.pairChain: Invalid value: {PARTNER}",
    ),
    ({"backend": "sidecar"}, f"spec: Invalid value: {WHERE}"),
    ({"processors": LEFT_OUT}, f"spec: Invalid value: {WHERE}"),
    ({"processors": []}, "spec.processors: Invalid value: 0: spec.processors in body should have at least 1 items"),
    ({"processors": ["sidecar", "sidecar"]}, 'spec.processors[1]: Duplicate value: "sidecar"'),
    ({"method": []}, "spec.method: Invalid value: 0: spec.method in body should have at least 1 items"),
    ({"method": ""}, 'spec.method: Invalid value: "": spec.method in body should be at least 1 chars long'),
    ({"replan": ["auto"]}, "spec.replan: Too many: 1: must have at most 0 items"),
    ({"method": {"name": "echo"}}, "spec.method: Too many: 1: must have at most 0 items"),
    (
        {"method": [1]},
        'spec.method[0]: Invalid value: "integer": spec.method[0] in body must be of type string: "integer"',
    ),
    ({"appName": LEFT_OUT}, "spec.appName: Required value"),
    ({"proto": "a.proto"}, "spec: Invalid value: proto, protoInline and protoFrom are the same setting: keep one"),
    (
        {"appManifestFile": "a.yaml", "appManifestFrom": FROM},
        "spec: Invalid value: appManifestFile, appManifestInline and appManifestFrom are the same setting: keep one",
    ),
    ({"protoInline": LEFT_OUT, "protoFrom": {}}, "spec.protoFrom.configMapKeyRef: Required value"),
    (
        {"appManifestFrom": {"configMapKeyRef": {"name": "a"}}},
        "spec.appManifestFrom.configMapKeyRef.key: Required value",
    ),
    ({"protoInline": "a" * ((512 << 10) + 1)}, "spec.protoInline: Too long: may not be more than 524288 bytes"),
    (element(inline=LEFT_OUT), f"spec.clientChain[0]: Invalid value: {SOURCES}"),
    (element(file="fault.appnet"), f"spec.clientChain[0]: Invalid value: {SOURCES}"),
    (
        element(inline="a" * ((256 << 10) + 1)),
        "spec.clientChain[0].inline: Too long: may not be more than 262144 bytes",
    ),
    (element(name="1st"), f'spec.clientChain[0].name: Invalid value: "1st": {ELEMENT_NAME}'),
    (element(name="é"), f'spec.clientChain[0].name: Invalid value: "é": {ELEMENT_NAME}'),
    (element(name="a" * 64), "spec.clientChain[0].name: Too long: may not be more than 63 bytes"),
    (element(parameters={"a": [1]}), "spec.clientChain[0].parameters.a: Too many: 1: must have at most 0 items"),
    (element(parameters={"a": {"b": 1}}), "spec.clientChain[0].parameters.a: Too many: 1: must have at most 0 items"),
    ({"maxMessage": "16MB"}, f'spec.maxMessage: Invalid value: "16MB": {SIZE}'),
    ({"maxMessage": 0}, f"spec.maxMessage: Invalid value: 0: {SIZE}"),
    (
        {"idleTimeout": "soon"},
        'spec.idleTimeout: Invalid value: "soon": write a time, such as 90s, 5m or 1h; 0 means none',
    ),
    ({"delivery": "both"}, 'spec.delivery: Unsupported value: "both": supported values: "controller", "manifest"'),
    (
        {"beforeFirstVersion": "ajar"},
        'spec.beforeFirstVersion: Unsupported value: "ajar": supported values: "closed", "open"',
    ),
    ({"bypass": "always"}, 'spec.bypass: Unsupported value: "always": supported values: "never", "allowed"'),
    (
        {"delivery": "manifest", "rollout": {"canary": 1}},
        "spec.rollout: Invalid value: a canary needs `delivery: controller`: istiod gives manifests to all proxies at once",
    ),
    (
        {"rollout": {"wait": "60s"}},
        "spec.rollout: Invalid value: wait is about canaries: say how many, such as `canary: 10%`",
    ),
    ({"rollout": {"canary": 0}}, f"spec.rollout.canary: Invalid value: 0: {CANARY}"),
    ({"rollout": {"canary": "0%"}}, f'spec.rollout.canary: Invalid value: "0%": {CANARY}'),
    ({"rollout": {"canary": "110%"}}, f'spec.rollout.canary: Invalid value: "110%": {CANARY}'),
    (
        {"rollout": {"canary": 1, "wait": "a while"}},
        'spec.rollout.wait: Invalid value: "a while": write a time, such as 60s or 5m',
    ),
    (
        {"safe": True},
        f'{UNREADABLE}: strict decoding error: unknown field "spec.safe"',
    ),
]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda it: it.name)
def test_samples_are_taken_as_they_are(defined: Cluster, sample: Path) -> None:
    assert is_meant(sample.read_text())
    assert "configured" in defined.kubectl("apply", "-f", str(sample)).replace("created", "configured")
    defined.kubectl("delete", "-f", str(sample))


@pytest.mark.parametrize("changed", TAKEN.values(), ids=TAKEN)
def test_what_is_right_is_taken(defined: Cluster, changed: dict[str, Any]) -> None:
    assert refusal(defined, configuration(**changed)) == []


@pytest.mark.parametrize(("changed", "told"), REFUSED, ids=[told[:60] for _, told in REFUSED])
def test_what_is_wrong_is_refused_and_told(defined: Cluster, changed: dict[str, Any], told: str) -> None:
    assert refusal(defined, configuration(**changed)) == [told]


def test_a_name_that_is_no_label_is_refused(defined: Cluster) -> None:
    assert refusal(defined, configuration("a" * 63)) == []
    (told,) = refusal(defined, configuration("a" * 64))
    reason = "a configuration's name has at most 63 characters: it labels what is made for it"
    assert told == f"metadata: Invalid value: {reason}"


def test_what_is_not_said_has_its_default(defined: Cluster) -> None:
    defined.kubectl("apply", "-f", "-", given=configuration("defaults", rollout={"canary": 1}))
    spec = json.loads(defined.kubectl("get", "anc", "defaults", "-o", "json"))["spec"]
    defined.kubectl("delete", "anc", "defaults")
    added = {"delivery": "controller", "beforeFirstVersion": "closed", "bypass": "never"}
    assert spec == SPEC | added | {"rollout": {"canary": 1, "paused": False}}


def status(ready: str) -> dict[str, Any]:
    condition = {"status": ready, "reason": "RolledOut", "message": "…", "lastTransitionTime": NOW}
    proxy = {"name": "server-1", "side": "server", "processor": "sidecar", "target": "native", "why": "Envoy 1.40"}
    return {
        "observedGeneration": 1,
        "edge": "frontend -> server",
        "processors": "sidecar",
        "plan": "client: fault",
        "suggested": "client: b, a saves 12% of 30.0 µs",
        "version": "3f2a",
        "rolledOut": "2/3",
        "counts": {"wanted": 3, "accepted": 2, "refused": 1, "pending": 0},
        "proxies": [proxy | {"version": "3f2a", "state": "accepted"}, {"name": "server-2", "error": "refused"}],
        "lastError": {"code": "E001", "place": "fault.appnet:1:1", "message": "…", "help": "…"},
        "history": [{"version": "3f2a", "since": NOW, "reason": "changed"}],
        "conditions": [
            {"type": it, "observedGeneration": 1} | condition for it in ("Compiled", "Planned", "Delivered", "Ready")
        ],
    }


def set_status(cluster: Cluster, name: str, value: dict[str, Any]) -> None:
    """As the controller does it: by server-side apply of nothing but the status."""
    head = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}}
    cluster.kubectl(
        *("apply", "--server-side", "--subresource=status", "--field-manager=appnet-controller", "-f", "-"),
        given=json.dumps(head | {"status": value}),
    )


def test_the_status_is_kept_whole_and_shown(defined: Cluster) -> None:
    defined.kubectl("apply", "-f", "-", given=configuration("shown"))
    try:
        set_status(defined, "shown", status("True"))
        found = json.loads(defined.kubectl("get", "anc", "shown", "-o", "json"))
        assert (found["status"], found["metadata"]["generation"]) == (status("True"), 1)
        head, row = (re.split(r"\s{2,}", it) for it in defined.kubectl("get", "appnet").splitlines())
        assert head == ["NAME", "EDGE", "PROCESSORS", "VERSION", "ROLLED OUT", "READY", "AGE"]
        assert row[:-1] == ["shown", "frontend -> server", "sidecar", "3f2a", "2/3", "True"]
        head, row = (re.split(r"\s{2,}", it) for it in defined.kubectl("get", "anc", "-o", "wide").splitlines())
        assert dict(zip(head, row, strict=True))["PLAN"] == "client: fault"
        defined.kubectl("wait", "--for=condition=Ready", "anc/shown", "--timeout=10s")
        set_status(defined, "shown", status("False"))
        assert " False " in defined.kubectl("get", "anc", "shown")
    finally:
        defined.kubectl("delete", "anc", "shown")


def test_the_longest_status_is_taken(defined: Cluster) -> None:
    proxy = {"name": "a" * 253, "side": "server", "why": "é" * 1024, "state": "refused", "error": "é" * 4096}
    past = {"version": "3f2a", "since": NOW, "reason": "a" * 1024}
    long = {"proxies": [proxy] * MOST_PROXIES, "history": [past] * MOST_HISTORY, "plan": "a" * 16384}
    defined.kubectl("apply", "-f", "-", given=configuration("long"))
    try:
        set_status(defined, "long", status("True") | long)
        found = json.loads(defined.kubectl("get", "anc", "long", "-o", "json"))
        assert found["status"] == status("True") | long
    finally:
        defined.kubectl("delete", "anc", "long")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("spec.delivery", "Who gives proxies their versions in a cluster"),
        ("spec.clientChain.fileFrom.configMapKeyRef.name", "The ConfigMap's name"),
        ("spec.rollout.canary", "10%, or a number of proxies"),
        ("status.proxies.error", "What it said when it refused the version."),
        ("status.conditions", "Compiled, Planned, Delivered, Ready and, for state in a store, StoreReady."),
    ],
)
def test_kubectl_explains_it(defined: Cluster, path: str, told: str) -> None:
    assert told in " ".join(defined.kubectl("explain", f"appnetconfigs.{path}").split())
