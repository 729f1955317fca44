"""What an AppNetConfig's status says: what became of it, which proxies run it, and what is wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from appnet.application.model import Side
from appnet.compile.pipeline import Version
from appnet.deploy.kubernetes.operator.bring import Refused
from appnet.deploy.kubernetes.operator.ends import End, configuration_of
from appnet.deploy.kubernetes.operator.fields import place_of
from appnet.deploy.kubernetes.operator.world import Object, Workload
from appnet.deploy.kubernetes.rollouts import GONE_BACK
from appnet.deploy.kubernetes.status_schema import MOST_PROXIES, bounded
from appnet.diagnostics.diagnostic import Diagnostic
from appnet.processors.processor import Acceptance, ClusterNode, NodeAnswer, Stranger
from appnet.state.health import Health

STORE_READY = "StoreReady"
_LONGEST_MESSAGE = 2_000


@dataclass(frozen=True)
class Standing:
    """A proxy that should run a version, and how it stands to it."""

    node: ClusterNode
    version: str
    answer: NodeAnswer


@dataclass(frozen=True)
class Seen:
    """All that the status of one AppNetConfig is made of.

    ``version`` is what its proxies are to run; ``ends`` are its own. ``wanted``: how many proxies there should be.
    ``trouble``: why the API server does not take what tells proxies to ask. ``unjudged``: pods without a proxy, by the
    service that they stand behind. ``strangers`` ask for its chains and may not have them. ``past``: versions and since
    when each ran, in seconds since the epoch, the last first. ``suggested``: what the traffic calls for.
    ``apart``: what is declared shared and some proxies do not share. ``store``: of what is shared, if anything.
    """

    version: Version | None
    ends: Sequence[End] = ()
    standings: Sequence[Standing] = ()
    wanted: int = 0
    wrong: Sequence[Diagnostic] = ()
    warnings: Sequence[Diagnostic] = ()
    refused: Refused | None = None
    trouble: str = ""
    unjudged: Mapping[str, Sequence[Workload]] = field(default_factory=dict)
    strangers: Sequence[Stranger] = ()
    past: Sequence[tuple[str, float, str]] = ()
    canary: str = ""
    apart: Sequence[str] = ()
    store: Health | None = None
    suggested: str = ""
    by_manifest: bool = False


def status_of(body: Object, seen: Seen) -> dict[str, Any]:
    """The status, as the definition has it; conditions change their time only with what they say."""
    spec, generation = body.get("spec", {}), body["metadata"].get("generation", 0)
    counted = dict.fromkeys(Acceptance, 0)
    for one in seen.standings:
        counted[one.answer.acceptance] += 1
    accepted, refused = counted[Acceptance.ACKED], counted[Acceptance.NACKED]
    wanted = max(seen.wanted, len(seen.standings))
    processors = ", ".join(spec.get("processors") or [spec.get("backend", "sidecar")])
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "edge": f"{spec.get('clientService')} -> {spec.get('serverService')}",
        "processors": processors,
        "conditions": _conditions(body, seen, accepted, refused, wanted),
    }
    if seen.version is not None:
        status |= {
            "plan": _plan(body["metadata"]["name"], seen.version),
            "version": seen.version.id,
            "rolledOut": "by manifest" if seen.by_manifest else f"{accepted}/{wanted}",
            "counts": {
                "wanted": wanted,
                "accepted": accepted,
                "refused": refused,
                "pending": max(0, wanted - accepted - refused),
            },
            "proxies": [_proxy(it) for it in sorted(seen.standings, key=_first_those_in_trouble)[:MOST_PROXIES]],
            "history": [{"version": id_, "since": _clock(since), "reason": why} for id_, since, why in seen.past],
        }
    undone = body["metadata"].get("annotations", {}).get(GONE_BACK)
    if undone is not None:
        status["undone"] = str(undone)
    if seen.suggested:
        status["suggested"] = seen.suggested
    error = _last_error(seen)
    if error:
        status["lastError"] = error
    return bounded(status)


def _first_those_in_trouble(it: Standing) -> tuple[bool, str]:
    return it.answer.acceptance is Acceptance.ACKED, it.node.proxy


def _proxy(it: Standing) -> dict[str, str]:
    node = it.node
    found = {
        "name": node.proxy,
        "side": node.end.side.value,
        "processor": node.processor,
        "target": node.target,
        "version": it.version,
        "state": it.answer.acceptance.value,
    }
    further = {"why": node.why, "error": it.answer.error}
    return {**found, **{key: text for key, text in further.items() if text}}


def _plan(configuration: str, version: Version) -> str:
    """Which element runs on which side: ``client: fault, logging | server: firewall``."""
    sides: dict[Side, list[str]] = {}
    for chain, plan in zip(version.application.chains, version.plans, strict=True):
        if configuration_of(chain) == configuration:
            for segment in plan.plan.segments:
                sides.setdefault(segment.place.side, []).extend(it.name.value for it in segment.elements)
    return " | ".join(f"{side.value}: {', '.join(names)}" for side, names in sides.items())


def _last_error(seen: Seen) -> dict[str, str]:
    if seen.wrong:
        first = seen.wrong[0]
        others = [f"{it.text}: {place_of(it.span)}" for it in first.places]
        found = {
            "code": first.code,
            "place": place_of(first.span),
            "message": "; ".join((": ".join(filter(None, (first.title, first.label))), *others)),
            "help": first.help,
        }
        return {key: it[:_LONGEST_MESSAGE] for key, it in found.items() if it}
    if seen.refused is not None:
        return {"place": seen.refused.node, "message": seen.refused.error[:_LONGEST_MESSAGE]}
    return {}


def _conditions(body: Object, seen: Seen, accepted: int, refused: int, wanted: int) -> list[dict[str, Any]]:
    before = {it.get("type"): it for it in body.get("status", {}).get("conditions") or ()}
    generation = body["metadata"].get("generation", 0)
    compiled = _compiled(seen)
    planned = (seen.version is not None, "Planned" if seen.version is not None else "NoPlan", "")
    delivered = _delivered(seen, accepted, refused, wanted)
    ready = _ready(compiled, delivered, seen)
    found = {"Compiled": compiled, "Planned": planned, "Delivered": delivered, "Ready": ready}
    conditions = [_condition(name, *it, before.get(name), generation) for name, it in found.items()]
    if seen.store is not None:
        told = seen.store.fit, seen.store.reason, seen.store.message
        conditions.append(_condition(STORE_READY, *told, before.get(STORE_READY), generation))
    return conditions


def _refusal(refused: Refused) -> str:
    return f"{refused.node} refused version {refused.version}: {refused.error}"


_Finding = tuple[bool, str, str]
"""Whether it holds, the reason in one word, and in words for people."""


def _compiled(seen: Seen) -> _Finding:
    if seen.wrong:
        more = f" (and {len(seen.wrong) - 1} more)" if len(seen.wrong) > 1 else ""
        runs = "; the version before runs on" if seen.version is not None else ""
        return False, "Invalid", f"{_last_error(seen)['message']}{more}{runs}"
    told = "; ".join((*(f"{it.code}: {it.title}" for it in seen.warnings), *seen.apart))
    return True, "Warned" if told else "Compiled", told


def _delivered(seen: Seen, accepted: int, refused: int, wanted: int) -> _Finding:
    if seen.version is None:
        return False, "NoVersion", "there is no version to deliver"
    if seen.trouble:
        return False, "NotTaken", seen.trouble
    if seen.by_manifest:
        return True, "Applied", "the code is in EnvoyFilters; Istio does not say what proxies make of it"
    if seen.refused is not None:
        return False, "Refused", _refusal(seen.refused)
    if refused:
        first = next(it for it in seen.standings if it.answer.acceptance is Acceptance.NACKED)
        return False, "Refused", _refusal(Refused(first.version, first.node.name, first.answer.error))
    if accepted < wanted and seen.strangers:
        one = seen.strangers[0]
        return False, "Strangers", f"{one.proxy} asks for {one.chain} and is given nothing: {one.reason}"
    if not wanted:
        doubt = "have pods of these services a proxy, and does it reach the controller?"
        return False, "NoProxies", f"no proxy has asked for its chain yet: {doubt}"
    told = f"{accepted} of {wanted} proxies run version {seen.version.id}"
    if accepted < wanted:
        return False, "Waiting", told
    return True, "Canary" if seen.canary else "Accepted", seen.canary or told


def _ready(compiled: _Finding, delivered: _Finding, seen: Seen) -> _Finding:
    for name, (holds, reason, message) in (("Compiled", compiled), ("Delivered", delivered)):
        if not holds:
            return False, reason, message or f"not {name}"
    for service, pods in seen.unjudged.items():
        names = ", ".join(it.name for it in pods[:3])
        message = f"{len(pods)} pods of {service} have no sidecar, so that their calls pass no chain there: {names}"
        return False, "PodsWithoutProxy", message
    return True, "Ready", ""


def _condition(
    name: str, holds: bool | None, reason: str, message: str, before: Mapping[str, Any] | None, generation: int
) -> dict[str, Any]:
    status = "Unknown" if holds is None else str(holds)
    since = before.get("lastTransitionTime") if before and before.get("status") == status else None
    return {
        "type": name,
        "status": status,
        "reason": reason,
        "message": message[:_LONGEST_MESSAGE],
        "lastTransitionTime": since or _clock(time.time()),
        "observedGeneration": generation,
    }


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def news(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The conditions of a status that are worth an Event: with another status or reason than before, or delivered of
    another version."""
    old = {it.get("type"): (it.get("status"), it.get("reason")) for it in before.get("conditions") or ()}
    replaced = now.get("version") != before.get("version")
    for it in now["conditions"]:
        changed = old.get(it["type"]) != (it["status"], it["reason"])
        again = replaced and it["type"] == "Delivered" and it["status"] == "True"
        if it["type"] in ("Compiled", "Delivered", STORE_READY) and (changed or again):
            yield it
