"""Where elements can run. A new backend adds one line here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from appnet.application.model import Application, Chain
from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.diagnostics.near import suggestion
from appnet.diagnostics.yaml_reader import Located


@dataclass(frozen=True)
class Processor:
    """``summary`` says what it is; ``runs`` whether this version of AppNet compiles chains for it."""

    name: str
    summary: str
    runs: bool


_ALL = (
    Processor("sidecar", "an Envoy beside each service", runs=True),
    Processor("ambient", "an Envoy that a node's services share (Istio's waypoint)", runs=False),
    Processor("grpc", "interceptors in the application's own gRPC library", runs=False),
    Processor("mrpc", "engines of the mRPC service", runs=False),
)

PROCESSORS: dict[str, Processor] = {it.name: it for it in _ALL}
"""By the names that applications' files use."""


def ready() -> list[str]:
    """Names of the processors that chains can be run on."""
    return [it.name for it in _ALL if it.runs]


def carrier(chain: Chain) -> str:
    """The processor that carries the chain: the first of its own that can, else the first of all."""
    able = ready()
    return next((it.value for it in chain.processors if it.value in able), able[0])


def wrong_processors(application: Application) -> Iterator[Diagnostic]:
    """An error for each processor that is none, for those that are not there yet, and where elements share none."""
    for chain in application.chains:
        listed = dict.fromkeys(stop.spec.processors for stop in chain.stops if stop.spec.processors)
        wrong = [it for names in listed or (chain.processors,) for it in _unknown(names)]
        wrong += [it for names in listed or (chain.processors,) for it in _not_ready(names, any_will_do=bool(listed))]
        yield from wrong
        if listed and not chain.processors and not wrong:
            last = list(listed)[-1][0]
            title = f"the elements on `{chain.edge}` {chain.methods[0]} have no processor in common"
            help_ = "list one that all of them may run on: a chain runs on one processor"
            yield Diagnostic("C025", Severity.ERROR, title, last.span, "not what the others list", help_)


def _unknown(names: tuple[Located, ...]) -> Iterator[Diagnostic]:
    for it in names:
        if it.value not in PROCESSORS:
            help_ = suggestion(it.value, PROCESSORS, what="processors")
            title = f"unknown processor `{it}`"
            yield Diagnostic("C020", Severity.ERROR, title, it.span, "not a processor", help_)


def _not_ready(names: tuple[Located, ...], *, any_will_do: bool) -> Iterator[Diagnostic]:
    """Of names of which each is meant to run; or, where any will do, of those of which none does."""
    later = [it for it in names if it.value in PROCESSORS and not PROCESSORS[it.value].runs]
    if any_will_do and len(later) < len(names):
        return
    able = " or ".join(f"`{it}`" for it in ready())
    for it in later[:1] if any_will_do else later:
        if any_will_do:
            title, label, help_ = "none of these processors is there yet", "not yet", f"add {able}"
        else:
            title, label = f"processor `{it}` is not there yet", f"{PROCESSORS[it.value].summary}: not yet"
            help_ = f"use {able}"
        yield Diagnostic("C021", Severity.ERROR, title, it.span, label, help_)
