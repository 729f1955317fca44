"""Builds the two C programs, once for each state of their source."""

from __future__ import annotations

import platform
from pathlib import Path

from appnet.system.zig import CompilerError, compile_c

_SOURCE = Path(__file__).parent / "c"
_SHARED = ("buffer.c", "hpack.c", "http2.c")
_PROGRAMS = {"client": (*_SHARED, "outcomes.c", "client.c"), "server": (*_SHARED, "server.c")}
_FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-s")


def program(name: str) -> Path:
    """The executable ``client`` or ``server``; compiled first where the cache does not hold it.

    Raises ``RuntimeError`` with the compiler's output where it cannot be built.
    """
    flags = [*_FLAGS, "-target", f"{platform.machine()}-linux-gnu.2.28"]
    try:
        return compile_c("", [_SOURCE], flags, [_SOURCE / file for file in _PROGRAMS[name]])
    except CompilerError as error:
        raise RuntimeError(f"the load {name} cannot be compiled:\n{error}") from error
