"""How programs of a cluster that have the library in them get their chains from its control plane."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

from appnet.ir.needs import Need
from appnet.processors.grpc.cluster import library_delivery
from appnet.processors.grpc.versions import LIBRARY_SERVICE
from appnet.processors.processor import AUDIENCE, ControlPlane, Delivery, Entry, Object, Serving
from appnet.processors.signing import TRUSTED_KEYS

_MAP = "appnet-libraries"
_FOLDER = "/var/run/secrets/appnet"
_TOKEN_SECONDS = 3600
"""After which the kubelet has replaced a token; programs read it whenever they connect."""


class LibraryMesh:
    """`Mesh`: programs know from their environment whom to follow, and no object has them do it."""

    protocol = LIBRARY_SERVICE
    beside = False
    can_say = frozenset({Need.SHARED_STATE, Need.MERGED_STATE})

    def entry(self, entry: Entry, control: ControlPlane) -> None:
        """They ask by themselves. What they do before they are told is their own option."""
        del entry, control

    def native(self, namespace: str, control: ControlPlane) -> Iterator[Object]:
        """A ConfigMap with the control plane's authority, and a pod template by which a program finds it, shows a token
        of its service account, and trusts the control plane's key, as far as it signs for its own namespace."""
        metadata = {"name": _MAP, **({"namespace": namespace} if namespace else {})}
        yield {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"ca.crt": control.root_certificate},
        }
        token = {"path": "token", "audience": AUDIENCE, "expirationSeconds": _TOKEN_SECONDS}
        volume = {
            "name": _MAP,
            "projected": {"sources": [{"configMap": {"name": _MAP}}, {"serviceAccountToken": token}]},
        }
        variables = {
            "APPNET_CONTROL": str(control.address),
            "APPNET_CA": f"{_FOLDER}/ca.crt",
            "APPNET_TOKEN": f"{_FOLDER}/token",
            TRUSTED_KEYS: control.trusted_keys,
        }
        container = {
            "name": "",
            "env": [
                *({"name": name, "value": value} for name, value in variables.items()),
                {"name": "APPNET_APPLICATION", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            ],
            "volumeMounts": [{"name": _MAP, "mountPath": _FOLDER, "readOnly": True}],
        }
        yield {"spec": {"containers": [container], "volumes": [volume]}}

    def delivery(self, serving: Serving) -> AbstractAsyncContextManager[Delivery]:
        """A server of versions, a stream for each end of a process."""
        return library_delivery(serving)
