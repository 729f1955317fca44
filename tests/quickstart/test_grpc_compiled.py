"""Programs in Go that have their chains inside, as the compiler wrote them: no proxy, and no control plane."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appnet.cli.main import app
from appnet.deploy.local.program import free_port
from appnet.observe.receiver import OtlpReceiver
from appnet.observe.store import RecordStore
from appnet.system.address import Address
from tests.processors.grpc.go_module import MODULE
from tests.quickstart.support import ECHO, judged
from tests.support.go import NoToolsError, find_go, run_go

pytestmark = pytest.mark.e2e
GO = ECHO.with_name("echo-go")
SPEC = """\
app_name: echo
app_manifest: {echo}/echo.yaml
app_structure: [frontend->server]
edge:
  frontend->server:
    - {{method: echo, name: logging, path: {echo}/logging.appnet, position: client, proto: {echo}/echo.proto}}
    - {{method: echo, name: firewall, path: {echo}/firewall.appnet, position: server, proto: {echo}/echo.proto}}
link: {{}}
"""


def embedding(main: str) -> str:
    """The sample's program with the lines of the compiler's README in it."""
    main = main.replace("import (\n", 'import (\n\t"embed"\n', 1)
    main = main.replace("const callTimeout", "//go:embed chains\nvar chains embed.FS\n\nconst callTimeout", 1)
    main = main.replace('appnet.Serve("server")', 'appnet.Serve("server", appnet.Embedded(chains))')
    return main.replace('appnet.Dial("frontend")', 'appnet.Dial("frontend", appnet.Embedded(chains))')


@pytest.fixture(scope="module")
def records() -> Address:
    """Where the program's elements send their records."""
    return Address("127.0.0.1", free_port())


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, records: Address) -> Path:
    try:
        go = find_go()
    except NoToolsError as missing:
        pytest.skip(str(missing))
    folder = tmp_path_factory.mktemp("echo")
    (folder / "spec.yaml").write_text(SPEC.format(echo=ECHO.resolve()))
    arguments = ["--spec", str(folder / "spec.yaml"), "--backend", "grpc", "--write", str(folder / "out")]
    answer = CliRunner().invoke(app, ["compile", *arguments, "--collector", str(records)])
    assert answer.exit_code == 0, answer.output
    source = folder / "program"
    shutil.copytree(GO, source)
    shutil.copytree(folder / "out" / "chains", source / "chains")
    (source / "main.go").write_text(embedding((source / "main.go").read_text()))
    (source / "go.mod").write_text((source / "go.mod").read_text().replace("../../../go/appnet", str(MODULE)))
    run_go([go, "build", "-o", str(folder / "echo"), "."], source)
    return folder / "echo"


@contextmanager
def started(program: Path, *roles: list[str]) -> Iterator[None]:
    processes = [subprocess.Popen([program, *it], stdout=subprocess.DEVNULL, env={}) for it in roles]
    try:
        yield
    finally:
        for it in processes:
            it.terminate()
            it.wait(10)


def wait_for(port: int) -> None:
    """Until something listens on the port."""
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline, f"nothing listens on {port}"
            time.sleep(0.05)
        else:
            return


def test_a_program_with_its_chains_inside_needs_nothing_else(program: Path, records: Address) -> None:
    """Its records come to the same receiver as those of proxies."""
    server, frontend = (str(free_port()) for _ in range(2))
    client = ["frontend", "--server", f"127.0.0.1:{server}", "--port", frontend]
    with started(program, ["server", "--name", "me", "--port", server], client):
        for it in (server, frontend):
            wait_for(int(it))
        asyncio.run(called(f"http://127.0.0.1:{frontend}", records))


async def called(url: str, records: Address) -> None:
    store = RecordStore()
    async with OtlpReceiver(records) as receiver:
        receiver.subscribe(store.add)
        assert (await judged(url, "hello")).text == "You've hit me"
        assert (await judged(url, "test")).message == "firewall"
        async with asyncio.timeout(10):
            while len(store.records("logging", "record_req")) < 2:
                await asyncio.sleep(0.05)
    found = store.records("logging", "record_req")
    assert [it.value for it in found] == ["hello", "test"]
    assert {it.resource["appnet.processor"] for it in found} == {"frontend-grpc"}
