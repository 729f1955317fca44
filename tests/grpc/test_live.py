"""Where chains come from: a control plane, which is followed through its absence, or files."""

from __future__ import annotations

import io
import os
import queue
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

import appnet.grpc
from appnet import __version__
from appnet.grpc.client import ClientInterceptor
from appnet.grpc.container import MACHINE
from appnet.grpc.ends import End
from appnet.grpc.options import Options
from appnet.grpc.protocol import Report, SignedVersion
from appnet.processors.grpc.versions import signed
from tests.grpc.service import AsyncCaller, BlockingCaller, Loop, Service, serving, serving_aio
from tests.processors.grpc.chains import KEY, read_chains, read_signed
from tests.support.certificates import Authority

Code = grpc.StatusCode


class Plane:
    """A control plane that says what a test wants."""

    def __init__(self, address: str = "127.0.0.1:0", credentials: Any = None) -> None:
        self.tell: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.heard: queue.Queue[Any] = queue.Queue()
        self.server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        handler = grpc.stream_stream_rpc_method_handler(
            self._follow, Report.FromString, SignedVersion.SerializeToString
        )
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("appnet.library.v1.Library", {"Follow": handler}),)
        )
        port = (
            self.server.add_insecure_port(address)
            if credentials is None
            else self.server.add_secure_port(address, credentials)
        )
        self.address = f"127.0.0.1:{port}"
        self.server.start()

    def _follow(self, reports: Iterator[Any], context: Any) -> Iterator[Any]:
        ThreadPoolExecutor(1).submit(lambda: [self.heard.put(it) for it in reports])
        context.add_callback(lambda: self.tell.put(None))
        yield from iter(self.tell.get, None)

    def says(self, version: Any, made: int | None = None) -> Any:
        """Tells a version that was made now, or then, and waits for the answer."""
        encoded = signed(version, KEY, time.time_ns() if made is None else made).SerializeToString()
        return self.sends(SignedVersion.FromString(encoded), version)

    def sends(self, encoded: Any, version: Any) -> Any:
        """The same for one that is signed already."""
        self.tell.put(encoded)
        while True:
            report = self.heard.get(timeout=20)
            if report.version == version.id:
                return report

    def stop(self) -> None:
        self.server.stop(None).wait()


def part(chains: Path, name: str, side: str = "client") -> Any:
    return read_chains((chains / f"{name}.{side}.chains").read_bytes())


@contextmanager
def dialled(service: Service, **options: Any) -> Iterator[BlockingCaller]:
    with serving(service) as target:
        caller = BlockingCaller(target, appnet.grpc.dial("frontend", trust=[KEY.public_text], **options))
        yield caller
        caller.close()


