"""An end of edges, a client's or a server's, and the versions that it runs."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import grpc

from appnet.grpc.chain import Chain, Instance
from appnet.grpc.container import code_for
from appnet.grpc.options import Options, read_files
from appnet.grpc.passage import Ended, Judge
from appnet.grpc.protocol import SignedVersion
from appnet.grpc.records import LOGS, METRICS, SPANS, post
from appnet.grpc.signed import opened, read, trusted_keys
from appnet.grpc.store import StoreCarrier

_LAST_WORDS = 1.0  # seconds that the end of the program waits for the store


def complain(text: str) -> None:
    """Tells whoever looks after the program, if anybody listens: nothing ends because nobody does."""
    with contextlib.suppress(OSError, ValueError):
        print(f"appnet: {text}", file=sys.stderr)  # noqa: T201


def _raise(why: str) -> None:
    raise ValueError(why)


class Telemetry:
    """What an instance of a chain has to tell, and the ``receiver`` that is told; empty: nobody is."""

    def __init__(self, instance: Instance, receiver: str) -> None:
        self._instance, self.receiver = instance, receiver

    def flush(self, *, last: bool = False) -> None:
        """Sends records, spans and counts so far; ``last``: the counts even if that was just done."""
        if self.receiver:
            now = time.monotonic_ns(), time.time_ns()
            post(self.receiver, LOGS, self._instance.records(*now), complain)
            spans, count = self._instance.spans(*now)
            if not post(self.receiver, SPANS, spans, complain):
                self._instance.spans_lost(count)
            post(self.receiver, METRICS, self._instance.metrics(*now, last=last), complain)


class OpenedChain:
    """One version of a chain; it ends when no call and no version has it any more, and its ``telemetry`` was sent."""

    def __init__(self, of: Any, part: Any) -> None:
        chain = Chain(code_for(of.code))
        if chain.version != of.version:
            raise ValueError(f"its code is {chain.name}, version {chain.version}")
        self.instance = Instance(
            chain,
            seed=secrets.randbits(64),
            now_ns=time.monotonic_ns(),
            wall_ns=time.time_ns(),
            resource=of.resource,
            scope=of.name,
            max_message=of.max_message,
            hosts=len(part.hosts),
            carrier=StoreCarrier(of.store, complain) if of.HasField("store") else None,
        )
        self.telemetry = Telemetry(self.instance, part.records)
        share = of.trace_share if part.records else None
        self.judges = [Judge(self.instance, it, server=part.at_server, traces=share) for it in chain.methods]

    def close(self) -> None:
        """The program ends: what is not merged yet is, if the store is there."""
        carrier = self.instance.carrier
        if isinstance(carrier, StoreCarrier):
            ending = threading.Thread(target=carrier.close, name="appnet", daemon=True)
            ending.start()
            ending.join(_LAST_WORDS)


class RunningVersion:
    """What an end runs: the chains of all its edges, by the methods that they judge. Raises `ValueError`."""

    def __init__(self, parts: Iterable[Any]) -> None:
        self.chains: list[OpenedChain] = []
        self.judges: dict[str, list[Judge]] = {}
        for part in parts:
            for it in part.chains:
                try:
                    opened = OpenedChain(it, part)
                except (ValueError, OSError, MemoryError) as error:
                    raise ValueError(f"chain {it.name}: {error}") from error
                self.chains.append(opened)
                for judge in opened.judges:
                    self.judges.setdefault(judge.method.path, []).append(judge)

    def close(self) -> None:
        """The program ends."""
        for it in self.chains:
            it.close()


class _Ended:
    """A chain of a version before. Calls that began with it may still pass its judges."""

    def __init__(self, chain: OpenedChain) -> None:
        self.telemetry, self._judges = chain.telemetry, [weakref.ref(it) for it in chain.judges]

    @property
    def passed(self) -> bool:
        """Whether no call passes it any more."""
        return all(it() is None for it in self._judges)


class End:
    """One end of edges in this process. `flush` sends what its chains tell."""

    def __init__(self, service: str, options: Options, *, server: bool) -> None:
        self.service, self.options, self.server = service, options, server
        self.current: RunningVersion | None = None
        self.wrong = "no version has come"
        self._first = threading.Event()
        self._changing = threading.Lock()
        self._ended: list[_Ended] = []

    def use(self, version: RunningVersion) -> None:
        """Calls that begin from now on pass this version; others end on the one that they began with."""
        with self._changing:
            before, self.current = self.current, version
            ended = before.chains if before is not None else []
            self._ended += [_Ended(it) for it in ended if it.telemetry.receiver]
        self._first.set()

    def flush(self, *, last: bool = False) -> None:
        """Sends what chains have to tell so far, also those of versions before, for as long as calls pass them;
        ``last``: nobody will ask again. A receiver may take its time, so no call and no control plane waits for it."""
        with self._changing:
            ended, self._ended = self._ended, []
            current = self.current.chains if self.current is not None else []
        for it in ended:
            passed = it.passed  # looked at first: a call that ends meanwhile is told of next time
            it.telemetry.flush(last=last or passed)
            if not passed:
                with self._changing:
                    self._ended.append(it)
        for chain in current:
            chain.telemetry.flush(last=last)

    def close(self) -> None:
        """The program ends."""
        self.flush(last=True)
        if self.current is not None:
            self.current.close()

    def concerns(self, part: Any) -> bool:
        """Whether a version is for this end."""
        if part.at_server:
            return self.server and part.server == self.service
        return not self.server and part.client == self.service

    def parts(
        self, files: Mapping[str, bytes], keys: Sequence[bytes] | None, broken: Callable[[str], None] = _raise
    ) -> dict[str, tuple[Any, Any]]:
        """The versions in files that concern this end, the last of each node, with what it is signed as; ``keys``: as
        of `opened`. ``broken`` is told of each file that cannot be used; without, that raises `ValueError`."""
        found: dict[str, tuple[Any, Any]] = {}
        for name, data in files.items():
            try:
                part, signed = self._part(data, keys)
            except ValueError as error:
                broken(f"{name}: {error}")
                continue
            before = found.get(part.node)
            # A copy of an older file is not what was kept last, whatever its name.
            if self.concerns(part) and (before is None or before[1].made <= signed.made):
                found[part.node] = part, signed
        return found

    def _part(self, data: bytes, keys: Sequence[bytes] | None) -> tuple[Any, Any]:
        try:
            signed = read(SignedVersion, data)
        except ValueError as error:
            raise ValueError(f"it is no file of chains: {error}") from error
        return opened(signed, keys), signed

    def use_files(self) -> None:
        """Uses the chains in the files of the program."""
        assert self.options.files is not None
        try:
            parts = self.parts(read_files(self.options.files), trusted_keys(self.options.trust) or None)
            if parts:
                self.use(RunningVersion(it for it, _ in parts.values()))
            else:
                self.wrong = f"no file of the program has any for {self.service}"
        except (ValueError, OSError) as error:
            self.wrong = str(error)

    # --- what a call passes ---

    def judges(self, path: str, timeout: float | None = None) -> Sequence[Judge]:
        """The chains that a call passes, once there is a version. Raises `Ended` where none comes."""
        if self.current is None and not self.options.pass_unjudged:
            patience = self.options.patience
            self._first.wait(patience if timeout is None else min(patience, timeout))
        return self._found(path)

    async def judges_soon(self, path: str, timeout: float | None = None) -> Sequence[Judge]:
        """As `judges`, for whoever must not hold up a loop."""
        if self.current is None and not self.options.pass_unjudged:
            patience = self.options.patience if timeout is None else min(self.options.patience, timeout)
            until = time.monotonic() + patience
            while self.current is None and (left := until - time.monotonic()) > 0:
                await asyncio.sleep(min(left, 0.01))
        return self._found(path)

    def _found(self, path: str) -> Sequence[Judge]:
        version = self.current
        if version is not None:
            return version.judges.get(path, ())
        if self.options.pass_unjudged:
            return ()
        code = grpc.StatusCode.UNAVAILABLE.value[0]
        raise Ended(code, f"appnet: {self.service} has no chains: {self.wrong}".encode())
