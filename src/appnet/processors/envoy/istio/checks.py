"""What stands in the way of an application in Istio, though it compiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from appnet.application.manifest import Service
from appnet.application.model import Side
from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.diagnostics.place import Label
from appnet.processors.artifact import Artifact


def problems(artifacts: Sequence[Artifact], services: Mapping[str, Service]) -> Iterator[Diagnostic]:
    """An error for each reason why Istio's sidecars cannot be told to run the artifacts."""
    for it in artifacts:
        yield from _selected(services[it.service])
    yield from _told_apart(artifacts, services)


def _selected(service: Service) -> Iterator[Diagnostic]:
    """The service selects the pods that its proxies stand beside."""
    if not service.selector:
        title = f"the Service `{service.name}` selects no pods"
        help_ = "add a `selector` with the labels of its pods: it selects their sidecars"
        yield Diagnostic("C047", Severity.ERROR, title, service.span, "its sidecars cannot be selected", help_)


def _told_apart(artifacts: Sequence[Artifact], services: Mapping[str, Service]) -> Iterator[Diagnostic]:
    """No proxy runs the chains of two edges on the calls of both.

    A listener for calls that leave is there for a port, whatever service they go to; one for calls that arrive, for all
    callers. What a chain knows a call by is its method.
    """
    seen: dict[tuple[object, ...], Artifact] = {}
    for it in artifacts:
        edge, leaves = it.edge, it.segment.place.side is Side.CLIENT
        for method in it.chain.methods:
            name = method.signature.full_name
            for port in services[edge.server].ports.values() if leaves else (None,):
                first = seen.setdefault((it.service, leaves, port, name), it)
                other = first.edge
                if (other.client, other.server) != (edge.client, edge.server):
                    title = f"a sidecar cannot distinguish `{name}` on `{edge}` from `{name}` on `{other}`"
                    label = f"both use port {port}" if leaves else "both arrive at one sidecar"
                    help_ = (
                        "give the two Services different ports" if leaves else "move the elements to the clients' side"
                    )
                    span = it.chain.chain.methods[0].span
                    places = (Label(first.chain.chain.methods[0].span, "the other chain is here"),)
                    yield Diagnostic("C048", Severity.ERROR, title, span, label, help_, places)
