"""What is shared of an application in a cluster: what it asks of stores, and which proxies do not share it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from appnet.application.load import LoadedChain
from appnet.compile.fit import Where, in_store, places_of, unshared_state
from appnet.compile.pipeline import Version
from appnet.control.rollout import artifacts_of
from appnet.deploy.kubernetes.operator.ends import configuration_of
from appnet.deploy.kubernetes.operator.world import Key
from appnet.ir.sharing import shared_state, shared_variables
from appnet.processors.gaps import GAPS, title_of
from appnet.processors.processor import ClusterNode
from appnet.processors.stores import store_of
from appnet.state.gateway import Door
from appnet.state.health import Wanted

_MOST_NAMED = 3


def wanted_store(version: Version, configuration: str, where: Where, passwords: Mapping[str, str]) -> Wanted | None:
    """The store of what an AppNetConfig shares; None where that is nothing."""
    chains = [it for it in _chains(version, configuration) if any(in_store(it, where))]
    if not chains:
        return None
    kept = (one for chain in chains for it in chain.elements.values() for one in shared_variables(it))
    store, durable = chains[0].chain.state, any(it.persistent for it in kept)
    return Wanted(store.address, passwords.get(store.secret, ""), durable)


def doors(version: Version, application: Key, passwords: Mapping[str, str]) -> Iterator[Door]:
    """The ways of a gateway to what an application shares."""
    for it in version.artifacts:
        store = store_of(it, ".".join(application), passwords.get(it.chain.chain.state.secret, ""))
        if store is not None and not store.is_local:
            yield Door(store.scope, store.address, store.password)


def kept_apart(version: Version, configuration: str, where: Where, nodes: Sequence[ClusterNode]) -> Iterator[str]:
    """A warning for each part of an AppNetConfig's state that is shared, but not by all of these proxies: some cannot
    load what shares it."""
    found: dict[tuple[str, str], list[ClusterNode]] = {}
    for node in nodes:
        if node.target != where.target:
            for told in _apart(version, configuration, where, node):
                found.setdefault(told, []).append(node)
    for (title, variable), these in found.items():
        names = ", ".join(f"{it.proxy} ({it.why})" if it.why else it.proxy for it in these[:_MOST_NAMED])
        more = f" and {len(these) - _MOST_NAMED} more" if len(these) > _MOST_NAMED else ""
        yield f"{title}: each of these keeps its own `{variable}`: {names}{more}"


def all_apart(version: Version, configuration: str, where: Where) -> Iterator[str]:
    """A warning for each part of an AppNetConfig's state that is shared, where its code is in manifests."""
    there = replace(where, target="wasm", controlled=False)
    for chain in _chains(version, configuration):
        yield from (f"{it.code}: {it.title}" for it in unshared_state(chain, places_of(chain.chain, there)))


def _apart(version: Version, configuration: str, where: Where, node: ClusterNode) -> Iterator[tuple[str, str]]:
    """What a proxy does not share, and the name of the variable."""
    carried = {it.name.value for one in artifacts_of(node.end, node.processor, version) for it in one.segment.elements}
    for chain in _chains(version, configuration):
        places = places_of(chain.chain, replace(where, target=node.target))
        gives = next(
            (it.gives for it in places if (it.side, it.processor) == (node.end.side, node.processor)), frozenset()
        )
        for name in (it.spec.name.value for it in chain.chain.stops):
            for asked in shared_state(chain.elements[name]) if name in carried else ():
                if asked.need not in gives:
                    yield f"{GAPS[asked.need].code}: {title_of(asked.need, name, node.target)}", asked.name


def _chains(version: Version, configuration: str) -> Iterator[LoadedChain]:
    return (it for it in version.application.chains if configuration_of(it) == configuration)
