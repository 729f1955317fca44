"""What pods need so that their proxies run modules: the loader, where it looks for things, and how many workers."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from appnet.ir.needs import Need
from appnet.processors.artifact import Artifact
from appnet.processors.envoy.native.loader import MODULES, loader_identity, loader_library
from appnet.processors.envoy.targets import NATIVE, TARGETS
from appnet.processors.processor import ControlPlane, Object
from appnet.processors.signing import TRUSTED_KEYS, trusted_keys, user_key

_LOADER = "appnet-loader"
_LOADER_FOLDER = "/etc/appnet"
_LOADER_TOLD = "ISTIO_META_APPNET_LOADER"
"""Istio's agent puts it into what the proxy says of itself."""
_WAYPOINT = "appnet-waypoint"
_VOLUME: Object = {"name": _LOADER, "configMap": {"name": _LOADER}}
_MOUNT: Object = {"name": _LOADER, "mountPath": _LOADER_FOLDER, "readOnly": True}
_CONFIG = "proxy.istio.io/config"


def loader_map(namespace: str) -> Object:
    """The ConfigMap with the dynamic module that opens native modules."""
    library = loader_library()
    content = base64.b64encode(library.read_bytes()).decode()
    metadata = _metadata(_LOADER, namespace)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": {library.name: content}}


@dataclass(frozen=True)
class Wants:
    """What proxies need besides Istio's own settings: the ``loader`` of native modules, and no worker but one."""

    loader: bool
    one_worker: bool

    @classmethod
    def of(cls, artifacts: Sequence[Artifact]) -> Wants:
        """What they need to run these artifacts."""
        return cls(any(map(is_native, artifacts)), any(map(_needs_one_worker, artifacts)))


def set_up_proxy(template: Object, wants: Wants, control: ControlPlane | None) -> None:
    """Gives the sidecars of a pod template what they need."""
    if not wants.loader and not wants.one_worker:
        return
    annotations = _mapping(_mapping(template, "metadata"), "annotations")
    written = yaml.safe_load(str(annotations.get(_CONFIG) or ""))
    config: Object = written if isinstance(written, dict) else {}
    if wants.one_worker:
        config["concurrency"] = 1
    if wants.loader:
        _mapping(config, "proxyMetadata").update(_environment(control))
        for key, entry in (("sidecar.istio.io/userVolume", _VOLUME), ("sidecar.istio.io/userVolumeMount", _MOUNT)):
            annotations[key] = json.dumps([*_others(annotations.get(key), entry["name"]), entry])
    annotations[_CONFIG] = yaml.safe_dump(config, sort_keys=False)


def waypoint_map(namespace: str, wants: Wants, control: ControlPlane | None) -> Object | None:
    """The ConfigMap that gives waypoints what they need, if their Gateways name it; None where they need nothing.

    Istio merges it into the Deployment that it makes of a Gateway.
    """
    template: Object = {}
    if wants.one_worker:
        template["metadata"] = {"annotations": {_CONFIG: yaml.safe_dump({"concurrency": 1})}}
    if wants.loader:
        variables = [{"name": name, "value": it} for name, it in _environment(control).items()]
        container = {"name": "istio-proxy", "env": variables, "volumeMounts": [_MOUNT]}
        template["spec"] = {"volumes": [_VOLUME], "containers": [container]}
    if not template:
        return None
    data = {"deployment": yaml.safe_dump({"spec": {"template": template}}, sort_keys=False)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(_WAYPOINT, namespace), "data": data}


def _environment(control: ControlPlane | None) -> dict[str, str]:
    """What a proxy that runs native modules has in its environment, and says of itself."""
    trusted = control.trusted_keys if control is not None else trusted_keys(user_key())
    return {MODULES: _LOADER_FOLDER, TRUSTED_KEYS: trusted, _LOADER_TOLD: loader_identity()}


def _metadata(name: str, namespace: str) -> Object:
    return {"name": name, **({"namespace": namespace} if namespace else {})}


def _others(written: object, name: object) -> list[Object]:
    """The entries of a JSON list, or of a mapping by name, but the one of this name; both forms are Istio's."""
    try:
        found = json.loads(str(written or "[]"))
    except ValueError:
        return []
    if isinstance(found, dict):
        found = [{"name": key, **it} for key, it in found.items() if isinstance(it, dict)]
    return [it for it in found if isinstance(it, dict) and it.get("name") != name] if isinstance(found, list) else []


def _mapping(object_: Object, key: str) -> Object:
    """The mapping at the key, put there where there is none."""
    if not isinstance(object_.get(key), dict):
        object_[key] = {}
    found: Object = object_[key]
    return found


def is_native(artifact: Artifact) -> bool:
    """Whether proxies need the loader for it."""
    return artifact.segment.place.target == NATIVE


def _needs_one_worker(artifact: Artifact) -> bool:
    """Whether its elements keep what several workers of a proxy would each have for themselves; code by hand may."""
    asks = artifact.code.by_hand or any(it.need is Need.ONE_STATE for it in artifact.asked)
    return asks and Need.ONE_STATE not in TARGETS[artifact.segment.place.target].gives
