"""Where a chain may run: its places, and what its elements need that these do not give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from appnet.application.load import LoadedApplication, LoadedChain, load
from appnet.application.model import USUAL_LIMITS, USUAL_PROCESSOR, Application, Chain, Limits, Side
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.near import did_you_mean, near_names, suggestion
from appnet.diagnostics.place import Label, Source, Span
from appnet.diagnostics.remedy import Remedy, near
from appnet.diagnostics.yaml_reader import Located
from appnet.ir.empty_values import may_set_empty
from appnet.ir.needs import Asked, Need, asks_for_hosts, in_calls, needs, one_state
from appnet.ir.nodes import Element
from appnet.ir.stages import can_end_call
from appnet.language import parse
from appnet.language.messages import MethodSignature
from appnet.language.syntax import Apply, Expression, Name, Program, applications
from appnet.optimize.cost import CostModel
from appnet.optimize.placement import Place
from appnet.optimize.sides import at_home
from appnet.optimize.standing import Lack, lacking
from appnet.processors import registry
from appnet.processors.gaps import GAPS, compiled_to, remedy_of, title_of
from appnet.processors.processor import Processor, Target

DEFAULT_TARGET = "native"

_LEAVE_OUT = "remove it from this chain"


@dataclass(frozen=True)
class Where:
    """What chains are compiled for.

    ``target``: what code becomes, on each processor that has a target of that name. ``workers``: of each processor.
    ``cluster``: processors are set up by Kubernetes objects, not by AppNet itself. ``prices``: measured here, in place
    of those that come with the processors. ``limits``: of all calls, in place of what the application says.
    """

    target: str = DEFAULT_TARGET
    workers: int = 1
    cluster: bool = False
    prices: CostModel | None = None
    limits: Limits = USUAL_LIMITS


# --- places ---


def places_of(chain: Chain, where: Where) -> tuple[Place, ...]:
    """The places that the chain's processors give, in the order in which a request passes them.

    Processors that are not there yet give none; a chain that names none runs on `USUAL_PROCESSOR`.
    """
    ready = registry.ready()
    named = {it.value for it in chain.processors} & set(ready) or {USUAL_PROCESSOR}
    outwards = [registry.processor(name) for name in ready if name in named]
    sides = ((Side.CLIENT, outwards), (Side.SERVER, outwards[::-1]))
    return tuple(_place(it, side, chain, where) for side, there in sides for it in there)


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
            help_ = "list one on which all of them may run"
            yield _error("C025", title, last.span, "differs from the others", help_)


def _unknown(names: tuple[Located, ...]) -> Iterator[Diagnostic]:
    for it in names:
        if it.value not in registry.ENTRIES:
            meant = did_you_mean(near_names(it.value, registry.ENTRIES))
            known = suggestion("", registry.ENTRIES, what="processors")
            help_ = " ".join(text for text in (meant, known) if text)
            remedies = near(it.span, it.value, registry.ENTRIES)
            yield _error("C020", f"unknown processor `{it}`", it.span, "not a processor", help_, remedies)


def _not_ready(names: tuple[Located, ...], *, any_will_do: bool) -> Iterator[Diagnostic]:
    """Of names of which each is meant to run; or, where any will do, of those of which none does."""
    ready = registry.ready()
    later = [it for it in names if it.value in registry.ENTRIES and it.value not in ready]
    if any_will_do and len(later) < len(names):
        return
    able = " or ".join(f"`{it}`" for it in ready)
    for it in later[:1] if any_will_do else later:
        if any_will_do:
            title, label, help_ = "AppNet supports none of these processors yet", "not yet", f"add {able}"
        else:
            title, label = f"processor `{it}` is not supported yet", f"{registry.ENTRIES[it.value].summary}: not yet"
            help_ = f"use {able}"
        yield _error("C021", title, it.span, label, help_)


def crossing(where: Where) -> float:
    """What an RPC costs behind the client's side; see `CostModel`."""
    model = where.prices if where.prices is not None else registry.processor(USUAL_PROCESSOR).prices
    return model.crossing


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


# --- what is not given ---


