"""Where a chain may run: its places, and what its elements need that these do not give."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from appnet.application.load import LoadedApplication, LoadedChain
from appnet.application.model import Chain, ElementSpec, Side
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Label, Severity, Span
from appnet.diagnostics.near import suggestion
from appnet.ir.needs import Asked, Need, in_calls, needs, one_state
from appnet.ir.nodes import Element
from appnet.language.syntax import Apply, Expression, Name, Program, applications
from appnet.optimize.cost import CostModel
from appnet.optimize.placement import Place
from appnet.optimize.standing import Lack, lacking
from appnet.processors import registry
from appnet.processors.gaps import GAPS, remedy_of, title_of
from appnet.processors.processor import Processor, Target

DEFAULT_TARGET = "native"


@dataclass(frozen=True)
class Where:
    """What chains are compiled for.

    ``target``: what code becomes, on each processor that has a target of that name. ``workers``: of each processor.
    ``cluster``: processors are set up by Kubernetes objects, not by AppNet itself. ``prices``: measured here, in place
    of those that come with the processors.
    """

    target: str = DEFAULT_TARGET
    workers: int = 1
    cluster: bool = False
    prices: CostModel | None = None


# --- places -----------------------------------------------------------------------------------------------------------


def places_of(chain: Chain, where: Where) -> tuple[Place, ...]:
    """The places that the chain's processors give, in the order in which a request passes them.

    Raises `DiagnosticError` for processors that do not exist, or are not there yet.
    """
    named = _known(chain)
    outwards = [registry.processor(name) for name in registry.ENTRIES if name in named]
    sides = ((Side.CLIENT, outwards), (Side.SERVER, outwards[::-1]))
    return tuple(_place(it, side, chain, where) for side, there in sides for it in there)


def _known(chain: Chain) -> list[str]:
    taken: list[str] = []
    wrong: list[Diagnostic] = []
    for it in chain.processors:
        entry = registry.ENTRIES.get(it.value)
        if entry is None:
            help_ = suggestion(it.value, registry.ENTRIES, what="processors")
            wrong.append(_error("C020", f"unknown processor `{it}`", it.span, "not a processor", help_))
        elif not entry.room:
            help_ = "use " + " or ".join(f"`{name}`" for name in registry.ready())
            title = f"processor `{it}` is not there yet"
            wrong.append(_error("C021", title, it.span, f"{entry.summary}: not yet", help_))
        elif it.value in taken:
            wrong.append(_error("C022", f"`{it}` stands here twice", it.span, "once is enough", "remove it"))
        else:
            taken.append(it.value)
    if wrong:
        raise DiagnosticError(wrong)
    return taken or registry.ready()[:1]


def _place(processor: Processor, side: Side, chain: Chain, where: Where) -> Place:
    target = target_of(processor, "native" if chain.native else where.target)
    gives = target.alone if where.workers == 1 else target.gives
    if where.cluster:
        gives -= processor.objects().cannot_say
    prices = processor.prices.targets[target.name]
    if where.prices is not None:
        prices = where.prices.targets.get(target.name, prices)
    return Place(side, processor.name, target.name, gives, prices)


def target_of(processor: Processor, name: str) -> Target:
    """The processor's target of this name; its first one where it has none of it."""
    return processor.targets.get(name) or next(iter(processor.targets.values()))


# --- what is not given ----------------------------------------------------------------------------------------------------


def gaps(chain: LoadedChain, places: Sequence[Place], where: Where) -> list[Diagnostic]:
    """An error for each thing that keeps the chain's elements from running in these places."""
    stops = chain.chain.stops
    asked = [_asked(chain, it.spec.name.value) for it in stops]
    return [it for lack in lacking(stops, asked, places) for it in _told(lack, where)]


def _asked(chain: LoadedChain, name: str) -> tuple[Asked, ...]:
    return tuple(dict.fromkeys(one for it in chain.methods for one in needs(it.elements[name], it.signature)))


