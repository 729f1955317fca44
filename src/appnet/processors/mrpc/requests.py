"""What engines are asked for, and what they answer: in a file, since Phoenix itself answers nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from appnet.processors.mrpc.bincode import Reader, Writer

_LOAD, _REPORT, _DUMP, _RECORDS = range(4)


def load(path: str, sha256: bytes, answer: str = "") -> bytes:
    """To run the bundle of this file in the place of what runs, if its SHA-256 is this one.

    State of the same names goes on, and calls under way end on what they began with. ``answer``: the file that gets it.
    """
    return Writer().u32(_LOAD).text(path).raw(sha256).text(answer).finish()


def report(answer: str) -> bytes:
    """What runs, and how many calls it had."""
    return Writer().u32(_REPORT).text(answer).finish()


def dump(answer: str) -> bytes:
    """All state."""
    return Writer().u32(_DUMP).text(answer).finish()


def records(answer: str) -> bytes:
    """The records since the last time."""
    return Writer().u32(_RECORDS).text(answer).finish()


@dataclass(frozen=True)
class Failed:
    """Why it did not do so; nothing has changed."""

    why: str


@dataclass(frozen=True)
class Report:
    """What an engine runs, and since it was attached, the calls that began, and the messages that elements refused.

    ``under_way``: calls that have not ended. ``failed``: messages that could not be judged, which were refused as well.
    """

    name: str
    version: str
    sha256: bytes
    server: bool
    calls: int
    refused: int
    under_way: int
    failed: int


@dataclass(frozen=True)
class State:
    """As `appnet.interpret.dump` writes it."""

    text: str


@dataclass(frozen=True)
class Records:
    """An encoded ``ExportLogsServiceRequest``, which may be empty."""

    encoded: bytes


Answer: TypeAlias = Failed | Report | State | Records


def read_answer(data: bytes) -> Answer:
    """What a file has. Raises `ValueError` where it is no answer."""
    reader = Reader(data)
    kind = reader.u32()
    answer: Answer
    if kind == 0:
        answer = Failed(reader.text())
    elif kind == _REPORT:
        name, version, sha256, server = reader.text(), reader.text(), reader.raw(32), reader.bool()
        answer = Report(name, version, sha256, server, reader.u64(), reader.u64(), reader.u64(), reader.u64())
    elif kind == _DUMP:
        answer = State(reader.text())
    elif kind == _RECORDS:
        answer = Records(reader.bytes())
    else:
        raise ValueError(f"there is no answer {kind}")
    reader.end()
    return answer