def gaps(chain: LoadedChain, places: Sequence[Place], where: Where) -> list[Diagnostic]:
    """An error for each thing that keeps the chain's elements from running in these places."""
    names = [it.spec.name.value for it in chain.chain.stops]
    stops = at_home(
        chain.chain.stops, [any(asks_for_hosts(it.elements[name]) for it in chain.methods) for name in names]
    )
    asked = [_asked(chain, it) for it in names]
    return [it for lack in lacking(stops, asked, places) for it in _told(lack, where)]


def _asked(chain: LoadedChain, name: str) -> tuple[Asked, ...]:
    return tuple(dict.fromkeys(one for it in chain.methods for one in needs(it.elements[name], it.signature)))


def _told(lack: Lack, where: Where) -> Iterator[Diagnostic]:
    span = lack.spec.name.span
    if lack.place is None:
        title = f"`{lack.spec.name}` runs on a side without a processor"
        yield _error("C088", title, span, "no place for it", "list a processor that runs on both sides")
    elif lack.after is not None:
        title = f"`{lack.spec.name}` cannot run after `{lack.after.name}`"
        label, help_ = (
            f"only {lack.place.processor} suits it, and the request has already passed that",
            "move it before",
        )
        yield Diagnostic("C088", Severity.ERROR, title, span, label, help_, (Label(lack.after.name.span, "before it"),))
    else:
        for need in dict.fromkeys(it.need for it in lack.asked):
            yield _gap(lack, need, lack.place, where)


def _gap(lack: Lack, need: Need, place: Place, where: Where) -> Diagnostic:
    spec, code = lack.spec, GAPS[need].code
    objects = registry.processor(place.processor).objects() if where.cluster else None
    if objects is not None and need in objects.cannot_say:
        title, help_ = title_of(need, str(spec.name), objects.name), f"{_LEAVE_OUT}; `appnetctl run` runs it"
    else:
        title, help_ = title_of(need, str(spec.name), place.target), remedy_of(need) or _LEAVE_OUT
    asked = [it for it in lack.asked if it.need is need]
    spans = _spans(parse(spec.source), frozenset())
    labels = tuple(Label(spans[it.name], it.cause) for it in asked if it.name in spans)
    label = "this element" if labels else asked[0].cause
    return Diagnostic(code, Severity.ERROR, title, spec.name.span, label, help_, labels)


# --- workers ---


def worker_notes(element: Element, program: Program, target: str) -> list[Diagnostic]:
    """A note for each part of the element that each worker of a processor would have for itself on the target; where
    there are none, one that says so. ``program``: what ``element`` was made of.
    """
    shared = all(Need.ONE_STATE in it.gives for it in registry.targets_named(target))
    found = () if shared else one_state(element)
    if not found:
        classes = dict.fromkeys(it.state_class.value for it in element.state)
        label = f"its state: {', '.join(classes)}" if classes else "it keeps no state"
        title = f"`{element.name}` behaves the same on {target} with any number of workers"
        help_ = "use as many workers as the load needs"
        return [Diagnostic("N002", Severity.NOTE, title, program.span, label, help_)]
    spans = _spans(program, in_calls(element))
    title, help_ = f"`{element.name}` needs one worker on {target}", remedy_of(Need.ONE_STATE)
    return [Diagnostic("N001", Severity.NOTE, title, spans.get(it.name, program.span), it.cause, help_) for it in found]


def ending_notes(element: Element, method: MethodSignature, program: Program, target: str) -> Iterator[Diagnostic]:
    """A note for each handler that can end a stream whose response has begun, where that is a reset on the target."""
    if all(it.ends_begun for it in registry.targets_named(target)):
        return
    title = f"on {target}, `{element.name}` may reset `{method.full_name}`, without its status"
    label = "if this ends the call after the caller has received part of the response"
    exact = compiled_to(target for _, target in registry.targets().values() if target.ends_begun)
    if method.client_streaming and can_end_call(element.req):
        early = "decide in `open(rpc):` if the headers are enough"
        help_ = "; or ".join(filter(None, (early, exact)))
        yield Diagnostic("N005", Severity.NOTE, title, program.req.span, label, help_)
    if method.server_streaming and can_end_call(element.resp):
        yield Diagnostic("N005", Severity.NOTE, title, program.resp.span, label, exact or _LEAVE_OUT)


