"""What Envoy's two hosts are made of: a change of any of it gives another module."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from appnet.codegen.c import ChainSource, print_chain
from appnet.codegen.c.build import RUNTIME, Host
from appnet.codegen.c.build import build as build_for
from appnet.diagnostics.diagnostic import InternalError
from appnet.diagnostics.source import FileSource
from appnet.ir import compile_element
from appnet.processors.envoy.build import HOSTS, HTTP
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.system import zig
from tests.support.signatures import ECHO

SOURCES = Path(__file__).parents[3] / "src/appnet"

each_host = pytest.mark.parametrize("host", HOSTS.values(), ids=lambda host: host.name)


@pytest.fixture(scope="module")
def chain() -> str:
    """A chain with every hook that a host can have."""
    element = compile_element(FileSource(Path("config/samples/elements/logging.appnet")), ECHO).element
    return print_chain(ChainSource("hosts", "1", [(ECHO, [element])]))


def read_by(host: Host, chain: str, folder: Path) -> set[Path]:
    """The project's files that the compiler reads for the chain on this host."""
    unit = folder / "unit.c"
    files = [RUNTIME / "runtime.c", *host.sources, *host.exports]
    unit.write_text(chain + "".join(f'#include "{path}"\n' for path in files))
    include = [f"-I{it}" for it in host.folders]
    command = [sys.executable, "-m", "ziglang", "cc", "-M", "-std=c11", "-target", host.triple, *host.flags, *include]
    run = subprocess.run([*command, unit], capture_output=True, text=True, check=True)
    read = {Path(it).resolve() for it in run.stdout.replace("\\\n", " ").split()[1:]}
    return {it for it in read if it.is_relative_to(SOURCES)}


@each_host
def test_a_host_lists_every_folder_that_it_includes(host: Host, chain: str, tmp_path: Path) -> None:
    read = read_by(host, chain, tmp_path)
    assert {*host.sources, *host.exports, RUNTIME / "wire.c", HTTP / "module.h"} <= read
    assert {it.parent for it in read} == set(host.folders)


@each_host
def test_a_change_of_any_file_is_another_module(host: Host, tmp_path: Path) -> None:
    folders = [Path(shutil.copytree(it, tmp_path / str(number))) for number, it in enumerate(host.folders)]
    key = zig._key("", folders, host.flags)
    files = [it for folder in folders for it in folder.iterdir() if it.suffix in {".c", ".h"}]
    assert len(files) > 40
    for file in files:
        text = file.read_text()
        file.write_text(f"{text}\n")
        assert zig._key("", folders, host.flags) != key, file.name
        file.write_text(text)
    assert zig._key("", folders, host.flags) == key


def test_all_folders_are_told_to_the_compiler(chain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[Path, ...]] = []

    def compile_c(_unit: str, include: tuple[Path, ...], _flags: object, _objects: object) -> Path:
        told.append(tuple(include))
        return Path(__file__)

    monkeypatch.setattr("appnet.codegen.c.build.compile_c", compile_c)
    build_for(chain, HOSTS[NATIVE])
    assert told == [HOSTS[NATIVE].folders] * 2  # the runtime, and the chain


def test_a_folder_that_is_not_listed_is_told() -> None:
    with pytest.raises(InternalError, match="lists the folders of its files"):
        replace(HOSTS[WASM], include=(HTTP,))
