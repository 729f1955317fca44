"""What chains are told of the store, as loaders read it."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from appnet.application.model import EdgeEnd, Side, StateStore
from appnet.processors.options import StoreOptions, store_options

_END = EdgeEnd("frontend", "server", Side.SERVER)
_NAMES = ("path", "hosts", "service", "user", "password", "database", "scope")


def told(options: StoreOptions | None) -> dict[str, str]:
    """What is there to be read, by name."""
    assert options is not None
    rest, found = options.encode()[8:], {}
    for name in _NAMES:
        (size,) = struct.unpack_from("<I", rest)
        found[name], rest = rest[4 : 4 + size].decode(), rest[4 + size :]
    return {name: it for name, it in found.items() if it}


@pytest.mark.parametrize(
    ("address", "password", "expected"),
    [
        ("redis://store:7000/2", "", {"hosts": "store 7000\n", "database": "2"}),
        ("redis://store", "fig", {"hosts": "store 6379\n", "password": "fig"}),
        ("redis://ann:own@store", "fig", {"hosts": "store 6379\n", "user": "ann", "password": "fig"}),
        ("redis://ann:own@store", "", {"hosts": "store 6379\n", "user": "ann", "password": "own"}),
        ("unix:///run/store", "fig", {"path": "/run/store", "password": "fig"}),
        ("redis+sentinel://a,b:1/main", "fig", {"hosts": "a 26379\nb 1\n", "service": "main", "password": "fig"}),
    ],
)
def test_a_store_is_told_whole(address: str, password: str, expected: dict[str, str]) -> None:
    store = StateStore(address=address)
    scope = {"scope": "appnet:shop/frontend/server"}
    assert told(store_options(store, "shop", _END, password)) == expected | scope


def test_a_tunnel_stands_for_the_place_alone() -> None:
    options = store_options(StateStore(address="rediss://ann@store"), "shop", _END, "fig")
    assert options is not None
    found = told(replace(options, tunnel="@tunnel"))
    assert found == {"path": "@tunnel", "user": "ann", "password": "fig", "scope": "appnet:shop/frontend/server"}
