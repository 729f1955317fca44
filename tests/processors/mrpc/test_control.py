"""Engines are told by bytes what to do: other bundles while calls run, reports, state, records."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from appnet.processors.mrpc import requests
from appnet.processors.mrpc.bincode import Writer
from appnet.processors.mrpc.bundle import function_id, service_id
from tests.processors.mrpc.chains import ECHO, counting
from tests.processors.mrpc.compare import Host
from tests.processors.mrpc.crate import METHODS, NEEDS_CARGO, HostError, encode, index_of

pytestmark = NEEDS_CARGO

_MESSAGE = METHODS[ECHO].bytes_class("echo.Msg")


def _send(host: Host, number: int, text: bytes, *, goes_out: bool = True) -> bool:
    """Whether a message goes on."""
    message = _MESSAGE(Body=text)
    kind, told = index_of(message.DESCRIPTOR), encode(message)
    return host.process.message((1, number), function_id(ECHO), kind, told, goes_out=goes_out) is not None


def _ask(host: Host, request: bytes) -> requests.Answer:
    reader = host.process.ask(b"h", Writer().bytes(request))
    return requests.read_answer(reader.raw(len(reader)))


def _counts(host: Host) -> dict[str, int]:
    (line,) = (it for it in host.state_dump().splitlines() if it.startswith("echo_0.counts"))
    return {bytes.fromhex(key).decode(): count for key, count in json.loads(line.partition(" = ")[2]).items()}


def _file(folder: Path, name: str, content: bytes) -> tuple[str, bytes]:
    path = folder / name
    path.write_bytes(content)
    return str(path), hashlib.sha256(content).digest()


def test_another_bundle_goes_on_with_the_state_while_calls_run(tmp_path: Path):
    apple, pear = counting("Apple"), counting("Pear", 100)
    host = Host(apple, server=False)
    assert not _send(host, 1, b"Apple")
    assert _send(host, 2, b"Pear")
    assert _counts(host) == {"Apple": 1, "Pear": 1}
    path, digest = _file(tmp_path, "pear.mrpc", pear.bundle(server=False))
    report = _ask(host, requests.load(path, digest))
    assert report == requests.Report("chain", pear.version, digest, False, calls=2, refused=1, under_way=1, failed=0)
    assert _send(host, 3, b"Apple")
    assert not _send(host, 4, b"Pear")
    assert _counts(host) == {"Apple": 2, "Pear": 2}
    assert _send(host, 2, b"an answer", goes_out=False)  # to the call that began on the other one
    assert _send(host, 3, b"an answer", goes_out=False)
    assert "echo_0.back = 101" in host.state_dump()
    found = _ask(host, requests.report(""))
    assert isinstance(found, requests.Report)
    assert (found.calls, found.refused, found.under_way) == (4, 2, 0)
    assert sorted(value for _, value in host.records()) == [1, 2, 3, 4]  # of both, each once


def test_what_cannot_be_loaded_changes_nothing(tmp_path: Path):
    module = counting("Apple")
    host = Host(module, server=False)
    good = module.bundle(server=False)
    _, digest = _file(tmp_path, "good.mrpc", good)
    before = _ask(host, requests.report(""))
    other = _file(tmp_path, "other.mrpc", good + b"x")[0]
    side, right = _file(tmp_path, "side.mrpc", module.bundle(server=True))
    nothing, of_nothing = _file(tmp_path, "nothing.mrpc", b"")
    os.mkfifo(tmp_path / "pipe.mrpc")
    for request, why in (
        (requests.load(str(tmp_path / "missing.mrpc"), digest), "No such file"),
        (requests.load(other, digest), "not what its hash says"),
        (requests.load(side, right), "for the other side"),
        (requests.load(nothing, of_nothing), "not a bundle for mRPC"),
        (requests.load(str(tmp_path / "pipe.mrpc"), digest), "not a file"),
        (requests.load("/dev/zero", digest), "not a file"),
        (requests.load(str(tmp_path), digest), "not a file"),
    ):
        answer = _ask(host, request)
        assert isinstance(answer, requests.Failed)
        assert why in answer.why
    assert _ask(host, requests.report("")) == before
    assert not _send(host, 1, b"Apple")


def test_answers_come_as_files(tmp_path: Path):
    host = Host(counting("Apple"), server=False)
    _send(host, 1, b"Pear")
    for name, request in (("report", requests.report), ("dump", requests.dump), ("records", requests.records)):
        path = tmp_path / name
        told = _ask(host, request(str(path)))
        assert requests.read_answer(path.read_bytes()) == told
    assert isinstance(told, requests.Records)
    assert told.encoded
    assert sorted(it.name for it in tmp_path.iterdir()) == ["dump", "records", "report"]
    (tmp_path / "taken.part").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostError, match="exists"):
        _ask(host, requests.report(str(tmp_path / "taken")))
    assert not (tmp_path / "elsewhere").exists()


def test_golden_bytes():
    """Other releases of the adapter, and other programs than this one, send and read the same."""
    digest = bytes(range(32))
    of = bytes.fromhex
    assert requests.load("/b", digest, "/a") == (
        of("00000000 0200000000000000 2f62") + digest + of("0200000000000000 2f61")
    )
    assert requests.report("/a") == of("01000000 0200000000000000 2f61")
    assert requests.dump("") == of("02000000 0000000000000000")
    assert requests.records("x") == of("03000000 0100000000000000 78")
    assert (service_id(ECHO), function_id(ECHO)) == (0x5B144589, 0x5C87ABD1)
    assert requests.read_answer(of("00000000 0200000000000000 6e6f")) == requests.Failed("no")
    report = of("01000000 0100000000000000 63 0100000000000000 76") + digest + of(f"01 {'07' + 7 * '00'}" + 24 * "00")
    assert requests.read_answer(report) == requests.Report("c", "v", digest, True, 7, 0, 0, 0)
    with pytest.raises(ValueError, match="behind its end"):
        requests.read_answer(of("00000000 0000000000000000 00"))
    with pytest.raises(ValueError, match="no answer 9"):
        requests.read_answer(of("09000000"))


def test_a_bundle_is_read_as_it_was_written():
    packed = counting("Apple").bundle(server=True)
    host = Host(counting("Apple"), server=True)
    assert host.process.ask(b"b", Writer().bytes(packed)).bytes() == packed


def test_a_message_that_cannot_be_read_is_refused_and_changes_no_state():
    host = Host(counting("Apple"), server=False)
    before = host.state_dump()
    host.process.ask(b"o", Writer().u64(1).bytes(counting("Apple").bundle(server=False, most=64)))
    assert not _send(host, 1, b"longer than 64 bytes, which is all that a message may take here, with its text")
    assert host.state_dump() == before
    found = _ask(host, requests.report(""))
    assert isinstance(found, requests.Report)
    assert (found.failed, found.refused) == (1, 0)
