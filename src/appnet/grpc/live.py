"""A process follows a control plane: it takes each version, or says why it cannot and goes on with the one before."""

from __future__ import annotations

import atexit
import ipaddress
import os
import queue
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from appnet import __version__
from appnet.grpc.container import MACHINE
from appnet.grpc.ends import End, RunningVersion, complain
from appnet.grpc.latest import Latest
from appnet.grpc.options import SUFFIX, Options
from appnet.grpc.protocol import FOLLOW, Report, SignedVersion, Version
from appnet.grpc.signed import opened, read, running, trusted_keys

_LEAST_PAUSE, _MOST_PAUSE = 0.1, 5.0
_KEPT_AFTER = 2.0  # seconds that the control plane may take to say something before what was kept is started with
_RECORDS_EVERY = 1.0
_LONGEST = 64 << 20
_NOWHERE = (
    "neither $APPNET_CONTROL nor files of the program say where they are: start the program with the variables that "
    "`appnetctl serve` prints"
)


def start_end(service: str, options: Options, *, server: bool) -> End:
    """An end that has its chains, or will have them soon."""
    end = End(service, options, server=server)
    if options.files is not None:
        end.use_files()
        if end.current is None:
            _complain_of(end)
    elif options.control:
        end.wrong = f"the control plane at {options.control} has not said what to run"
        try:
            follower = Follower(end)
        except (ValueError, OSError) as error:
            end.wrong = str(error)
            _complain_of(end)
            return end
        _in_background(follower.follow)
    else:
        end.wrong = _NOWHERE
        _complain_of(end)
        return end
    _in_background(lambda: _send_records(end))
    atexit.register(end.close)
    return end


def _complain_of(end: End) -> None:
    """Says at the start what will not change while the program runs, where calls are not to pass without chains."""
    if not end.options.pass_unjudged:
        complain(f"{end.service} has no chains: {end.wrong}")


def _in_background(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="appnet", daemon=True).start()


def _send_records(end: End) -> None:
    while True:
        time.sleep(_RECORDS_EVERY)
        end.flush()


def _left_out(why: str) -> None:
    complain(f"a version that was kept is left out: {why}")


def _kept_files(folder: Path) -> dict[str, bytes]:
    """Those in a folder, by name. One that cannot be read does not take the others with it."""
    found = {}
    for it in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            if it.is_file() and it.stat().st_size <= _LONGEST:  # reading a pipe would wait
                found[it.name] = it.read_bytes()
            else:
                _left_out(f"{it.name}: it is no file of up to {_LONGEST} bytes")
        except OSError as error:
            _left_out(f"{it.name}: {error}")
    return found


