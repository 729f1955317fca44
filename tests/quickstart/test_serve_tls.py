"""`appnetctl serve` and `bootstrap` by TLS, with real Envoys."""

from __future__ import annotations

import ssl
import subprocess
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from tests.quickstart.serving import REFUSED, envoy, metrics, outcome, serving, wait_for_text
from tests.quickstart.support import APPNETCTL, sample
from tests.support.certificates import Authority
from tests.support.raw_grpc import RecordingServer, frame, string_field

pytestmark = pytest.mark.e2e


def test_envoys_prove_who_they_are(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own, client = authority.pair("serve"), authority.pair("node", server=False)
    stranger = Authority(tmp_path, "stranger").pair("other", server=False)
    trusted = f"--tls-ca={authority.certificate}"
    config = sample(tmp_path)
    with RecordingServer(frame(string_field(1, b"hit"))) as upstream, ExitStack() as stack:
        options = [f"--tls-cert={own.certificate}", f"--tls-key={own.key}", f"--tls-client-ca={authority.certificate}"]
        to = f"--upstream=server=127.0.0.1:{upstream.port}"
        serve = stack.enter_context(serving(tmp_path, config, to, *options))
        strange = [f"--tls-cert={stranger.certificate}", f"--tls-key={stranger.key}"]
        for shown in ([], strange):
            with envoy(tmp_path, "server-sidecar", *serve.places, trusted, *shown):
                wait_for_text(tmp_path / "server-sidecar.log", "remote connection failure")
                assert not serve.connected("server-sidecar")
        for node in ("server-sidecar", "frontend-sidecar"):
            shown = [f"--tls-cert={client.certificate}", f"--tls-key={client.key}"]
            stack.enter_context(envoy(tmp_path, node, *serve.places, trusted, *shown))
        assert outcome(serve.first + 1, "test") == REFUSED
        serve.it.wait_for("logging.record_req")
        assert 'appnet_records_total{element="logging"' in metrics(serve.status)


def closed(url: str, context: ssl.SSLContext | None = None) -> bool:
    try:
        with urllib.request.urlopen(url, b"", timeout=10, context=context):
            return False
    except urllib.error.HTTPError:
        return False
    except OSError:
        return True


def test_records_and_control_are_closed_to_others(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own = authority.pair("serve")
    options = [f"--tls-cert={own.certificate}", f"--tls-key={own.key}", f"--tls-client-ca={authority.certificate}"]
    with serving(tmp_path, sample(tmp_path), "--upstream=server=127.0.0.1:1", *options) as serve:
        control, records = (it.partition("=")[2] for it in serve.places)
        context = ssl.create_default_context(cafile=authority.certificate)
        assert closed(f"https://{records}/v1/logs", context)
        assert closed(f"http://{records}/v1/logs")
        credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes())
        with grpc.secure_channel(control, credentials) as channel, pytest.raises(grpc.FutureTimeoutError):
            grpc.channel_ready_future(channel).result(timeout=2)
        with grpc.insecure_channel(control) as channel, pytest.raises(grpc.FutureTimeoutError):
            grpc.channel_ready_future(channel).result(timeout=2)


def test_an_envoy_refuses_a_control_plane_that_is_not_the_one(tmp_path: Path) -> None:
    """Its certificate is of the right authority, but for another host; clients need none."""
    authority = Authority(tmp_path)
    own, other = authority.pair("serve"), authority.pair("elsewhere", host="127.0.0.2")
    trusted = f"--tls-ca={authority.certificate}"
    config = sample(tmp_path)
    for pair, taken in ((other, False), (own, True)):
        options = [f"--tls-cert={pair.certificate}", f"--tls-key={pair.key}"]
        with ExitStack() as stack:
            serve = stack.enter_context(serving(tmp_path, config, "--upstream=server=127.0.0.1:1", *options))
            stack.enter_context(envoy(tmp_path, "server-sidecar", *serve.places, trusted))
            if taken:
                serve.it.wait_for("server-sidecar connected")
            else:
                wait_for_text(tmp_path / "server-sidecar.log", "SAN_matcher")
                assert not serve.connected("server-sidecar")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"cert": "serve.pem"}, "--tls-cert: it goes with --tls-key"),
        ({"key": "serve.key"}, "--tls-key: it goes with --tls-cert"),
        ({"cert": "none.pem", "key": "serve.key"}, "none.pem: it cannot be read: No such file or directory"),
        ({"cert": "serve.key", "key": "serve.key"}, "serve.key: there is no certificate in it, in PEM"),
        ({"cert": "serve.pem", "key": "serve.pem"}, "there is no private key in it"),
        ({"cert": "serve.pem", "key": "other.key"}, "other.key: it is not the key of"),
        ({"cert": "old.pem", "key": "old.key"}, "the certificate of CN=old expired on"),
        ({"cert": "early.pem", "key": "early.key"}, "the certificate of CN=early is not valid before"),
        ({"cert": "client.pem", "key": "client.key"}, "the certificate of CN=client is not for servers"),
        (
            {"cert": "serve.pem", "key": "serve.key", "client-ca": "other.pem"},
            "the certificate of CN=other is no authority",
        ),
        ({"client-ca": "authority.pem"}, "--tls-client-ca: a server with it needs --tls-cert and --tls-key"),
    ],
)
def test_files_that_will_not_do(tmp_path: Path, options: dict[str, str], told: str) -> None:
    authority = Authority(tmp_path)
    authority.pair("serve")
    authority.pair("other")
    authority.pair("old", days=(-2, -1))
    authority.pair("early", days=(1, 2))
    authority.pair("client", server=False)
    named = [f"--tls-{name}={tmp_path / file}" for name, file in options.items()]
    command = [*APPNETCTL, "serve", str(sample(tmp_path)), "--upstream=server=127.0.0.1:1", *named]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert said.returncode == 2
    assert told in " ".join(said.stderr.replace("Invalid value for ", "").split())
    assert "up:" not in said.stdout


def test_a_client_with_a_certificate_names_an_authority(tmp_path: Path) -> None:
    own = Authority(tmp_path).pair("node", server=False)
    command = [*APPNETCTL, "bootstrap", "a-sidecar", f"--tls-cert={own.certificate}", f"--tls-key={own.key}"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert said.returncode == 2
    assert "a client with it needs --tls-ca, too" in " ".join(said.stderr.split())