def _told(lack: Lack, where: Where) -> Iterator[Diagnostic]:
    span = lack.spec.name.span
    if lack.place is None:
        title = f"`{lack.spec.name}` is bound to a side without a processor"
        yield _error("C088", title, span, "no place for it", "name a processor that stands on both sides")
    elif lack.after is not None:
        title = f"`{lack.spec.name}` cannot run behind `{lack.after.name}`"
        label, help_ = f"only {lack.place.processor} suits it, which the request has passed", "put it before"
        yield Diagnostic("C088", Severity.ERROR, title, span, label, help_, (Label(lack.after.name.span, "before it"),))
    else:
        first_of_need = {it.need: it for it in reversed(lack.asked)}
        for one in reversed(first_of_need.values()):
            yield _gap(lack.spec, one, lack.place, where)


def _gap(spec: ElementSpec, asked: Asked, place: Place, where: Where) -> Diagnostic:
    code, name = GAPS[asked.need].code, str(spec.name)
    objects = registry.processor(place.processor).objects() if where.cluster else None
    if objects is not None and asked.need in objects.cannot_say:
        title, help_ = title_of(asked.need, name, objects.name), "leave it out of this chain; `appnetctl run` runs it"
    else:
        title, help_ = title_of(asked.need, name, place.target), remedy_of(asked.need) or "leave it out of this chain"
    return _error(code, title, spec.name.span, asked.cause, help_)


# --- workers ------------------------------------------------------------------------------------------------------------


def worker_notes(element: Element, program: Program, target: Target) -> list[Diagnostic]:
    """A note for each part of the element that each worker of a processor would have for itself; where there are none,
    one that says so. ``program``: what ``element`` was made of.
    """
    found = one_state(element) if Need.ONE_STATE not in target.gives else ()
    if not found:
        classes = dict.fromkeys(it.state_class.value for it in element.state)
        label = f"its state: {', '.join(classes)}" if classes else "it keeps no state"
        title = f"`{element.name}` means the same on {target.name} with any number of workers"
        help_ = "choose as many workers as the load needs"
        return [Diagnostic("N002", Severity.NOTE, title, program.span, label, help_)]
    places = _places(program, in_calls(element))
    title = f"`{element.name}` needs one worker on {target.name}"
    help_ = f"give its {target.name} proxies one worker (`--concurrency 1`)"
    others = [it for it, (_, other) in registry.targets().items() if Need.ONE_STATE in other.gives]
    help_ += f", or compile it to {' or '.join(others)}, whose workers share state" if others else ""
    spans = (places.get(it.name, program.span) for it in found)
    return [
        Diagnostic("N001", Severity.NOTE, title, span, it.cause, help_) for it, span in zip(found, spans, strict=True)
    ]


def _places(program: Program, in_calls: frozenset[str]) -> dict[str, Span]:
    """Where state is declared, and functions are first called for anything but a place in a Map of ``in_calls``."""
    places = {it.name.name: it.name.span for it in program.state}
    calls = list(applications((program.init, program.req, program.resp)))
    keys = {id(key) for it in calls if (key := _key(it, in_calls)) is not None}
    for call in calls:
        if id(call) not in keys:
            places.setdefault(call.function.name, call.function.span)
    return places


def _key(call: Apply, in_calls: frozenset[str]) -> Expression | None:
    match call.arguments:
        case (Name(name=name), key, *_) if name in in_calls:
            return key
        case _:
            return None


def _error(code: str, title: str, span: Span, label: str, help_: str) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, title, span, label, help_)


# --- all of an application ------------------------------------------------------------------------------------------------


def fitted(application: LoadedApplication, where: Where) -> list[tuple[Place, ...]]:
    """The places of each chain.

    Raises `DiagnosticError` with everything that keeps chains from running there.
    """
    wrong: list[Diagnostic] = []
    found: list[tuple[Place, ...]] = []
    for chain in application.chains:
        try:
            places = places_of(chain.chain, where)
        except DiagnosticError as error:
            wrong += error.diagnostics
            continue
        wrong += gaps(chain, places, where)
        found.append(places)
    if wrong:
        raise DiagnosticError(list(dict.fromkeys(wrong)))
    return found


def unfit(application: LoadedApplication, where: Where) -> Iterable[Diagnostic]:
    """What `fitted` raises, to be told beside other things."""
    try:
        fitted(application, where)
    except DiagnosticError as error:
        return error.diagnostics
    return ()
