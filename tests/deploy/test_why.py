"""Refusals as the control plane explains them and `appnetctl why` shows them: of a real module, over HTTP."""

from __future__ import annotations

import asyncio
import json
import random
import struct
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from typer.testing import CliRunner

from appnet.application.load import load
from appnet.behaviour.explained import Program, RefusalsPage
from appnet.cli.main import app
from appnet.codegen.c.printer import ChainSource, print_chain
from appnet.diagnostics.source import FileSource
from appnet.observe import RefusalStore, decode_refusals
from appnet.observe.refusals import Refusal
from appnet.processors.envoy.build import build
from appnet.processors.envoy.harness.native import ModuleUnderTest
from appnet.system.address import Address
from appnet.system.http import serve_http

ECHO = Path(__file__).parents[2] / "config/samples/echo"
CALL = "7f1c0f5e-call"


@pytest.fixture(scope="module")
def refused() -> tuple[list[Refusal], Program]:
    """What the sample's firewall tells of a call, and its program."""
    application = load(FileSource(ECHO / "sample_echo_sidecar.yaml"))
    chain = application.chains[0]
    spec = next(it.spec for it in chain.chain.stops if it.spec.name.value == "firewall")
    program = Program(chain.elements["firewall"], chain.method, chain.proto, spec)
    code = print_chain(ChainSource("firewall", "1", [(chain.method, [program.element])]))
    module = ModuleUnderTest(build(code, "native"), now_ns=1)
    message = chain.proto.bytes_class(chain.method.request.full_name)(Body=b"test").SerializeToString()
    call = module.call()
    framed = b"\0" + struct.pack(">I", len(message)) + message
    call.run_request(chain.method.full_name, {"x-request-id": CALL.encode()}, [framed], "server")
    call.end()
    return [it for batch in module.take_telemetry() for it in decode_refusals(batch)], program


def asked(refused: tuple[list[Refusal], Program], *arguments: str, known: bool = True) -> tuple[int, str]:
    """The exit code of the command and what it prints, with a control plane that has heard of the refusal."""
    refusals, program = refused

    async def all_of_it() -> tuple[int, str]:
        store, application = RefusalStore(), web.Application()
        for it in refusals:
            store.add(it)
        RefusalsPage(store, lambda _: program if known else None).add_to(application)
        runner = await serve_http(application, Address("127.0.0.1", 0))
        try:
            status = str(Address(*runner.addresses[0][:2]))
            found = await asyncio.to_thread(CliRunner().invoke, app, ["why", *arguments, "--status", status])
            return found.exit_code, found.output
        finally:
            await runner.cleanup()

    return asyncio.run(all_of_it())


def test_a_call_is_found_and_told_of(refused: tuple[list[Refusal], Program]) -> None:
    code, text = asked(refused, CALL)
    assert code == 0, text
    for line in (
        'ABORTED "firewall"',
        f"  x-request-id {CALL}",
        "It refused in row 1a.1b of `req` (firewall.appnet:13):",
        "  otherwise  =>  refuse 'firewall' with code 10",
        '  the entry of acl at "test"  "No"',
        "Run again on the interpreter, it refuses in the same row.",
    ):
        assert line in text
    assert asked(refused, "--last", "firewall")[1] == text


def test_it_is_data_too(refused: tuple[list[Refusal], Program]) -> None:
    (found,) = json.loads(asked(refused, CALL, "-o", "json")[1])
    assert (found["element"], found["row"]["number"], found["code"]) == ("firewall", "1a.1b", "ABORTED")
    assert found["replay"]["agrees"] is True
    assert [(it["what"], it["value"]) for it in found["reads"]] == [("rpc.Body", "test"), ("the entry of acl", "No")]
    assert yaml.safe_load(asked(refused, CALL, "-o", "yaml")[1]) == [found]


def test_it_becomes_a_case_that_passes(refused: tuple[list[Refusal], Program], tmp_path: Path) -> None:
    file = tmp_path / "saved.behaviour.yaml"
    code, text = asked(refused, CALL, "--save", str(file))
    assert code == 0, text
    assert not Path(yaml.safe_load(file.read_text())["proto"]).is_absolute()
    ran = CliRunner().invoke(app, ["test", str(file), "--target", "interpreter"])
    assert ran.exit_code == 0, ran.output
    assert "1 passed, 0 failed" in ran.output
    file.write_text(file.read_text().replace("'No'", "'Yes'"))
    assert CliRunner().invoke(app, ["test", str(file), "--target", "interpreter"]).exit_code == 1


def test_what_is_not_known_is_said(refused: tuple[list[Refusal], Program], tmp_path: Path) -> None:
    code, text = asked(refused, "no-such-call")
    assert code == 1
    assert "no refusal of a call with the x-request-id or trace id no-such-call is known" in text
    assert "elements that have refused calls: firewall" in text
    code, text = asked(refused, CALL, "--save", str(tmp_path / "x.behaviour.yaml"), known=False)
    assert code == 1
    assert "It cannot be run again, because its version is not known here any more." in text
    assert list(tmp_path.iterdir()) == []


def test_only_the_latest_are_kept(refused: tuple[list[Refusal], Program]) -> None:
    (it,) = refused[0]
    store = RefusalStore(kept=10, elements=2)
    names = [random.Random(number).choice(["a", "b"]) for number in range(50)]
    for number, name in enumerate([*names, "c"]):
        store.add(Refusal(**{**vars(it), "time_ns": number, "element": name, "request_id": f"call {number}"}))
    assert store.elements() == sorted([names[-1], "c"])
    assert [len(store.of_call(f"call {number}")) for number in (40, 41, 50)] == [0, 1, 1]
