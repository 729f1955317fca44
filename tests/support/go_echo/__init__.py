"""An echo server in Go that runs a chain by itself, as one of the instances that share state."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from appnet.codegen.c.printer import ChainSource, print_by_content
from appnet.ir.nodes import Element
from appnet.processors.grpc.build import build
from appnet.processors.grpc.versions import message_class, signed, store_message
from appnet.processors.options import StoreOptions
from appnet.processors.signing import SigningKey
from appnet.system.address import Address
from tests.support.go import find_go, run_go
from tests.support.signatures import ECHO

_MODULE = Path(__file__).parent


@cache
def echo_program() -> Path:
    """The program. Raises `NoToolsError` where Go is missing."""
    folder = Path(tempfile.mkdtemp(prefix="appnet-go-"))
    weakref.finalize(echo_program, shutil.rmtree, folder)
    program = folder / "echo"
    run_go([find_go(), "build", "-o", str(program), "."], _MODULE)
    return program


def write_chain(folder: Path, element: Element, store: StoreOptions) -> Path:
    """A folder with the chain of the element, which shares its state there."""
    code = print_by_content(ChainSource("shared", "", [(ECHO, [element])]), "library")
    version = message_class("Version")(id=code.version, node="go", client="frontend", server="server", at_server=True)
    version.chains.add(
        name="shared", version=code.version, max_message=4 << 20, code=build(code.text), store=store_message(store)
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shared.chains").write_bytes(signed(version, SigningKey.generate()).SerializeToString())
    return folder


@contextlib.contextmanager
def running_echo(chains: Path) -> Iterator[Address]:
    """Where it listens. At the end it ends by itself, having told the store."""
    process = subprocess.Popen([echo_program(), str(chains)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Address.parse(process.stdout.readline().strip())
    finally:
        process.terminate()
        assert process.wait(30) == 0
        process.stdout.close()
