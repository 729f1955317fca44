"""A segment of a chain as its processor loads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appnet.application.load import LoadedChain
from appnet.application.model import USUAL_LIMITS, Chain, Edge, EdgeEnd, Limits
from appnet.codegen.c.printer import ChainSource, Code, print_by_content
from appnet.ir.needs import Asked, needs
from appnet.ir.nodes import Element
from appnet.ir.numbering import Numbering, numbering
from appnet.ir.sharing import shared_variables
from appnet.ir.stages import headers_come_ahead
from appnet.optimize.placement import Plan, Segment


@dataclass(frozen=True)
class Artifact:
    """``binary`` is what the code was built to. ``others``: the same segment, built for other targets."""

    chain: LoadedChain
    segment: Segment
    code: Code
    binary: bytes = b""
    others: tuple[Artifact, ...] = ()

    @property
    def stem(self) -> str:
        """Where it stands among generated files, without a suffix: ``CLIENT_SERVER/METHOD.SEGMENT``."""
        return stem_of(self.chain.chain, self.segment.name)

    @property
    def name(self) -> str:
        """By what a processor knows it; the same in all versions."""
        return name_of(self.chain.chain, self.segment.name)

    @property
    def version(self) -> str:
        """What tells its code from all other code."""
        return self.code.version

    @property
    def limits(self) -> Limits:
        """What its calls are limited to."""
        return self.chain.chain.limits

    @property
    def edition(self) -> str:
        """What tells it from all others of its name: its code, limits of calls that are not the usual ones, and where
        it shares state."""
        parts = [self.version]
        parts += [] if self.limits == USUAL_LIMITS else [str(self.limits)]
        parts += [str(self.chain.chain.state)] if self.in_store else []
        return " ".join(parts)

    @property
    def in_store(self) -> bool:
        """Whether its elements have state that instances share by a store, where the processor can."""
        return any(shared_variables(it) for it in self.elements)

    @property
    def edge(self) -> Edge:
        """The edge whose calls it judges."""
        return self.chain.chain.edge

    @property
    def method(self) -> str:
        """The methods whose calls it judges, for names of files and objects."""
        return self.chain.chain.method

    @property
    def end(self) -> EdgeEnd:
        """Where its processors stand."""
        return EdgeEnd(self.edge.client, self.edge.server, self.segment.place.side)

    @property
    def service(self) -> str:
        """The service that its processors stand beside."""
        return self.end.service

    @property
    def elements(self) -> tuple[Element, ...]:
        """In request order, as the chain's first method has them."""
        return tuple(self.chain.elements[it.name.value] for it in self.segment.elements)

    @property
    def asked(self) -> tuple[Asked, ...]:
        """What its elements ask of the place where they run."""
        names = [it.name.value for it in self.segment.elements]
        asked = (one for it in self.chain.methods for name in names for one in needs(it.elements[name], it.signature))
        return tuple(dict.fromkeys(asked))


def stem_of(chain: Chain, segment: str) -> str:
    """The stem of the artifact of a chain's segment of this name."""
    return f"{chain.edge.client}_{chain.edge.server}/{chain.method}.{segment}"


def name_of(chain: Chain, segment: str) -> str:
    """Its name."""
    return "appnet." + stem_of(chain, segment).replace("/", ".")


def print_segment(segment: Segment, chain: LoadedChain, ahead: frozenset[str], numbers: Numbering) -> Code:
    """The C text of a segment; equal elements in equal order on equal methods give equal ones.

    ``ahead``: the methods whose headers come before their message has passed the segments before. ``numbers``: whence
    calls have their numbers.
    """
    names = [it.name.value for it in segment.elements]
    methods = tuple((it.signature, tuple(it.elements[name] for name in names)) for it in chain.methods)
    beside = tuple((it.signature, tuple(it.elements.values())) for it in chain.methods)
    return print_by_content(ChainSource(segment.name, "", methods, ahead, numbers, beside), segment.place.target)


def methods_ahead(chain: LoadedChain, before: Sequence[str]) -> frozenset[str]:
    """The methods whose headers leave the elements of these names while their message is still to pass them."""
    return frozenset(
        it.signature.full_name
        for it in chain.methods
        if headers_come_ahead([it.elements[name] for name in before], it.signature)
    )


def numbering_of(chain: LoadedChain, plan: Plan, number: int) -> Numbering:
    """Whence the calls of a segment of the plan have their numbers: they are one within a proxy."""
    own = plan.segments[number].place

    def elements(segments: Sequence[Segment]) -> list[Element]:
        there = [it for it in segments if (it.place.side, it.place.processor) == (own.side, own.processor)]
        names = [it.name.value for segment in there for it in segment.elements]
        return [it.elements[name] for it in chain.methods for name in names]

    cut = plan.segments[:number], plan.segments[number : number + 1], plan.segments[number + 1 :]
    return numbering(*map(elements, cut))
