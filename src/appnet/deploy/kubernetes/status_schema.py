"""What the controller says in the status of an AppNetConfig, and the columns that `kubectl get` shows of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST_PROXIES = 100
"""How many proxies a status lists."""

MOST_HISTORY = 10
"""How many versions a status remembers."""

_REASON = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"


def _text(description: str, most: int, **more: Any) -> dict[str, Any]:
    return {"type": "string", "maxLength": most, "description": description} | more


def _time(description: str) -> dict[str, Any]:
    return {"type": "string", "format": "date-time", "description": description}


def _number(description: str) -> dict[str, Any]:
    return {"type": "integer", "format": "int64", "minimum": 0, "description": description}


def _object(description: str, required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    found = {"type": "object", "description": description, "properties": properties}
    return found | ({"required": list(required)} if required else {})


def _list(description: str, most: int, items: dict[str, Any], **more: Any) -> dict[str, Any]:
    kind = {"x-kubernetes-list-type": "atomic"} | more
    return {"type": "array", "maxItems": most, "description": description, "items": items} | kind


_COUNTS = _object(
    "How many proxies take part in the rollout of the version.",
    wanted=_number("Proxies that the version is meant for."),
    accepted=_number("Those that run it."),
    refused=_number("Those that refused it, and run the version before."),
    pending=_number("Those that have not answered yet."),
)
_PROXY = _object(
    "A proxy that the version is meant for.",
    ("name",),
    name=_text("Its name: that of its pod or of the WorkloadEntry.", 253),
    side=_text("The end of the edge that it is at: client or server.", 16),
    processor=_text("What it is: sidecar or ambient.", 63),
    target=_text("What chains are compiled to for it: native or wasm.", 63),
    why=_text("Why that target.", 1024),
    version=_text("The version that it runs.", 64),
    state=_text("How it stands to the version.", 32),
    error=_text("What it said when it refused the version.", 4096),
)
_ERROR = _object(
    "What is wrong with the configuration, or why the last version was refused.",
    ("message",),
    code=_text("The error's code, which `appnetctl explain-code` explains.", 16),
    place=_text("Where: the source, line and column.", 1024),
    message=_text("What is wrong.", 8192),
    help=_text("What to do about it.", 4096),
)
_PAST = _object(
    "A version that was rolled out.",
    ("version",),
    version=_text("Its number.", 64),
    since=_time("When it was rolled out."),
    reason=_text("Why.", 1024),
)
_CONDITION = _object(
    "A step towards calls that are judged, and how far it has come.",
    ("type", "status", "lastTransitionTime", "reason", "message"),
    type=_text("Compiled, Planned, Delivered, Ready or, for state in a store, StoreReady.", 316),
    status=_text("Whether it holds.", 16, enum=["True", "False", "Unknown"]),
    reason=_text("Why, in one word.", 1024, minLength=1, pattern=_REASON),
    message=_text("Why, in sentences.", 32768),
    lastTransitionTime=_time("When the status last changed."),
    observedGeneration=_number("The generation of the configuration that it is about."),
)

STATUS = _object(
    "What the controller made of the configuration.",
    observedGeneration=_number("The generation of the configuration that the status is about."),
    edge=_text("The edge, such as frontend -> server.", 512),
    processors=_text("Where elements run, separated by commas.", 1024),
    plan=_text("Which elements run on which side, in which order.", 16384),
    suggested=_text("A plan that would save CPU for the traffic that comes, and how much.", 4096),
    undone=_text("The last undo that was followed: the version that it went back to, and when.", 128),
    version=_text("The version that is wanted.", 64),
    rolledOut=_text("How many of the proxies run it, such as 2/3.", 32),
    counts=_COUNTS,
    proxies=_list(
        f"The proxies, at most {MOST_PROXIES}: those that refused the version come first.", MOST_PROXIES, _PROXY
    ),
    lastError=_ERROR,
    history=_list("The versions before, the newest first.", MOST_HISTORY, _PAST),
    conditions=_list(
        "Compiled, Planned, Delivered, Ready and, for state in a store, StoreReady.",
        16,
        _CONDITION,
        **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
)


def bounded(status: Mapping[str, Any]) -> dict[str, Any]:
    """A status with nothing in it longer than the definition allows: the API server would refuse it whole."""
    found: dict[str, Any] = _cut(status, STATUS)
    return found


def _cut(value: Any, schema: Mapping[str, Any]) -> Any:
    match value:
        case str() if len(value) > schema.get("maxLength", len(value)):
            return f"{value[: schema['maxLength'] - 1]}…"
        case Mapping():
            known = schema.get("properties", {})
            return {key: _cut(it, known.get(key, {})) for key, it in value.items()}
        case list():
            return [_cut(it, schema.get("items", {})) for it in value[: schema.get("maxItems")]]
        case _:
            return value


def _column(name: str, path: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "jsonPath": path} | more


COLUMNS = [
    _column("Edge", ".status.edge"),
    _column("Processors", ".status.processors"),
    _column("Plan", ".status.plan", priority=1),
    _column("Version", ".status.version"),
    _column("Rolled Out", ".status.rolledOut"),
    _column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
    _column("Age", ".metadata.creationTimestamp", "date"),
]
