"""Asking a store of this process's own, for chains that are driven without a processor."""

from __future__ import annotations

import atexit
import contextlib
import secrets
from functools import cache
from typing import Any

import valkey

from appnet.diagnostics.diagnostic import InternalError
from appnet.interpret.values import Value
from appnet.language.types import MapType
from appnet.state.layout import PARTS, decode, decode_key, script, script_digest, state_keys
from appnet.state.server import running_store, store_folder, store_url


class OwnStore:
    """State that nobody else has, in the store of this process, which begins with the first of them. ``away``: whether
    nobody reaches it, which may be set at any time."""

    def __init__(self) -> None:
        self.away = False
        self._client = _client()
        self._scope = f"own:{secrets.token_hex(8)}"

    def ask(self, element: str, variable: str, parts: list[bytes]) -> bytes | None:
        """What the script answers about the element's strong state, or its weak ``variable``; None while the store is
        away."""
        if self.away:
            return None
        if not parts:
            return b""
        keys = state_keys(self._scope, element, variable)
        answer = self._client.evalsha(script_digest(), len(keys), *keys, *parts)  # type: ignore[arg-type]
        if not isinstance(answer, bytes):
            raise InternalError("the script answers with a text", repr(answer))
        return answer

    def entries(self, element: str, variable: str, type_: MapType) -> dict[Value, Value]:
        """What a Map of the element's strong state holds; Instants by the wall clock."""
        keys, begin = dict(zip(PARTS, state_keys(self._scope, element), strict=True)), f"{variable}.".encode()
        client: Any = self._client  # the library has few types
        members = [it for it in client.zrange(keys["order"], 0, -1) if it.startswith(begin)]
        values = client.hmget(keys["entries"], members) if members else []
        return {
            decode_key(member.removeprefix(begin), type_.key): decode(value, type_.value)
            for member, value in zip(members, values, strict=True)
        }


@cache
def _client() -> valkey.Valkey:
    stack, folder = contextlib.ExitStack(), store_folder()
    atexit.register(stack.close)
    stack.enter_context(running_store(folder))
    client: valkey.Valkey = stack.enter_context(valkey.Valkey.from_url(store_url(folder)))
    client.script_load(script().decode())
    return client
