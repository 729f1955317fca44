"""Where a chain may run: its places, and what its elements need that these do not give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from appnet.application.load import LoadedApplication, LoadedChain, load
from appnet.application.model import USUAL_LIMITS, USUAL_PROCESSOR, Application, Chain, Limits, Side
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.near import did_you_mean, near_names, suggestion
from appnet.diagnostics.place import Label, Source, Span
from appnet.diagnostics.remedy import Remedy, near, without
from appnet.diagnostics.yaml_reader import Located
from appnet.ir.empty_values import may_set_empty
from appnet.ir.needs import Asked, Capability, Need, asks_for_hosts, in_calls, needs, one_state
from appnet.ir.nodes import Element
from appnet.ir.sharing import shared_state
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
from appnet.system.store_address import NoPasswordError, StoreTls, password_of, read_address

DEFAULT_TARGET = "native"

_LEAVE_OUT = "remove it from this chain"


@dataclass(frozen=True)
class Where:
    """What chains are compiled for.

    ``target``: what code becomes, on each processor that has a target of that name. ``workers``: of each processor.
    ``cluster``: processors are set up by Kubernetes objects, not by AppNet itself. ``prices``: measured here, in place
    of those that come with the processors. ``limits``: of all calls, in place of what the application says.
    ``store``: the address of the store of shared state, for applications that name none. ``controlled``: in a cluster,
    a control plane brings processors their chains. ``gateway``: whether a control plane brings processors to the store
    that cannot open connections.
    """

    target: str = DEFAULT_TARGET
    workers: int = 1
    cluster: bool = False
    prices: CostModel | None = None
    limits: Limits = USUAL_LIMITS
    store: str = ""
    controlled: bool = False
    gateway: bool = True


# --- places ---


def places_of(chain: Chain, where: Where) -> tuple[Place, ...]:
    """The places that the chain's processors give, in the order in which a request passes them.

    A chain that names none runs on `USUAL_PROCESSOR`. No proxy sees the calls that a service of its own carries: where
    a chain names both, the proxies have it.
    """
    named = {it.value for it in chain.processors} & set(registry.ENTRIES) or {USUAL_PROCESSOR}
    if any(registry.managed(name) is None for name in named):
        named = {name for name in named if registry.managed(name) is None}
    outwards = [registry.processor(name) for name in registry.ENTRIES if name in named]
    sides = ((Side.CLIENT, outwards), (Side.SERVER, outwards[::-1]))
    places = tuple(_place(it, side, chain, where) for side, there in sides for it in there if side in it.sides)
    return _choosing_last(_told_of_callers(places))


def _told_of_callers(places: tuple[Place, ...]) -> tuple[Place, ...]:
    """The places, of which those in programs behind a proxy do not see the caller: its connection ends at the proxy."""
    server = [it for it in places if it.side is Side.SERVER]
    if all(_is_inside(it) for it in server):
        return places
    hidden = {it.where for it in server if _is_inside(it)}
    return tuple(replace(it, gives=it.gives - {Need.PEER}) if it.where in hidden else it for it in places)


def _is_inside(place: Place) -> bool:
    return registry.processor(place.processor).targets[place.target].inside


def _choosing_last(places: tuple[Place, ...]) -> tuple[Place, ...]:
    """The places, of which only the client's last sees the hosts: what stands before it sees the proxy that is next."""
    client = [it for it in places if it.side is Side.CLIENT]
    return tuple(replace(it, gives=it.gives - {Need.ROUTE}) if it in client[:-1] else it for it in places)


def wrong_processors(application: Application) -> Iterator[Diagnostic]:
    """An error for each processor that is none, and where elements share none."""
    for chain in application.chains:
        listed = dict.fromkeys(stop.spec.processors for stop in chain.stops if stop.spec.processors)
        wrong = [it for names in listed or (chain.processors,) for it in _unknown(names)]
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


def crossing(where: Where) -> float:
    """What an RPC costs behind the client's side without any proxy; see `CostModel.wire`."""
    return _prices(where).wire


def _prices(where: Where) -> CostModel:
    """Those that what is between the elements has."""
    return where.prices if where.prices is not None else registry.processor(USUAL_PROCESSOR).prices


