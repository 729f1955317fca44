"""The controller: watches the cluster, and keeps every application as its AppNetConfigs say."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Collection, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import httpx2 as httpx
import kopf
from lightkube import ApiError, AsyncClient
from watchfiles import awatch

from appnet.deploy.kubernetes.names import FINALIZER, SYSTEM
from appnet.deploy.kubernetes.operator.api import Api
from appnet.deploy.kubernetes.operator.application import ClusterApplication, Surroundings
from appnet.deploy.kubernetes.operator.credentials import Credentials, credentials_of
from appnet.deploy.kubernetes.operator.deliveries import Deliveries, meshes
from appnet.deploy.kubernetes.operator.ends import application_of
from appnet.deploy.kubernetes.operator.identity import authenticated_by
from appnet.deploy.kubernetes.operator.leader import Leadership
from appnet.deploy.kubernetes.operator.pages import Pages
from appnet.deploy.kubernetes.operator.passwords import Passwords
from appnet.deploy.kubernetes.operator.world import (
    CONFIGURATIONS,
    KINDS,
    Key,
    Kind,
    Object,
    World,
    key_of,
)
from appnet.observe.forward import Collector
from appnet.observe.kept import Keep
from appnet.observe.receiver import OtlpReceiver
from appnet.observe.telemetry import Telemetry
from appnet.observe.totals_page import totals_document
from appnet.processors.processor import ClusterNode, ControlPlane, Serving
from appnet.state.gateway import Gateway
from appnet.system.address import Address

_log = logging.getLogger(__name__)

_RETRY_SECONDS = (0.2, 1.0, 5.0, 30.0)
_SOON_SECONDS = 0.1
"""Within which proxies that come and answer are looked at together."""
_STRANGERS_SECONDS = 2.0
_ANSWER_SECONDS = 60.0
_INSTALL = "`make install` makes it, and tells the cluster what AppNetConfigs are"
_LEASE_LOST = "the Lease is lost: another controller holds it now, or the API server did not answer for 10 s"
_GONE = "where the definition of AppNetConfigs was deleted, `make install` brings it back"
_LOOK_AGAIN_SECONDS = 30.0
"""After which everything is looked at once more, whatever was missed."""


class ControllerError(Exception):
    """The controller cannot start or go on; the text says why, and what to do."""


@dataclass(frozen=True)
class ControllerSettings:
    """``bind``: where proxies ask; gRPC libraries, which ask by another protocol, do so on the port behind it.
    ``address``: by which they reach it, in the same way. ``records``: where elements' records come.
    ``status``: of probes and metrics. ``namespace``: the controller's own. ``folder``: for its files. ``keep``: of
    telemetry. ``root``: of the files that AppNetConfigs may name; None: none. ``grpc``: where records come over gRPC as
    well. ``forward``: where they go on to. ``dashboard_token``: of who may change rollouts on the dashboard."""

    bind: Address
    address: Address
    records: Address
    status: Address
    namespace: str
    folder: Path
    keep: Keep
    root: Path | None = None
    grpc: Address | None = None
    forward: Collector | None = None
    dashboard_token: str | None = None
    identity: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")


async def control(settings: ControllerSettings, client: AsyncClient) -> NoReturn:
    """Works until it is cancelled. Raises `ControllerError`, and OSError for addresses that cannot be had."""
    receiver = OtlpReceiver(settings.records, grpc=settings.grpc)
    telemetry = Telemetry(receiver, settings.keep, settings.forward)
    async with Pages(settings.status, telemetry, settings.dashboard_token) as pages:
        leadership = Leadership(client, settings.namespace, settings.identity)
        try:
            await leadership.acquire()
            credentials = await credentials_of(client, settings.namespace)
        except ApiError as error:
            raise ControllerError(f"the API server refuses: {error.status.message}{_remedy(error, settings)}") from None
        except (httpx.HTTPError, ValueError) as error:
            raise ControllerError(str(error) or "the API server does not answer") from None
        gateway = Gateway(credentials.signing.gateway_secret)
        receiver.serve_besides(gateway.add_to)
        async with gateway, telemetry:  # once it leads: the one before has let go of the files
            try:
                await _lead(settings, Api(client), pages, leadership, credentials, gateway)
            finally:
                await leadership.release()
    raise AssertionError("the controller has ended by itself")


async def _lead(
    settings: ControllerSettings,
    api: Api,
    pages: Pages,
    leadership: Leadership,
    credentials: Credentials,
    gateway: Gateway,
) -> None:
    tls = credentials.tls(settings.address.host, settings.folder)
    whole = asyncio.current_task()
    assert whole is not None
    work = _Work(whole)
    collector = Address(settings.address.host, settings.records.port)
    planes = _planes(settings, credentials)
    counts = partial(totals_document, pages.telemetry.totals)
    async with contextlib.AsyncExitStack() as stack:
        every = {}
        for number, (protocol, mesh) in enumerate(meshes().items()):
            bind = replace(settings.bind, port=settings.bind.port + number)
            given = authenticated_by(api), work.arrived, work.arrived, credentials.signing, collector
            every[protocol] = await stack.enter_async_context(mesh.delivery(Serving(bind, tls, *given)))
        delivery, plane = Deliveries(every), next(iter(planes.values()))
        passwords = Passwords(api, work.touch_namespace)
        stack.callback(passwords.close)
        around = Surroundings(
            World(), api, delivery, plane, collector, settings.root, passwords, gateway, counts=counts
        )
        work.begin(around)
        pages.applications, pages.delivery, pages.planes = work.known, delivery, planes
        reads = f"; AppNetConfigs may name files below {settings.root}" if settings.root is not None else ""
        _log.info("at work: proxies ask at %s and send records to %s%s", settings.address, collector, reads)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_ended(leadership.keep(), _LEASE_LOST))
                group.create_task(work.watch())
                group.create_task(work.run())
                group.create_task(work.watch_strangers())
                if settings.root is not None:
                    group.create_task(work.watch_files(settings.root))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        finally:
            pages.applications, pages.planes = None, {}


def _planes(settings: ControllerSettings, credentials: Credentials) -> dict[str, ControlPlane]:
    """Where processors ask, by their protocols."""
    return {
        protocol: ControlPlane(
            replace(settings.address, port=settings.address.port + number),
            credentials.authority.decode(),
            credentials.signing.public_text,
        )
        for number, protocol in enumerate(meshes())
    }


def _remedy(error: ApiError, settings: ControllerSettings) -> str:
    details = error.status.details
    if error.status.code == httpx.codes.NOT_FOUND and details is not None and details.kind == "namespaces":
        return f": {_INSTALL}" if settings.namespace == SYSTEM else ": make it, or name another"
    return ""


async def _ended(work: Awaitable[None], why: str) -> None:
    await work
    raise ControllerError(why)


class _Work:
    """Which applications have something to do, and doing it. ``whole``: the task that all of this is a part of."""

    _around: Surroundings

    def __init__(self, whole: asyncio.Task[Any]) -> None:
        self._whole = whole
        self._applications: dict[Key, ClusterApplication] = {}
        self._dirty: dict[Key, float] = {}
        self._busy: set[Key] = set()
        self._failed: dict[Key, int] = {}
        self._wake = asyncio.Event()
        self._referring: dict[Key, Key] = {}
        self._answers: set[asyncio.Task[None]] = set()

    def begin(self, around: Surroundings) -> None:
        """Takes what the work needs, before any of it is done."""
        self._around = around

    def known(self) -> Iterator[ClusterApplication]:
        """All applications."""
        return iter(list(self._applications.values()))

    # --- what happens ---

    def arrived(self, node: ClusterNode) -> None:
        """Tells a proxy that comes what it runs, and its application that it came or left."""
        for it in self._applications.values():
            if node.group.name in it.groups:
                if node.running and (version := it.rollout.arrived(node)) is not None:
                    self._await_answer(node, version.id, it.key)
                self._touch(it.key, _SOON_SECONDS)

    def _await_answer(self, node: ClusterNode, version: str, key: Key) -> None:
        """Looks again at the application once the proxy has answered."""

        async def answered() -> None:
            await node.answer(version, _ANSWER_SECONDS)
            self._touch(key, _SOON_SECONDS)

        task = asyncio.create_task(answered())
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    def _touch(self, key: Key, after: float = 0.0) -> None:
        due = time.monotonic() + after
        self._dirty[key] = min(due, self._dirty.get(key, due))
        self._wake.set()

    def touch_namespace(self, namespace: str) -> None:
        """Looks again at the applications of a namespace."""
        for key in self._applications:
            if key[0] == namespace:
                self._touch(key)

    async def watch_files(self, root: Path) -> None:
        """Looks again at all applications when a file of the host is saved."""
        async for _ in awatch(root):
            for it in self._applications.values():
                it.reload = True
                self._touch(it.key)

    async def watch_strangers(self) -> None:
        """Looks again at the applications of a namespace when somebody comes or goes there who may have nothing."""
        before: set[tuple[str, str, str, str]] = set()
        while True:
            every = self._around.delivery.strangers()
            now = {(it.caller.namespace, it.proxy, it.chain, it.reason) for it in every}
            for namespace in {it[0] for it in now ^ before}:
                self.touch_namespace(namespace)
            before = now
            await asyncio.sleep(_STRANGERS_SECONDS)

    async def watch(self) -> None:
        """Watches the cluster by kopf: every object is seen once before anything is done."""
        operator = kopf.OperatorRegistry()
        for kind in KINDS:
            self._watch_kind(kind, operator)
        kopf.on.login(registry=operator)(_login)
        settings = kopf.OperatorSettings()
        settings.posting.enabled = False
        tasks = await kopf.spawn_tasks(registry=operator, settings=settings, clusterwide=True, standalone=True)
        for it in (signal.SIGINT, signal.SIGTERM):  # kopf has taken them, and would end alone
            asyncio.get_running_loop().add_signal_handler(it, self._whole.cancel)
        await until_one_ends(tasks)

    def _watch_kind(self, kind: Kind, operator: kopf.OperatorRegistry) -> None:
        where: Any = {"group": kind.group, "version": kind.version, "plural": kind.plural, "registry": operator}

        async def seen(body: kopf.Body, **_: Any) -> None:
            self._around.world.saw(kind, _plain(body))

        async def changed(event: Any, body: kopf.Body, **_: Any) -> None:
            if event["type"] == "DELETED":
                self._around.world.lost(kind, body)
            self._changed(kind, _plain(body))

        kopf.index(id=f"see-{kind.plural}", **where)(seen)
        kopf.on.event(id=f"follow-{kind.plural}", **where)(changed)

    def _changed(self, kind: Kind, body: Object) -> None:
        namespace, name = key_of(body)
        if kind is CONFIGURATIONS:
            key, before = application_of(body), self._referring.pop((namespace, name), None)
            if self._around.world.one(kind, (namespace, name)) is not None:
                self._referring[namespace, name] = key
            for it in {key, before or key}:
                if it not in self._applications:
                    self._applications[it] = ClusterApplication(it, self._around, partial(self._touch, it))
                self._touch(it)
        else:
            self.touch_namespace(namespace)

    # --- what is done ---

    async def run(self) -> None:
        """Does what is due, for several applications at once."""
        async with asyncio.TaskGroup() as group:
            while True:
                now = time.monotonic()
                for key in [it for it, due in self._dirty.items() if due <= now and it not in self._busy]:
                    del self._dirty[key]
                    self._busy.add(key)
                    group.create_task(self._do(key))
                waiting = [due for it, due in self._dirty.items() if it not in self._busy]
                timeout = max(0.0, min(waiting) - now) if waiting else None
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), timeout)
                self._wake.clear()

    async def _do(self, key: Key) -> None:
        application = self._applications.get(key)
        try:
            if application is None:  # looked at for the last time before
                return
            nothing_left = not self._is_written(key)  # else what goes meanwhile, unheld, would leave its filters behind
            await application.reconcile()
            await self._let_go(key)
            self._failed.pop(key, None)
            if nothing_left and not self._is_written(key):
                del self._applications[key]
                return
            self._touch(key, _LOOK_AGAIN_SECONDS)
            now = time.monotonic()
            if (due := application.due(now)) is not None:
                self._touch(key, max(0.0, due - now))
        except (ApiError, httpx.HTTPError) as error:
            times = self._failed[key] = self._failed.get(key, -1) + 1
            wait = _RETRY_SECONDS[min(times, len(_RETRY_SECONDS) - 1)]
            why = str(error).partition("\n")[0]  # httpx adds where to read about HTTP
            _log.warning("%s/%s: the API server refuses, next try in %s s: %s", *key, wait, why)
            self._touch(key, wait)
        except Exception:
            _log.exception("%s/%s: an error of AppNet's own", *key)
            self._touch(key, _RETRY_SECONDS[-1])
        finally:
            self._busy.discard(key)
            self._wake.set()

    def _is_written(self, key: Key) -> bool:
        """Whether an AppNetConfig says anything of the application, be it that it goes."""
        return any(application_of(body) == key for _, body in self._around.world.inside(CONFIGURATIONS, key[0]))

    async def _let_go(self, key: Key) -> None:
        """Lets AppNetConfigs go that are deleted, now that nothing is left of them."""
        for _, body in list(self._around.world.inside(CONFIGURATIONS, key[0])):
            finalizers = list(body["metadata"].get("finalizers") or ())
            if "deletionTimestamp" in body["metadata"] and application_of(body) == key and FINALIZER in finalizers:
                finalizers.remove(FINALIZER)
                await self._around.api.set_finalizers(body, finalizers)


async def until_one_ends(watchers: Collection[asyncio.Task[Any]]) -> NoReturn:
    """Waits for as long as the cluster is watched. Raises `ControllerError` once one of the ``watchers`` has ended; the
    others end then, too.

    Kopf's own way of waiting then cancels every task of the process, also those that end the controller in order.
    """
    try:
        ended, _ = await asyncio.wait(watchers, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for it in watchers:
            it.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
    why = next((str(it.exception()) for it in ended if not it.cancelled() and it.exception()), "a watcher has ended")
    raise ControllerError(f"the cluster can be watched no longer: {why}; {_GONE}")


def _plain(body: Any) -> Object:
    """Kopf's view of an object as a mapping of its own."""
    found: Object = dict(body)
    return found


def _login(**known: Any) -> Any:
    """As a pod does, or as kubectl does."""
    return kopf.login_with_service_account(**known) or kopf.login_with_kubeconfig(**known)


@contextlib.asynccontextmanager
async def cluster_client() -> AsyncIterator[AsyncClient]:
    """A client of the cluster that kubectl, or the pod, is configured for. Raises `ControllerError`."""
    try:
        client = AsyncClient()
    except Exception as error:  # lightkube's ConfigError, and what files that are no YAML bring
        raise ControllerError(f"no cluster: {error}; set KUBECONFIG, or run the controller in a cluster") from None
    try:
        yield client
    finally:
        await client.close()
