"""What stands in the way of an application in Istio, though it compiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from appnet.application.manifest import Service
from appnet.application.model import Side
from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.diagnostics.place import Label
from appnet.diagnostics.yaml_reader import Located
from appnet.ir.nodes import Element, Refuse
from appnet.ir.walk import statements
from appnet.language.statuses import STATUS_CODES
from appnet.processors.artifact import Artifact

_OPAQUE = frozenset({"tcp", "udp", "tls", "https", "mongo", "mysql", "redis"})
"""What a port may say that it speaks, and Istio then passes on without a look; https is the application's own TLS."""
USE_WAYPOINT = "istio.io/use-waypoint"
"""The label that says which waypoint calls of a Service, or of all in a namespace, pass."""
_RETRIED = {STATUS_CODES[name]: name for name in ("CANCELLED", "UNAVAILABLE")}
"""Codes that Istio's routes retry on, where nobody says otherwise."""


def sidecar_problems(artifacts: Sequence[Artifact], services: Mapping[str, Service]) -> Iterator[Diagnostic]:
    """An error for each reason why Istio's sidecars cannot be told to run the artifacts; warnings of what they would do
    otherwise than sidecars that AppNet starts."""
    sent_once = {(it.edge.client, it.edge.server) for it in artifacts if it.segment.place.side is Side.CLIENT}
    for it in artifacts:
        yield from _selected(services[it.service])
        yield from _judged(services[it.edge.server])
        if (it.edge.client, it.edge.server) not in sent_once:
            yield from _sent_again(it)
    yield from _told_apart(artifacts, "sidecar", "move the elements to the clients' side")


def waypoint_problems(artifacts: Sequence[Artifact], services: Mapping[str, Service]) -> Iterator[Diagnostic]:
    """The same of Istio's waypoints."""
    for it in artifacts:
        server = services[it.edge.server]
        yield from _passed(server, it.chain.chain.processors)
        yield from _judged(server)
    yield from _told_apart(artifacts, "waypoint", "use `sidecar`, and move the elements to the clients' side")


def _selected(service: Service) -> Iterator[Diagnostic]:
    """The service selects the pods that its proxies stand beside."""
    if not service.selector:
        title = f"the Service `{service.name}` selects no pods"
        help_ = "add a `selector` with the labels of its pods: it selects their sidecars"
        yield Diagnostic("C047", Severity.ERROR, title, service.span, "its sidecars cannot be selected", help_)


def http_ports(service: Service) -> list[int]:
    """The ports of a Service that proxies look into: filters stand in these alone."""
    return sorted({it.number for it in service.ports.values() if it.protocol not in _OPAQUE})


def _judged(server: Service) -> Iterator[Diagnostic]:
    """Proxies take what arrives at the service for HTTP."""
    if server.ports and not http_ports(server):
        port = next(iter(server.ports.values()))
        title = f"Istio takes calls to `{server.name}` for {port.protocol.upper()} and lets them pass unjudged"
        help_ = "say that the port speaks gRPC: `appProtocol: grpc`, or a name such as `grpc`"
        yield Diagnostic("C053", Severity.ERROR, title, port.span, "filters see HTTP alone", help_)


def _sent_again(artifact: Artifact) -> Iterator[Diagnostic]:
    """No element's refusal is one that the client's sidecar takes for a reason to send the call again. A sidecar with
    a chain of its own sends none again."""
    for spec in artifact.segment.elements:
        element = artifact.chain.elements[spec.name.value]
        codes = _refusals(element) & _RETRIED.keys()
        if codes:
            code = _RETRIED[min(codes)]
            title = f"Istio sends a call again, twice, that `{element.name}` refuses with {code}"
            label = "on the server's side, it would judge such a call three times"
            remedy = f"give `{artifact.edge.server}` a VirtualService with `retries: {{attempts: 0}}`"
            help_ = f"refuse with another code, or {remedy}"
            yield Diagnostic("W022", Severity.WARNING, title, spec.name.span, label, help_)


def _refusals(element: Element) -> set[int]:
    """The gRPC codes that calls may end with by the element."""
    codes = {it.code for body in element.bodies for it in statements(body) if isinstance(it, Refuse)}
    drops = any(it.effects.can_drop for it in element.handlers.values())
    return codes | ({STATUS_CODES["UNAVAILABLE"]} if drops else set())


def _passed(server: Service, processors: Sequence[Located]) -> Iterator[Diagnostic]:
    """Calls of the service pass a waypoint: it has one, and they do not come from sidecars."""
    sidecar = next((it for it in processors if it.value == "sidecar"), None)
    if sidecar is not None:
        title = f"Istio's sidecars send calls to `{server.name}` past its waypoint"
        help_ = "list `sidecar` or `ambient` alone"
        yield Diagnostic("C055", Severity.ERROR, title, sidecar.span, "elements in the waypoint would not run", help_)
    if server.labels.get(USE_WAYPOINT) == "none":
        title = f"calls to `{server.name}` pass no waypoint"
        help_ = f"give it another label: `{USE_WAYPOINT}: waypoint`"
        yield Diagnostic("C055", Severity.ERROR, title, server.span, f"it has `{USE_WAYPOINT}: none`", help_)


def _told_apart(artifacts: Sequence[Artifact], proxy: str, remedy: str) -> Iterator[Diagnostic]:
    """No proxy runs the chains of two callers on the calls of both.

    What leaves is known by the called host; what arrives, by its method alone.
    """
    seen: dict[tuple[str, str], Artifact] = {}
    for it in (one for one in artifacts if one.segment.place.side is Side.SERVER):
        for method in it.chain.methods:
            name = method.signature.full_name
            first = seen.setdefault((it.service, name), it)
            if first.edge.client != it.edge.client:
                title = f"a {proxy} cannot distinguish `{name}` on `{it.edge}` from `{name}` on `{first.edge}`"
                span = it.chain.chain.methods[0].span
                places = (Label(first.chain.chain.methods[0].span, "the other chain is here"),)
                yield Diagnostic("C048", Severity.ERROR, title, span, f"both arrive at one {proxy}", remedy, places)
