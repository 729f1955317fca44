"""`make quickstart ONCE=1`: the calls, what they brought, and the exit code."""

from __future__ import annotations

import dataclasses
import re
import socket
import subprocess
from pathlib import Path

import pytest

from appnet.cli.commands import run
from appnet.cli.main import app
from appnet.deploy.local.foreseen import CallerAnswer, Expectation, Foreseen
from appnet.deploy.local.services import TrialCall
from tests.quickstart.support import APPNETCTL, CONFIG, ECHO, gone, running, sample

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    "arguments",
    [[], ["--target", "wasm", "--concurrency", "2"], ["--opt-level", "no"]],
    ids=["native", "wasm", "as-written"],
)
def test_once(tmp_path: Path, arguments: list[str]) -> None:
    config = sample(tmp_path)
    with running(tmp_path, config, "--once", *arguments) as it:
        assert it.process.wait(120) == 0, it.output
    output = it.output
    hello = r"\$ curl 'http://127\.0\.0\.1:\d+/\?key=hello'\nYou've hit server-\w+\n"
    test = r"\$ curl 'http://127\.0\.0\.1:\d+/\?key=test'\nEcho server returns an error\.\n"
    assert re.search(hello, output), output
    assert re.search(test, output), output
    assert "logging.record_req: " in output
    assert "'hello'  at 'frontend-sidecar'" in output
    assert re.search(r"metrics\.latency: .* median \d", output), output
    assert output.endswith("all checks passed\n")
    assert gone(tmp_path)


def test_an_injected_fault_is_no_failure(tmp_path: Path) -> None:
    config = sample(tmp_path)
    fault = config.with_name("fault.appnet")
    fault.write_text(fault.read_text().replace("0.99", "0.6"))
    with running(tmp_path, config, "--once") as it:
        assert it.process.wait(120) == 0, it.output
    calls = it.output.count("$ curl")
    assert it.output.count("refused this call at random: fault_injected") == calls - 2


@pytest.mark.parametrize(
    ("key", "change", "says"),
    [
        (
            "test",
            {"usual": CallerAnswer("never said")},
            "failed: 'Echo server returns an error.' with gRPC status 10",
        ),
        ("hello", {"usual": CallerAnswer("You've hit server-9")}, 'expected "You\'ve hit server-9"'),
        ("test", {"streams": frozenset({"logging.nothing"})}, "failed: no records of logging.nothing"),
    ],
)
def test_what_is_not_as_expected_is_a_failure(
    key: str, change: dict[str, object], says: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    foresee = Foreseen.next

    def expect_otherwise(self: Foreseen, asked: TrialCall) -> Expectation:
        expected = foresee(self, asked)
        return dataclasses.replace(expected, **change) if asked.get.endswith(key) else expected  # type: ignore[arg-type]

    monkeypatch.setattr(Foreseen, "next", expect_otherwise)
    monkeypatch.setattr(run, "_RECORDS_TIMEOUT_SECONDS", 0.5)
    with pytest.raises(SystemExit) as ended:
        app(["run", str(ECHO / CONFIG), "--once"])
    assert ended.value.code == 1
    written = capfd.readouterr()
    assert says in written.err
    assert written.out.endswith("some checks failed\n")


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    config = sample(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with running(tmp_path, config, "--once", "--port", str(taken.getsockname()[1])) as it:
            assert it.process.wait(120) == 1, it.output
    assert "which frontend listens on, is in use" in it.output
    assert "starting" not in it.output, "nothing was started before"
    assert "Traceback" not in it.output
    assert gone(tmp_path)


def test_a_broken_element_starts_nothing(tmp_path: Path) -> None:
    config = sample(tmp_path)
    config.with_name("firewall.appnet").write_text("state:\n")
    run = subprocess.run([*APPNETCTL, "run", str(config)], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2
    assert "firewall.appnet:" in run.stderr
    assert "starting" not in run.stdout
