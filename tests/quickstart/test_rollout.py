"""`appnetctl rollout` and canaries, with a control plane and Envoys that were started by hand."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.quickstart.serving import REFUSED, Serve, envoy, outcome, ports, serving
from tests.quickstart.support import APPNETCTL, sample
from tests.support.raw_grpc import RecordingServer, frame, string_field

pytestmark = pytest.mark.e2e


def versions(serve: Serve) -> dict[str, str]:
    """What each node is to run and has accepted."""
    nodes = json.loads(serve.rollout("status", "-o", "json"))["nodes"]
    assert {it["acceptance"] for it in nodes} == {"acked"}
    return {it["node"]: it["version"] for it in nodes}


def block(config: Path, word: str) -> None:
    """Saves a firewall that refuses this word alone; it stands at the server's side."""
    text = (config.parent / "firewall.appnet.first").read_text()
    config.with_name("firewall.appnet").write_text(text.replace("'test', 'No'", f"'{word}', 'No'"))


def test_a_version_is_shown_undone_and_replaced(tmp_path: Path) -> None:
    config = sample(tmp_path)
    (config.parent / "firewall.appnet.first").write_text(config.with_name("firewall.appnet").read_text())
    with RecordingServer(frame(string_field(1, b"hit"))) as upstream, ExitStack() as stack:
        serve = stack.enter_context(serving(tmp_path, config, f"--upstream=server=127.0.0.1:{upstream.port}"))
        told = serve.rollout("status")
        assert "not connected" in told
        assert "no version ran before this one" in serve.rollout("undo", fails=True)
        assert "there is no canary to promote" in serve.rollout("promote", fails=True)
        for node in ("server-sidecar", "frontend-sidecar"):
            stack.enter_context(envoy(tmp_path, node, *serve.places))
        frontend = serve.first + 1
        assert outcome(frontend, "test") == REFUSED
        first = versions(serve)
        for word in ("evil", "wicked"):
            block(config, word)
            serve.it.wait_for("server-sidecar accepted after", times=1 if word == "evil" else 2)
        assert outcome(frontend, "wicked") == REFUSED
        assert len(json.loads(serve.rollout("history", "-o", "json"))["history"]) == 2
        serve.rollout("undo")
        assert outcome(frontend, "evil") == REFUSED
        assert outcome(frontend, "wicked")[0] == 0
        assert serve.rollout("undo").startswith(f"version {first['server-sidecar']}\n")
        assert outcome(frontend, "test") == REFUSED
        assert versions(serve) == first
        config.with_name("unrelated.yaml").write_text("a: 1\n")
        time.sleep(2)
        assert versions(serve) == first, "what was undone stays so, whatever else is saved"
        assert "rollout undo: version" in serve.it.output
        assert "no version ran before this one" in serve.rollout("undo", fails=True)
        block(config, "naughty")
        serve.it.wait_for("server-sidecar accepted after", times=3)
        assert outcome(frontend, "naughty") == REFUSED

        assert "the rollout is not paused" in serve.rollout("resume", fails=True)
        assert serve.rollout("pause").splitlines()[1] == "paused"
        block(config, "wicked")
        serve.it.wait_for("waits for `appnetctl rollout resume`")
        assert outcome(frontend, "naughty") == REFUSED
        running = versions(serve)
        assert "paused: version" in serve.rollout("status")
        assert serve.rollout("undo").splitlines()[1] == "paused", "it has dropped what waited"
        assert versions(serve) == running
        block(config, "evil")
        serve.it.wait_for("waits for `appnetctl rollout resume`", times=2)
        assert "paused" not in serve.rollout("resume")
        assert outcome(frontend, "evil") == REFUSED


def test_what_is_no_control_plane(tmp_path: Path) -> None:
    with RecordingServer(b"") as other:
        serve = Serve(None, [], other.port, 0)  # type: ignore[arg-type]
        assert f"127.0.0.1:{other.port} (--status)" in serve.rollout("status", fails=True)
    assert f"no `appnetctl serve` answers at 127.0.0.1:{other.port}" in serve.rollout("status", fails=True)


def test_no_page_in_a_browser_changes_versions(tmp_path: Path) -> None:
    with serving(tmp_path, sample(tmp_path), "--upstream=server=127.0.0.1:1") as serve:
        url = f"http://127.0.0.1:{serve.status}/rollout/undo"
        request = urllib.request.Request(url, method="POST", headers={"Origin": "http://elsewhere"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(request, timeout=10)


def test_a_canary_is_tried_withdrawn_and_promoted(tmp_path: Path) -> None:
    """Two replicas of the server: one of them runs what was saved."""
    config = sample(tmp_path)
    (config.parent / "firewall.appnet.first").write_text(config.with_name("firewall.appnet").read_text())
    with RecordingServer(frame(string_field(1, b"hit"))) as upstream, ExitStack() as stack:
        instances = [f"--upstream=server=127.0.0.1:{upstream.port}"] * 2
        options = [*instances, "--canary=server-1-sidecar"]
        serve = stack.enter_context(serving(tmp_path, config, *options, nodes=3))
        nodes = ("server-0-sidecar", "server-1-sidecar", "frontend-sidecar")
        for node in nodes:
            stack.enter_context(envoy(tmp_path, node, *serve.places))
        plain, canary = serve.first, serve.first + 1
        assert outcome(plain, "test") == outcome(canary, "test") == REFUSED
        block(config, "evil")
        serve.it.wait_for("on canaries; the others stay with")
        assert outcome(canary, "evil") == outcome(plain, "test") == REFUSED
        assert outcome(canary, "test")[0] == outcome(plain, "evil")[0] == 0
        found = versions(serve)
        assert found["server-0-sidecar"] == found["frontend-sidecar"] != found["server-1-sidecar"]
        assert f"canary {found['server-1-sidecar']} on server-1-sidecar" in serve.rollout("status")

        serve.rollout("undo")
        assert outcome(canary, "test") == REFUSED
        assert len(set(versions(serve).values())) == 1

        block(config, "wicked")
        serve.it.wait_for("on canaries; the others stay with", times=2)
        serve.rollout("promote")
        assert outcome(canary, "wicked") == outcome(plain, "wicked") == REFUSED
        assert len(set(versions(serve).values())) == 1
        serve.rollout("undo")
        assert outcome(canary, "test") == outcome(plain, "test") == REFUSED

        block(config, "naughty")
        latency = config.with_name("logging.appnet")
        latency.write_text(latency.read_text().replace("record_req", "record_requests"))
        serve.it.wait_for("error[C091]: a canary cannot try a change at both ends of frontend->server")
        assert outcome(canary, "test") == outcome(plain, "test") == REFUSED


def test_a_canary_that_is_no_node(tmp_path: Path) -> None:
    options = ["--upstream=server=127.0.0.1:1", "--canary=frontend-sidecar,servr-sidecar"]
    places = [
        f"--{name}=127.0.0.1:{port}" for name, port in zip(("control", "records", "status"), ports(3), strict=True)
    ]
    command = [*APPNETCTL, "serve", str(sample(tmp_path)), *options, *places]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 2
    assert "error[C091]: --canary: no node `servr-sidecar`" in told.stderr
    assert "did you mean `server-sidecar`" in told.stderr
