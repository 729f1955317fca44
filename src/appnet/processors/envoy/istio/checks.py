"""What stands in the way of an application on Kubernetes, though it compiles."""

from __future__ import annotations

from collections.abc import Iterator

from appnet.application.manifest import Manifest
from appnet.application.model import Side
from appnet.compile.build import BuiltApplication, Module
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Label, Severity


def check_sidecars(built: BuiltApplication) -> None:
    """Raises `DiagnosticError` where Istio's sidecars cannot be told to do what the modules need."""
    manifest = built.compiled.application.manifest
    wrong = [it for module in built.modules for it in (*_selected(module, manifest), *_set_up(module))]
    wrong += _told_apart(built.modules, manifest)
    if wrong:
        raise DiagnosticError(list(dict.fromkeys(wrong)))


def _selected(module: Module, manifest: Manifest) -> Iterator[Diagnostic]:
    """A service selects the pods that the module's proxies stand beside."""
    service = manifest.services[module.service]
    if not service.selector:
        title = f"the Service `{service.name}` selects no pods"
        help_ = "give it a `selector`: the proxies beside its pods are told by these labels"
        yield Diagnostic("C047", Severity.ERROR, title, service.span, "its proxies cannot be told", help_)


def _set_up(module: Module) -> Iterator[Diagnostic]:
    """Nothing is asked of the module's proxy that Istio's do not do."""
    for spec in module.segment.elements:
        effects = module.chain.elements[spec.name.value].req.effects
        for does, what in ((effects.chooses_host, "chooses a host"), (effects.delays, "delays RPCs")):
            if does:
                title = f"`{spec.name}` {what}, which Istio's sidecars are not set up for yet"
                help_ = "leave it out of this chain; `appnetctl run` runs it"
                yield Diagnostic(
                    "C049", Severity.ERROR, title, spec.name.span, "its proxies have to be set up for it", help_
                )


def _told_apart(modules: tuple[Module, ...], manifest: Manifest) -> Iterator[Diagnostic]:
    """No proxy runs the chains of two edges on the calls of both.

    A listener for calls that leave is there for a port, whatever service they go to; one for calls that arrive, for all
    callers. What a chain knows a call by is its method.
    """
    seen: dict[tuple[object, ...], Module] = {}
    for it in modules:
        edge, leaves = it.edge, it.segment.place.side is Side.CLIENT
        for method in it.chain.methods:
            name = method.signature.full_name
            for port in manifest.services[edge.server].ports.values() if leaves else (None,):
                before = seen.setdefault((it.service, leaves, port, name), it)
                other = before.edge
                if (other.client, other.server) != (edge.client, edge.server):
                    title = f"a sidecar cannot tell `{name}` on `{edge}` from that on `{other}`"
                    label = f"both leave by port {port}" if leaves else "both arrive at one proxy"
                    help_ = "give the two Services different ports" if leaves else "bind the elements to the clients"
                    places = (Label(before.chain.chain.methods[0].span, "the other chain is here"),)
                    span = it.chain.chain.methods[0].span
                    yield Diagnostic("C048", Severity.ERROR, title, span, label, help_, places)
