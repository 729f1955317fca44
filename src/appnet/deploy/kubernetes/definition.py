"""The custom resource AppNetConfig, as an API server is told of it.

What users write comes from the JSON Schema that editors have; `make generate` pipes it through this module. It adds
what a cluster wants besides: bounds of everything, so that rules are cheap to check, and the rules. What no structural
schema can say, such as "a text or a list", the controller judges.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from appnet.application.kinds import API_VERSION, KIND
from appnet.deploy.kubernetes.status_schema import COLUMNS, STATUS

GROUP, VERSION = API_VERSION.split("/")
PLURAL = "appnetconfigs"
NAME = f"{PLURAL}.{GROUP}"

Schema = dict[str, Any]

_TIME = r"^[0-9]{1,12}([.][0-9]{1,6})?( ?(ms|s|m|h|d))?$"
_SIZE = r"^[0-9]{1,12}([.][0-9]{1,6})?( ?(B|KiB|MiB|GiB))?$"
_PERCENT = r"^([0-9]|[1-9][0-9]|100)([.][0-9]{1,6})?%$"
_NAMED = {"maxLength": 253}
_CHAIN = {"maxItems": 64, "x-kubernetes-list-type": "atomic"}
_SHORT = {"maxLength": 32}

_BOUNDS: Mapping[str, Schema] = {
    "spec.processors": {"maxItems": 8, "x-kubernetes-list-type": "set"},
    "spec.processors[]": {"maxLength": 63},
    "spec.backend": {"maxLength": 63},
    "spec.appName": _NAMED,
    "spec.clientService": _NAMED,
    "spec.serverService": _NAMED,
    "spec.method": {"maxLength": 512, "maxItems": 256},
    "spec.method[]": {"maxLength": 512},
    "spec.appManifestFile": {"maxLength": 4096},
    "spec.appManifestInline": {"maxLength": 512 << 10},
    "spec.proto": {"maxLength": 4096},
    "spec.protoInline": {"maxLength": 512 << 10},
    "spec.protoRoots": {"maxItems": 64, "x-kubernetes-list-type": "atomic"},
    "spec.protoRoots[]": {"maxLength": 4096},
    "spec.protoModName": {"maxLength": 4096},
    "spec.protoModLocation": {"maxLength": 4096},
    "spec.maxMessage": _SHORT,
    "spec.idleTimeout": _SHORT,
    "spec.traces": _SHORT,
    "spec.secretFields": {"maxItems": 256, "x-kubernetes-list-type": "atomic"},
    "spec.secretFields[]": {"maxLength": 512},
    "spec.state.store": {"maxLength": 4096},
    "spec.state.prefix": _NAMED,
    "spec.state.timeout": _SHORT,
    "spec.state.mergeEvery": _SHORT,
    "spec.state.secret": _NAMED,
    "spec.replan": {"maxLength": 32, "maxProperties": 3},
    "spec.clientChain": _CHAIN,
    "spec.anyChain": _CHAIN,
    "spec.pairChain": _CHAIN,
    "spec.serverChain": _CHAIN,
    "element.name": {"maxLength": 63},
    "element.file": {"maxLength": 4096},
    "element.inline": {"maxLength": 256 << 10},
    "element.parameters": {"maxProperties": 64},
    "element.parameters{}": {"maxLength": 4096},
    "configMapSource.configMapKeyRef.name": _NAMED,
    "configMapSource.configMapKeyRef.key": _NAMED,
    "rollout.canary": _SHORT,
    "rollout.wait": _SHORT,
}
"""What a place takes at most: ``[]`` is an item of a list, ``{}`` a value of a mapping."""

_NAMES = " + ".join(
    f"(has(self.{it}) ? self.{it}.map(one, one.name) : [])"
    for it in ("clientChain", "anyChain", "pairChain", "serverChain")
)


class _Rule(NamedTuple):
    """A rule in the Common Expression Language, the message where it does not hold, and the field that is to blame."""

    rule: str
    message: str
    field: str = ""


def _one_at_most(*keys: str) -> _Rule:
    there = ", ".join(f"has(self.{it})" for it in keys)
    title = f"{', '.join(keys[:-1])} and {keys[-1]} are the same setting: keep one"
    return _Rule(f"[{there}].filter(it, it).size() <= 1", title)


_RULES: Mapping[str, tuple[_Rule, ...]] = {
    "": (
        _Rule(
            "self.metadata.name.size() <= 63",
            "a configuration's name has at most 63 characters: it labels what is made for it",
            ".metadata",
        ),
    ),
    "spec": (
        _Rule(
            "self.clientService != self.serverService",
            "clientService and serverService must be two different Services",
            ".serverService",
        ),
        _Rule(
            "has(self.clientChain) || has(self.anyChain) || has(self.pairChain) || has(self.serverChain)",
            "no elements: add a clientChain, anyChain, pairChain or serverChain",
        ),
        _Rule(
            f"[{_NAMES}].all(names, names.all(it, names.exists_one(other, other == it)))",
            "two elements have the same name: give each its own, which records and errors carry",
        ),
        _Rule(
            "has(self.processors) != has(self.backend)",
            "say where elements may run, once: `processors: [sidecar]` (`backend: sidecar` is the older form)",
        ),
        _one_at_most("proto", "protoInline", "protoFrom"),
        _one_at_most("appManifestFile", "appManifestInline", "appManifestFrom"),
        _Rule(
            "self.delivery == 'controller' || !has(self.rollout) || !has(self.rollout.canary)",
            "a canary needs `delivery: controller`: istiod gives manifests to all proxies at once",
            ".rollout",
        ),
    ),
    "spec.pairChain": (
        _Rule(
            "self.size() % 2 == 0",
            "an element has no partner: list pairs, the client's element and then the server's that undoes it",
        ),
    ),
    "spec.maxMessage": (
        _Rule(
            f"type(self) == int ? self >= 1 && self <= {1 << 30} : self.matches('{_SIZE}')",
            "write a size from 1 byte to 1 GiB, such as 16MiB",
        ),
    ),
    "spec.idleTimeout": (
        _Rule(
            f"type(self) == int ? self >= 0 : self.matches('{_TIME}')",
            "write a time, such as 90s, 5m or 1h; 0 means none",
        ),
    ),
    "element": (
        _Rule(
            "[has(self.file), has(self.inline), has(self.fileFrom)].filter(it, it).size() == 1",
            "an element has exactly one of file, inline and fileFrom",
        ),
    ),
    "element.name": (
        _Rule(
            "self.matches('^[A-Za-z][A-Za-z0-9_-]*$')",
            "an element's name has letters, digits, `_` and `-`, and starts with a letter",
        ),
    ),
    "rollout": (
        _Rule(
            "has(self.canary) || !has(self.wait)",
            "wait is about canaries: say how many, such as `canary: 10%`",
        ),
    ),
    "rollout.canary": (
        _Rule(
            f"type(self) == int ? self >= 1 : self.matches('{_PERCENT}') && self.matches('[1-9]')",
            "write a share of the proxies, such as 10%, or a number of them from 1",
        ),
    ),
    "rollout.wait": (
        _Rule(f"type(self) == int ? self >= 0 : self.matches('{_TIME}')", "write a time, such as 60s or 5m"),
    ),
}
"""By place, as `_BOUNDS` has them; the empty one is the whole object."""


def definition(written: Schema) -> Schema:
    """The CustomResourceDefinition as an object, from the JSON Schema of what users write."""
    names = {
        "kind": KIND,
        "listKind": f"{KIND}List",
        "plural": PLURAL,
        "singular": KIND.lower(),
        "shortNames": ["anc"],
        "categories": ["appnet"],
    }
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": COLUMNS,
        "schema": {"openAPIV3Schema": _object(written)},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }


def _object(written: Schema) -> Schema:
    texts = {
        "apiVersion": {"type": "string", "description": f"Always {API_VERSION}."},
        "kind": {"type": "string", "description": f"Always {KIND}."},
        "metadata": {"type": "object"},
    }
    properties = {
        **texts,
        "spec": _structural(written["properties"]["spec"], "spec", written["$defs"]),
        "status": STATUS,
    }
    top = {"type": "object", "description": written["description"], "required": ["spec"], "properties": properties}
    return top | _validations("")


def _structural(node: Schema, place: str, defined: Mapping[str, Schema]) -> Schema:
    """A JSON Schema as an API server takes it: every node of one type, or of none that is checked."""
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return _structural(defined[name], name, defined) | {k: v for k, v in node.items() if k != "$ref"}
    if any(one["type"] == "object" for one in node.get("anyOf", ())):  # a text or a mapping: the controller judges it
        free = {"description": node["description"], "x-kubernetes-preserve-unknown-fields": True, "maxItems": 0}
        return free | _BOUNDS[place]
    if "anyOf" in node:  # what each type is held to says nothing of the others
        each = {key: value for one in node["anyOf"] for key, value in one.items() if key != "type"}
        return _structural(each | {k: v for k, v in node.items() if k != "anyOf"}, place, defined)
    found = {
        key: value for key, value in node.items() if key not in {"type", "properties", "items", "additionalProperties"}
    }
    found |= _type(node) | _BOUNDS.get(place, {}) | _validations(place)
    if "properties" in node:
        found["properties"] = {
            key: _structural(value, f"{place}.{key}", defined) for key, value in node["properties"].items()
        }
    if "items" in node:
        found["items"] = _structural(node["items"], f"{place}[]", defined)
    if node.get("additionalProperties"):
        found["additionalProperties"] = _structural(node["additionalProperties"], f"{place}{{}}", defined)
    return found


def _type(node: Schema) -> Schema:
    """What a structural schema says of the types that a JSON Schema takes."""
    types = node.get("type", "")
    match types if isinstance(types, str) else sorted(types):
        case ["null", str(one)]:
            return {"type": one, "nullable": True}
        case ["integer" | "number", "string"]:
            return {"x-kubernetes-int-or-string": True}
        case [*_]:  # values of any type that is neither a list nor a mapping
            return {"x-kubernetes-preserve-unknown-fields": True, "maxItems": 0, "maxProperties": 0}
        case "":  # a text or a list
            return {"x-kubernetes-preserve-unknown-fields": True, "maxProperties": 0}
        case one:
            return {"type": one}


def _validations(place: str) -> Schema:
    rules = [
        {"rule": it.rule, "message": it.message} | ({"fieldPath": it.field} if it.field else {})
        for it in _RULES.get(place, ())
    ]
    return {"x-kubernetes-validations": rules} if rules else {}


def definition_text(written: str) -> str:
    """The definition as YAML, from the text of the JSON Schema."""
    found = json.loads(json.dumps(definition(json.loads(written))))  # what occurs twice is written twice
    head = "# Written by `make generate` from src/appnet/editor/schemas/appnetconfig.json and definition.py.\n"
    return head + yaml.safe_dump(found, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    sys.stdout.write(definition_text(sys.stdin.read()))
