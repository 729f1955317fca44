"""The processor `grpc`: chains in an application's own process, run by interceptors of its gRPC library."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from appnet.application.model import Side
from appnet.codegen.c.printer import Code
from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.diagnostics.place import Source, Span
from appnet.diagnostics.source import FileSource, base_name
from appnet.ir.needs import Need
from appnet.measure.solve import Effort
from appnet.optimize.cost import CostModel
from appnet.processors.artifact import Artifact
from appnet.processors.processor import (
    Bootstrap,
    CapturedCall,
    ClusterObjects,
    Contact,
    Container,
    Driver,
    ForeignCaptureError,
    Mesh,
    Nodes,
    NodeSettings,
    Pieces,
    ProcessorError,
    Requirement,
    Sharer,
    SharingDriver,
    Target,
)
from appnet.system.address import Address
from appnet.system.installed import package_version_of
from appnet.system.tls import ServerTls

# ruff: noqa: PLC0415 -- planning needs neither compilers nor gRPC

LIBRARY = "library"

# A library has one state for all goroutines of its process, and a balancer of its own.
_GIVES = frozenset(Need)
_REINSTALL = "install AppNet again; in a clone: make clean quickstart"


TARGETS = {LIBRARY: Target(LIBRARY, "chain", gives=_GIVES, alone=_GIVES, inside=True)}


class GrpcLibrary:
    """The seam, by the Go module."""

    name, control = "grpc", "library"
    targets = TARGETS
    sides: Sequence[Side] = tuple(Side)
    parts = (Requirement("C compiler (zig)", package_version_of("ziglang"), _REINSTALL),)

    @cached_property
    def prices(self) -> CostModel:
        """Those that AppNet comes with; the file says where they are from."""
        from appnet.optimize.prices import load_prices

        return load_prices(FileSource(Path(__file__).parent / "prices.yaml"), self.targets)

    def build(self, code: Code, target: str) -> bytes:
        """A container with a shared object for each machine."""
        from appnet.processors.grpc.build import build

        del target
        return build(code.text)

    def drive(self, binary: bytes, target: str, *, seed: int, hosts: int, now_ns: int) -> Driver:
        """The chain, driven as a library does."""
        from appnet.processors.grpc.driver import LibraryDriver

        del target
        return LibraryDriver(binary, seed=seed, hosts=hosts, now_ns=now_ns)

    def drive_sharing(
        self, binary: bytes, target: str, sharer: Sharer, *, seed: int, hosts: int, now_ns: int
    ) -> SharingDriver:
        """The same, as one of several instances."""
        from appnet.processors.grpc.driver import LibraryDriver

        del target
        return LibraryDriver(binary, seed=seed, hosts=hosts, now_ns=now_ns, sharer=sharer)

    def nodes(self) -> AbstractAsyncContextManager[Nodes]:
        """The control plane that programs of this machine follow."""
        from appnet.processors.grpc.control import library_nodes

        return library_nodes()

    def awaited(
        self, control: Address, tls: ServerTls | None, token: Path | None
    ) -> AbstractAsyncContextManager[Nodes]:
        """The control plane at ``control``."""
        from appnet.processors.grpc.control import library_nodes

        return library_nodes(control, tls, token)

    def bootstrap(self, node: str, service: str, control: Contact, records: Address, admin: Address) -> Bootstrap:
        """A program needs variables, and no file."""
        from appnet.processors.signing import TRUSTED_KEYS, trusted_keys

        del records, admin
        instance = node.removesuffix(f"-{self.name}")
        environment = {"APPNET_CONTROL": str(control.address), "APPNET_NODE": instance, TRUSTED_KEYS: trusted_keys()}
        if control.tls is not None:
            environment["APPNET_CA"] = str(control.tls.ca)
        if control.token is not None:
            environment["APPNET_TOKEN"] = str(control.token)
        return Bootstrap("", environment, f"the program of {service}")

    def pieces(self, pieces: Pieces, control: Contact, records: Address) -> Bootstrap:
        """There is no configuration that anything could be added to."""
        del control, records
        raise ProcessorError(f"{pieces.service} has its chains in its own program: it has no listener")

    def container(self, settings: NodeSettings, artifacts: Sequence[Artifact]) -> Container:
        """Nothing runs beside the service."""
        del artifacts
        raise ProcessorError(
            f"{settings.end.service} has its chains in its own program, and there is no container for them: take "
            f"`{self.name}` out of the processors, or compile for Kubernetes, which also writes files for programs"
        )

    def program_files(self, artifacts: Sequence[Artifact], records: Address | None) -> Mapping[str, bytes]:
        """The chains of each service, and how its program takes them."""
        from appnet.processors.grpc.files import program_files

        return program_files(artifacts, records)

    def objects(self) -> ClusterObjects:
        """ConfigMaps with the chains as files."""
        from appnet.processors.grpc.objects import LibraryObjects

        return LibraryObjects()

    def mesh(self) -> Mesh:
        """Programs that follow the controller."""
        from appnet.processors.grpc.mesh import LibraryMesh

        return LibraryMesh()

    def captured(self, file: Source, method: str) -> Iterator[CapturedCall]:
        """Libraries capture nothing."""
        del method
        title, help_ = (
            f"{base_name(file)} is no capture of a library",
            "libraries capture nothing; a sidecar's tap does",
        )
        raise ForeignCaptureError([Diagnostic("C076", Severity.ERROR, title, Span.whole(file), "", help_)])

    async def calibrate(self, effort: Effort, progress: Callable[[str], None]) -> CostModel:
        """Those of chains, measured; what is around them, as gRPC-Go's interceptors take it."""
        from appnet.measure.machine import machine
        from appnet.processors.grpc.calibrate.calibrate import calibrate

        prices = await calibrate(effort, progress)
        where = f"chains of libraries on {machine()}, {time.strftime('%Y-%m-%d')}"
        measured = f"{where}, and interceptors around them by {self.prices.measured}"
        return replace(self.prices, measured=measured, targets={LIBRARY: prices})


PROCESSOR = GrpcLibrary()