def _place(processor: Processor, side: Side, chain: Chain, where: Where) -> Place:
    target = target_of(processor, "native" if chain.native else where.target)
    gives = target.alone if where.workers == 1 else target.gives
    gives -= target.not_at.get(side, frozenset())
    if not _through_gateway(chain, where):
        gives -= target.asks
    if where.cluster:
        gives -= _not_said(processor, where)
    prices = processor.prices.targets[target.name]
    if where.prices is not None:
        prices = where.prices.targets.get(target.name, prices)
    return Place(side, processor.name, target.name, gives, prices, 0.0 if target.inside else _prices(where).proxy)


def _through_gateway(chain: Chain, where: Where) -> bool:
    """Whether a gateway leads to the chain's store: a controller has none of the sockets that pods have."""
    address = chain.state.address
    return where.gateway and not (where.controlled and address and read_address(address).path)


def _not_said(processor: Processor, where: Where) -> Capability:
    """What a cluster's processors cannot be asked for, though they give it elsewhere."""
    mesh = processor.mesh() if where.controlled else None
    return processor.objects().cannot_say - (mesh.can_say if mesh is not None else frozenset())


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
    if lack.after is not None:
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


def denial_notes(element: Element, program: Program, target: str) -> Iterator[Diagnostic]:
    """A note for an element that refuses calls, where the target tells callers only that it did."""
    if not any(it.one_denial for it in registry.targets_named(target)):
        return
    first = next((it for it in applications(tuple(program.blocks().values())) if it.function.name == "err"), None)
    if first is not None:
        title = f"on {target}, callers of calls that `{element.name}` refuses get neither its text nor its code"
        yield Diagnostic("N008", Severity.NOTE, title, first.span, "one denial for all", "record the reason in a Vec")


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


def load_application(*sources: Source, where: Where = Where()) -> LoadedApplication:
    """The application in the sources, whose processors are there; its warnings tell what these do not share.

    Raises `DiagnosticError` as `load` does.
    """
    loaded = load(*sources, judge=wrong_processors)
    unshared = dict.fromkeys(
        it for chain in loaded.chains for it in unshared_state(chain, places_of(chain.chain, where))
    )
    return replace(loaded, warnings=(*loaded.warnings, *unshared))


def unshared_state(chain: LoadedChain, places: Sequence[Place]) -> Iterator[Diagnostic]:
    """A warning for each part of the chain's state that is declared shared where a processor cannot share it."""
    for spec in (it.spec for it in chain.chain.stops):
        declared = {it.name.name: it for it in parse(spec.source).state}
        for asked in shared_state(chain.elements[spec.name.value]):
            apart = dict.fromkeys(it.target for it in places if asked.need not in it.gives)
            if not apart:
                continue
            node = declared[asked.name]
            marked = next(it for it in node.decorators if it.name.name == "consistency")
            where = " and ".join(apart)
            title = f"{title_of(asked.need, spec.name.value, where)}: each instance keeps its own `{asked.name}`"
            help_, label = remedy_of(asked.need), f"shared: {asked.cause}"
            yield Diagnostic("W004", Severity.WARNING, title, marked.span, label, help_, remedies=without(marked.span))


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


def stored(application: LoadedApplication, where: Where) -> LoadedApplication:
    """With a store for chains that name none, where there is one."""

    def chain(it: Chain) -> Chain:
        state = it.state if it.state.address else replace(it.state, address=where.store)
        return replace(it, state=state)

    loaded = [replace(it, chain=chain(it.chain)) for it in application.chains]
    read = replace(application.application, chains=tuple(it.chain for it in loaded))
    return replace(application, application=read, chains=tuple(loaded))


def in_store(chain: LoadedChain, where: Where) -> Iterator[Asked]:
    """What state of the chain is in a store, wherever its elements run."""
    given = frozenset[Need]().union(*(it.gives for it in places_of(chain.chain, where)))
    for name in (it.spec.name.value for it in chain.chain.stops):
        yield from (it for it in shared_state(chain.elements[name]) if it.need in given)


def without_store(application: LoadedApplication, where: Where) -> list[Diagnostic]:
    """An error for each element whose state has to be in a store that there is not, or that cannot be reached."""
    return [it for chain in application.chains for it in _without_store(chain, where)]