def _is_local(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _authority() -> Any:
    file = os.environ.get("APPNET_CA", "")
    return grpc.ssl_channel_credentials(Path(file).read_bytes()) if file else None


class Follower:
    """An end that follows a control plane for as long as the process lives. Raises `ValueError` and `OSError` for
    options that will not do."""

    def __init__(self, end: End) -> None:
        self._end = end
        self._keys = trusted_keys(end.options.trust)
        self._tls = end.options.tls or _authority()
        if end.options.token and self._tls is None and not _is_local(end.options.control):
            told = "set APPNET_CA, or pass `tls`"
            raise ValueError(f"a token is sent by TLS alone, or to an address of this machine: {told}")
        # What the control plane has told last, or was kept, and what runs, by node: also as it was signed.
        self._parts: dict[str, tuple[Any, Any]] = {}
        self._latest = Latest(end.options.application)
        self._took = threading.Event()
        self._took_now = False
        self._taking = threading.Lock()

    def follow(self) -> None:
        """Keeps the end at what the control plane says."""
        kept = self._kept()
        if kept:
            _in_background(lambda: self._start_from(kept))
        pause, complained = _LEAST_PAUSE, ""
        while True:
            self._took_now = False
            try:
                why = self._session()
            except grpc.RpcError as error:
                why = str(error.details())
            if self._took_now:
                pause, complained = _LEAST_PAUSE, ""
            told = self._wrong(why)
            if told != complained:
                complain(told)
                complained = told
            time.sleep(pause)
            pause = min(2 * pause, _MOST_PAUSE)

    def _wrong(self, why: str) -> str:
        """Notes what is wrong with the control plane."""
        self._end.wrong = f"the control plane at {self._end.options.control}: {why}"
        return self._end.wrong

    def _session(self) -> str:
        """One connection; why it ended."""
        options = self._end.options
        limits = [("grpc.max_receive_message_length", _LONGEST), ("grpc.enable_http_proxy", 0)]
        try:
            shown = self._shown()
        except Exception as error:  # a file that is being written, or whatever the program's own function raises
            return f"the program's token cannot be had: {error}"
        if self._tls is None:
            channel = grpc.insecure_channel(options.control, limits)
        else:
            channel = grpc.secure_channel(options.control, self._tls, limits)
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with self._taking:
            answers.put(self._report(running=[running(*it) for _, it in sorted(self._parts.items())]))
        with channel:
            method = channel.stream_stream(FOLLOW, Report.SerializeToString, SignedVersion.FromString)
            stream = method(iter(answers.get, None), metadata=shown)
            try:
                for told in stream:
                    answer = self._answer(told)
                    if answer.accepted:
                        self._took_now = True
                        self._took.set()
                    answers.put(answer)
            finally:
                answers.put(None)
        return "it ended the stream"

    def _shown(self) -> list[tuple[str, str]]:
        """By what the program proves who it is. Raises what a file or the program's own function does."""
        token = self._end.options.token
        if not token:
            return []
        text = token() if callable(token) else Path(token).read_text()
        return [("authorization", f"Bearer {text.strip()}")]

    def _report(self, **answer: Any) -> Any:
        options = self._end.options
        return Report(
            instance=options.instance,
            service=self._end.service,
            server=self._end.server,
            machine=MACHINE,
            release=__version__,
            host=socket.gethostname(),
            **answer,
        )

    def _answer(self, signed: Any) -> Any:
        answer = self._report()
        try:
            try:
                told = opened(signed, self._keys)
            except ValueError:
                # Whom it is for is not known for sure: whoever sent it may know what this end has refused.
                unsure = read(Version, signed.version)
                answer.version, answer.node = unsure.id, unsure.node
                raise
            answer.version, answer.node = told.id, told.node
            self._take(told, signed)
        except ValueError as error:
            answer.error = str(error)
            refused = f"a version is refused: {error}"
            self._wrong(refused)
            complain(refused)
        else:
            answer.accepted = True
            self._keep(told.node, signed)
        return answer

    def _take(self, told: Any, signed: Any) -> None:
        """Makes what the control plane says run; raises `ValueError` where that cannot be: then what ran goes on."""
        if not self._end.concerns(told):
            raise ValueError(f"it is for {told.node}")
        with self._taking:
            self._latest.check(told, signed)
            parts = self._parts | {told.node: (told, signed)}
            version = RunningVersion(parts[node][0] for node in sorted(parts))
            self._parts = parts
            self._latest.note(told, signed)
            self._end.use(version)

    # --- kept versions ---

    def _keep(self, node: str, signed: Any) -> None:
        """Writes what runs where the next process finds it; goes on without where that cannot be."""
        keep = self._end.options.keep
        if not keep:
            return
        folder = Path(keep)
        name = "".join("_" if it in "/\\\0" else it for it in node) + SUFFIX
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix="version-", dir=folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(signed.SerializeToString(deterministic=True))
                    file.flush()
                    os.fsync(handle)  # a name without content would be left where the machine stops
                Path(temporary).replace(folder / name)
            except OSError:
                Path(temporary).unlink(missing_ok=True)  # or a full disk gets fuller with each version
                raise
        except OSError as error:
            complain(f"a version cannot be kept: {error}")

    def _kept(self) -> dict[str, tuple[Any, Any]]:
        """What was kept last, by node. Nothing older may follow it, whenever the control plane answers."""
        keep = self._end.options.keep
        try:
            found = self._end.parts(_kept_files(Path(keep)), self._keys, _left_out) if keep else {}
        except OSError as error:
            complain(f"what was kept cannot be read: {error}")
            return {}
        kept = {}
        # Where nobody says which application this is, the version that was made last tells.
        for node, (told, signed) in sorted(found.items(), key=lambda it: it[1][1].made, reverse=True):
            try:
                self._latest.check(told, signed)
            except ValueError as error:
                _left_out(f"{node}: {error}")
            else:
                self._latest.note(told, signed)
                kept[node] = told, signed
        return kept

    def _start_from(self, kept: dict[str, tuple[Any, Any]]) -> None:
        """Starts with what was kept where the control plane says nothing that can be used."""
        if self._took.wait(_KEPT_AFTER):
            return
        try:
            with self._taking:
                if self._end.current is None:
                    self._end.use(RunningVersion(kept[node][0] for node in sorted(kept)))
                    self._parts = kept
        except (ValueError, OSError) as error:
            complain(f"the version that was kept cannot be used: {error}")
