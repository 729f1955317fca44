"""The messages of Phoenix's control socket, as its types say them: bincode, one message a datagram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appnet.processors.mrpc.bincode import Reader, Writer

MOST_REQUEST = 65_535
"""Bytes of the longest request: Phoenix reads no more of one."""

_ENGINE_REQUEST, _LIST, _ATTACH, _DETACH = 1, 2, 3, 4  # variants of a request
_ANSWERED, _FAILED = 0, 1  # of an answer
_LISTED = 1  # of what is answered
_GENERIC = 0  # of an error
_DEDICATE = 0  # a runtime of its own, where an engine's group has none: its own tools send this, too


@dataclass(frozen=True)
class Subscription:
    """A program's use of a service: of process ``pid``, its number ``sid``. ``engines``: their numbers and types.

    ``addons``: the types of those that were attached later.
    """

    pid: int
    sid: int
    service: str
    engines: tuple[tuple[int, str], ...]
    addons: tuple[str, ...]

    def __str__(self) -> str:
        return f"subscription {self.sid} of process {self.pid}"


Channel = tuple[str, str]
"""From which engine to which, by their types; each has one place for it."""


@dataclass(frozen=True)
class Addon:
    """An engine that joins a subscription, or leaves it. ``sent`` and ``received``: the channels that there are then.

    ``group``: the engines that share a thread with it. ``config``: what it is told; None where it leaves.
    """

    pid: int
    sid: int
    engine: str
    sent: Sequence[Channel]
    received: Sequence[Channel]
    group: Sequence[str] = ()
    config: str | None = None


def list_request() -> bytes:
    """Asks for all subscriptions."""
    return Writer().u32(_LIST).finish()


def engine_request(engine: int, payload: bytes) -> bytes:
    """Hands a payload to the engine of this number; Phoenix answers nothing."""
    return Writer().u32(_ENGINE_REQUEST).u64(engine).bytes(payload).finish()


def attach_request(addon: Addon) -> bytes:
    """Has an engine join a subscription; Phoenix answers nothing."""
    return _addon(Writer().u32(_ATTACH).u32(_DEDICATE), addon)


def detach_request(addon: Addon) -> bytes:
    """Has an engine leave a subscription; Phoenix answers nothing."""
    return _addon(Writer().u32(_DETACH), addon)


def _addon(writer: Writer, addon: Addon) -> bytes:
    writer.i32(addon.pid).u64(addon.sid).text(addon.engine)
    for channels in (addon.sent, addon.received):
        writer.list(channels, lambda to, it: to.text(it[0]).text(it[1]).u64(0).u64(0))
    writer.list(addon.group, Writer.text)
    no_file: str | None = None
    return writer.option(no_file, Writer.text).option(addon.config, Writer.text).finish()


def listed(answer: bytes) -> list[Subscription]:
    """The subscriptions that an answer names. Raises `ValueError` for any other datagram."""
    reader = Reader(answer)
    if _variant(reader, "an answer", _ANSWERED, _FAILED) == _FAILED:
        _variant(reader, "an error", _GENERIC)
        raise ValueError(f"Phoenix failed: {reader.text()}")
    _variant(reader, "what is answered", _LISTED)
    found = reader.list(_subscription)
    reader.end()
    return found


def _variant(reader: Reader, what: str, *known: int) -> int:
    found = reader.u32()
    if found not in known:
        raise ValueError(f"{what} of kind {found}, which is none that was asked for")
    return found


def _subscription(reader: Reader) -> Subscription:
    pid, sid, service = reader.i32(), reader.u64(), reader.text()
    engines = reader.list(lambda it: (it.u64(), it.text()))
    return Subscription(pid, sid, service, tuple(engines), tuple(reader.list(Reader.text)))
