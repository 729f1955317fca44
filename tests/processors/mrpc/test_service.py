"""The running service: the control client and `appnetctl` against engines of Rust, which carry calls meanwhile."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from appnet.application.model import Side
from appnet.grpc.container import MACHINE
from appnet.processors.grpc.container import Container
from appnet.processors.managed import Service
from appnet.processors.mrpc import requests
from appnet.processors.mrpc import service as mrpc_service
from appnet.processors.mrpc.control import Control
from appnet.processors.mrpc.service import phoenix
from appnet.processors.processor import Acceptance, NodeAnswer, ProcessorError
from tests.processors.mrpc.chains import ECHO, Module, counting
from tests.processors.mrpc.crate import NEEDS_CARGO, HostError
from tests.processors.mrpc.generated import ROOT, generated
from tests.processors.mrpc.phoenix import PLAIN, Phoenix, Program, answering
from tests.processors.mrpc.test_phoenix import GOLDEN

pytestmark = NEEDS_CARGO

WAIT_SECONDS = 20.0
SHORT_SECONDS = 0.2
SENDER = ["MrpcEngine", "AppNetSenderEngine", "TcpRpcAdapterEngine"]


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The echo application for mRPC."""
    return generated("echo", tmp_path_factory.mktemp("echo"))


@pytest.fixture(scope="module")
def apple() -> Module:
    """Counts words and calls; refuses apples."""
    return counting("Apple")


@pytest.fixture(scope="module")
def pear() -> Module:
    """The same for pears; each of its responses counts a hundred times."""
    return counting("Pear", 100)


@pytest.fixture
def sender(apple: Module, tmp_path: Path) -> Path:
    return _written(tmp_path / "apple.mrpc", apple.bundle(server=False))


@pytest.fixture
def other(pear: Module, tmp_path: Path) -> Path:
    return _written(tmp_path / "pear.mrpc", pear.bundle(server=False))


@pytest.fixture
def running(tmp_path: Path) -> Phoenix:
    folder = tmp_path / "phoenix"
    folder.mkdir()
    return Phoenix(folder, Program(41, 0, "Salloc", ("SallocEngine",)), Program(41, 1), Program(42, 1))


