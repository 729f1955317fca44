"""`appnetctl listener`: an Envoy with a configuration of its own, written by hand, takes chains from `serve`."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from appnet.processors.envoy.targets import TARGETS
from tests.quickstart.serving import REFUSED, Serve, outcome, ports, serving, started, variables
from tests.quickstart.support import APPNETCTL, sample
from tests.support.raw_grpc import RecordingServer, frame, string_field

pytestmark = pytest.mark.e2e

BY_HAND = """
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  clusters:
  - name: mine
    connect_timeout: 1s
    load_assignment:
      cluster_name: mine
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: UPSTREAM}}}}]}]
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
  listeners:
  - name: mine
    address: {socket_address: {address: 127.0.0.1, port_value: LISTENER}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: mine
          route_config:
            virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: mine, timeout: 0s}}]}]
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
"""


def listener(serve: Serve, node: str, *, fails: bool = False) -> tuple[str, str]:
    """What the command prints: the pieces, and how to start Envoy."""
    command = [*APPNETCTL, "listener", node, *serve.places, f"--status=127.0.0.1:{serve.status}"]
    made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert made.returncode == int(fails), made.stderr
    return made.stdout, " ".join(made.stderr.split())


def merged(pieces: str, port: int, upstream: int) -> dict[str, Any]:
    """As the comments in the pieces say."""
    mine = yaml.safe_load(BY_HAND.replace("UPSTREAM", str(upstream)).replace("LISTENER", str(port)))
    top, of_listener = yaml.safe_load_all(pieces)
    mine["static_resources"]["clusters"] += top.pop("static_resources")["clusters"]
    mine.update(top)
    (own,) = mine["static_resources"]["listeners"]
    manager = own["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"] = of_listener.pop("http_filters") + manager["http_filters"]
    own.update(of_listener)
    return dict(mine)


@pytest.mark.parametrize("target", list(TARGETS))
def test_an_envoy_with_a_configuration_of_its_own_takes_chains(tmp_path: Path, target: str) -> None:
    config = sample(tmp_path)
    firewall = config.with_name("firewall.appnet")
    text = firewall.read_text()
    (port,) = ports(1)
    with RecordingServer(frame(string_field(1, b"hit"))) as upstream, ExitStack() as stack:
        serve = stack.enter_context(serving(tmp_path, config, "--upstream=server=127.0.0.1:1", f"--target={target}"))
        pieces, told = listener(serve, "server-sidecar")
        configuration = merged(pieces, port, upstream.port)
        stack.enter_context(started(tmp_path, "mine", json.dumps(configuration), variables(told)))
        assert outcome(port, "test") == REFUSED
        assert outcome(port, "hello")[0] == 0
        serve.it.wait_for("server-sidecar connected")
        firewall.write_text(text.replace("'test', 'No'", "'evil', 'No'"))
        serve.it.wait_for("server-sidecar accepted after")
        assert outcome(port, "evil") == REFUSED
        assert outcome(port, "test")[0] == 0

        before = config.read_text()
        server_chain = "  serverChain:                 # ... then these, on the server's side\n"
        assert server_chain in before
        config.write_text(before.replace(server_chain, ""))  # the firewall is on the client's side now
        serve.it.wait_for("server-sidecar accepted after", times=2)
        assert outcome(port, "evil")[0] == 0
        config.write_text(before)
        serve.it.wait_for("server-sidecar accepted after", times=3)
        assert outcome(port, "evil") == REFUSED


def test_elements_that_only_a_proxy_from_bootstrap_runs(tmp_path: Path) -> None:
    config = sample(tmp_path)
    firewall = config.with_name("firewall.appnet")
    firewall.write_text(firewall.read_text().replace("    match get(acl", "    delay(rpc, 0.001)\n    match get(acl"))
    with serving(tmp_path, config, "--upstream=server=127.0.0.1:1") as serve:
        told = listener(serve, "server-sidecar", fails=True)[1]
        assert "elements in frontend_server/echo.server delay calls, which only a proxy from `bootstrap` can do" in told


def test_nodes_that_there_are_none_of(tmp_path: Path) -> None:
    with serving(tmp_path, sample(tmp_path), "--upstream=server=127.0.0.1:1") as serve:
        assert (
            "no node `servr-sidecar`; did you mean `server-sidecar`" in listener(serve, "servr-sidecar", fails=True)[1]
        )
