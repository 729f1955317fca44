"""JSON Schemas of the YAML files that people write: what can stand where, and what it means."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from appnet.application.kinds import BEHAVIOUR, LOCAL, is_meant
from appnet.editor import schemas

NAMES = ("appnetconfig", "specification", "local", "behaviour")
ITEM = 0
"""The step of a path into a list; others are keys."""

Step = str | int
Schema = Mapping[str, Any]


def schema_text(name: str) -> str:
    """The schema of a kind of file, one of `NAMES`."""
    return (Path(schemas.__file__).parent / f"{name}.json").read_text(encoding="utf-8")


def kind_of(name: str, text: str) -> str:
    """Which kind of file it is by its name and its words; empty for one that is not ours."""
    if name.endswith(BEHAVIOUR):
        return "behaviour"
    if name == LOCAL:
        return "local"
    if not is_meant(text):
        return ""
    lines = text.split("\n")
    return "appnetconfig" if any(it.startswith(("apiVersion:", "kind:")) for it in lines) else "specification"


class Place:
    """What can stand at one place of a kind of file."""

    def __init__(self, root: Schema, nodes: Iterable[Schema]) -> None:
        self._root = root
        self._nodes = [whole for it in nodes for whole in self._whole(it)]

    @property
    def keys(self) -> dict[str, Place]:
        """The keys of a mapping here."""
        found = (it.get("properties", {}) for it in self._nodes)
        return {key: Place(self._root, [node]) for one in found for key, node in one.items()}

    @property
    def values(self) -> list[str]:
        """The texts that can stand here, where they are named."""
        named = (it["enum"] if "enum" in it else [it["const"]] if "const" in it else [] for it in self._nodes)
        flags = ["true", "false"] if any(it.get("type") == "boolean" for it in self._nodes) else []
        return [*(str(value) for values in named for value in values), *flags]

    @property
    def description(self) -> str:
        """What it means; may be empty."""
        return next((str(it["description"]) for it in self._nodes if "description" in it), "")

    @property
    def holds(self) -> str:
        """Whether a ``mapping``, a ``list`` or a ``value`` stands here."""
        named = (it for it in self._nodes if "$ref" not in it)
        types = {it.get("type") if isinstance(it.get("type"), str) else "" for it in named}
        return "mapping" if types == {"object"} else "list" if types == {"array"} else "value"

    def at(self, path: Iterable[Step]) -> Place:
        """The place below this one; nothing can stand at one that there is not."""
        place = self
        for step in path:
            place = Place(self._root, place._below(step))
        return place

    def _below(self, step: Step) -> Iterator[Schema]:
        for it in self._nodes:
            others = it.get("additionalProperties")
            if isinstance(step, int):
                yield from [it["items"]] if "items" in it else []
            elif step in it.get("properties", {}):
                yield it["properties"][step]
            elif isinstance(others, dict):
                yield others

    def _whole(self, node: Schema) -> Iterator[Schema]:
        """The node, and what it refers to or chooses from."""
        yield node
        if "$ref" in node:
            yield from self._whole(self._root["$defs"][node["$ref"].rpartition("/")[2]])
        for it in node.get("anyOf", ()):
            yield from self._whole(it)


@cache
def place_of(kind: str) -> Place:
    """The top of a kind of file."""
    root = json.loads(schema_text(kind))
    return Place(root, [root])
