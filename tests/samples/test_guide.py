"""What the guide's calls should bring, by the interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.application.load import LoadedApplication, LoadedChain, load
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import FileSource
from appnet.samples.guide import EchoApplication, FrontendAnswer, application_for

ECHO = Path(__file__).parents[2] / "config" / "samples" / "echo"
FAULT = FrontendAnswer("Echo server returns an error.", 10, "fault_injected")


def loaded(folder: Path) -> LoadedApplication:
    return load(FileSource(folder / "sample_echo_sidecar.yaml"))


@pytest.fixture(scope="module")
def edge() -> LoadedChain:
    return loaded(ECHO).chains[0]


def test_the_sample_usually_answers_and_by_chance_injects_a_fault(edge: LoadedChain) -> None:
    application = EchoApplication(ECHO / "echo.proto", "server-1")
    expected = application.expect(list(edge.elements.values()), edge.method, "hello")
    assert expected.usual == FrontendAnswer("You've hit server-1")
    assert expected.by_chance == {FAULT}
    assert expected.streams == {"logging.record_req", "logging.record_resp", "metrics.latency"}


def test_the_firewall_refuses_and_says_so(edge: LoadedChain) -> None:
    application = EchoApplication(ECHO / "echo.proto")
    expected = application.expect([edge.elements["firewall"]], edge.method, "test")
    assert expected.usual == FrontendAnswer("Echo server returns an error.", 10, "firewall")
    assert expected.by_chance == frozenset()
    assert expected.streams == frozenset()


def test_other_applications_have_no_programs(tmp_path: Path) -> None:
    for it in ECHO.iterdir():
        (tmp_path / it.name).write_text(it.read_text().replace("package echo", "package other"))
    with pytest.raises(DiagnosticError, match="C061"):
        application_for(loaded(tmp_path))


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        ("string Body", "string Text", "Msg"),
        ("string Body", "bytes Body", "Msg"),
        ("message Msg", "message Word", "Word"),
    ],
    ids=["another field", "another type", "another message"],
)
def test_messages_that_the_programs_do_not_know_are_told_before_anything_starts(
    tmp_path: Path, was: str, becomes: str, message: str
) -> None:
    for it in ECHO.iterdir():
        if it.suffix in {".yaml", ".proto", ".appnet"}:
            (tmp_path / it.name).write_text(it.read_text())
    proto = (ECHO / "echo.proto").read_text()
    assert was in proto
    (tmp_path / "echo.proto").write_text(proto.replace(was, becomes).replace("(Msg)", f"({message})"))
    for it in tmp_path.glob("*.appnet"):
        it.write_text(
            "state:\n    pass\n\ninit():\n    pass\n\nreq(rpc):\n    send(rpc, Down)\n\nresp(rpc):\n    send(rpc, Up)\n"
        )
    with pytest.raises(DiagnosticError, match="C061") as caught:
        application_for(loaded(tmp_path))
    assert "`Body` is a string" in caught.value.diagnostics[0].help
