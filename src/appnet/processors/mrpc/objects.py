"""What a cluster is told of engines: nothing, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from appnet.application.manifest import Service
from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.ir.needs import Need
from appnet.processors.artifact import Artifact
from appnet.processors.processor import ControlPlane, Object, ProcessorError, Proxies
from appnet.system.address import Address

# ruff: noqa: ARG002 -- what is refused looks at nothing
_WHY = "no Kubernetes object sets up engines of mRPC"


class NoObjects:
    """Refuses every artifact; so nothing else is asked of it."""

    name = "engines of mRPC in a cluster"
    preparation = ""
    kinds: Sequence[str] = ()
    cannot_say = frozenset[Need]()

    def problems(self, artifacts: Sequence[Artifact], services: Mapping[str, Service]) -> Iterable[Diagnostic]:
        """An error for each chain."""
        del services
        help_ = "write what programs' services load with `appnetctl compile --backend mrpc`; or use `sidecar`"
        for it in {id(one.chain): one for one in artifacts}.values():
            place = it.segment.elements[0].name.span
            yield Diagnostic("C097", Severity.ERROR, _WHY, place, f"on `{it.edge}`", help_)

    def proxies(self, service: Service) -> Proxies:
        """There are none."""
        raise ProcessorError(_WHY)

    def shared(
        self,
        namespace: str,
        artifacts: Sequence[Artifact],
        services: Mapping[str, Service],
        collector: Address | None,
        control: ControlPlane | None = None,
    ) -> Iterator[tuple[str, Object]]:
        """There is nothing."""
        del namespace, artifacts, services, collector, control
        return iter(())

    def chain(
        self, artifacts: Sequence[Artifact], name: str, service: Service, server: Service, namespace: str, hosts: int
    ) -> Object:
        """There is none."""
        raise ProcessorError(_WHY)

    def set_up(self, template: Object, artifacts: Sequence[Artifact], control: ControlPlane | None = None) -> None:
        """Nothing in a pod does."""
        raise ProcessorError(_WHY)
