"""What the controller asks of the API server besides watching."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx2 as httpx
from lightkube import ApiError, AsyncClient
from lightkube.generic_resource import GenericNamespacedResource, create_namespaced_resource
from lightkube.models.authentication_v1 import TokenReviewSpec
from lightkube.models.core_v1 import ObjectReference
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.authentication_v1 import TokenReview
from lightkube.resources.core_v1 import ConfigMap, Event, Secret
from lightkube.types import PatchType

from appnet.deploy.kubernetes.names import CONTROLLER
from appnet.deploy.kubernetes.operator.world import CONFIGURATIONS, Key, Kind, Object, key_of
from appnet.processors.processor import Caller

_log = logging.getLogger(__name__)

_NOT_FOUND = 404
_WATCH_SECONDS = 300
_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
"""Of a ConfigMap or a Secret: a part of a path in the API."""
_POD_NAME = "authentication.kubernetes.io/pod-name"


def _resource(kind: Kind, name: str) -> type[GenericNamespacedResource]:
    found: type[GenericNamespacedResource] = create_namespaced_resource(kind.group, kind.version, name, kind.plural)
    return found


_Configuration = _resource(CONFIGURATIONS, "AppNetConfig")


class Api:
    """Calls by one client. Every method raises `ApiError` with the API server's own words where it refuses."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """The texts of a ConfigMap; None where there is none. A name that is a path leads nowhere."""
        if not _NAME.fullmatch(name):
            return None
        try:
            return (await self.client.get(ConfigMap, name, namespace=namespace)).data or {}
        except ApiError as error:
            if error.status.code == _NOT_FOUND:
                return None
            raise

    async def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """What a Secret holds, in base64; None where there is none. A name that is a path leads nowhere."""
        if not _NAME.fullmatch(name):
            return None
        try:
            return (await self.client.get(Secret, name, namespace=namespace)).data or {}
        except ApiError as error:
            if error.status.code == _NOT_FOUND:
                return None
            raise

    async def secrets(self, namespace: str, name: str) -> AsyncIterator[Mapping[str, str] | None]:
        """What this Secret holds, whenever it changes."""
        if not _NAME.fullmatch(name):
            return
        fields: dict[str, Any] = {"metadata.name": name}
        async for event, it in self.client.watch(
            Secret, namespace=namespace, fields=fields, server_timeout=_WATCH_SECONDS
        ):
            yield None if event == "DELETED" else it.data or {}

    async def apply(self, object_: Object) -> Object:
        """Makes the object as it is to be, whoever changed it; gives it as the API server has it then."""
        api, _, version = object_["apiVersion"].rpartition("/")
        resource = create_namespaced_resource(api, version, object_["kind"], plural_of(object_["kind"]))
        found: Object = await self.client.apply(resource(**object_), field_manager=CONTROLLER, force=True)
        return found

    async def delete(self, kind: Kind, name: str, key: Key) -> None:
        """Deletes an object, which may be gone."""
        try:
            await self.client.delete(_resource(kind, name), key[1], namespace=key[0])
        except ApiError as error:
            if error.status.code != _NOT_FOUND:
                raise

    async def set_status(self, key: Key, status: Object) -> None:
        """Replaces the status of an AppNetConfig, which may be gone."""
        await self._patch(_Configuration.Status, key, {"status": status})

    async def set_finalizers(self, body: Object, finalizers: list[str]) -> None:
        """Says what an AppNetConfig waits for before it goes; refused where it is not as in ``body`` any more, so that
        nobody else's finalizer is lost."""
        version = body["metadata"].get("resourceVersion")
        await self._patch(
            _Configuration, key_of(body), {"metadata": {"finalizers": finalizers, "resourceVersion": version}}
        )

    async def _patch(self, resource: Any, key: Key, patch: Object) -> None:
        try:
            await self.client.patch(resource, key[1], patch, namespace=key[0], patch_type=PatchType.MERGE)
        except ApiError as error:
            if error.status.code != _NOT_FOUND:
                raise

    async def tell(self, body: Object, reason: str, message: str, *, warning: bool = False) -> None:
        """Writes an Event about an AppNetConfig; where that fails, only the log says so."""
        metadata = body["metadata"]
        about = ObjectReference(
            apiVersion=body["apiVersion"],
            kind=body["kind"],
            name=metadata["name"],
            namespace=metadata["namespace"],
            uid=metadata["uid"],
        )
        now = datetime.now(UTC)
        event = Event(
            involvedObject=about,
            metadata=ObjectMeta(generateName=f"{metadata['name']}.", namespace=metadata["namespace"]),
            reason=reason,
            message=message[:1000],
            type="Warning" if warning else "Normal",
            firstTimestamp=now,
            lastTimestamp=now,
            count=1,
            reportingComponent=CONTROLLER,
        )
        try:
            await self.client.create(event)
        except ApiError as error:
            _log.warning("no Event for %s/%s: %s", metadata["namespace"], metadata["name"], error)

    async def caller(self, token: str, audiences: list[str]) -> Caller | None:
        """The service account that a token proves, and the pod that it was made for; None for one that proves none."""
        review = await self.client.create(TokenReview(spec=TokenReviewSpec(token=token, audiences=audiences)))
        status = review.status
        if status is None or not status.authenticated or not set(status.audiences or ()) & set(audiences):
            return None
        match str(status.user.username if status.user else "").split(":"):
            case ["system", "serviceaccount", namespace, account]:
                pods = (status.user.extra or {}).get(_POD_NAME, ()) if status.user else ()
                return Caller(namespace, account, next(iter(pods), ""))
            case _:
                return None


def not_taken(error: ApiError | httpx.HTTPStatusError) -> str:
    """Why an API server does not take what proxies need, for people."""
    if isinstance(error, ApiError):
        return f"the API server does not take what proxies need: {error.status.message}"
    if error.response.status_code == _NOT_FOUND:  # and no word of the API server's: it has no such path
        return "the cluster knows no EnvoyFilters, which tell proxies to ask: install Istio"
    return f"the API server does not take what proxies need: {error}"


def plural_of(kind: str) -> str:
    """As API paths have it."""
    return f"{kind.lower()}s"
