"""The echo application in Go: its chains run in its own programs, and no proxy anywhere."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from appnet.control.rollout import RolloutError
from appnet.deploy.local.machine import LocalMachine
from appnet.deploy.local.program import free_port
from appnet.processors.grpc import build as library
from appnet.processors.grpc.container import Container
from appnet.processors.processor import ProcessorError
from tests.processors.test_toy import appnetctl
from tests.quickstart.programs import copied, run_once, trace_and_explain, upgrade_while_it_runs
from tests.quickstart.serving import answered, envoy, serving, wait_for_text
from tests.quickstart.support import ECHO, ask, judged, running, settings_of
from tests.support.certificates import Authority
from tests.support.go import NoToolsError, find_go, run_go

pytestmark = pytest.mark.e2e
GO = ECHO.with_name("echo-go")
CHOOSER = """\
state:
    pass

init():
    pass

req(rpc):
    if to_int(size(get_backends())) != 3:
        send(err('not three hosts'), Up)
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        go = find_go()
    except NoToolsError as missing:
        pytest.skip(str(missing))
    found = tmp_path_factory.mktemp("echo") / "echo"
    run_go([go, "build", "-o", str(found), "."], GO)
    return found


@pytest.fixture
def config(tmp_path: Path, program: Path) -> Path:
    """A copy of the sample that tests may change, whose program is built already."""
    file = copied(tmp_path, "echo-go")
    local = file.with_name("local.yaml")
    local.write_text(local.read_text().replace("go run .", str(program)))
    file.write_text(file.read_text().replace("<APPNET_DIR_PATH>/config/samples/echo-go/pb", "pb"))
    return file


def test_once(tmp_path: Path, config: Path) -> None:
    run_once(tmp_path, config)


def test_programs_get_new_versions_while_they_run(tmp_path: Path, config: Path) -> None:
    upgrade_while_it_runs(tmp_path, config)


def test_calls_are_traced_and_refusals_explained(tmp_path: Path, config: Path) -> None:
    trace_and_explain(tmp_path, config)


