"""C into modules that a proxy can load; what was built once is taken from the cache."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from appnet.diagnostics.diagnostic import InternalError
from appnet.system.zig import CompilerError, compile_c

RUNTIME = Path(__file__).parent / "runtime"
"""The C files that every generated chain is compiled with."""

_GLIBC = "2.28"  # the oldest that a proxy's image may have
_WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Werror")
# The same arithmetic on every machine: no fused multiply-add where the text has a product and a sum.
_CODE = ("-O2", "-ffp-contract=off", "-fno-math-errno")


class Target(Enum):
    """What a chain is compiled to: a shared library, or a proxy-wasm module."""

    NATIVE = "native"
    WASM = "wasm"


_HOSTS = {Target.NATIVE: "host_module.c", Target.WASM: "host_wasm.c"}


def compile_module(source: str, target: Target, *, machine: str | None = None) -> bytes:
    """Compiles a printed chain with the target's host and links it with the runtime.

    The runtime is compiled once for all chains: a change of a chain must reach its proxies within a second.

    ``machine``: ``x86_64`` or ``aarch64``, for native modules; this one's unless given. They load on Linux with
    glibc 2.28 or later. Raises `InternalError` with the compiler's text and the place where the source was kept.
    """
    code, link = _flags(target, machine)
    runtime = _compile(f'#include "runtime_{target.value}.c"\n', (RUNTIME,), [*code, "-c"])
    host = f'{source}\n#include "{_HOSTS[target]}"\n'
    return _compile(host, (RUNTIME,), [*code, *link], objects=(runtime,)).read_bytes()


def compile_library(
    sources: Sequence[Path],
    *,
    include: Sequence[Path] = (),
    flags: Sequence[str] = (),
    target: Target = Target.NATIVE,
    machine: str | None = None,
) -> bytes:
    """Compiles C files to one shared library or wasm module.

    ``include``: directories for their ``#include``s; the files in them are taken to be part of the source.
    ``flags``: more of them for the compiler, such as ``-DNAME=1``. Raises as `compile_module` does.
    """
    unit = "".join(f'#include "{path.name}"\n' for path in sources)
    directories = dict.fromkeys([*(path.resolve().parent for path in sources), *include])
    code, link = _flags(target, machine)
    return _compile(unit, tuple(directories), [*code, *link, *flags]).read_bytes()


def _flags(target: Target, machine: str | None) -> tuple[list[str], list[str]]:
    """What compiling and what linking needs."""
    if target is Target.WASM:
        return [*_WARNINGS, *_CODE, "-target", "wasm32-freestanding"], ["-s", "-nostdlib", "-Wl,--no-entry"]
    triple = f"{machine or platform.machine()}-linux-gnu.{_GLIBC}"
    code = [*_WARNINGS, *_CODE, "-target", triple, "-fPIC", "-fvisibility=hidden", "-ffunction-sections"]
    return code, ["-s", "-shared", "-Wl,--gc-sections"]


def _compile(unit: str, directories: Sequence[Path], flags: Sequence[str], objects: Sequence[Path] = ()) -> Path:
    try:
        return compile_c(unit, directories, flags, objects)
    except CompilerError as error:
        raise InternalError(f"generated C compiles without a warning\n{error}", str(error.source)) from error
