"""The Go module, built and driven: its test program judges events one by one."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import weakref
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.go import find_go, run_go

MODULE = Path(__file__).parents[3] / "go" / "appnet"
WASM = MODULE / "wasm"


@cache
def driver(*, isolated: bool) -> Path:
    """The test program; ``isolated``: its chains run in modules of wasm. Raises `NoToolsError` where Go is missing."""
    folder = Path(tempfile.mkdtemp(prefix="appnet-go-"))
    weakref.finalize(driver, shutil.rmtree, folder)
    program = folder / "drive"
    flags, environment = isolation(folder) if isolated else ([], {})
    run_go([find_go(), "test", *flags, "-c", "-o", str(program), "."], MODULE, **environment)
    return program


def isolation(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Flags and variables of ``go test`` by which the module's tests run chains in modules of wasm."""
    overlay, work = folder / "overlay.json", folder / "go.work"
    file = "isolated_test.go"
    overlay.write_text(json.dumps({"Replace": {str(MODULE / file): str(WASM / "testdata" / file)}}))
    work.write_text(f"go 1.24.0\n\nuse (\n\t{MODULE}\n\t{WASM}\n)\n")
    return ["-overlay", str(overlay)], {"GOWORK": str(work)}


class GoProcess:
    """A process of the driver; it ends with this. ``loaded``: how many instances were asked for."""

    def __init__(self, *, isolated: bool = False) -> None:
        self._process = subprocess.Popen(
            [driver(isolated=isolated)],
            env=os.environ | {"APPNET_DRIVE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        weakref.finalize(self, _end, self._process)
        self.loaded = 0

    def ask(self, **event: Any) -> dict[str, Any]:
        """What became of an event, with bytes for what Go has as bytes. Raises `RuntimeError` for errors of the host."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(_told(event)).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the Go program ended with {self._process.wait()}")
        answer = json.loads(line)
        if answer["Error"]:
            raise RuntimeError(answer["Error"])
        return {key: _read(key, value) for key, value in answer.items()}


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    assert process.stdout
    process.stdin.close()
    process.wait()
    process.stdout.close()


_BYTES = {"Text", "Message", "Data"}
_LISTS = {"Parts"}
_HEADERS = {"Metadata", "Trailers", "Own", "OwnTrailers"}


def _told(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {key: _told(it) for key, it in value.items()}
    return [_told(it) for it in value] if isinstance(value, list | tuple) else value


def _read(key: str, value: Any) -> Any:
    if key in _BYTES:
        return base64.b64decode(value or "")
    if key in _LISTS:
        return [base64.b64decode(it or "") for it in value or []]
    if key in _HEADERS:
        return {name: [base64.b64decode(it) for it in several] for name, several in (value or {}).items()}
    return value
