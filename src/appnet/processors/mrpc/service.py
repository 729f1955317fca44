"""The running Phoenix of this machine: which of its engines are ours, what they run, and what they are to run.

Phoenix answers nothing but lists. It ends the subscription of a request that it cannot carry out: everything is looked
at first, and afterwards whether it has happened. Engines answer in files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from appnet.application.model import Side
from appnet.processors.managed import Attached, Subscribed
from appnet.processors.mrpc import requests
from appnet.processors.mrpc.bundles import Heading, heading
from appnet.processors.mrpc.control import Control, control_socket
from appnet.processors.mrpc.phoenix import Subscription, attach_request, detach_request, engine_request
from appnet.processors.mrpc.standing import ENGINES, SERVICE, config_text, engine_of, joining, leaving
from appnet.processors.processor import Acceptance, NodeAnswer, ProcessorError

_POLL_SECONDS = 0.02
_MOST_ANSWER = 1 << 20  # bytes of an engine's answer
_MOST_BUNDLE = 64 << 20


@contextmanager
def phoenix(socket: Path | None, timeout_seconds: float) -> Iterator[Phoenix]:
    """The one behind a control socket; None: where its own tools look for it."""
    with Control(socket or control_socket(), timeout_seconds) as control:
        yield Phoenix(control)


@dataclass(frozen=True)
class _Module:
    """A bundle in a file, which engines open by its absolute path."""

    path: Path
    content: bytes
    heading: Heading

    @staticmethod
    def of(file: Path) -> _Module:
        try:
            content = _content(file, _MOST_BUNDLE)
            return _Module(file.resolve(), content, heading(content))
        except OSError as error:
            raise ProcessorError(f"{file} cannot be read: {error.strerror}") from error
        except ValueError as error:
            help_ = "`appnetctl compile --backend mrpc` writes such files"
            raise ProcessorError(f"{file} is nothing that engines of mRPC load: {error}; {help_}") from error


class Phoenix:
    """Asks by a control socket, and waits at most as long as that does."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def subscriptions(self) -> list[Subscribed]:
        """All of mRPC, and what our engines there report."""
        here = [it for it in self._control.subscriptions() if it.service == SERVICE]
        return [Subscribed(it.pid, it.sid, tuple(self._ours(it)), tuple(_others(it))) for it in here]

    def _ours(self, there: Subscription) -> Iterator[Attached]:
        for side, engine in ENGINES.items():
            if engine in there.addons:
                number = engine_of(there, side)
                yield Attached(number, side, self._facts(number))

    def attach(self, file: Path, pid: int, sid: int | None) -> NodeAnswer:
        """Has the program's subscription run the bundle; answers when its engine reports that it does."""
        module = _Module.of(file)
        side = module.heading.side
        with self._control.alone():
            there = self._subscription(pid, sid, lambda _: True)
            addon = joining(there, side)
            # Phoenix would end the subscription if the file were another one by the time that it is opened.
            kept = self._control.keep(module.content)
            config = config_text(str(kept), module.heading.sha256.hex())
            self._control.send(attach_request(replace(addon, config=config)))
            now = self._until(there, lambda it: ENGINES[side] in it.addons, "attached it")
            kept.unlink(missing_ok=True)
            return self._answer(now, self._asked(engine_of(now, side), requests.report), module)

    def upgrade(self, file: Path, pid: int, sid: int | None) -> NodeAnswer:
        """Replaces what the engine runs by the bundle, with its state."""
        module = _Module.of(file)
        side = module.heading.side
        with self._control.alone():
            there = self._subscription(pid, sid, lambda it: ENGINES[side] in it.addons)
            path, digest = str(module.path), module.heading.sha256
            answer = self._asked(engine_of(there, side), lambda to: requests.load(path, digest, to))
            return self._answer(there, answer, module)

    def detach(self, pid: int, sid: int | None, side: Side | None) -> NodeAnswer:
        """Takes the engine away; its state goes with it."""
        sides = list(Side) if side is None else [side]
        with self._control.alone():
            there = self._subscription(pid, sid, lambda it: any(ENGINES[one] in it.addons for one in sides))
            ours = [one for one in sides if ENGINES[one] in there.addons] or sides[:1]
            self._control.send(detach_request(leaving(there, ours[0])))
            self._until(there, lambda it: ENGINES[ours[0]] not in it.addons, "detached it")
            return NodeAnswer(_name(there), "", Acceptance.ACKED, since=time.time())

    def _subscription(self, pid: int, sid: int | None, fits: Callable[[Subscription], bool]) -> Subscription:
        """The program's subscription of mRPC: the only one, the only one that fits, or the one of this number."""
        here = [it for it in self._control.subscriptions() if it.pid == pid and it.service == SERVICE]
        if sid is not None:
            here = [it for it in here if it.sid == sid]
        found = [it for it in here if fits(it)] if len(here) > 1 else here
        if len(found) == 1:
            return found[0]
        if not here:
            which = f"subscription {sid} of process {pid}" if sid is not None else f"process {pid}"
            raise ProcessorError(f"{which} makes no calls by mRPC: `appnetctl attach` shows who does")
        numbers = ", ".join(str(it.sid) for it in here)
        raise ProcessorError(f"process {pid} has several subscriptions of mRPC: choose one with --sid ({numbers})")

    def _until(self, before: Subscription, done: Callable[[Subscription], bool], what: str) -> Subscription:
        """The subscription once it is so. It is not listed while Phoenix changes it."""
        deadline, found = time.monotonic() + self._control.timeout_seconds, None
        while time.monotonic() < deadline:
            every = self._control.subscriptions()
            found = next((it for it in every if (it.pid, it.sid) == (before.pid, before.sid)), None)
            if found is not None and done(found):
                return found
            time.sleep(_POLL_SECONDS)
        if found is None:
            raise ProcessorError(f"{before} is gone: Phoenix has ended it, or its program has; its log says why")
        seconds = f"{self._control.timeout_seconds:g} s"
        raise ProcessorError(f"Phoenix has not {what} in {seconds}: is its plugin AppNet loaded? its log says more")

    def _facts(self, engine: int) -> dict[str, Any]:
        answer = self._asked(engine, requests.report)
        if isinstance(answer, requests.Report):
            counts = {"calls": answer.calls, "refused": answer.refused, "underWay": answer.under_way}
            return {"name": answer.name, "version": answer.version, **counts, "failed": answer.failed}
        return {"error": answer.why if isinstance(answer, requests.Failed) else _SILENT}

    def _asked(self, engine: int, payload: Callable[[str], bytes]) -> requests.Answer | None:
        """What an engine answers; None where it says nothing in time."""
        with self._control.answers() as folder:
            file = folder.resolve() / "answer"
            self._control.send(engine_request(engine, payload(str(file))))
            deadline = time.monotonic() + self._control.timeout_seconds
            while not file.exists():
                if time.monotonic() > deadline:
                    return None
                time.sleep(_POLL_SECONDS)
            return _read(file)

    @staticmethod
    def _answer(there: Subscription, answer: requests.Answer | None, module: _Module) -> NodeAnswer:
        """How the subscription stands to a bundle."""
        told, since = module.heading, time.time()
        if answer is None:
            return NodeAnswer(_name(there), told.version, Acceptance.PENDING, _SILENT, since)
        if isinstance(answer, requests.Report) and answer.sha256 == told.sha256:
            return NodeAnswer(_name(there), told.version, Acceptance.ACKED, since=since)
        why = answer.why if isinstance(answer, requests.Failed) else "it runs another module"
        return NodeAnswer(_name(there), told.version, Acceptance.NACKED, why, since)


_SILENT = "the engine has not answered: it may be busy, or run an older adapter"


def _others(there: Subscription) -> list[str]:
    return [it for it in there.addons if it not in ENGINES.values()]


def _name(there: Subscription) -> str:
    return f"{there.pid}/{there.sid}"


def _content(file: Path, most: int) -> bytes:
    """The bytes of a file. Raises OSError, and `ValueError` for more than ``most``."""
    with file.open("rb") as opened:
        data = opened.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is longer than {most >> 20} MiB")
    return data


def _read(file: Path) -> requests.Answer:
    try:
        return requests.read_answer(_content(file, _MOST_ANSWER))
    except ValueError as error:
        help_ = "its adapter is none of this AppNet: place it again with `--mrpc_dir`"
        raise ProcessorError(f"an engine answered what cannot be read: {error}; {help_}") from error
