"""C into modules that a proxy can load, by the compiler of the ``ziglang`` wheel, with a cache of what was built.

The cache is in ``$XDG_CACHE_HOME/appnet`` (``~/.cache/appnet``). An entry's name is a hash of everything that went
into it, so entries never go stale, and any number of processes may share the cache.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from enum import Enum
from importlib.metadata import version
from pathlib import Path

from appnet.ir.verify import InternalError

RUNTIME = Path(__file__).parent / "runtime"
"""The C files that every generated chain is compiled with."""

_GLIBC = "2.28"  # the oldest that a proxy's image may have
_WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Werror")
# The same arithmetic on every machine: no fused multiply-add where the text has a product and a sum.
_CODE = ("-O2", "-ffp-contract=off", "-fno-math-errno", "-s")


class Target(Enum):
    """What a chain is compiled to: a shared library, or a proxy-wasm module."""

    NATIVE = "native"
    WASM = "wasm"


def compile_module(source: str, target: Target, *, machine: str | None = None) -> bytes:
    """Compiles a printed chain with the runtime and the target's host.

    ``machine``: ``x86_64`` or ``aarch64``, for native modules; this one's unless given. They load on Linux with
    glibc 2.28 or later. Raises `InternalError` with the compiler's text and the place where the source was kept.
    """
    unit = f'{source}\n#include "unity_{target.value}.c"\n'
    return _compile(unit, (RUNTIME,), _flags(target, machine))


def compile_library(
    sources: Sequence[Path],
    *,
    include: Sequence[Path] = (),
    flags: Sequence[str] = (),
    machine: str | None = None,
) -> bytes:
    """Compiles C files to one native shared library.

    ``include``: directories for their ``#include``s; the files in them are taken to be part of the source.
    ``flags``: more of them for the compiler, such as ``-DNAME=1``. Raises as `compile_module` does.
    """
    unit = "".join(f'#include "{path.name}"\n' for path in sources)
    directories = dict.fromkeys([*(path.resolve().parent for path in sources), *include])
    return _compile(unit, tuple(directories), [*_flags(Target.NATIVE, machine), *flags])


def cache_directory() -> Path:
    """Where compiled modules are kept; made when it is first used."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "appnet"


def _flags(target: Target, machine: str | None) -> list[str]:
    if target is Target.WASM:
        linked = ["-target", "wasm32-freestanding", "-nostdlib", "-Wl,--no-entry"]
    else:
        triple = f"{machine or platform.machine()}-linux-gnu.{_GLIBC}"
        linked = [
            "-target",
            triple,
            "-shared",
            "-fPIC",
            "-fvisibility=hidden",
            "-ffunction-sections",
            "-Wl,--gc-sections",
        ]
    return [*_WARNINGS, *_CODE, *linked]


def _compile(unit: str, directories: Sequence[Path], flags: Sequence[str]) -> bytes:
    key = _key(unit, directories, flags)
    cache = cache_directory()
    entry = cache / "modules" / key
    try:
        return entry.read_bytes()
    except FileNotFoundError:
        pass
    entry.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="build-") as work:
        source = Path(work) / "module.c"
        source.write_text(unit, encoding="utf-8")
        output = Path(work) / "module.out"
        _run_compiler(source, output, directories, flags, cache)
        module = output.read_bytes()
        output.replace(entry)
    return module


def _run_compiler(source: Path, output: Path, directories: Iterable[Path], flags: Sequence[str], cache: Path) -> None:
    include = [f"-I{directory}" for directory in directories]
    command = [sys.executable, "-m", "ziglang", "cc", *flags, *include, "-o", str(output), str(source)]
    # What zig builds once (libc stubs) is shared; what it keeps of this one module goes away with it.
    environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": str(cache / "zig"), "ZIG_LOCAL_CACHE_DIR": str(source.parent)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if run.returncode != 0 or not output.exists():
        kept = cache / "failed" / f"{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}.c"
        kept.parent.mkdir(parents=True, exist_ok=True)
        source.replace(kept)
        text = run.stderr.replace(str(source), str(kept))
        raise InternalError(f"generated C compiles without a warning\n{text}", str(kept))


def _key(unit: str, directories: Iterable[Path], flags: Sequence[str]) -> str:
    parts = [version("ziglang").encode(), "\0".join(flags).encode(), unit.encode()]
    for directory in directories:
        for path in sorted(directory.iterdir()):
            if path.suffix in {".c", ".h"}:
                parts += [path.name.encode(), path.read_bytes()]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()
