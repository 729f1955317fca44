"""One controller at a time: who holds a Lease."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import httpx2 as httpx
from lightkube import ApiError, AsyncClient
from lightkube.models.coordination_v1 import LeaseSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.coordination_v1 import Lease

from appnet.deploy.kubernetes.names import CONTROLLER

_log = logging.getLogger(__name__)

_CONFLICT, _NOT_FOUND = 409, 404


class Leadership:
    """Who of several controllers works: ``identity``, while it renews the Lease in ``namespace``.

    A holder that does not renew it for ``seconds`` has lost it to the next one that asks. It stops working before that.
    """

    def __init__(self, client: AsyncClient, namespace: str, identity: str, seconds: float = 15.0) -> None:
        self._client, self._namespace, self._identity = client, namespace, identity
        self._seconds = seconds
        self._seen: tuple[object, float] = (None, 0.0)

    async def acquire(self) -> None:
        """Waits until this controller holds the Lease. Raises `ApiError` where it may not ask."""
        told = False
        while not await self._try():
            if not told:
                _log.info("another controller is at work; waiting for the Lease %s/%s", self._namespace, CONTROLLER)
                told = True
            await asyncio.sleep(self._seconds / 5)

    async def keep(self) -> None:
        """Renews the Lease for as long as that works; returns when it is lost."""
        renewed = time.monotonic()
        while (left := renewed + self._seconds * 2 / 3 - time.monotonic()) > 0:
            pause = min(left, self._seconds / 5)
            await asyncio.sleep(pause)
            with contextlib.suppress(ApiError, httpx.HTTPError, TimeoutError):
                if not await asyncio.wait_for(self._try(), left - pause):  # an API server may be silent for longer
                    return
                renewed = time.monotonic()

    async def release(self) -> None:
        """Lets the next one begin at once."""
        with contextlib.suppress(ApiError, httpx.HTTPError):
            lease = await self._client.get(Lease, CONTROLLER, namespace=self._namespace)
            if lease.spec is not None and lease.spec.holderIdentity == self._identity:
                lease.spec.holderIdentity = ""
                await self._client.replace(lease)

    async def _try(self) -> bool:
        now = datetime.now(UTC)
        spec = LeaseSpec(
            holderIdentity=self._identity, leaseDurationSeconds=int(self._seconds), renewTime=now, acquireTime=now
        )
        try:
            lease = await self._client.get(Lease, CONTROLLER, namespace=self._namespace)
        except ApiError as error:
            if error.status.code != _NOT_FOUND:
                raise
            return await self._written(self._client.create, Lease(metadata=self._metadata(), spec=spec))
        holder = lease.spec.holderIdentity if lease.spec is not None else ""
        if holder not in ("", None, self._identity) and not self._expired(lease):
            return False
        lease.spec = spec
        return await self._written(self._client.replace, lease)

    def _expired(self, lease: Lease) -> bool:
        """Whether its holder was silent for long enough, by this machine's own clock: those of others may differ."""
        renewed = lease.spec.renewTime if lease.spec is not None else None
        if (renewed, lease.metadata and lease.metadata.resourceVersion) != self._seen[0]:
            self._seen = ((renewed, lease.metadata and lease.metadata.resourceVersion), time.monotonic())
        return time.monotonic() - self._seen[1] >= self._seconds

    def _metadata(self) -> ObjectMeta:
        return ObjectMeta(name=CONTROLLER, namespace=self._namespace)

    @staticmethod
    async def _written(write: Callable[[Lease], Awaitable[object]], lease: Lease) -> bool:
        try:
            await write(lease)
        except ApiError as error:
            if error.status.code != _CONFLICT:
                raise
            return False
        return True
