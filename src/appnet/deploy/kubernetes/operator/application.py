"""One application in a cluster: what its AppNetConfigs say, brought to its proxies and kept so."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2 as httpx
from lightkube import ApiError

from appnet.application.manifest import label_value
from appnet.compile.fit import Where
from appnet.compile.pipeline import Arrangements, Version
from appnet.control.replan import Replanner
from appnet.deploy.kubernetes.names import FINALIZER
from appnet.deploy.kubernetes.operator.api import Api, not_taken
from appnet.deploy.kubernetes.operator.ends import (
    End,
    application_of,
    by_manifest,
    bypassed,
    claimed,
    configuration_of,
    configurations_of,
    ends_of,
    entries,
    groups_of,
    living,
    manifests,
    pods_of,
    shared,
    stores_secrets,
    unjudged,
)
from appnet.deploy.kubernetes.operator.judged import Judge, Judged
from appnet.deploy.kubernetes.operator.passwords import Passwords
from appnet.deploy.kubernetes.operator.revisions import Revisions
from appnet.deploy.kubernetes.operator.rollout import ClusterRollout, paused, undo_of
from appnet.deploy.kubernetes.operator.sharing import all_apart, doors, kept_apart, wanted_store
from appnet.deploy.kubernetes.operator.sources import own_texts, references, services_text
from appnet.deploy.kubernetes.operator.status import Seen, Standing, news, status_of
from appnet.deploy.kubernetes.operator.stores import Stores
from appnet.deploy.kubernetes.operator.world import FILTERS, Key, Object, World
from appnet.deploy.kubernetes.rollouts import APPLICATION
from appnet.optimize import Settings
from appnet.processors.processor import ClusterNode, ControlPlane, Delivery, Group, Stranger
from appnet.state.gateway import Gateway
from appnet.state.health import Health
from appnet.system.address import Address

_log = logging.getLogger(__name__)

_ARRIVAL_SECONDS = 5.0
_TARGETS = ("native", "wasm")
_FOLLOWED = "followed traffic"


@dataclass
class Surroundings:
    """What all applications share. ``collector``: where proxies send records. ``root``: the folder of the controller's
    host that they may name files of. ``passwords``: of stores, and ``gateway`` to them. ``counts``: what chains have
    counted, as `appnet.observe.totals_page` has it. ``expected``: the groups of each application, which ``delivery`` is
    told of all at once; ``settled``: the applications whose groups are all there.
    """

    world: World
    api: Api
    delivery: Delivery
    control: ControlPlane
    collector: Address
    root: Path | None
    passwords: Passwords
    gateway: Gateway
    settings: Settings = field(default_factory=Settings)
    where: Where = field(default_factory=lambda: Where(_TARGETS[0], cluster=True, controlled=True))
    counts: Callable[[], dict[str, Any]] = dict
    expected: dict[Key, Sequence[Group]] = field(default_factory=dict)
    settled: set[Key] = field(default_factory=set)
    compiling: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    def expect(self, application: Key, groups: Sequence[Group]) -> None:
        """Makes these the groups of an application."""
        if groups:
            self.expected[application] = groups
        else:
            self.expected.pop(application, None)
        self.delivery.expect([it for every in self.expected.values() for it in every], self._knows)

    def _knows(self, namespace: str) -> bool:
        """Whether all that proxies of a namespace may be told of is known."""
        return all(application_of(it) in self.settled for it in living(self.world, namespace).values())


class ClusterApplication:
    """The application ``key``.

    ``changed`` is told when something is to be looked at that no object of the cluster tells.

    `reconcile` may be called at any time, also after nothing has changed: what differs from what is wanted is mended.
    """

    def __init__(self, key: Key, around: Surroundings, changed: Callable[[], None] = lambda: None) -> None:
        self.key, self._around = key, around
        self.reload = False
        self.rollout = ClusterRollout(lambda: self.nodes)
        self.replanner = Replanner(around.settings, around.where)
        self._judge = Judge(key[0], around.root, around.settings, around.where)
        self._judged = Judged(None, {}, frozenset())
        self._texts: object = None
        self._undo = ""
        self._why = "changed"
        self._trouble = ""
        self._ends: list[End] = []
        self._stores = Stores(changed)
        self._revisions = Revisions(around.api, key, around.root)

    def due(self, now: float) -> float | None:
        """When there is something to do again, whatever happens until then; None where nothing is known of."""
        version = self.rollout.running
        planned = self.replanner.due(version) if version is not None else None
        times = [self.rollout.due, planned if planned is not None and planned > now else None]
        return min((it for it in times if it is not None), default=None)

    # --- nodes come and go ---

    @property
    def groups(self) -> set[str]:
        """The names of its proxies' groups."""
        return {it.group for it in self._ends}

    @property
    def configurations(self) -> list[str]:
        """The names of its AppNetConfigs."""
        return sorted(configurations_of(self._around.world, self.key))

    @property
    def paused(self) -> bool:
        """Whether versions wait."""
        return paused(configurations_of(self._around.world, self.key).values())

    @property
    def nodes(self) -> list[ClusterNode]:
        """All connected proxies, one for each group that they are in."""
        return [node for it in sorted(self.groups) for node in self._around.delivery.nodes(it)]

    # --- the way from what is written to what runs ---

    async def reconcile(self) -> None:
        """Makes everything as it is written. Raises `ApiError` where the API server refuses."""
        written = configurations_of(self._around.world, self.key)
        for body in written.values():
            await self._hold(body)
        await self._compile(written)
        await self._follow_traffic(written)
        try:
            await self._bring(written)
        except (ApiError, httpx.HTTPStatusError) as error:
            self._trouble = not_taken(error)
            await self._tell_all(written)
            raise
        self._trouble = ""
        await self._tell_all(written)

    async def _bring(self, written: Mapping[str, Object]) -> None:
        version = self._judged.version
        if version is None:
            if self._judged.held:
                await self._prune(set(), written)
            else:
                await self._withdraw()
        else:
            await self._deliver(version, written)
            if self.rollout.running is version:
                owners = {name: body for name, body in written.items() if name not in self._judged.held}
                await self._revisions.keep(version, self.rollout.past[0][2], owners)

    async def _hold(self, body: Object) -> None:
        finalizers = list(body["metadata"].get("finalizers") or ())
        if FINALIZER not in finalizers:
            await self._around.api.set_finalizers(body, [*finalizers, FINALIZER])

    async def _compile(self, written: Mapping[str, Object]) -> None:
        own = {name: own_texts(name, body, await self._fetched(body)) for name, body in written.items()}
        services = services_text(self._around.world, self.key[0])
        taken = claimed(self._around.world, self.key)
        undo = undo_of(written.values())
        await self._around.passwords.watch(self.key, stores_secrets(written.values()) | self.rollout.secrets)
        lacking = self._around.passwords.flaws(self.key[0])
        texts = own, services, taken, undo, lacking
        if texts == self._texts and not self.reload:
            return
        self.reload = False
        async with self._around.compiling:
            if self._texts is None:
                await self._go_on(own, services)
                self._undo = undo if any(undo == it.get("status", {}).get("undone") for it in written.values()) else ""
            so_far: Version | Arrangements | None = self.rollout.candidate or self.rollout.running
            if undo not in (self._undo, ""):  # with the plan that it had
                so_far = await self._revisions.plans(undo.partition("@")[0])
            given = own, services, _TARGETS, so_far, taken, lacking
            self._judged = await asyncio.to_thread(self._judge.judge, *given)
        self._texts, self.rollout.refused, self._undo, self._why = texts, None, undo, "changed"

    async def _follow_traffic(self, written: Mapping[str, Object]) -> None:
        """Makes a version by another plan the wanted one, where it saves enough and its chain is to go on by it."""
        version, now = self._judged.version, time.monotonic()
        due = self.replanner.due(version) if version is not None else None
        if version is None or due is None or due > now or not self.rollout.settled(version, written.values()):
            return
        counts = await asyncio.to_thread(self._around.counts)
        news = await asyncio.to_thread(self.replanner.look, version, counts, now)
        for it in news:
            _log.info("%s/%s: %s", *self.key, it)
        adopted = {it.number: it.plan for it in news if it.adopted}
        if not adopted:
            return
        plans = tuple(adopted.get(number, it) for number, it in enumerate(version.plans))
        async with self._around.compiling:
            planned = replace(version, plans=plans)
            made = await asyncio.to_thread(self._judge.planned, version.application, _TARGETS, planned)
        self._judged, self._why = replace(self._judged, version=made), _FOLLOWED

    async def _plan_stays(self, planned: Version, written: Mapping[str, Object]) -> None:
        """Where a proxy refused a plan that traffic called for, nobody wants it any more: all is as it was."""
        refused, running = self.rollout.refused, self.rollout.running
        if self._why != _FOLLOWED or refused is None or refused.version != planned.id:
            return
        told = f"{refused.node} refused another plan, so that the one before stays: {refused.error}"
        self._judged, self._why, self.rollout.refused = replace(self._judged, version=running), "changed", None
        for name, body in written.items():
            _log.warning("%s/%s: %s", self.key[0], name, told)
            await self._around.api.tell(body, "PlanRefused", told, warning=True)

    async def _go_on(self, own: Iterable[str], services: str) -> None:
        """From what proxies have run since before this controller began: so a pause, a canary and the way back last."""
        kept = await self._revisions.newest()
        self._judge.remember(kept.texts, own)
        earlier = await asyncio.to_thread(self._judge.earlier, services, _TARGETS, kept.plans)
        if earlier is not None:
            self.rollout.begin(earlier, "kept")

    async def _fetched(self, body: Object) -> dict[str, Mapping[str, str]]:
        found = {}
        for name in dict.fromkeys(it.name for it in references(body.get("spec", {}))):
            texts = await self._around.api.config_map(self.key[0], name)
            if texts is not None:
                found[name] = texts
        return found

    async def _deliver(self, version: Version, written: Mapping[str, Object]) -> None:
        """Proxies at new ends ask first, and get what the version before has for them: then all get it at once."""
        around, before, first = self._around, self._ends, self.rollout.running is None
        ends = [it for it in ends_of(version, self.key, around.where) if not bypassed(it, version, written)]
        self._ends = [it for it in ends if not by_manifest(written[it.configuration], [it.processor])]
        if first:
            self.rollout.begin(version, "first")
        there = [it for it in before if it.end.service in version.application.manifest.services]
        around.expect(self.key, self._groups([*there, *self._ends], version))
        wanted = entries(self._ends, version, written, around.control)
        common = shared(ends, version, around.world, around.control, around.collector)
        self._open_stores(version)
        for key, made in (*common.items(), *wanted.items()):
            await self._apply(key, made)
        if not first:
            await self._all_asked({it.group for it in self._ends} - {it.group for it in before})
            await self.rollout.to(version, written.values(), self._why)
            await self._plan_stays(version, written)
        running = self.rollout.running
        assert running is not None
        with_code = manifests([it for it in ends if it not in self._ends], running, written)
        for key, made in with_code.items():
            await self._apply(key, made)
        await self._prune({*wanted, *with_code, *common}, written)
        self._settle(known=not self._judged.held)
        around.expect(self.key, self._groups(self._ends, version))

    def _groups(self, ends: Iterable[End], version: Version) -> list[Group]:
        return groups_of(ends, version, self._around.world, self._around.passwords.known(self.key[0]))

    def _open_stores(self, version: Version) -> None:
        """Lets those that cannot open connections reach the stores of what they run, and are to run."""
        passwords = self._around.passwords.known(self.key[0])
        every = [it for it in (self.rollout.running, self.rollout.candidate, version) if it is not None]
        self._around.gateway.open(self.key, [door for it in every for door in doors(it, self.key, passwords)])

    def _settle(self, *, known: bool) -> None:
        """Notes whether all groups of the application are known."""
        (self._around.settled.add if known else self._around.settled.discard)(self.key)

    async def _all_asked(self, groups: set[str]) -> None:
        """Waits a while until the proxies of these groups have asked for what they run, so that none misses the next
        change."""
        end = time.monotonic() + _ARRIVAL_SECONDS
        waiting = [it for it in self._ends if it.group in groups and self._pods(it)]
        while time.monotonic() < end:
            if all(len(self._around.delivery.nodes(it.group)) >= self._pods(it) for it in waiting):
                return
            await asyncio.sleep(0.05)

    def _strangers(self, ends: Sequence[End]) -> list[Stranger]:
        names = {name for it in ends for name in it.names}
        every = self._around.delivery.strangers()
        return [it for it in every if it.caller.namespace == self.key[0] and it.chain in names]

    def _pods(self, end: End) -> int:
        """How many proxies should be at an end."""
        version = self._judged.version or self.rollout.running  # what is held runs on
        assert version is not None
        return sum(it.judged for it in pods_of(end, version, self._around.world))

    # --- objects ---

    async def _apply(self, key: Key, made: Object) -> None:
        there = self._around.world.one(FILTERS, key)
        if there is not None and _same(there, made):
            return
        applied = await self._around.api.apply(made)
        self._around.world.saw(FILTERS, applied)  # its event may come after the next look

    async def _prune(self, wanted: set[Key], written: Mapping[str, Object]) -> None:
        """Deletes what earlier states of the application or of its AppNetConfigs needed.

        What is held stays, and so does what is of one that has another `appName` now: that application takes it over,
        so that no call slips by.
        """
        label = label_value(self.key[1])
        everybodys = living(self._around.world, self.key[0])
        for name, it in list(self._around.world.inside(FILTERS, self.key[0])):
            marks = it["metadata"].get("labels", {})
            place = (self.key[0], name)
            owner = next((one["name"] for one in it["metadata"].get("ownerReferences") or ()), "")
            ours = owner in written or (marks.get(APPLICATION) == label and owner not in everybodys)
            if ours and place not in wanted and owner not in self._judged.held:
                await self._delete(place, it)

    async def _delete(self, place: Key, body: Object) -> None:
        await self._around.api.delete(FILTERS, "EnvoyFilter", place)
        self._around.world.lost(FILTERS, body)

    async def _withdraw(self) -> None:
        """Takes everything away: the proxies' filters first, so that none is left without an answer."""
        await self._prune(set(), {})
        await self._revisions.forget()
        if not living(self._around.world, self.key[0]):
            for name, it in list(self._around.world.inside(FILTERS, self.key[0])):
                if APPLICATION not in it["metadata"]["labels"]:
                    await self._delete((self.key[0], name), it)
        self._ends = []
        self.rollout.end()
        await self._around.passwords.watch(self.key, ())
        self._around.gateway.open(self.key, ())
        self._settle(known=True)
        self._around.expect(self.key, [])

    # --- what is told ---

    async def _tell_all(self, written: Mapping[str, Object]) -> None:
        self._stores.keep(written)
        for name, body in written.items():
            await self._tell(name, body)

    async def _tell(self, name: str, body: Object) -> None:
        """Writes the status of an AppNetConfig where it has changed, and an Event where a condition has."""
        status = status_of(body, await self._seen(name))
        before = body.get("status") or {}
        if _without_times(status) == _without_times(before):
            return
        gone = dict.fromkeys(before.keys() - status.keys())  # a merge patch keeps what it does not name
        await self._around.api.set_status((self.key[0], name), {**status, **gone})
        for it in news(before, status):
            wrong = it["status"] != "True" and it["reason"] not in ("NoProxies", "Waiting")
            message = it["message"] or it["reason"]
            _log.log(logging.WARNING if wrong else logging.INFO, "%s/%s: %s", self.key[0], name, message)
            await self._around.api.tell(body, it["reason"], message, warning=wrong)

    def _store(self, version: Version, name: str) -> Health | None:
        """What is known of the store of an AppNetConfig; None where it needs none."""
        wanted = wanted_store(version, name, self._around.where, self._around.passwords.known(self.key[0]))
        return None if wanted is None else self._stores.health(name, wanted)

    def _suggested(self, name: str) -> Iterator[str]:
        """What traffic suggests for the chains of an AppNetConfig."""
        version = self._judged.version
        for it in self.replanner.suggestions(version):
            if version is not None and configuration_of(version.application.chains[it.number]) == name:
                yield str(it)

    async def _seen(self, name: str) -> Seen:
        judged, rollout = self._judged, self.rollout
        wrong = judged.wrong.get(name, ())
        version = rollout.running
        ends = [it for it in self._ends if it.configuration == name]
        if version is None or (name in judged.held and not ends):
            return Seen(None, wrong=wrong)
        by_group = {it.group: it for it in ends}
        standings = [
            Standing(node, meant.id, await node.answer(meant.id, 0))
            for group in by_group
            for node in self._around.delivery.nodes(group)
            if (meant := rollout.meant_for(node)) is not None
        ]
        nodes, where = [it.node for it in standings], self._around.where
        in_manifests = by_manifest(
            self._around.world.configuration((self.key[0], name)),
            {it.value for chain in version.application.application.chains for it in chain.processors},
        )
        without = {it.end.service: pods for it, pods in unjudged(by_group.values(), version, self._around.world)}
        return Seen(
            version,
            ends,
            standings,
            wanted=sum(self._pods(it) for it in by_group.values()),
            wrong=wrong,
            warnings=judged.warnings,
            refused=rollout.refused,
            trouble=self._trouble,
            unjudged=without,
            strangers=self._strangers(ends),
            past=tuple(rollout.past),
            canary=rollout.told_canary(),
            apart=tuple(all_apart(version, name, where) if in_manifests else kept_apart(version, name, where, nodes)),
            store=None if in_manifests else self._store(version, name),
            suggested="; ".join(self._suggested(name)),
            by_manifest=in_manifests,
        )


def _same(there: Object, made: Object) -> bool:
    """Whether an object is as it was made."""
    own, others = there["metadata"], made["metadata"]
    return bool(
        there.get("spec") == made["spec"]
        and own.get("labels") == others["labels"]
        and own.get("ownerReferences") == others["ownerReferences"]
    )


def _without_times(status: Mapping[str, Any]) -> dict[str, Any]:
    conditions = [
        {key: it for key, it in one.items() if key != "lastTransitionTime"} for one in status.get("conditions") or ()
    ]
    return {**status, "conditions": conditions}
