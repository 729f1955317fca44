"""Keeps the texts of an application's versions in the cluster, so that an earlier one can come back after a restart."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx2 as httpx
from lightkube import ApiError
from lightkube.resources.apps_v1 import ControllerRevision

from appnet.application.manifest import label_value, object_name
from appnet.compile.pipeline import Arrangements, Version, arrangements_of
from appnet.deploy.kubernetes.names import CONTROLLER, MANAGED_BY
from appnet.deploy.kubernetes.operator.api import Api
from appnet.deploy.kubernetes.operator.sources import SERVICES_FILE
from appnet.deploy.kubernetes.operator.world import Key, Object
from appnet.deploy.kubernetes.rollouts import (
    APPLICATION,
    MOST_KEPT,
    REASON,
    SINCE,
    VERSION,
    Texts,
    packed,
    selector,
    unpacked,
)
from appnet.optimize.search import Arrangement

_log = logging.getLogger(__name__)

_MOST_BYTES = 1 << 20
"""Of the texts as they are kept: a cluster's store takes objects of 1.5 MiB."""


class Kept(NamedTuple):
    """What a version was made of."""

    texts: Texts
    plans: Arrangements


class Revisions:
    """Those of the application ``key``. ``root``: the folder of the controller's host that it may name files of."""

    def __init__(self, api: Api, key: Key, root: Path | None) -> None:
        self._api, self._key, self._root = api, key, root
        self._kept: Version | None = None
        self._none_left = False

    async def keep(self, version: Version, reason: str, written: Mapping[str, Object]) -> None:
        """Keeps what ``version``, which has become the running one, was made of; the AppNetConfigs ``written`` own it.

        Where the API server refuses, the log says so, and the next call tries again: rollouts do not wait for it.
        """
        if version is self._kept:
            return
        texts = packed(dict(_texts(version, self._key[0], self._root)))
        if len(texts) > _MOST_BYTES:
            _log.warning("%s/%s: version %s is too large to be kept for an undo", *self._key, version.id)
            self._kept = version
            return
        try:
            data = {"texts": texts, "plans": _plans(version)}
            await self._write(version.id, reason, data, written)
        except (ApiError, httpx.HTTPError) as error:
            _log.warning("%s/%s: version %s is not kept for an undo: %s", *self._key, version.id, error)
            return
        self._kept, self._none_left = version, False

    async def newest(self) -> Kept:
        """What the version that ran last was made of; nothing where none is kept. Raises `ApiError`."""
        return _kept((await self._there())[-1:])

    async def plans(self, version: str) -> Arrangements:
        """The plans of a version; none where it is not kept. Raises `ApiError`."""
        name = object_name(f"appnet.{self._key[1]}.{version}")
        return _kept([it for it in await self._there() if _name(it) == name]).plans

    async def forget(self) -> None:
        """Deletes all of them. Raises `ApiError`."""
        if not self._none_left:
            for it in await self._there():
                await self._delete(it)
        self._kept, self._none_left = None, True

    async def _write(self, version: str, reason: str, data: Object, written: Mapping[str, Object]) -> None:
        there = await self._there()
        name = object_name(f"appnet.{self._key[1]}.{version}")
        same = next((it for it in there if _name(it) == name), None)
        if same is not None and same.data != data:  # other words for the same version: what it holds is immutable
            await self._delete(same)
            there.remove(same)
        elif same is not None and same is there[-1]:
            return
        newest = _number(there[-1]) if there else 0
        await self._api.apply(self._made(name, newest + 1, version, reason, data, written))
        others = [it for it in there if it is not same]
        for it in others[: max(0, len(others) + 1 - MOST_KEPT)]:
            await self._delete(it)

    def _made(
        self, name: str, number: int, version: str, reason: str, data: Object, written: Mapping[str, Object]
    ) -> dict[str, Any]:
        owners = [
            {
                "apiVersion": body["apiVersion"],
                "kind": body["kind"],
                "name": body["metadata"]["name"],
                "uid": body["metadata"]["uid"],
            }
            for body in written.values()
        ]
        metadata = {
            "name": name,
            "namespace": self._key[0],
            "labels": {MANAGED_BY: CONTROLLER, APPLICATION: label_value(self._key[1]), VERSION: version},
            "annotations": {SINCE: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), REASON: reason},
            "ownerReferences": owners,
        }
        kind = {"apiVersion": "apps/v1", "kind": "ControllerRevision"}
        return {**kind, "metadata": metadata, "revision": number, "data": data}

    async def _there(self) -> list[ControllerRevision]:
        """Those that the cluster has, the oldest first."""
        key, _, value = selector(self._key[1]).partition("=")
        labels: dict[str, Any] = {MANAGED_BY: CONTROLLER, key: value}
        listed = self._api.client.list(ControllerRevision, namespace=self._key[0], labels=labels)
        return sorted([it async for it in listed], key=_number)

    async def _delete(self, revision: ControllerRevision) -> None:
        try:
            await self._api.client.delete(ControllerRevision, _name(revision), namespace=self._key[0])
        except ApiError as error:
            if error.status.code != httpx.codes.NOT_FOUND:
                raise


def _name(revision: ControllerRevision) -> str:
    return str(revision.metadata.name) if revision.metadata is not None else ""


def _number(revision: ControllerRevision) -> int:
    return revision.revision or 0


def _kept(revisions: Sequence[ControllerRevision]) -> Kept:
    """What the first of these holds; plans that cannot be read are made anew."""
    found: Any = revisions[0].data if revisions else None
    if not isinstance(found, dict) or "texts" not in found:
        return Kept({}, {})
    try:
        plans = {
            str(name): Arrangement(tuple(map(int, order)), tuple(map(int, at)))
            for name, (order, at) in (found.get("plans") or {}).items()
        }
    except (TypeError, ValueError, AttributeError):
        plans = {}
    return Kept(unpacked(found["texts"]), plans)


def _plans(version: Version) -> Object:
    """Of each chain, its elements in their order, and the place of each: both by their numbers."""
    return {name: [[*it.order], [*it.at]] for name, it in arrangements_of(version).items()}


def _texts(version: Version, namespace: str, root: Path | None) -> Iterator[tuple[str, str]]:
    """All texts of the version but the cluster's Services, by the names that AppNetConfigs give them."""
    for it in version.application.sources:
        if it.path is None:
            name = it.name.removeprefix(f"{namespace}/")
        else:
            name = os.path.relpath(it.path, root) if root is not None else str(it.path)
        if name != SERVICES_FILE:
            yield name, it.text()
