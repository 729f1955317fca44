"""Logs of programs: bounded, whole as far as they go, and there when a program has ended."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appnet.deploy.local.log import MOST_BYTES, ProgramLog
from appnet.deploy.local.program import ApplicationError, ServiceProgram
from appnet.deploy.local.services import Port
from tests.deploy.test_program import service, started
from tests.support.asynchronous import asynchronous, eventually

ENDLESS = """
import os, socket
listening = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
number = 0
while True:
    print(f"line {number} " + 100 * "x")
    number += 1
"""


def size(log: ProgramLog) -> int:
    return sum(it.stat().st_size for it in (log.path, log.older) if it.exists())


def write(log: ProgramLog, *texts: bytes) -> None:
    with log.writing() as file:
        for it in texts:
            os.write(file, it)
    log.tail(ended=True)


def test_a_log_keeps_the_last_part_and_no_more(tmp_path: Path) -> None:
    log = ProgramLog(tmp_path / "it.log")
    line = 1023 * b"x" + b"\n"
    for number in range(3 * MOST_BYTES // (1 << 20)):
        write(log, *([line] * 1023), f"end of {number}\n".encode())
        assert size(log) <= MOST_BYTES
    assert size(log) >= MOST_BYTES // 2
    assert log.tail(ended=True)[-1] == "end of 47"


def test_a_tail_has_the_end_of_the_file_before(tmp_path: Path) -> None:
    log = ProgramLog(tmp_path / "it.log")
    write(log, b"first\n")
    log.path.replace(log.older)
    write(log, b"second\n")
    assert log.tail(ended=True) == ["first", "second"]


def test_lines_are_given_once_they_are_whole(tmp_path: Path) -> None:
    log = ProgramLog(tmp_path / "it.log")
    assert log.lines_from(0, 100) == ([], 0)
    write(log, b"one\ntw")
    assert log.lines_from(0, 100) == (["one"], 4)
    write(log, b"o\n")
    assert log.lines_from(4, 100) == (["two"], 8)
    assert log.lines_from(0, 2) == (["on"], 2)


@asynchronous
async def test_a_program_that_prints_without_end(tmp_path: Path) -> None:
    async with started(service("it", "python", "-u", "-c", ENDLESS.replace("$", "$$")), tmp_path) as program:
        await eventually(lambda: program.log._end > 3 * MOST_BYTES)
        assert size(program.log) <= MOST_BYTES
        assert program.log.tail(ended=False)[0].startswith("line ")


@asynchronous
async def test_a_program_is_started_again_at_the_same_port(tmp_path: Path) -> None:
    command = "import os,socket,time; s=socket.create_server(('127.0.0.1',int(os.environ['PORT'])));"
    command += "print(os.environ['WHO'],flush=True); time.sleep(600)"
    async with started(service("it", "python", "-c", command), tmp_path, {"WHO": "me"}) as program:
        address = program.address
        await program.restart(0.5)
        assert (program.running, program.address) == (True, address)
        await eventually(lambda: program.log.tail(ended=False) == ["me", "me"])


@asynchronous
async def test_a_program_that_chooses_its_port_is_not_started_again(tmp_path: Path) -> None:
    it = service("it", "python", "-c", "", port=Port(printed=object()))
    program = ServiceProgram("it", it, tmp_path / "it.log")
    with pytest.raises(ApplicationError, match="chooses its port itself"):
        await program.restart()