def test_a_version_that_is_refused_changes_nothing(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program says why, and goes on with the version before."""

    async def scenario() -> None:
        async with LocalMachine(settings_of(config, tmp_path)) as machine:
            url = machine.url("frontend")
            assert (await judged(url, "test")).message == "firewall"
            right = library.build
            monkeypatch.setattr(library, "build", lambda code: Container({"vax": b"code"}).pack())
            firewall = tmp_path / "echo" / "firewall.appnet"
            firewall.write_text(firewall.read_text().replace("'test'", "'hello'"))
            with pytest.raises(RolloutError, match=r"server-grpc refused version \w+: chain .*it has no code for"):
                await machine.controller.upgrade()
            monkeypatch.setattr(library, "build", right)
            assert (await judged(url, "test")).message == "firewall"
            assert (await ask(url, "hello")).message != "firewall"

    asyncio.run(scenario())


def test_an_element_that_only_a_proxy_can_run_stays_there(tmp_path: Path, config: Path) -> None:
    """Of the same edge, the others run in the programs."""
    mix(tmp_path, config)
    with running(tmp_path, config, "--once") as it:
        assert it.process.wait(120) == 0, it.output
    assert re.search(r"frontend-sidecar runs .*canary", it.output), it.output
    assert "server-grpc runs firewall" in it.output
    assert "'hello'  at 'frontend-grpc'" in it.output
    assert it.output.endswith("all checks passed\n")


def mix(folder: Path, config: Path) -> None:
    """Gives the sample sidecars besides, and an element that only they can run."""
    shutil.copytree(ECHO.with_name("elements"), folder / "elements")
    text = re.sub("- grpc .*", "- grpc\n    - sidecar", config.read_text())
    config.write_text(
        text.replace("- name: logging", "- name: canary\n      file: ../elements/canary.appnet\n    - name: logging")
    )


def test_programs_and_proxies_follow_one_control_plane(tmp_path: Path, config: Path, program: Path) -> None:
    mix(tmp_path, config)
    port, server, frontend = (free_port() for _ in range(3))
    started: list[subprocess.Popen[bytes]] = []
    to = f"--upstream=server=127.0.0.1:{server}"
    with serving(tmp_path, config, to, f"--programs=127.0.0.1:{port}", nodes=4) as serve, ExitStack() as stack:
        printed = serve.it.rest_of_line("these programs with: ")
        assert f"APPNET_CONTROL=127.0.0.1:{port} " in printed
        variables = os.environ | dict(each.split("=") for each in shlex.split(printed))
        entrance = re.search(r"frontend calls server at (\S+)", serve.it.output)
        assert entrance is not None
        roles = ["server", "--port", str(server)], ["frontend", "--server", entrance[1], "--port", str(frontend)]
        for node in ("server-sidecar", "frontend-sidecar"):
            stack.enter_context(envoy(tmp_path, node, *serve.places))
        for it in roles:
            started.append(subprocess.Popen([program, *it], env=variables, stdout=subprocess.DEVNULL))
            stack.callback(started[-1].terminate)
        for node in ("server-sidecar", "frontend-sidecar", "server-grpc", "frontend-grpc"):
            serve.it.wait_for(f"{node} connected")
        url = f"http://127.0.0.1:{frontend}"
        assert answered(url, "hello").text == "You've hit server"
        assert asyncio.run(judged(url, "test")).message == "firewall"
    for it in started:
        it.wait(10)


def replicated(config: Path, count: int) -> None:
    """The sample with so many servers."""
    manifest = config.with_name("echo.yaml")
    first, last = manifest.read_text().rsplit("replicas: 1", 1)  # the server's
    manifest.write_text(f"{first}replicas: {count}{last}")


def test_the_chain_chooses_the_replica(tmp_path: Path, config: Path) -> None:
    replicated(config, 3)
    chooser = CHOOSER.replace("send(rpc, Down)", "set(rpc, 'dst', to_int(get(rpc, 'Body')))\n    send(rpc, Down)", 1)
    fault = tmp_path / "echo" / "fault.appnet"
    fault.write_text(chooser)

    async def scenario() -> None:
        async with LocalMachine(settings_of(config, tmp_path)) as machine:
            url = machine.url("frontend")
            answers = [f"You've hit {it.pod}" for it in machine.instances["server"]]
            for number in (0, 1, 2, 0, 1, 2):
                assert (await judged(url, str(number))).text == answers[number]
            fault.write_text(CHOOSER)  # which leaves the choice to the library: one after the other
            assert await machine.controller.upgrade() is not None
            assert {(await judged(url, "hello")).text for _ in range(12)} == set(answers)

    asyncio.run(scenario())


def test_nothing_spreads_calls_where_the_client_has_no_elements(tmp_path: Path, config: Path) -> None:
    replicated(config, 2)
    text = config.read_text()
    config.write_text(
        re.sub(r"  clientChain:\n.*(?=  serverChain:)|  anyChain:\n.*(?=  proto:)", "", text, flags=re.DOTALL)
    )

    async def scenario() -> None:
        async with LocalMachine(settings_of(config, tmp_path)):
            raise AssertionError("it started")

    with pytest.raises(ProcessorError, match="server has 2 instances, and nothing in frontend spreads calls"):
        asyncio.run(scenario())


def test_programs_that_somebody_else_starts_follow_a_control_plane(tmp_path: Path, config: Path, program: Path) -> None:
    control, records, server, frontend = (f"127.0.0.1:{free_port()}" for _ in range(4))
    arguments = (f"--upstream=server={server}", "--control", control, "--records", records)
    port = frontend.partition(":")[2]
    started: list[subprocess.Popen[bytes]] = []
    status = f"127.0.0.1:{free_port()}"
    authority, token, wrong = Authority(tmp_path), tmp_path / "token", tmp_path / "another"
    own = authority.pair("serve")
    token.write_text("secret\n")
    wrong.write_text("another")
    guarded = ("--tls-cert", str(own.certificate), "--tls-key", str(own.key), "--token-file", str(token))
    options = (*arguments, "--status", status, "--canary", "server-grpc", *guarded)
    with running(tmp_path, config, *options, command="serve") as it:
        try:
            printed = it.rest_of_line("start these programs with: ")
            told = dict(each.split("=") for each in shlex.split(printed))
            assert told["APPNET_APPLICATION"] == "echo"
            variables = os.environ | told | {"APPNET_CA": str(authority.certificate)}
            roles = [
                ["server", "--name", "me", "--port", server.partition(":")[2]],
                ["frontend", "--server", server, "--port", port],
            ]
            stranger = tmp_path / "stranger.log"
            with stranger.open("wb") as log:
                others = variables | {"APPNET_TOKEN": str(wrong)}
                started.append(subprocess.Popen([program, *roles[0]], env=others, stdout=log, stderr=log))
            wait_for_text(stranger, "this control plane wants a token")
            started.pop().kill()
            started += [subprocess.Popen([program, *it], env=variables, stdout=subprocess.DEVNULL) for it in roles]
            it.wait_for("frontend-grpc connected")
            it.wait_for("server-grpc connected")
            url = f"http://{frontend}"
            assert answered(url, "hello").text == "You've hit me"
            assert asyncio.run(judged(url, "test")).message == "firewall"
            firewall = tmp_path / "echo" / "firewall.appnet"
            firewall.write_text(firewall.read_text().replace("'test'", "'hello'"))
            it.wait_for("server-grpc accepted after")
            assert asyncio.run(judged(url, "hello")).message == "firewall"
            assert "is part of a program" in it.output
            code, shown, _ = appnetctl("rollout", "status", "--status", status)
            assert code == 0
            assert re.search(
                r"canary (\w+) on server-grpc\n  server-grpc    \1  acked .*\n  frontend-grpc  \w+  acked", shown
            )
            assert appnetctl("rollout", "promote", "--status", status)[0] == 0
            assert appnetctl("rollout", "undo", "--status", status)[0] == 0
            assert asyncio.run(judged(url, "test")).message == "firewall"
        finally:
            for process in started:
                process.terminate()
                process.wait(10)
