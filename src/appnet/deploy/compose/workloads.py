"""What a Kubernetes manifest says of the containers behind its services, as far as a Compose file can say it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.diagnostics.place import Source, Span

_KINDS = ("Deployment", "StatefulSet")
_GRPC = ("grpc", "kubernetes.io/h2c", "h2c")
_SAID = ("name", "image", "imagePullPolicy", "command", "args", "env", "ports", "workingDir")


@dataclass(frozen=True)
class Workload:
    """The container behind a service. ``port``: where calls go by the service's name; ``target``: where it listens;
    0 where the service has no port."""

    service: str
    image: str
    port: int = 0
    target: int = 0
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""


def workloads(manifest: Source) -> tuple[dict[str, Workload], list[Diagnostic]]:
    """Those of all services, by name, and a note for each thing of theirs that is left out.

    ``manifest`` is one that the manifest's reader took. A service that no pods stand behind has none.
    """
    objects = [it for document in yaml.safe_load_all(manifest.text()) for it in _flat(document)]
    found: dict[str, Workload] = {}
    left_out: list[str] = []
    for service in (it for it in objects if it.get("kind") == "Service"):
        name = str(_at(service, "metadata").get("name"))
        template = next(_behind(_at(service, "spec", "selector"), objects), None)
        containers = [it for it in _mappings(_at(template or {}, "spec"), "containers") if it.get("image")]
        if name in found or template is None or not containers:
            continue
        found[name], more = _workload(name, _mappings(_at(service, "spec"), "ports"), containers)
        left_out += more
        left_out += [f"`{key}` of {name}'s pods" for key in ("initContainers", "volumes") if key in template["spec"]]
    title = "a Compose file says less than the manifest"
    help_ = (
        "add it to the Compose file, or to a second one next to it: `docker compose -f compose.yaml -f more.yaml up`"
    )
    return found, [
        Diagnostic("N007", Severity.NOTE, f"{title}: {it} left out", Span.whole(manifest), "", help_)
        for it in dict.fromkeys(left_out)
    ]


def _workload(
    name: str, ports: list[Mapping[str, Any]], containers: list[Mapping[str, Any]]
) -> tuple[Workload, list[str]]:
    port = next((it for it in ports if _is_grpc(it)), ports[0] if ports else {})
    target = port.get("targetPort", port.get("port", 0))
    here = next((it for it in containers if _listens(it, target)), containers[0])
    left_out = [f"the container `{it.get('name')}` of {name}" for it in containers if it is not here]
    left_out += [f"`{key}` of {name}" for key in here if key not in _SAID]
    environment = {}
    for it in _mappings(here, "env"):
        if "valueFrom" in it:
            left_out.append(f"the variable `{it.get('name')}` of {name}, whose value comes from elsewhere,")
        else:
            value = it.get("value")
            environment[str(it.get("name"))] = "" if value is None else str(value)
    number = target if isinstance(target, int) else _numbered(here, target) or port.get("port", 0)
    return (
        Workload(
            *(name, str(here["image"]), int(port.get("port", 0)), int(number)),
            tuple(map(str, _listed(here, "command"))),
            tuple(map(str, _listed(here, "args"))),
            environment,
            str(here.get("workingDir", "")),
        ),
        left_out,
    )


def _is_grpc(port: Any) -> bool:
    return str(port.get("appProtocol", "")) in _GRPC or str(port.get("name", "")).startswith("grpc")


def _listens(container: Any, target: Any) -> bool:
    return any(target in (it.get("containerPort"), it.get("name")) for it in _mappings(container, "ports"))


def _numbered(container: Any, name: str) -> int:
    ports = (it.get("containerPort") for it in _mappings(container, "ports") if it.get("name") == name)
    return next((it for it in ports if isinstance(it, int)), 0)


def _behind(selector: Mapping[str, Any], objects: Iterable[Any]) -> Iterator[Any]:
    """The pod templates that the selector selects."""
    for it in objects:
        labels = _at(it, "spec", "template", "metadata", "labels") if it.get("kind") in _KINDS else {}
        if selector and selector.items() <= labels.items():
            yield it["spec"]["template"]


def _flat(document: Any) -> list[Any]:
    """The objects in a document, those in a ``List`` one by one."""
    if not isinstance(document, dict):
        return []
    items = document.get("items")
    return [it for it in items if isinstance(it, dict)] if isinstance(items, list) else [document]


def _at(object_: Any, *keys: str) -> Mapping[str, Any]:
    """The mapping at the end of the keys; an empty one where there is none."""
    for key in keys:
        object_ = object_.get(key) if isinstance(object_, dict) else None
    return object_ if isinstance(object_, dict) else {}


def _listed(mapping: Mapping[str, Any], key: str) -> list[Any]:
    found = mapping.get(key)
    return found if isinstance(found, list) else []


def _mappings(mapping: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return [it for it in _listed(mapping, key) if isinstance(it, dict)]
