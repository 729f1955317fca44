"""The Go module's own tests, on chains that are compiled here: with the race detector, and without a word of `go vet`."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from appnet import __version__
from appnet.processors.grpc.build import HOSTS, MACHINES
from appnet.processors.grpc.container import Container
from appnet.state.server import running_store, store_folder
from tests.processors.grpc.chains import read_chains, write_chains
from tests.processors.grpc.go_module import MODULE, WASM, isolation
from tests.support.go import find_go, run_go

STATICCHECK = "v0.8.2"
pytestmark = pytest.mark.go


@pytest.fixture(scope="module")
def go() -> str:
    return find_go()


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chains")
    write_chains(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def store() -> Iterator[None]:
    """A store that the tests find by their environment."""
    folder = store_folder()
    with running_store(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("APPNET_STORE", str(folder / "store.sock"))
        yield


def _test(go: str, chains: Path, *flags: str, module: Path = MODULE, packages: str = "./...", **variables: str) -> str:
    command = [go, "test", "-count=1", *flags, packages]
    environment = os.environ | {"APPNET_CHAINS": str(chains)} | variables
    run = subprocess.run(command, cwd=module, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_its_tests_pass_with_the_race_detector(go: str, chains: Path) -> None:
    assert "SKIP" not in _test(go, chains, "-race", "-v")


def test_its_tests_pass_in_modules_of_wasm(go: str, chains: Path, tmp_path: Path) -> None:
    flags, environment = isolation(tmp_path)
    assert "SKIP" not in _test(go, chains, *flags, "-v", packages=".", **environment)


def test_modules_of_wasm(go: str, chains: Path) -> None:
    assert "SKIP" not in _test(go, chains, "-v", module=WASM)
    assert "ok" in _test(go, chains, "-race", module=WASM, packages=".")


@pytest.mark.parametrize(("toolchain", "grpc"), [("go1.24.13", ""), ("", "v1.85.0")], ids=["oldest", "newest"])
def test_its_tests_pass_with_others(go: str, chains: Path, tmp_path: Path, toolchain: str, grpc: str) -> None:
    """With the oldest Go that the module says it takes, and with the gRPC that was the newest."""
    folder = tmp_path / "module"
    shutil.copytree(MODULE, folder)
    if grpc:
        run_go([go, "get", f"google.golang.org/grpc@{grpc}"], folder)
        run_go([go, "mod", "tidy"], folder)
    environment = {"APPNET_CHAINS": str(chains)} | ({"GOTOOLCHAIN": toolchain} if toolchain else {})
    assert "ok" in run_go([go, "test", "-count=1", "./..."], folder, **environment)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to change it")
def test_its_tests_pass_where_there_is_nothing_else(go: str, chains: Path, tmp_path: Path) -> None:
    """A static program in an empty root, as in a scratch image."""
    run_go([go, "test", "-c", "-o", str(tmp_path / "program"), "."], MODULE, CGO_ENABLED="0")
    (tmp_path / "tmp").mkdir()
    (tmp_path / "proc").mkdir()
    shutil.copytree(chains, tmp_path / "chains")
    environment = {"APPNET_CHAINS": "/chains", "TMPDIR": "/tmp", "HOME": "/tmp", "PATH": os.environ["PATH"]}
    run = subprocess.run(
        ["/program", "-test.v"],
        env=environment,
        preexec_fn=lambda: os.chroot(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "--- PASS: TestUpgrades" in run.stdout


@pytest.mark.parametrize("module", [MODULE, WASM], ids=["native", "wasm"])
def test_it_is_tidy(go: str, module: Path) -> None:
    assert run_go([go, "vet", "./..."], module) == ""
    assert run_go([go, "run", f"honnef.co/go/tools/cmd/staticcheck@{STATICCHECK}", "./..."], module) == ""
    assert run_go([go, "mod", "tidy", "-diff"], module) == ""
    gofmt = Path(go).parent / "gofmt"
    program = str(gofmt) if gofmt.exists() else "gofmt"
    assert run_go([program, "-l", "."], module) == ""


@pytest.mark.parametrize("system", ["darwin/arm64", "windows/amd64"])
def test_it_builds_for_other_systems(go: str, system: str) -> None:
    """There, programs need the runtime of wasm. A file for some systems alone is for one of these or for Linux."""
    name, _, machine = system.partition("/")
    for module in (MODULE, WASM):
        assert run_go([go, "vet", "./..."], module, GOOS=name, GOARCH=machine, CGO_ENABLED="0") == ""


def test_it_is_of_this_release() -> None:
    assert f'const Release = "{__version__}"' in (MODULE / "live.go").read_text()


@pytest.mark.parametrize("machine", MACHINES)
def test_a_chain_needs_nothing(machine: str, chains: Path) -> None:
    """No library, no dynamic linker, no symbol that somebody else has: the module refuses more than that."""
    version = read_chains((chains / "calls.client.chains").read_bytes())
    code = Container.unpack(version.chains[0].code).code[machine]
    assert code[:4] == b"\x7fELF"
    assert int.from_bytes(code[18:20], "little") == {"amd64": 62, "arm64": 183}[machine]
    assert b"libc" not in code
    assert len(code) < 130_000


def test_there_is_a_host_for_each_machine() -> None:
    assert set(HOSTS) == {"amd64", "arm64", "wasm32"}
    assert platform.machine() in {"x86_64", "aarch64"}


@pytest.mark.parametrize("size", [0, 3, 20, 100])
def test_containers_that_are_none(size: int) -> None:
    whole = Container({"amd64": b"code", "arm64": b"other"}).pack()
    assert Container.unpack(whole).code == {"amd64": b"code", "arm64": b"other"}
    for broken in (whole[:size], whole + b"x", whole.replace(b"other", b"othes")):
        with pytest.raises(ValueError, match=r"not the code of a chain|not what its hash says"):
            Container.unpack(broken)
