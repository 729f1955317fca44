"""The processor `mrpc`: chains as engines of the mRPC service, which carries the calls of programs in shared memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from appnet.application.model import Side
from appnet.codegen.c.printer import Code
from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.diagnostics.place import Source, Span
from appnet.diagnostics.source import FileSource, base_name
from appnet.ir.needs import Need
from appnet.measure.solve import Effort
from appnet.optimize.cost import CostModel
from appnet.processors import registry
from appnet.processors.artifact import Artifact
from appnet.processors.managed import Finding, Service
from appnet.processors.processor import (
    Bootstrap,
    CapturedCall,
    ClusterObjects,
    Contact,
    Container,
    Driver,
    ForeignCaptureError,
    Nodes,
    NodeSettings,
    Pieces,
    ProcessorError,
    Requirement,
    Target,
)
from appnet.system.address import Address
from appnet.system.tls import ServerTls

# ruff: noqa: PLC0415 -- planning needs neither compilers nor sockets

ENGINE = "engine"

# An engine has one state for a whole chain, and runs on one thread.
_GIVES = frozenset({Need.ONE_STATE, Need.CHANGE_REQUEST, Need.CHANGE_RESPONSE})
# What has arrived is the other program's memory. A caller that waits for a response takes no other verdict on it.
_NOT_AT = {Side.CLIENT: frozenset({Need.CHANGE_RESPONSE}), Side.SERVER: frozenset({Need.CHANGE_REQUEST})}
_LIBRARY = "library"

TARGETS = {ENGINE: Target(ENGINE, "chain", _GIVES, _GIVES, inside=True, one_denial=True, borrowed=True, not_at=_NOT_AT)}


class MrpcEngines:
    """The seam, by engines that open the same code as gRPC libraries."""

    name = control = "mrpc"
    targets = TARGETS
    sides: Sequence[Side] = tuple(Side)

    @property
    def parts(self) -> Sequence[Requirement]:
        """What builds the code: the service itself is looked at by `findings`."""
        return registry.processor("grpc").parts

    @cached_property
    def prices(self) -> CostModel:
        """Those that AppNet comes with; the file says where they are from."""
        from appnet.optimize.prices import load_prices

        return load_prices(FileSource(Path(__file__).parent / "prices.yaml"), self.targets)

    def build(self, code: Code, target: str) -> bytes:
        """The container that gRPC libraries open."""
        del target
        return registry.processor("grpc").build(code, _LIBRARY)

    def drive(self, binary: bytes, target: str, *, seed: int, hosts: int, now_ns: int) -> Driver:
        """The code, driven as gRPC libraries do: statuses have the texts and codes that programs give them."""
        del target
        return registry.processor("grpc").drive(binary, _LIBRARY, seed=seed, hosts=hosts, now_ns=now_ns)

    # --- the service, which is there already ---

    def problems(self, artifacts: Sequence[Artifact]) -> Iterable[Diagnostic]:
        """An end of an edge with several modules, and messages that mRPC's structs cannot hold."""
        from appnet.processors.mrpc.bundles import problems

        return problems(artifacts)

    def files(self, application: str, artifacts: Sequence[Artifact], records: Address | None) -> dict[str, bytes]:
        """A bundle and programs for each end of each edge."""
        from appnet.processors.mrpc.written import files

        return files(application, artifacts, records)

    def findings(self, checkout: Path) -> list[Finding]:
        """What of a checkout of Phoenix fits."""
        from appnet.processors.mrpc.checkout import findings

        return findings(checkout)

    def place(self, checkout: Path) -> list[Path]:
        """Adds the adapter to its workspace."""
        from appnet.processors.mrpc.checkout import place

        return place(checkout)

    def service(self, socket: Path | None, timeout_seconds: float) -> AbstractContextManager[Service]:
        """The Phoenix behind a control socket."""
        from appnet.processors.mrpc.service import phoenix

        return phoenix(socket, timeout_seconds)

    # --- what nobody starts, and no cluster sets up ---

    def nodes(self) -> AbstractAsyncContextManager[Nodes]:
        """There are none that AppNet starts."""
        _not_started()

    def awaited(
        self, control: Address, tls: ServerTls | None, token: Path | None
    ) -> AbstractAsyncContextManager[Nodes]:
        """There are none that ask."""
        del control, tls, token
        _not_started()

    def bootstrap(self, node: str, service: str, control: Contact, records: Address, admin: Address) -> Bootstrap:
        """Nothing is started with a file."""
        del node, service, control, records, admin
        _not_started()

    def pieces(self, pieces: Pieces, control: Contact, records: Address) -> Bootstrap:
        """There is no configuration that anything could be added to."""
        del pieces, control, records
        _not_started()

    def container(self, settings: NodeSettings, artifacts: Sequence[Artifact]) -> Container:
        """Nothing runs beside the service."""
        del settings, artifacts
        _not_started()

    def program_files(self, artifacts: Sequence[Artifact], records: Address | None) -> Mapping[str, bytes]:
        """Programs have nothing inside: the service has it."""
        del artifacts, records
        return {}

    def objects(self) -> ClusterObjects:
        """None, and why."""
        from appnet.processors.mrpc.objects import NoObjects

        return NoObjects()

    def mesh(self) -> None:
        """No engine asks a control plane."""
        return

    def captured(self, file: Source, method: str) -> Iterator[CapturedCall]:
        """Engines capture nothing."""
        del method
        title, help_ = f"{base_name(file)} is no capture of an engine", "engines capture nothing; a sidecar's tap does"
        raise ForeignCaptureError([Diagnostic("C076", Severity.ERROR, title, Span.whole(file), "", help_)])

    async def calibrate(self, effort: Effort, progress: Callable[[str], None]) -> CostModel:
        """The prices that AppNet comes with: only a service that carries calls could measure others."""
        del effort
        progress("engines of mRPC keep the prices that AppNet comes with")
        return self.prices


def _not_started() -> NoReturn:
    raise ProcessorError(
        "nobody starts engines of mRPC: they join programs that run. Write what they load with "
        "`appnetctl compile --backend mrpc`, and use `appnetctl attach`"
    )


PROCESSOR = MrpcEngines()
