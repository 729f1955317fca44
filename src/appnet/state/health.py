"""Whether a store is there, and fit for shared state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import valkey

from appnet.state.client import store_client
from appnet.system.store_address import read_address

_SECONDS = 2.0
_OLDEST = 7


@dataclass(frozen=True)
class Wanted:
    """A store, and what is asked of it. ``durable``: what it holds has to survive its crash."""

    address: str
    password: str = field(repr=False)
    durable: bool


@dataclass(frozen=True)
class Health:
    """What came of a look: whether the store is fit (None: nobody knows), the reason in one word, and in sentences."""

    fit: bool | None
    reason: str
    message: str


def look(wanted: Wanted) -> Health:
    """Asks the store what it is; this takes a few seconds at most."""
    address = read_address(wanted.address)
    if address.path:
        return Health(None, "NotSeen", "only the proxies reach a store by a socket")
    hosts = ", ".join(map(str, address.hosts))
    where = f"the store `{address.service}` of {hosts}" if address.service else f"the store at {hosts}"
    try:
        with store_client(address, wanted.password, _SECONDS) as client:
            return _judged(client.info(), where, wanted)
    except valkey.AuthenticationError:
        told = f"{where} does not take the password" if wanted.password else f"{where} wants a password"
        return Health(False, "Unauthorized", f"{told}: put the one that it has into the Secret that `secret` names")
    except valkey.exceptions.NoPermissionError:
        told = f"{where} does not let this user ask what it is"
        return Health(None, "NotSeen", f"{told}: give the user the command INFO, and the controller looks")
    except (valkey.ConnectionError, valkey.TimeoutError):
        told = f"the controller does not reach {where}: calls that need it are answered as `@unavailable` says"
        remedy = "look whether it runs, has the address SERVICE.NAMESPACE:PORT, and may be reached without mTLS"
        return Health(False, "Unreachable", f"{told}; {remedy}")
    except (valkey.ValkeyError, ValueError):
        return Health(False, "NoStore", f"{where} is no Valkey or Redis: name another")


def _judged(info: Mapping[str, Any], where: str, wanted: Wanted) -> Health:
    version = str(info.get("valkey_version") or info.get("redis_version", ""))
    kind = "Valkey" if "valkey_version" in info else "Redis"
    number = version.partition(".")[0]
    policy = info.get("maxmemory_policy", "noeviction")
    if not number.isdecimal() or int(number) < _OLDEST:
        return Health(False, "TooOld", f"{where} is {kind} {version}: use {_OLDEST} or newer")
    if info.get("role") == "slave":
        return Health(False, "ReadOnly", f"{where} is a replica, which takes no changes: name its primary")
    if info.get("maxmemory") and policy != "noeviction":
        remedy = "set `maxmemory-policy noeviction`, and give it memory for all keys"
        return Health(False, "Evicts", f"{where} drops state where memory is short (`{policy}`): {remedy}")
    if wanted.durable and not info.get("aof_enabled"):
        told = f"{where} loses persistent state when it restarts"
        return Health(False, "NotDurable", f"{told}: set `appendonly yes` and `appendfsync always`")
    return Health(True, "Ready", f"{where} is {kind} {version}")
