"""The address of a store of shared state, a URL."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from appnet.system.address import Address

STORE_ADDRESS = "`redis://host:port`, `rediss://host:port` for TLS, or `unix:///path`"
"""What the address of a store looks like."""
DEFAULT_PORT = 6379
"""Of stores."""

# `urlsplit` knows one host alone.
_PARTS = re.compile(
    r"(?P<base>redis|rediss|unix)(?:\+(?P<layout>sentinel|cluster))?://(?P<ends>[^/?#]*)(?P<path>[^?#]*)(?P<more>.*)"
)
_SENTINEL_PORT = 26379
_MOST_HOSTS = 16
_TLS_KEYS = ("cacert", "cert", "key", "sni")  # as valkey-cli and redis-cli name them


class Layout(Enum):
    """What answers at the hosts of an address."""

    ONE = ""
    """The store."""
    SENTINEL = "sentinel"
    """Sentinels, which know where the store is."""
    CLUSTER = "cluster"
    """Some nodes of a cluster."""


@dataclass(frozen=True)
class StoreTls:
    """How a store is known, and what is shown to it. Without ``authority`` the system's authorities count.

    ``name``: whose certificate the store has to show.
    """

    name: str
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class StoreAddress:
    """An address, read. ``path``: of a Unix socket; else there are ``hosts``, more than one of Sentinels or a cluster.

    ``password``: as written, where `$NAME` is a variable of the environment. ``service``: the Sentinels' name of the
    store. ``tls``: None where there is none. ``place``: what may be shown of it.
    """

    layout: Layout = Layout.ONE
    path: str = ""
    hosts: tuple[Address, ...] = ()
    user: str = ""
    password: str = ""
    database: str = ""
    service: str = ""
    tls: StoreTls | None = None
    place: str = ""

    @property
    def plain(self) -> bool:
        """Whether one plain connection is enough: no TLS, and no cluster whose nodes have to be known."""
        return self.tls is None and self.layout is not Layout.CLUSTER


def read_address(text: str) -> StoreAddress:
    """Reads it. Raises `ValueError`, which says what is wrong."""
    if any(it.isspace() or not it.isprintable() for it in text):  # `urlsplit` would leave these out
        raise ValueError("an address has no spaces")
    parts = _PARTS.fullmatch(text)
    if parts is None or (parts["base"] == "unix" and parts["layout"]):
        raise ValueError("it begins with none of `redis://`, `rediss://`, `unix://`")
    base, layout, more = parts["base"], Layout(parts["layout"] or ""), parts["more"]
    if base == "rediss" and layout is Layout.SENTINEL:
        raise ValueError("a store behind Sentinels is not reached by TLS")
    if "#" in more or (base != "rediss" and more):
        raise ValueError(f"nothing follows the {'path' if base == 'unix' else 'database'}")
    if base == "unix":
        if parts["ends"] or not parts["path"]:
            raise ValueError("not an absolute path")
        return StoreAddress(path=unquote(parts["path"]), place=text)
    user, password, hosts = _ends(parts["ends"], layout)
    service, database = _path(parts["path"], layout)
    tls = _tls(more.removeprefix("?"), hosts[0]) if base == "rediss" else None
    place = f"{text.partition('://')[0]}://{parts['ends'].rpartition('@')[2]}{parts['path']}"
    return StoreAddress(layout, "", hosts, user, password, database, service, tls, place)


def wrong_address(text: str) -> str:
    """What is wrong with an address; nothing where it is one."""
    try:
        read_address(text)
    except ValueError as error:
        return str(error)
    return ""


def has_password(address: str) -> bool:
    """Whether an address has a password in it, or the name of a variable that has it."""
    return not wrong_address(address) and bool(read_address(address).password)


class NoPasswordError(LookupError):
    """The environment does not have the variable that an address names; the text is its name."""


def password_of(address: StoreAddress) -> str:
    """Its password: `$NAME` is what the environment has. Raises `NoPasswordError`."""
    written = address.password
    if not written.startswith("$"):
        return unquote(written)
    found = os.environ.get(written[1:], "")
    if not found:
        raise NoPasswordError(written[1:])
    return found


def _ends(netloc: str, layout: Layout) -> tuple[str, str, tuple[Address, ...]]:
    """User, password and hosts."""
    account, _, rest = netloc.rpartition("@")
    user, _, password = account.partition(":")
    usual = _SENTINEL_PORT if layout is Layout.SENTINEL else DEFAULT_PORT
    hosts = tuple(_host(it, usual) for it in rest.split(","))
    if layout is Layout.ONE and len(hosts) > 1:
        raise ValueError("several hosts: begin with `redis+sentinel://` or `redis+cluster://`")
    if len(hosts) > _MOST_HOSTS:
        raise ValueError(f"more than {_MOST_HOSTS} hosts")
    return unquote(user), password, hosts


def _host(text: str, usual: int) -> Address:
    try:
        parts = urlsplit(f"//{text}")
        port = parts.port
    except ValueError:
        raise ValueError("no host and port") from None
    if not parts.hostname or port == 0 or parts.path or parts.query or parts.fragment:
        raise ValueError("no host and port")
    return Address(parts.hostname, port or usual)


def _path(path: str, layout: Layout) -> tuple[str, str]:
    """Service and database."""
    rest, service = path.removeprefix("/"), ""
    if layout is Layout.SENTINEL:
        service, _, rest = rest.partition("/")
        if not service:
            raise ValueError("what follows the Sentinels is the name of the service: `/NAME`")
    if layout is Layout.CLUSTER and rest:
        raise ValueError("a cluster has no databases")
    if rest and not (rest.isascii() and rest.isdecimal()):
        raise ValueError(f"what follows the {'service' if service else 'port'} is the number of a database")
    return unquote(service), rest


def _tls(query: str, first: Address) -> StoreTls:
    given = parse_qsl(query, keep_blank_values=True)
    names = [name for name, _ in given]
    if len(set(names)) < len(names) or not set(names) <= set(_TLS_KEYS) or not all(value for _, value in given):
        raise ValueError(f"the settings of TLS are {', '.join(f'`{it}`' for it in _TLS_KEYS)}, each once, with a value")
    found = dict(given)
    files = {name: Path(it) for name, it in found.items() if name != "sni"}
    if not all(it.is_absolute() for it in files.values()):
        raise ValueError("the path of a certificate or key is not absolute")
    if ("cert" in files) != ("key" in files):
        raise ValueError("`cert` and `key` go together")
    return StoreTls(found.get("sni", first.host), files.get("cacert"), files.get("cert"), files.get("key"))
