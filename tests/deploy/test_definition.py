"""The custom resource: what is committed is what the schema of users' files gives, and every part is bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from appnet.deploy.kubernetes.definition import NAME, definition, definition_text
from appnet.deploy.kubernetes.status_schema import MOST_PROXIES, STATUS, bounded
from appnet.editor.schema import schema_text

COMMITTED = Path(__file__).parents[2] / "config" / "crd" / "bases" / "api.core.appnet.io_appnetconfigs.yaml"
WRITTEN = schema_text("appnetconfig")


def schemas(node: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each schema below, with where it stands."""
    yield place, node
    for key, value in node.get("properties", {}).items():
        yield from schemas(value, f"{place}.{key}")
    for key in ("items", "additionalProperties"):
        if key in node:
            yield from schemas(node[key], f"{place}[]")


def whole() -> dict[str, Any]:
    found = definition(json.loads(WRITTEN))
    assert found["metadata"]["name"] == NAME
    (version,) = found["spec"]["versions"]
    return dict(version["schema"]["openAPIV3Schema"])


def test_the_committed_definition_is_up_to_date() -> None:
    assert COMMITTED.read_text() == definition_text(WRITTEN), "run `make generate`"
    assert yaml.safe_load(COMMITTED.read_text()) == definition(json.loads(WRITTEN))


def test_it_has_the_keys_of_the_schema_and_no_other() -> None:
    spec, written = whole()["properties"]["spec"], json.loads(WRITTEN)
    assert spec["properties"].keys() == written["properties"]["spec"]["properties"].keys()
    chains = ("clientChain", "anyChain", "pairChain", "serverChain")
    for it in chains:
        assert spec["properties"][it]["items"]["properties"].keys() == written["$defs"]["element"]["properties"].keys()
    assert spec["properties"]["rollout"]["properties"].keys() == written["$defs"]["rollout"]["properties"].keys()


def test_everything_is_described_and_bounded() -> None:
    """What has no bound makes rules too dear to be taken, and lets an object fill the store."""
    properties = whole()["properties"]
    for place, it in (*schemas(properties["spec"], "spec"), *schemas(STATUS, "status")):
        if it.get("type") == "string" and "enum" not in it and it.get("format") != "date-time":
            assert "maxLength" in it, place
        if it.get("type") == "array":
            assert "maxItems" in it, place
        if "additionalProperties" in it:
            assert "maxProperties" in it, place
        if not place.endswith("[]") and place != "spec":
            assert it.get("description"), place


def test_a_status_is_cut_where_the_definition_ends() -> None:
    proxy = {"name": "a", "error": "é" * 5000}
    short = {"observedGeneration": 3, "edge": "a -> b", "counts": {"wanted": 2}, "conditions": [{"type": "Ready"}]}
    assert bounded(short) == short
    cut = bounded({**short, "proxies": [proxy] * 101, "lastError": {"place": "b" * 1025}})
    assert cut["proxies"] == [{"name": "a", "error": "é" * 4095 + "…"}] * MOST_PROXIES
    assert cut["lastError"] == {"place": "b" * 1023 + "…"}
