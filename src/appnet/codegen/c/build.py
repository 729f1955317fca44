"""C into modules that a proxy can load, by the compiler of the ``ziglang`` wheel, with a cache of what was built.

The cache is in ``$XDG_CACHE_HOME/appnet`` (``~/.cache/appnet``). An entry's name is a hash of everything that went
into it, so entries never go stale, and any number of processes may share the cache.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from enum import Enum
from importlib.metadata import version
from pathlib import Path

from appnet.ir.verify import InternalError

RUNTIME = Path(__file__).parent / "runtime"
"""The C files that every generated chain is compiled with."""

_KEPT_BYTES = 512 << 20  # thousands of modules
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


def cache_directory() -> Path:
    """Where compiled modules are kept; made when it is first used."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "appnet"


def _flags(target: Target, machine: str | None) -> tuple[list[str], list[str]]:
    """What compiling and what linking needs."""
    if target is Target.WASM:
        return [*_WARNINGS, *_CODE, "-target", "wasm32-freestanding"], ["-s", "-nostdlib", "-Wl,--no-entry"]
    triple = f"{machine or platform.machine()}-linux-gnu.{_GLIBC}"
    code = [*_WARNINGS, *_CODE, "-target", triple, "-fPIC", "-fvisibility=hidden", "-ffunction-sections"]
    return code, ["-s", "-shared", "-Wl,--gc-sections"]


def _compile(unit: str, directories: Sequence[Path], flags: Sequence[str], objects: Sequence[Path] = ()) -> Path:
    """The entry of the cache for ``unit`` compiled, and linked with ``objects``, entries themselves."""
    cache = cache_directory()
    entry = cache / "modules" / _key(unit, directories, [*flags, *(it.name for it in objects)])
    with contextlib.suppress(FileNotFoundError):
        os.utime(entry)  # among the last used, if it is there
        return entry
    entry.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="build-") as work:
        source = Path(work) / "module.c"
        source.write_text(unit, encoding="utf-8")
        output = Path(work) / "module.out"
        linked = [Path(work) / f"{number}.o" for number in range(len(objects))]
        for link, it in zip(linked, objects, strict=True):
            link.symlink_to(it)  # a name that tells the compiler what it is
        _run_compiler([source, *linked], output, directories, flags, cache)
        output.replace(entry)
    _trim(entry.parent)
    return entry


def _trim(folder: Path) -> None:
    """Removes what was used least recently, where more is kept than is worth its space."""
    entries: list[tuple[int, int, Path]] = []
    for entry in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process makes room, too
            stat = entry.stat()
            entries.append((stat.st_mtime_ns, stat.st_size, entry))
    kept = 0
    for _, size, entry in sorted(entries, reverse=True):
        kept += size
        if kept > _KEPT_BYTES:
            entry.unlink(missing_ok=True)


@functools.cache
def _zig() -> Path:
    """The compiler itself: going through `python -m ziglang` would start an interpreter for each module."""
    spec = importlib.util.find_spec("ziglang")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], "zig")


def _run_compiler(
    inputs: Sequence[Path], output: Path, directories: Iterable[Path], flags: Sequence[str], cache: Path
) -> None:
    source = inputs[0]
    include = [f"-I{directory}" for directory in directories]
    command = [str(_zig()), "cc", *flags, *include, "-o", str(output), *map(str, inputs)]
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
