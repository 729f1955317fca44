"""What a cluster is told of libraries: their chains as files, which programs have mounted."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from appnet.application.manifest import Service
from appnet.application.model import EdgeEnd
from appnet.diagnostics.diagnostic import Diagnostic
from appnet.ir.needs import Need
from appnet.processors.artifact import Artifact
from appnet.processors.grpc.versions import signed, told
from appnet.processors.processor import ControlPlane, NodeSettings, Object, Proxies
from appnet.processors.signing import user_key
from appnet.system.address import Address

FOLDER = "/etc/appnet/chains"
"""Where programs find the files in their containers."""


def chains_file(end: EdgeEnd, artifacts: Sequence[Artifact], records: Address | None = None) -> bytes:
    """What a program gets as a file: all that one end of an edge is to run."""
    settings = NodeSettings(f"{end.service}-grpc", end, (), Path(), records)
    version = "-".join(it.version for it in artifacts)
    encoded: bytes = signed(told(settings, version, artifacts), user_key()).SerializeToString(deterministic=True)
    return encoded


class LibraryObjects:
    """A ConfigMap for each chain, mounted where programs look with ``appnet.Embedded(os.DirFS(…))``."""

    name = "gRPC libraries in a cluster"
    preparation = (
        f"Mount the ConfigMaps at {FOLDER}. "
        f'Programs read them when they start: `appnet.Embedded(os.DirFS("{FOLDER}"))`.'
    )
    kinds: Sequence[str] = ("configmaps",)
    cannot_say = frozenset({Need.ROUTE, Need.SHARED_STATE, Need.MERGED_STATE})
    """A file says nothing of where the pods of a Service are. Nothing in a cluster says where the store is."""

    def problems(self, artifacts: Sequence[Artifact], services: Mapping[str, Service]) -> Iterable[Diagnostic]:
        """Nothing stands in their way."""
        del artifacts, services
        return ()

    def proxies(self, service: Service) -> Proxies:
        """The application's own pods."""
        return Proxies(service.namespace, {name: str(it) for name, it in service.selector.items()})

    def shared(
        self,
        namespace: str,
        artifacts: Sequence[Artifact],
        services: Mapping[str, Service],
        collector: Address | None,
        control: ControlPlane | None = None,
    ) -> Iterator[tuple[str, Object]]:
        """A namespace needs nothing besides."""
        del namespace, artifacts, services, collector, control
        return iter(())

    def chain(
        self, artifacts: Sequence[Artifact], name: str, service: Service, server: Service, namespace: str, hosts: int
    ) -> Object:
        """The file of one end of an edge."""
        del service, server, hosts
        file = base64.b64encode(chains_file(artifacts[0].end, artifacts)).decode()
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
            "binaryData": {f"{name}.chains": file},
        }

    def set_up(self, template: Object, artifacts: Sequence[Artifact], control: ControlPlane | None = None) -> None:
        """Mounting needs the names that objects get: people do it, as the preparation says."""
        del template, artifacts, control