def _without_store(chain: LoadedChain, where: Where) -> Iterator[Diagnostic]:
    address = chain.chain.state.address
    flaw = _NO_STORE if not address else _unreachable(address, chain, where)
    if flaw is None or not any(in_store(chain, where)):
        return
    code, what, help_ = flaw
    for spec in (it.spec for it in chain.chain.stops):
        asked = shared_state(chain.elements[spec.name.value])
        marked = next((it for it in parse(spec.source).state if asked and it.name.name == asked[0].name), None)
        if marked is None:
            continue
        span = next(it for it in marked.decorators if it.name.name == "consistency").span
        name, label = marked.name.name, f"`{marked.name.name}` is in a store"
        yield _error(code, f"`{spec.name}` shares `{name}`, and {what}", span, label, help_)


_NO_STORE = (
    "C098",
    "no store is named",
    "name one: `state: {store: redis://HOST:PORT}`; `appnetctl run` starts one of its own",
)


def _unreachable(address: str, chain: LoadedChain, where: Where) -> tuple[str, str, str] | None:
    """Why the store at the address cannot be reached, with a code and a remedy."""
    store = read_address(address)
    if where.controlled and not store.plain:
        what = "proxies in Kubernetes reach no store by TLS or in a cluster of stores yet"
        return "C099", what, "name one by `redis://` or `redis+sentinel://`, which a NetworkPolicy guards"
    if (store.service or not store.plain) and _shared_inside(chain, where):
        what = "programs reach no store by TLS, through Sentinels or in a cluster of stores yet"
        return "C099", what, "name one by `redis://` or `unix://`, or leave the chain to proxies"
    try:
        password_of(store)
    except NoPasswordError as error:
        what = f"the environment variable `{error}`, the store's password, is not set"
        return "C100", what, f"set `{error}` before you start the command"
    if store.tls is not None and (flaw := _wrong_file(store.tls)):
        return "C099", f"the store cannot be reached by TLS: {flaw}", "name the right files in the address of the store"
    return None


def _shared_inside(chain: LoadedChain, where: Where) -> bool:
    """Whether programs share what the chain shares, by themselves."""
    shared = {Need.SHARED_STATE, Need.MERGED_STATE}
    places = places_of(chain.chain, where)
    return any(registry.processor(it.processor).targets[it.target].inside and it.gives & shared for it in places)


def _wrong_file(tls: StoreTls) -> str:
    """What is wrong with one of the files, which the address names; nothing if they will do."""
    from appnet.system import certificates  # noqa: PLC0415 -- few need what reads them

    path = tls.authority
    try:
        if path is None:
            certificates.system_authorities()
        else:
            certificates.check_authority(path)
        if tls.certificate is not None and tls.key is not None:
            path = tls.certificate
            certificates.check_certificate(path, server=False)
            path = tls.key
            certificates.check_key(path, tls.certificate)
    except certificates.TlsFileError as error:
        return str(error) if path is None else f"{path}: {error}"
    return ""


def moved_to(application: LoadedApplication, processor: str) -> LoadedApplication:
    """The application with all chains on this processor.

    Raises `DiagnosticError` with every chain that is written for others alone, unless the processor is a service of
    its own: its programs have none of the others.
    """
    chains = [it.chain for it in application.chains]
    others = [it for it in chains if processor not in {one.value for one in it.processors}]
    wrong = [found for it in others if (found := _elsewhere(it, processor)) is not None]
    if wrong and registry.managed(processor) is None:
        raise DiagnosticError(wrong)
    alone = [replace(it, processors=(Located(processor, it.methods[0].span),)) for it in chains]
    loaded = [replace(it, chain=chain) for it, chain in zip(application.chains, alone, strict=True)]
    read = replace(application.application, chains=tuple(alone))
    return replace(application, application=read, chains=tuple(loaded))


def _elsewhere(chain: Chain, processor: str) -> Diagnostic | None:
    """An error, if the chain names other processors than this one."""
    if not chain.processors:
        return None
    title = f"the chain on `{chain.edge}` {chain.methods[0]} is not to run on `{processor}`"
    names = ", ".join(it.value for it in chain.processors)
    help_ = f"add `{processor}` to the processors, or compile with another --backend"
    return _error("C025", title, chain.processors[0].span, f"it names {names}", help_)


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
                notes += denial_notes(bound.elements[name], program, target)
    return list(dict.fromkeys(notes))
