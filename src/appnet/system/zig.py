"""C and Zig compiled by the ``ziglang`` wheel, with a cache of what was built.

An entry's name is a hash of everything that went into it, so entries never go stale, and any number of processes may
share the cache.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import importlib.util
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from appnet.system.cache import cache_directory, keeping
from appnet.system.folders import work_folder

_NO_ROOM = re.compile("NoSpaceLeft|No space left on device")
_KEPT_BYTES = 512 << 20  # thousands of modules


class CompilerError(Exception):
    """The compiler refuses the source, which is kept at ``source``."""

    def __init__(self, text: str, source: Path) -> None:
        super().__init__(text)
        self.source = source


def compile_c(unit: str, include: Sequence[Path], flags: Sequence[str], linked: Sequence[Path] = ()) -> Path:
    """The file in the cache that ``unit`` was compiled to, an executable where the flags ask for nothing else.

    ``include``: directories for ``#include``; all C files in them are taken to be part of the source. ``linked``: more
    inputs: other entries of the cache, or C files in directories of ``include``. Raises `CompilerError`, `CacheError`.
    """

    def command(source: Path, output: Path) -> list[str]:
        inputs = [source.with_name(f"{number}{it.suffix or '.o'}") for number, it in enumerate(linked)]
        for link, it in zip(inputs, linked, strict=True):
            link.symlink_to(it)  # a name that tells the compiler what it is
        directories = [f"-I{directory}" for directory in include]
        return ["cc", *flags, *directories, "-o", str(output), *map(str, [source, *inputs])]

    key = _key(unit, include, [*flags, *(it.name for it in linked)])
    return _compile(unit, key, "module.c", command)


def compile_zig(unit: str, flags: Sequence[str]) -> Path:
    """The object file in the cache that the Zig source ``unit`` was compiled to, which imports nothing but `std`.

    Raises as `compile_c` does.
    """

    def command(source: Path, output: Path) -> list[str]:
        return ["build-obj", *flags, f"-femit-bin={output}", str(source)]

    return _compile(unit, _key(unit, (), flags), "module.zig", command)


def _compile(unit: str, key: str, name: str, command: Callable[[Path, Path], list[str]]) -> Path:
    """``command`` has the compiler's arguments for a source and an output, which lie in one folder."""
    entry = cache_directory() / "modules" / key
    with contextlib.suppress(FileNotFoundError):
        os.utime(entry)  # among the last used, if it is there
        return entry
    with keeping() as cache:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with work_folder(cache, "build-") as work:
            source, output = work / name, work / "module.out"
            source.write_text(unit, encoding="utf-8")
            _run_compiler(source, output, command(source, output), cache)
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


def _run_compiler(source: Path, output: Path, arguments: Sequence[str], cache: Path) -> None:
    # What zig builds once (libc stubs) is shared; what it keeps of this one module goes away with it.
    environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": str(cache / "zig"), "ZIG_LOCAL_CACHE_DIR": str(source.parent)}
    command = [str(_zig()), *arguments]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if run.returncode != 0 and _NO_ROOM.search(run.stderr):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if run.returncode < 0:  # nothing is wrong with the source, so it is not kept
        raise CompilerError(f"the compiler was ended by signal {-run.returncode}", source)
    if run.returncode != 0 or not output.exists():
        kept = cache / "failed" / f"{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}{source.suffix}"
        kept.parent.mkdir(parents=True, exist_ok=True)
        source.replace(kept)
        text = run.stderr.replace(str(source), str(kept))
        raise CompilerError(text, kept)


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