def empty_notes(element: Element, program: Program, target: str) -> Iterator[Diagnostic]:
    """A note for each handler that may set metadata to the empty text, where the target takes the key away instead."""
    if all(it.sets_empty for it in registry.targets_named(target)):
        return
    for name, handler in element.handlers.items():
        keys = ", ".join(f"`{it}`" for it in may_set_empty(handler.body))
        if keys:
            title = f"on {target}, where `{element.name}` sets metadata to the empty text the key is taken away"
            help_ = "set it only where there is a value"
            yield Diagnostic("N006", Severity.NOTE, title, program.blocks()[name].span, f"may set {keys} so", help_)


def element_gaps(element: Element, method: MethodSignature, program: Program, target: str) -> list[Diagnostic]:
    """An error for each thing that the element needs on calls of the method and no processor gives on the target."""
    given = frozenset[Need]().union(*(it.alone for it in registry.targets_named(target)))
    lacking_here = [it for it in needs(element, method) if it.need not in given]
    spans = _spans(program, frozenset())
    return [
        _error(
            *(GAPS[it.need].code, title_of(it.need, element.name, target), spans.get(it.name, program.span), it.cause),
            remedy_of(it.need) or _LEAVE_OUT,
        )
        for it in lacking_here
    ]


def _spans(program: Program, in_calls: frozenset[str]) -> dict[str, Span]:
    """Where state is declared, and functions are first called for anything but a place in a Map of ``in_calls``."""
    spans = {it.name.name: it.name.span for it in program.state}
    calls = list(applications(tuple(program.blocks().values())))
    keys = {id(key) for it in calls if (key := _key(it, in_calls)) is not None}
    for call in calls:
        if id(call) not in keys:
            spans.setdefault(call.function.name, call.function.span)
    return spans


def _key(call: Apply, in_calls: frozenset[str]) -> Expression | None:
    match call.arguments:
        case (Name(name=name), key, *_) if name in in_calls:
            return key
        case _:
            return None


def _error(code: str, title: str, span: Span, label: str, help_: str, remedies: tuple[Remedy, ...] = ()) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, title, span, label, help_, remedies=remedies)


# --- all of an application ---


def load_application(*sources: Source) -> LoadedApplication:
    """The application in the sources, whose processors are there. Raises `DiagnosticError` as `load` does."""
    return load(*sources, judge=wrong_processors)


def fitted(application: LoadedApplication, where: Where) -> list[tuple[Place, ...]]:
    """The places of each chain. Raises `DiagnosticError` with everything that keeps chains from running there."""
    wrong = unfit(application, where)
    if wrong:
        raise DiagnosticError(wrong)
    return [places_of(it.chain, where) for it in application.chains]


def limited(application: LoadedApplication, limits: Limits) -> LoadedApplication:
    """With these limits in place of the application's own, where they say something."""
    loaded = [replace(it, chain=replace(it.chain, limits=limits.over(it.chain.limits))) for it in application.chains]
    read = replace(application.application, chains=tuple(it.chain for it in loaded))
    return replace(application, application=read, chains=tuple(loaded))


def unfit(application: LoadedApplication, where: Where) -> list[Diagnostic]:
    """What keeps chains from running there."""
    every = (it for chain in application.chains for it in gaps(chain, places_of(chain.chain, where), where))
    return list(dict.fromkeys(every))


def application_notes(loaded: LoadedApplication, target: str) -> list[Diagnostic]:
    """What processors of several workers keep or give up of each element on the target, and what of its
    statuses and metadata."""
    notes: list[Diagnostic] = []
    for it in loaded.chains:
        for spec in (stop.spec for stop in it.chain.stops):
            name, program = spec.name.value, parse(spec.source)
            notes += worker_notes(it.elements[name], program, target)
            for bound in it.methods:
                notes += ending_notes(bound.elements[name], bound.signature, program, target)
                notes += empty_notes(bound.elements[name], program, target)
    return list(dict.fromkeys(notes))
