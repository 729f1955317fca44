"""The passwords of stores, in Secrets that AppNetConfigs name: each is watched alone, for the controller may read no
others."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import httpx2 as httpx
from lightkube import ApiError

from appnet.deploy.kubernetes.operator.api import Api
from appnet.deploy.kubernetes.operator.world import Key, Object
from appnet.deploy.kubernetes.store_secret import PASSWORD, password_in

_log = logging.getLogger(__name__)

_AGAIN_SECONDS = 5.0
_FORBIDDEN = 403


@dataclass
class _Watched:
    """``password``: the last that there was; a proxy that starts needs it, also when the Secret is gone. ``flaw``: why
    there is none now. ``seen``: whether the API server has said anything yet."""

    password: str | None = None
    flaw: str = ""
    seen: asyncio.Event = field(default_factory=asyncio.Event)


class Passwords:
    """``changed`` is told the namespace of a Secret that is no longer as it was."""

    def __init__(self, api: Api, changed: Callable[[str], None]) -> None:
        self._api, self._changed = api, changed
        self._named: dict[Key, frozenset[str]] = {}
        self._watched: dict[Key, _Watched] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    async def watch(self, application: Key, names: Collection[str]) -> None:
        """Makes these the Secrets that an application names, and waits until something is known of each."""
        namespace = application[0]
        self._named[application] = frozenset(names)
        if not names:
            del self._named[application]
        wanted = {(key[0], name) for key, every in self._named.items() for name in every}
        for key in wanted - self._tasks.keys():
            self._watched[key] = _Watched()
            self._tasks[key] = asyncio.create_task(self._follow(key))
        for key in self._tasks.keys() - wanted:
            self._tasks.pop(key).cancel()
            del self._watched[key]
        for name in names:
            await self._watched[namespace, name].seen.wait()

    def known(self, namespace: str) -> Mapping[str, str]:
        """The passwords in a namespace, by the names of their Secrets."""
        every = ((key, it.password) for key, it in self._watched.items())
        return {name: password for (where, name), password in every if where == namespace and password is not None}

    def flaws(self, namespace: str) -> Mapping[str, str]:
        """Why a Secret has no password, by its name."""
        return {name: it.flaw for (where, name), it in self._watched.items() if where == namespace and it.flaw}

    def close(self) -> None:
        """Watches no longer."""
        for it in self._tasks.values():
            it.cancel()

    async def _follow(self, key: Key) -> None:
        namespace, name = key
        while True:
            try:
                self._see(key, await self._api.secret(namespace, name))
                with contextlib.suppress(ApiError):  # where it may not watch, it asks again
                    async for body in self._api.secrets(namespace, name):
                        self._see(key, body)
            except ApiError as error:
                self._flawed(key, _refused(error, namespace, name))
            except httpx.HTTPError as error:
                _log.warning("%s/%s: the Secret cannot be watched: %s", namespace, name, error or type(error).__name__)
            await asyncio.sleep(_AGAIN_SECONDS)

    def _see(self, key: Key, data: Object | None) -> None:
        namespace, name = key
        create = f"kubectl create secret generic {name} -n {namespace} --from-literal=password=…"
        if data is None:
            self._flawed(key, f"no Secret `{name}` in namespace {namespace}: make it: `{create}`")
            return
        password = password_in(data)
        if not password:
            self._flawed(key, f"the Secret `{name}` of namespace {namespace} has no text under `{PASSWORD}`")
            return
        it = self._watched[key]
        changed = (it.password, it.flaw) != (password, "")
        it.password, it.flaw = password, ""
        self._tell(key, changed=changed)

    def _flawed(self, key: Key, flaw: str) -> None:
        it = self._watched[key]
        changed, it.flaw = it.flaw != flaw, flaw
        self._tell(key, changed=changed)

    def _tell(self, key: Key, *, changed: bool) -> None:
        it = self._watched[key]
        if it.seen.is_set() and changed:
            self._changed(key[0])
        it.seen.set()


def _refused(error: ApiError, namespace: str, name: str) -> str:
    if error.status.code != _FORBIDDEN:
        return f"the Secret `{name}` of namespace {namespace} cannot be read: {error.status.message}"
    told = f"the controller may not read the Secret `{name}` of namespace {namespace}"
    return f"{told}: give it a Role for this one alone, as docs/kubernetes.md#shared-state shows"