@pytest.fixture
def service(running: Phoenix) -> Iterator[Service]:
    with phoenix(running.path, WAIT_SECONDS) as it:
        yield it


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _appnetctl(running: Phoenix, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "appnet", *map(str, arguments), "--socket", str(running.path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _left(running: Phoenix) -> list[str]:
    return sorted(it.name for it in running.path.parent.iterdir() if it != running.path)


# --- what is asked for happens ---


def test_the_applications_chains_are_attached_upgraded_and_detached(
    running: Phoenix, service: Service, bundles: Path
) -> None:
    client, server = (bundles / "frontend_server" / it / "chain.mrpc" for it in ("client", "server"))
    answer = service.attach(client, 41, None)
    assert (answer.node, answer.acceptance, answer.error) == ("41/1", Acceptance.ACKED, "")
    assert service.attach(server, 42, 1).acceptance is Acceptance.ACKED
    assert running.stops(41, 1) == SENDER
    assert running.stops(42, 1) == ["MrpcEngine", "AppNetReceiverEngine", "TcpRpcAdapterEngine"]
    running.of(42, 1)
    assert running.send(1, b"hello", goes_out=False) == b"hello"
    first, second = service.subscriptions()
    assert [(it.side, it.facts["version"]) for it in first.engines] == [(Side.CLIENT, answer.version)]
    assert [(it.side, it.facts["calls"], it.facts["underWay"]) for it in second.engines] == [(Side.SERVER, 1, 1)]
    assert service.upgrade(server, 42, None).acceptance is Acceptance.ACKED
    assert service.detach(41, None, None).acceptance is Acceptance.ACKED
    assert running.stops(41, 1) == list(PLAIN)
    assert next(it.engines for it in service.subscriptions()) == ()


def test_state_goes_on_from_module_to_module(running: Phoenix, service: Service, sender: Path, other: Path) -> None:
    service.attach(sender, 41, None)
    running.of(41, 1)
    assert running.send(1, b"Apple") is None
    assert running.send(2, b"Pear") == b"Pear"
    assert service.upgrade(other, 41, None).acceptance is Acceptance.ACKED
    assert running.send(3, b"Apple") == b"Apple"
    assert running.send(4, b"Pear") is None
    assert running.send(2, b"to the first version", goes_out=False) is not None
    assert running.send(3, b"to the second", goes_out=False) is not None
    assert "echo_0.all = 4\n" in running.state()
    assert "echo_0.back = 101\n" in running.state()
    state = running.ask(requests.dump(""))
    assert isinstance(state, requests.State)
    assert state.text == running.state()
    (engine,) = service.subscriptions()[0].engines
    assert {key: engine.facts[key] for key in ("calls", "refused", "underWay", "failed")} == {
        "calls": 4, "refused": 2, "underWay": 0, "failed": 0,
    }  # fmt: skip


def test_nothing_is_left_behind(running: Phoenix, sender: Path) -> None:
    with phoenix(running.path, WAIT_SECONDS) as service:
        service.attach(sender, 41, None)
        service.upgrade(sender, 41, None)
    assert _left(running) == ["appnet.lock"]


@contextmanager
def _calls(running: Phoenix) -> Iterator[list[tuple[int, bytes, bytes | None]]]:
    """Calls one after another while something else happens: of each its number, text, and what went on."""
    done, told = threading.Event(), list[tuple[int, bytes, bytes | None]]()

    def call() -> None:
        number = 0
        while not done.is_set() or number < 20:
            number += 1
            text = (b"Apple", b"Pear", b"Fig")[number % 3]
            told.append((number, text, running.send(number, text)))
            if told[-1][2] is not None:
                assert running.send(number, b"back", goes_out=False) == b"back"

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield told
    finally:
        done.set()
        thread.join()


def test_modules_change_while_calls_run(running: Phoenix, sender: Path, other: Path, tmp_path: Path) -> None:
    """By `appnetctl`, with good modules and a bad one; no call is lost, or judged by neither or both."""
    bad = _written(tmp_path / "bad.mrpc", _damaged(sender))
    with phoenix(running.path, WAIT_SECONDS) as service:
        service.attach(sender, 41, None)
    running.of(41, 1)
    with _calls(running) as told:
        for number in range(3):
            process = _appnetctl(running, "upgrade", (other, bad, sender)[number], "--pid", 41)
            output, errors = process.communicate(timeout=60)
            assert process.returncode == (number == 1), errors
            assert ("process 41, subscription 1: runs" in output) == (number != 1)
            assert ("nacked" in errors) == (number == 1)
    refused = {text for _, text, on in told if on is None}
    assert refused == {b"Apple", b"Pear"}, "the one before the upgrade, the other after it"
    assert all(on in {None, text} for _, text, on in told)
    report = running.ask(requests.report(""))
    assert isinstance(report, requests.Report)
    assert (report.calls, report.refused) == (len(told), sum(on is None for _, _, on in told))
    assert f"echo_0.all = {len(told)}\n" in running.state()


def test_detached_while_calls_are_under_way(running: Phoenix, service: Service, sender: Path, other: Path) -> None:
    service.attach(sender, 41, None)
    running.of(41, 1)
    assert running.send(1, b"Pear") == b"Pear"
    assert service.detach(41, None, None).acceptance is Acceptance.ACKED
    with pytest.raises(HostError, match="no engine"):
        running.send(1, b"late", goes_out=False)
    service.attach(other, 41, None)
    assert running.send(1, b"of the engine before", goes_out=False) == b"of the engine before"
    assert "echo_0.back = 0\n" in running.state(), "it is nobody's call"


# --- what engines refuse ---


def _damaged(file: Path) -> bytes:
    """A bundle whose code is none, though all hashes are right: only an engine can tell."""
    content = file.read_bytes()
    head, code = _split(content)
    container = Container.unpack(code)
    packed = Container({**container.code, MACHINE: b"no code" * 100}).pack()
    return head + len(packed).to_bytes(8, "little") + packed


def _split(content: bytes) -> tuple[bytes, bytes]:
    """What stands before the length of the code, and the code."""
    at = content.index(b"appnet\0\1")
    return content[: at - 8], content[at:]


def test_a_module_that_engines_refuse_changes_nothing(
    running: Phoenix, service: Service, sender: Path, apple: Module, tmp_path: Path
) -> None:
    service.attach(sender, 41, None)
    running.of(41, 1)
    running.send(1, b"Fig")
    before = running.state()
    answer = service.upgrade(_written(tmp_path / "bad.mrpc", _damaged(sender)), 41, None)
    assert answer.acceptance is Acceptance.NACKED
    assert "bad.mrpc: " in answer.error
    receiver = _written(tmp_path / "receiver.mrpc", apple.bundle(server=True))
    with pytest.raises(ProcessorError, match="has no AppNetReceiverEngine"):
        service.upgrade(receiver, 41, None)
    assert running.state() == before
    assert running.send(2, b"Apple") is None


def test_every_engine_request_that_is_cut_short_changes_nothing(
    running: Phoenix, service: Service, sender: Path
) -> None:
    service.attach(sender, 41, None)
    running.of(41, 1)
    before = running.ask(requests.report(""))
    for whole in (requests.load(str(sender), bytes(32), "/nowhere/answer"), requests.report("/nowhere/answer")):
        for size in range(len(whole)):
            with pytest.raises(HostError, match="ends early"):
                running.ask(whole[:size])
    assert running.ask(requests.report("")) == before


def test_a_file_that_changes_while_it_is_attached(
    running: Phoenix, service: Service, sender: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another compilation may replace it at any time: the engine opens what was looked at."""
    for request in ("attach_request", "engine_request"):
        send = getattr(mrpc_service, request)

        def late(*arguments: Any, send: Callable[..., bytes] = send) -> bytes:
            sender.write_bytes(b"another")
            return send(*arguments)

        monkeypatch.setattr(mrpc_service, request, late)
    content = sender.read_bytes()
    answer = service.attach(sender, 41, None)
    assert (answer.acceptance, answer.error) == (Acceptance.ACKED, "")
    sender.write_bytes(content)
    answer = service.upgrade(sender, 41, None)
    assert answer.acceptance is Acceptance.NACKED
    assert "not what its hash says" in answer.error
    assert sender.read_bytes() == b"another"


# --- services and clients that are slow, or gone ---


def test_an_engine_that_is_busy_is_waited_for(running: Phoenix, service: Service, sender: Path) -> None:
    service.attach(sender, 41, None)
    asked, answers = running.changes(), list[NodeAnswer]()
    thread = threading.Thread(target=lambda: answers.append(service.upgrade(sender, 41, None)))
    with running.busy():
        thread.start()
        while running.changes() == asked:
            assert thread.is_alive()
    thread.join()
    assert [it.acceptance for it in answers] == [Acceptance.ACKED]
    with running.busy(), phoenix(running.path, SHORT_SECONDS) as impatient:
        answer = impatient.upgrade(sender, 41, None)
    assert answer.acceptance is Acceptance.PENDING
    assert "the engine has not answered" in answer.error
    assert service.upgrade(sender, 41, None).acceptance is Acceptance.ACKED


def test_a_service_that_does_not_answer(running: Phoenix) -> None:
    os.kill(running.process.pid, signal.SIGSTOP)
    os.waitpid(running.process.pid, os.WUNTRACED)  # all of its threads have stopped
    try:
        with (
            phoenix(running.path, SHORT_SECONDS) as service,
            pytest.raises(ProcessorError, match="has not answered in"),
        ):
            service.subscriptions()
    finally:
        os.kill(running.process.pid, signal.SIGCONT)
    with phoenix(running.path, WAIT_SECONDS) as service:
        assert [it.pid for it in service.subscriptions()] == [41, 42]


def test_two_commands_at_once(running: Phoenix, sender: Path) -> None:
    """One attaches; the other finds its engine there, or waits until it does."""
    processes = [_appnetctl(running, "attach", sender, "--pid", 41) for _ in range(2)]
    ended = [(it.communicate(timeout=60), it.returncode) for it in processes]
    assert sorted(code for _, code in ended) == [0, 1]
    assert any("has an AppNetSenderEngine already" in errors for (_, errors), _ in ended)
    assert running.stops(41, 1) == SENDER
    assert _left(running) == ["appnet.lock"]


def test_a_command_that_waits_too_long_for_another(running: Phoenix, service: Service, sender: Path) -> None:
    with (
        service._control.alone(),  # type: ignore[attr-defined]
        phoenix(running.path, SHORT_SECONDS) as second,
        pytest.raises(ProcessorError, match="another appnetctl has been changing engines"),
    ):
        second.attach(sender, 41, None)
    assert running.changes() == 0


def test_a_command_that_is_killed_in_the_middle(running: Phoenix, sender: Path, other: Path) -> None:
    with phoenix(running.path, WAIT_SECONDS) as service:
        service.attach(sender, 41, None)
    running.of(41, 1)
    asked = running.changes()
    with running.busy():
        process = _appnetctl(running, "upgrade", other, "--pid", 41)
        while running.changes() == asked:
            assert process.poll() is None
        process.kill()
        process.communicate()
        assert len(_left(running)) == 3, "its socket, its folder for answers, and the lock"
    with phoenix(running.path, WAIT_SECONDS) as service:
        (engine,) = service.subscriptions()[0].engines
        assert engine.facts["calls"] == 0
        assert service.upgrade(other, 41, None).acceptance is Acceptance.ACKED
    assert running.send(1, b"Pear") is None
    assert _left(running) == ["appnet.lock"]


def test_a_folder_is_gone_though_an_engine_answers_meanwhile(running: Phoenix) -> None:
    def answer(folder: Path) -> None:
        numbers = itertools.count()
        with suppress(FileNotFoundError):
            while True:
                (folder / str(next(numbers))).touch()

    with Control(running.path, WAIT_SECONDS) as control:
        for _ in range(50):
            with control.answers() as folder:
                thread = threading.Thread(target=answer, args=[folder], daemon=True)
                thread.start()
            thread.join(10)
            assert not thread.is_alive(), "the folder is still where it was"
        before = _left(running)
    assert len(before) == 1, "the client's socket"
    assert _left(running) == []


# --- what would end a subscription is not asked for ---


@pytest.mark.parametrize(
    ("stops", "told"),
    [
        (("MrpcEngine", "AppNetSenderEngine", "TcpRpcAdapterEngine"), "has an AppNetSenderEngine already"),
        (("MrpcEngine", "RateLimitEngine", "TcpRpcAdapterEngine"), "has RateLimitEngine attached"),
        (("MrpcEngine",), "carries no calls of mRPC"),
    ],
)
def test_what_would_end_the_subscription_is_not_sent(
    stops: tuple[str, ...], told: str, sender: Path, tmp_path: Path
) -> None:
    running = Phoenix(tmp_path, Program(41, 1, stops=stops))
    with phoenix(running.path, WAIT_SECONDS) as service, pytest.raises(ProcessorError, match=told):
        service.attach(sender, 41, None)
    assert running.changes() == 0
    assert running.stops(41, 1) == list(stops)


@pytest.mark.parametrize("content", [b"", b"appnetm\1", b"\x7fELF" * 100])
def test_what_is_no_bundle_is_not_sent(content: bytes, service: Service, running: Phoenix, tmp_path: Path) -> None:
    file = _written(tmp_path / "no.mrpc", content)
    with pytest.raises(ProcessorError, match="nothing that engines of mRPC load"):
        service.attach(file, 41, None)
    with pytest.raises(ProcessorError, match="cannot be read"):
        service.upgrade(tmp_path / "missing", 41, None)
    assert running.changes() == 0


def test_a_bundle_that_is_cut_short_or_for_another_machine_is_not_sent(
    service: Service, running: Phoenix, sender: Path
) -> None:
    content = sender.read_bytes()
    head, code = _split(content)
    riscv = Container({"riscv64": next(iter(Container.unpack(code).code.values()))}).pack()
    changed = bytearray(content)
    changed[-1] ^= 1
    cut = [content[:size] for size in (*range(0, len(head), 7), len(head), len(head) + 200, len(content) - 1)]
    for wrong in (*cut, content + b"\0", bytes(changed), head + len(riscv).to_bytes(8, "little") + riscv):
        sender.write_bytes(wrong)
        with pytest.raises(ProcessorError, match="nothing that engines of mRPC load"):
            service.attach(sender, 41, None)
    assert running.changes() == 0


def test_which_subscription_is_meant(sender: Path, tmp_path: Path) -> None:
    running = Phoenix(tmp_path, Program(41, 1), Program(41, 2))
    with phoenix(running.path, WAIT_SECONDS) as service:
        with pytest.raises(ProcessorError, match=r"has several subscriptions of mRPC: choose one with --sid \(1, 2\)"):
            service.attach(sender, 41, None)
        service.attach(sender, 41, 2)
        assert service.upgrade(sender, 41, None).node == "41/2", "the only one that has an engine"
        with pytest.raises(ProcessorError, match="subscription 1 of process 41 has no AppNetSenderEngine"):
            service.detach(41, 1, Side.CLIENT)
        with pytest.raises(ProcessorError, match="process 43 makes no calls by mRPC"):
            service.attach(sender, 43, None)
        with pytest.raises(ProcessorError, match="subscription 9 of process 41 makes no calls"):
            service.attach(sender, 41, 9)


# --- what services do that are none, or not well ---


def test_a_subscription_that_phoenix_ends_is_told(running: Phoenix, sender: Path) -> None:
    sender.write_bytes(_damaged(sender))
    with (
        phoenix(running.path, SHORT_SECONDS) as service,
        pytest.raises(ProcessorError, match="41 is gone: Phoenix has"),
    ):
        service.attach(sender, 41, None)


def test_an_engine_that_never_comes_is_told(sender: Path, tmp_path: Path) -> None:
    running = Phoenix(tmp_path, Program(41, 1), has_addon=False)
    with (
        phoenix(running.path, SHORT_SECONDS) as service,
        pytest.raises(ProcessorError, match="is its plugin AppNet load"),
    ):
        service.attach(sender, 41, None)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"x", "it ends early"),
        (GOLDEN["failed"], "Phoenix failed: no"),
        (GOLDEN["other_answer"], "of kind 0"),
        (GOLDEN["listed"] + b"\0", "behind its end"),
        (GOLDEN["listed"][:8] + b"\xff" * 8, "it ends early"),
        (b"\0" * 150_000, "of kind 0"),
    ],
    ids=["short", "error", "other", "longer", "huge", "much"],
)
def test_a_wrong_answer_is_told(answer: bytes, told: str, tmp_path: Path) -> None:
    with answering(tmp_path, answer) as path, phoenix(path, WAIT_SECONDS) as service:  # noqa: SIM117 -- in this order
        with pytest.raises(ProcessorError, match=f"sent no list of subscriptions: .*{told}.*verify --mrpc-dir"):
            service.subscriptions()


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(ProcessorError, match=r"no Phoenix listens at .*start Phoenix"), phoenix(tmp_path / "x", 1.0):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_killed_clients_left_is_taken_away(running: Phoenix) -> None:
    folder = running.path.parent
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gone:
        gone.bind(str(folder / "appnet-gone.sock"))
    (folder / "appnet-gone").mkdir()
    shutil.copy(__file__, folder / "appnet-gone" / "answer")
    old, young = (_written(folder / f"appnet-{it}.mrpc", b"") for it in ("old", "young"))
    os.utime(old, (1, 1))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.bind(str(folder / "appnet-there.sock"))
        with phoenix(running.path, WAIT_SECONDS):
            assert not old.exists()
            assert young.exists()
    assert _left(running) == ["appnet-there.sock", "appnet-young.mrpc"]


def test_the_methods_that_calls_name_are_those_of_the_bundle(running: Phoenix, service: Service, sender: Path) -> None:
    """A method that it does not judge passes."""
    service.attach(sender, 41, None)
    running.of(41, 1)
    assert running.send(1, b"Apple", path=ECHO.replace("echo", "other")) == b"Apple"
