"""A native Envoy and a program in Go share state."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from appnet.diagnostics.source import TextSource
from appnet.ir.compile import compile_element
from appnet.processors.envoy.targets import NATIVE
from appnet.processors.options import StoreOptions
from tests.e2e.conftest import ECHO as PATH
from tests.e2e.conftest import ELEMENTS, proxies
from tests.support.go import NoToolsError
from tests.support.go_echo import echo_program, running_echo, write_chain
from tests.support.raw_grpc import string_field
from tests.support.shared_store import store_under_test
from tests.support.signatures import ECHO

QUOTA = """\
state:
    @consistency(strong)
    used: int
    @consistency(weak)
    seen: int

init():
    pass

req(rpc):
    seen = seen + 1
    if used >= 100:
        send(err('used up', RESOURCE_EXHAUSTED), Up)
    used = used + 1
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""


def test_an_envoy_and_a_program_have_one_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        echo_program()
    except NoToolsError as missing:
        pytest.skip(str(missing))
    monkeypatch.setitem(ELEMENTS, "shared_quota", QUOTA)
    element = compile_element(TextSource(Path("shared_quota.appnet"), QUOTA), ECHO, name="shared_quota").element
    with store_under_test() as store, proxies(NATIVE, tmp_path) as start:
        options = StoreOptions(store.url, store.scope(), timeout=20.0, merge_every=0.05)
        proxied = start("shared_quota", store=options)
        with running_echo(write_chain(tmp_path / "go", element, options)) as program:
            targets = [f"127.0.0.1:{proxied.port}", str(program)]
            channels = [grpc.insecure_channel(it) for it in targets]

            def call(number: int) -> grpc.StatusCode:
                made = channels[number % 2].unary_unary(PATH)
                try:
                    made(string_field(1, b"hello"), timeout=60)
                except grpc.RpcError as error:
                    return error.code()
                return grpc.StatusCode.OK

            with ThreadPoolExecutor(8) as callers:
                found = list(callers.map(call, range(160)))
            for it in channels:
                it.close()
        assert (found.count(grpc.StatusCode.OK), found.count(grpc.StatusCode.RESOURCE_EXHAUSTED)) == (100, 60)
        # The program has merged before it ended.
        keys = list(store.client.keys("*seen:entries"))
        assert len(keys) == 1
        assert int.from_bytes(store.client.hgetall(keys[0])[b""][:8], "little") >= 80
