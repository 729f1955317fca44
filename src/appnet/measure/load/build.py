"""Builds the two C programs, once for each state of their source."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from appnet.codegen.c.build import cache_directory

_SOURCE = Path(__file__).parent / "c"
_SHARED = ("buffer.c", "hpack.c", "http2.c")
_PROGRAMS = {"client": (*_SHARED, "outcomes.c", "client.c"), "server": (*_SHARED, "server.c")}
_FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-s")


def program(name: str) -> Path:
    """The executable ``client`` or ``server``; compiled first where the cache does not hold it.

    Raises ``RuntimeError`` with the compiler's output where it cannot be built.
    """
    sources = [_SOURCE / file for file in _PROGRAMS[name]]
    target = f"{platform.machine()}-linux-gnu.2.28"
    built = cache_directory() / "load" / _digest(target) / name
    if built.exists():
        return built
    built.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=built.parent) as folder:
        fresh = Path(folder, name)
        command = [
            sys.executable,
            "-m",
            "ziglang",
            "cc",
            "-target",
            target,
            *_FLAGS,
            *map(str, sources),
            "-o",
            str(fresh),
        ]
        # What zig builds once, the stubs of libc, is shared with the build of modules.
        caches = {"ZIG_GLOBAL_CACHE_DIR": str(cache_directory() / "zig"), "ZIG_LOCAL_CACHE_DIR": folder}
        done = subprocess.run(command, env=os.environ | caches, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"the load {name} cannot be compiled:\n{done.stderr}")
        fresh.replace(built)  # at once, so that nobody starts half a program
    return built


def _digest(target: str) -> str:
    digest = hashlib.sha256("\0".join((target, version("ziglang"), *_FLAGS)).encode())
    for file in sorted(_SOURCE.iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:32]
