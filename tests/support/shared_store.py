"""A real store for tests: how instances under test reach it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import valkey

from appnet.state.layout import script, script_digest, state_keys
from appnet.state.server import running_store, store_folder, store_url


class StoreUnderTest:
    """A store that can be away. ``trips``: how often it was asked."""

    def __init__(self, url: str, client: valkey.Valkey) -> None:
        self.url, self.client = url, client
        self.away = False
        self.trips = 0
        self._scopes = 0
        client.script_load(script().decode())

    def scope(self) -> str:
        """A name that nobody else's state has."""
        self._scopes += 1
        return f"test:{self._scopes}"

    def ask(self, scope: str, element: str, variable: str, parts: list[bytes]) -> bytes | None:
        """The script's answer on the element's state, or on the weak variable."""
        if self.away:
            return None
        if not parts:
            return b""
        self.trips += 1
        keys = state_keys(scope, element, variable)
        answer = self.client.evalsha(script_digest(), len(keys), *keys, *parts)  # type: ignore[arg-type]
        assert isinstance(answer, bytes)
        return answer


@contextmanager
def losing(client: valkey.Valkey, keys: list[str]) -> Iterator[None]:
    """The store loses what happens to these keys in the context, and goes on as after a failover."""
    kept = {it: client.dump(it) for it in keys if client.exists(it)}
    yield
    client.delete(*keys)
    for key, value in kept.items():
        client.restore(key, 0, value)  # type: ignore[arg-type]
    client.replicaof("127.0.0.1", "1")
    client.replicaof("NO", "ONE")


@contextmanager
def store_under_test() -> Iterator[StoreUnderTest]:
    """One that ends with the context."""
    folder = store_folder()
    with running_store(folder), valkey.Valkey.from_url(store_url(folder)) as client:
        yield StoreUnderTest(store_url(folder), client)
