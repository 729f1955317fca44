"""The guide to clusters: it has every key and column that there is, and its examples are what they look like."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from appnet.application.appnet_config import ONLY_IN_CLUSTERS
from appnet.application.load import load
from appnet.deploy.kubernetes.definition import definition
from appnet.deploy.kubernetes.status_schema import COLUMNS, STATUS
from appnet.diagnostics.source import TextSource
from appnet.editor.schema import schema_text
from tests.docs.elements_page import ROOT

PAGE = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
SCHEMA = yaml.safe_load(schema_text("appnetconfig"))
SPEC = SCHEMA["properties"]["spec"]["properties"]
BLOCKS = [yaml.safe_load(it) for it in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]


def first_cells(title: str) -> set[str]:
    """What the first column of the table under this title names."""
    table = PAGE[PAGE.index(f"| {title} |") :].partition("\n\n")[0]
    return {it for row in table.splitlines()[2:] for it in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_every_key_for_clusters_is_there() -> None:
    texts = {it for it in SPEC if it.endswith(("Inline", "From"))}
    of_elements = {"file", "inline", "fileFrom"}
    assert first_cells("key") == {*ONLY_IN_CLUSTERS, *texts, *of_elements, "proto", "appManifestFile"}


def test_every_field_of_the_status_is_there() -> None:
    fields = STATUS["properties"].keys() - {"observedGeneration", "edge", "processors", "conditions"}
    assert first_cells("field of the status") == fields
    assert first_cells("condition") == {"Compiled", "Planned", "Delivered", "Ready", "StoreReady"}
    shown = [it["name"].upper() for it in COLUMNS if not it.get("priority")]
    (head,) = re.findall(r"\$ kubectl get appnetconfigs\n +(.*)", PAGE)
    assert re.split(r"\s{2,}", head) == ["NAME", *shown]


def test_the_rollout_has_every_key() -> None:
    (rollout,) = (it["spec"]["rollout"] for it in BLOCKS if "kind" not in it)
    assert {*rollout, "paused"} == SCHEMA["$defs"]["rollout"]["properties"].keys()


def test_the_example_is_an_application(tmp_path: Path) -> None:
    (example,) = (it for it in BLOCKS if "kind" in it)
    samples = ROOT / "config" / "samples"
    (command,) = re.findall(r"kubectl create configmap (?:.*\\\n)*.*", PAGE)
    given = (it.rpartition("=") for it in re.findall(r"--from-file=(\S+)", command))
    files = {key or Path(file).name: ROOT / file for key, _, file in given}
    spec = example["spec"]
    for element in spec["serverChain"]:
        if "fileFrom" in element:
            element["inline"] = files[element.pop("fileFrom")["configMapKeyRef"]["key"]].read_text()
    spec["protoInline"] = files[spec.pop("protoFrom")["configMapKeyRef"]["key"]].read_text()
    spec["appManifestFile"] = str(samples / "echo/echo.yaml")
    (chain,) = load(TextSource(tmp_path / "it.yaml", yaml.safe_dump(example))).chains
    assert chain.elements.keys() == {"quota", "firewall"}


def test_a_refusal_is_what_the_definition_tells() -> None:
    (told,) = re.findall(r"is invalid: spec\.(\w+): Invalid value: (.*)", PAGE)
    (version,) = definition(SCHEMA)["spec"]["versions"]
    rules = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"]
    assert told in {(it.get("fieldPath", "")[1:], it["message"]) for it in rules}
