"""What lets wasm modules reply is there, and works, where one may; real Envoys are in `tests/e2e/test_replies.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.lua.v3.lua_pb2 import LuaPerRoute
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from appnet.application.load import load
from appnet.application.model import EdgeEnd, Side
from appnet.compile.fit import Where
from appnet.compile.pipeline import compile_application
from appnet.diagnostics.source import TextSource
from appnet.optimize import Settings
from appnet.optimize.placement import OptLevel
from appnet.processors.artifact import Artifact
from appnet.processors.envoy.node import EnvoyNode
from appnet.processors.envoy.targets import REPLY_MARK
from appnet.processors.envoy.xds.snapshot import Snapshot
from appnet.processors.processor import NodeSettings
from appnet.processors.signing import SigningKey
from appnet.system.address import ANY_LOCAL_PORT

_SPEC = Path("examples/chain/echo.yaml")


def artifacts(target: str, *, cached: bool) -> list[Artifact]:
    """Those of the client's side, with a cache or without."""
    text = _SPEC.read_text(encoding="utf-8")
    if cached:
        text = text.replace("name: fault", "name: cache").replace("samples/echo/fault.", "samples/elements/cache.")
    application = load(TextSource(_SPEC, text))
    compiled = compile_application(application, Settings(OptLevel.WEAK), Where(target)).artifacts
    return [it for it in compiled if it.segment.place.side is Side.CLIENT]


class Told:
    """Stands where the xDS server does."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.scripts: list[str] = []

    def set_snapshot(self, _node: str, snapshot: Snapshot) -> None:
        (listener,) = (it for it in snapshot.resources if isinstance(it, Listener))
        (routes,) = (it for it in snapshot.resources if isinstance(it, RouteConfiguration))
        script = LuaPerRoute()
        routes.virtual_hosts[0].typed_per_filter_config["reply"].Unpack(script)
        self.listeners.append(listener)
        self.scripts.append(script.source_code.inline_string)


@pytest.mark.parametrize("target", ["wasm", "native"])
def test_a_node_lets_wasm_modules_reply_until_the_last_one_that_does_has_gone(target: str, tmp_path: Path) -> None:
    told = Told()
    settings = NodeSettings(
        "node", EdgeEnd("frontend", "server", Side.CLIENT), (ANY_LOCAL_PORT,), tmp_path, ANY_LOCAL_PORT
    )
    node = EnvoyNode(settings, told, SigningKey.generate())  # type: ignore[arg-type]
    cached, plain = (artifacts(target, cached=it) for it in (True, False))
    for number, it in enumerate((plain, cached, plain, plain)):
        node.offer(str(number), it)
    expected = [False, True, True, False] if target == "wasm" else [False] * 4
    assert [REPLY_MARK in it for it in told.scripts] == expected
    manager = HttpConnectionManager()
    told.listeners[0].filter_chains[0].filters[0].typed_config.Unpack(manager)
    names = [it.name for it in manager.http_filters]
    assert names.index("reply") > names.index(plain[0].name), "so it does not see what modules answer"
    assert [it.disabled for it in manager.http_filters if it.name == "reply"] == [True], "but for the routes"