def test_it_follows(chains: Path, tmp_path: Path) -> None:
    plane, service = Plane(), Service()
    calls, counts = part(chains, "calls"), part(chains, "counts-b")
    counts.node = calls.node
    with dialled(service, control=plane.address, keep=tmp_path, instance="frontend-1") as caller:
        report = plane.says(calls)
        assert (report.accepted, report.service, report.server, report.node) == (True, "frontend", False, calls.node)
        assert (report.instance, report.machine, report.release) == ("frontend-1", MACHINE, __version__)
        assert caller.unary(b"refuse").code is Code.ABORTED
        # What cannot be used is refused with a reason, and what ran goes on.
        broken, other, lie = part(chains, "calls"), part(chains, "calls", "server"), part(chains, "calls")
        code = bytearray(broken.chains[0].code)
        code[len(code) // 4] ^= 1
        broken.id, broken.chains[0].code, other.id = "broken", bytes(code), "other"
        lie.id, lie.chains[0].version = "lie", "another"
        for version, why in (
            (broken, "is not what its hash says"), (other, "it is for"), (lie, "its code is calls.client, version"),
        ):  # fmt: skip
            report = plane.says(version)
            assert not report.accepted
            assert why in report.error
        assert caller.unary(b"refuse").code is Code.ABORTED
        # The next version takes the place of the one before, also after the control plane was away.
        plane.stop()
        assert caller.unary(b"hello").code is Code.OK
        plane = Plane(plane.address)
        assert plane.says(counts).accepted
        assert caller.unary(b"refuse").code is Code.OK
        plane.stop()
    # A process that starts meanwhile goes on with what was kept.
    (kept,) = tmp_path.iterdir()
    assert kept.suffix == ".chains"
    with dialled(service, control=plane.address, keep=tmp_path) as caller:
        assert caller.unary(b"refuse").code is Code.OK
        assert dict(service.seen)["x-version"] == "b"
    # What was kept and then tampered with is not used.
    data = bytearray(kept.read_bytes())
    data[len(data) // 2] ^= 1
    kept.write_bytes(data)
    with dialled(service, control=plane.address, keep=tmp_path, patience=3.0) as caller:
        found = caller.unary(b"hello")
        assert found.code is Code.UNAVAILABLE
        assert found.details.startswith(f"appnet: frontend has no chains: the control plane at {plane.address}")


@contextmanager
def followed(**options: Any) -> Iterator[tuple[Plane, BlockingCaller]]:
    """A control plane, and what is called by a program that alone follows it."""
    plane = Plane()
    try:
        with dialled(Service(), control=plane.address, **options) as caller:
            yield plane, caller
    finally:
        plane.stop()


_OLDER = "before the version that ran here last"


def test_what_is_older_is_refused(chains: Path, tmp_path: Path) -> None:
    calls, counts, began = part(chains, "calls"), part(chains, "counts-b"), time.time_ns()
    counts.node, calls.application, counts.application = calls.node, "shop", "shop"
    with followed(keep=tmp_path) as (plane, caller):
        for version, made in ((calls, began), (counts, began + 1), (counts, began + 1)):
            assert plane.says(version, made).accepted
        assert _OLDER in plane.says(calls, began).error
        assert caller.unary(b"refuse").code is Code.OK
        assert "as a file for a program" in plane.says(calls, 0).error
    # The next process knows what the one before took, though the control plane answers at once.
    with followed(keep=tmp_path) as (plane, caller):
        assert _OLDER in plane.says(calls, began).error
        assert caller.unary(b"refuse").code is Code.OK, "by what was kept: what is sent cannot be used"
        # Going back is a new version.
        assert plane.says(calls, began + 2).accepted
        assert caller.unary(b"refuse").code is Code.ABORTED
    # Copies of older files, and files that cannot be used, are not what was kept last.
    (tmp_path / "zz.chains").write_bytes(signed(counts, KEY, began + 1).SerializeToString())
    (tmp_path / "zzz.chains").write_bytes(b"\xff" * 9)
    (tmp_path / "a.chains").mkdir()
    os.mkfifo(tmp_path / "b.chains")
    (tmp_path / "c.chains").symlink_to("nowhere")
    with (tmp_path / "d.chains").open("wb") as large:
        large.truncate(1 << 30)
    with dialled(Service(), control=plane.address, keep=tmp_path) as caller:
        assert caller.unary(b"refuse").code is Code.ABORTED


def test_other_applications_are_refused(chains: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = part(chains, "calls")

    def says(plane: Plane, application: str) -> str:
        calls.application = application
        report = plane.says(calls)
        assert report.accepted == (not report.error)
        return str(report.error)

    with followed(application="shop") as (plane, _):
        for name in ("", "store", "shopping", "other/shop"):
            assert 'and this program is part of "shop"' in says(plane, name)
        assert says(plane, "shop") == says(plane, "shop/echo") == ""
    with followed(keep=tmp_path) as (plane, _):
        assert says(plane, "shop/echo") == says(plane, "shop/hotel") == ""
        assert 'is for the application "test/echo", and this program is part of "shop"' in says(plane, "test/echo")
    with followed(keep=tmp_path) as (plane, _):
        assert "APPNET_APPLICATION=test/echo if that is wrong" in says(plane, "test/echo")
    monkeypatch.setenv("APPNET_APPLICATION", "test")
    with followed(keep=tmp_path) as (plane, _):
        assert says(plane, "test/echo") == ""


def test_why_there_is_no_version_is_told(chains: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Calls fail with the reason, and the program says it before any call."""
    plane = Plane()
    try:
        with serving(Service()) as target:
            untrusted = appnet.grpc.dial("frontend", control=plane.address, trust=(), patience=0.01)
            caller = BlockingCaller(target, untrusted)
            assert "no version is trusted here" in plane.says(part(chains, "calls")).error
            told = str(caller.unary(b"hello").details)
            assert f"the control plane at {plane.address}: a version is refused: no version is trusted here" in told
            caller.close()
    finally:
        plane.stop()
    capfd.readouterr()
    for options, why in (
        ({}, "neither $APPNET_CONTROL nor"),
        ({"control": "127.0.0.1:1", "trust": ["a"]}, "nobody is"),
    ):
        appnet.grpc.dial("frontend", **options)
        assert f"appnet: frontend has no chains: {why}" in capfd.readouterr().err
        appnet.grpc.dial("frontend", pass_unjudged=True, **options)
        assert not capfd.readouterr().err


class _Gone(io.StringIO):
    """Where whoever read it has ended."""

    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_nothing_that_is_wrong_ends_the_following(
    chains: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = part(chains, "calls")
    token = tmp_path / "token"
    token.write_bytes(b"\xff\xfe")
    asked: list[int] = []

    def token_of_a_vault() -> str:
        asked.append(0)
        if len(asked) == 1:
            raise LookupError("the vault is away")
        return "right"

    monkeypatch.setattr("sys.stderr", _Gone())
    with followed(token=token) as (plane, caller):
        time.sleep(0.2)
        token.write_text("right\n")
        assert plane.sends(SignedVersion(version=calls.SerializeToString(), form=2, made=1), calls).error
        found = caller.unary(b"hello", timeout=0.2)
        assert found.details == (
            f"appnet: frontend has no chains: the control plane at {plane.address}: a version is refused: it is signed "
            "by none of the keys in APPNET_TRUSTED_KEYS: the program needs the public key of the control plane that "
            "sends it"
        )
        assert plane.says(calls).accepted
    with followed(token=token_of_a_vault) as (plane, _):
        assert plane.says(calls).accepted


def test_other_forms_are_refused(chains: Path, tmp_path: Path) -> None:
    calls = part(chains, "calls")
    with followed() as (plane, _):
        for form, why in (
            (0, "it was made by an older AppNet, without its application and its time"),
            (3, "it is of form 3, and this release of AppNet reads 2"),
        ):
            it = SignedVersion.FromString(signed(calls, KEY, time.time_ns()).SerializeToString())
            it.form = form
            assert why in plane.sends(it, calls).error
    for form, why in ((0, "it was made by an older AppNet"), (3, "it is of form 3")):
        file = read_signed((chains / "calls.client.chains").read_bytes())
        file.form = form
        (tmp_path / "old.chains").write_bytes(file.SerializeToString())
        with dialled(Service(), files=tmp_path, patience=0.01) as caller:
            assert f"old.chains: {why}" in str(caller.unary(b"hello").details)


def test_a_control_plane_by_tls(chains: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate = authority.pair("plane")
    credentials = grpc.ssl_server_credentials([(certificate.key.read_bytes(), certificate.certificate.read_bytes())])
    plane = Plane(credentials=credentials)
    tls = grpc.ssl_channel_credentials(authority.certificate.read_bytes())
    try:
        with dialled(Service(), control=plane.address, tls=tls) as caller:
            assert plane.says(part(chains, "calls")).accepted
            assert caller.unary(b"refuse").code is Code.ABORTED
    finally:
        plane.stop()


def test_calls_fail_where_there_is_no_version(loop: Loop) -> None:
    service = Service()
    end = End("frontend", Options(patience=0.02), server=False)
    end.wrong = "nobody has told"
    text = "appnet: frontend has no chains: nobody has told"
    with serving(service) as target:
        callers: list[Any] = [
            BlockingCaller(target, [ClientInterceptor(end)]),
            AsyncCaller(loop, target, appnet.grpc.aio.client.interceptors(end)),
        ]
        for caller in callers:
            found = caller.unary(b"hello")
            assert (found.code, found.details) == (Code.UNAVAILABLE, text)
            found = caller.duplex([b"hello"])
            assert (found.code, found.details) == (Code.UNAVAILABLE, text)
            caller.close()
        assert service.calls == 0
    at_server = End("server", Options(patience=0.02), server=True)
    with serving(service, [appnet.grpc.server.ServerInterceptor(at_server)]) as target:
        caller = BlockingCaller(target)
        assert caller.unary(b"hello").code is Code.UNAVAILABLE
        caller.close()
    with serving_aio(loop, service, [appnet.grpc.aio.server.ServerInterceptor(at_server)]) as target:
        caller = BlockingCaller(target)
        assert caller.unary(b"hello").code is Code.UNAVAILABLE
        caller.close()
    assert service.calls == 0


def test_calls_pass_where_they_may() -> None:
    with dialled(Service(), pass_unjudged=True) as caller:
        assert caller.unary(b"refuse").code is Code.OK


def test_files(chains: Path, tmp_path: Path, loop: Loop) -> None:
    for side in ("client", "server"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "same.chains").write_bytes((chains / f"calls.{side}.chains").read_bytes())
    service = Service()
    with serving(service, appnet.grpc.serve("server", files=tmp_path)) as target:
        caller = BlockingCaller(target, appnet.grpc.dial("frontend", files=tmp_path))
        assert caller.unary(b"refuse").code is Code.ABORTED
        assert caller.unary(b"hello").code is Code.OK
        caller.close()
    files = {str(it): it.read_bytes() for it in tmp_path.glob("*/*")}
    with serving_aio(loop, service, appnet.grpc.aio.serve("server", files=files)) as target:
        asynchronous = AsyncCaller(loop, target, appnet.grpc.aio.dial("frontend", files=files))
        assert asynchronous.unary(b"refuse").code is Code.ABORTED
        assert asynchronous.unary(b"hello").code is Code.OK
        asynchronous.close()
    with dialled(service, files={"bad.chains": b"\xff" * 9}) as caller:
        assert "bad.chains: it is no file of chains" in str(caller.unary(b"hello").details)
    with serving(service) as target:
        caller = BlockingCaller(target, appnet.grpc.dial("nobody", files=tmp_path, patience=0.01))
        found = caller.unary(b"hello")
        assert found.details == "appnet: nobody has no chains: no file of the program has any for nobody"
        caller.close()


def test_an_option_that_there_is_not() -> None:
    with pytest.raises(TypeError, match="patient"):
        appnet.grpc.dial("frontend", patient=1)
