"""The object that has a service's proxies ask the control plane for what they run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appnet.application.load import load
from appnet.application.model import Side
from appnet.diagnostics.source import TextSource
from appnet.processors.processor import ControlPlane, Entry, Object
from appnet.processors.registry import processor
from appnet.system.address import Address

ECHO = Path("config/samples/echo/sample_echo_sidecar.yaml")
CONTROL = ControlPlane(Address("appnet.appnet-system.svc", 18000), "-----BEGIN CERTIFICATE-----\n", "key")
DENY = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"


def entry(text: str, side: Side, *, closed: bool = True) -> Object:
    application = load(TextSource(ECHO, text))
    (chain,) = application.chains
    services = application.manifest.services
    beside = services["frontend" if side is Side.CLIENT else "server"]
    objects = processor("sidecar").objects()
    name = f"appnet.frontend_server.echo.{side.value}"
    given = Entry(chain, side, [name], f"appnet.{side.value}", beside, services["server"], "shop", closed)
    return objects.entry(given, CONTROL)


@pytest.mark.parametrize("side", list(Side))
def test_it_stays_the_same_whatever_elements_do(side: Side) -> None:
    text = ECHO.read_text(encoding="utf-8")
    moved = text.replace("  serverChain:                 # ... then these, on the server's side\n", "")
    assert moved != text
    found = entry(text, side)
    assert entry(moved, side) == found
    assert (found["metadata"]["name"], found["metadata"]["namespace"]) == (f"appnet.{side.value}", "shop")
    assert len(json.dumps(found)) < 16 << 10


def test_filters_of_what_leaves_run_for_the_called_host_alone() -> None:
    found = entry(ECHO.read_text(encoding="utf-8"), Side.CLIENT)
    patches = {it["applyTo"]: it for it in found["spec"]["configPatches"]}
    filters = [it["patch"]["value"] for it in found["spec"]["configPatches"] if it["applyTo"] == "HTTP_FILTER"]
    assert all(it["disabled"] for it in filters)
    host = {"vhost": {"name": "server.default.svc.cluster.local:9000"}}
    for kind in ("VIRTUAL_HOST", "HTTP_ROUTE"):
        assert patches[kind]["match"] == {"context": "SIDECAR_OUTBOUND", "routeConfiguration": host}
    enabled = patches["VIRTUAL_HOST"]["patch"]["value"]["typed_per_filter_config"]
    assert list(enabled) == [it["name"] for it in filters]


@pytest.mark.parametrize("closed", [True, False])
def test_who_chose_so_is_passed_until_there_is_an_answer(closed: bool) -> None:
    found = entry(ECHO.read_text(encoding="utf-8"), Side.SERVER, closed=closed)
    discovery = found["spec"]["configPatches"][1]["patch"]["value"]["config_discovery"]
    assert (discovery["default_config"]["@type"] == DENY) is closed
    assert discovery["default_config"]["@type"] in discovery["type_urls"]
    assert len(set(discovery["type_urls"])) == len(discovery["type_urls"])
    (service,) = discovery["config_source"]["api_config_source"]["grpc_services"]
    assert service["google_grpc"]["target_uri"] == str(CONTROL.address)
