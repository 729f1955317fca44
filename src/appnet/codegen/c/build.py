"""C built for a host, as a shared library, a wasm module or whatever it loads; what was built once is cached."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appnet.diagnostics.diagnostic import InternalError
from appnet.system.zig import CompilerError, compile_c, compile_zig

RUNTIME = Path(__file__).parent / "runtime"
"""The C files that every generated chain is compiled with."""

_GLIBC = "2.28"  # the oldest that a proxy's image may have
_WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Werror")
# The same arithmetic on every machine: no fused multiply-add where the text has a product and a sum.
_CODE = ("-O2", "-ffp-contract=off", "-fno-math-errno")
_SHARED = ("-fPIC", "-fvisibility=hidden", "-ffunction-sections")
_ZIG = ("-O", "ReleaseSafe", "-fPIC", "-fsingle-threaded", "-fstrip")
_LINK_SHARED = ("-s", "-shared", "-Wl,--gc-sections")


@dataclass(frozen=True)
class Host:
    """What a printed chain is built with, so that something can load it.

    ``sources``: C files beside the runtime that are the same for all chains, and so compiled once. ``exports``: those
    that stand behind the chain's own text, and see its macros. ``include``: every folder from which either includes
    something, but for the runtime's: what was built is found by the contents of all of them.
    """

    name: str
    sources: tuple[Path, ...]
    exports: tuple[Path, ...]
    include: tuple[Path, ...]
    triple: str
    flags: tuple[str, ...]
    link: tuple[str, ...]

    def __post_init__(self) -> None:
        for path in (*self.sources, *self.exports):
            if path.parent not in self.folders:
                raise InternalError("a host lists the folders of its files", path)

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders whose C files go into what is built."""
        return (RUNTIME, *self.include)


def shared_object(
    name: str,
    *,
    sources: tuple[Path, ...],
    exports: tuple[Path, ...],
    include: tuple[Path, ...],
    machine: str | None = None,
    flags: tuple[str, ...] = (),
) -> Host:
    """A host that opens shared libraries, on Linux with glibc 2.28 or later.

    ``machine``: ``x86_64`` or ``aarch64``; this one's unless given. ``flags``: more of them for the compiler.
    """
    return Host(name, sources, exports, include, _triple(machine), (*_SHARED, *flags), _LINK_SHARED)


def build(code: str, host: Host) -> bytes:
    """Compiles a printed chain with what exports it to the host, and links it with the runtime.

    The runtime is compiled once for all chains: a change of a chain must reach its proxies within a second.
    Raises `InternalError` with the compiler's text and the place where the source was kept.
    """
    flags = (*_WARNINGS, *_CODE, "-target", host.triple, *host.flags)
    runtime = _compile(_unit([RUNTIME / "runtime.c", *host.sources]), host.folders, [*flags, "-c"])
    chain = f"{code}\n{_unit(host.exports)}"
    return _compile(chain, host.folders, [*flags, *host.link], objects=(runtime,)).read_bytes()


def wants(code: str, name: str) -> bool:
    """Whether a printed chain wants this of its host, as `APPNET_WANTS_…` in its first lines says."""
    return f"\n#define APPNET_WANTS_{name} 1\n" in code


def compile_library(
    sources: Sequence[Path],
    *,
    include: Sequence[Path] = (),
    flags: Sequence[str] = (),
    objects: Sequence[Path] = (),
    machine: str | None = None,
) -> bytes:
    """Compiles C files to one shared library.

    ``include``: directories for their ``#include``s; the files in them are taken to be part of the source.
    ``flags``: more of them for the compiler, such as ``-DNAME=1``. ``objects``: what else is linked, from
    `compile_zig_object`. ``machine``: as `shared_object` has it. Raises as `build` does.
    """
    directories = dict.fromkeys([*(path.resolve().parent for path in sources), *include])
    code = (*_WARNINGS, *_CODE, "-target", _triple(machine), *_SHARED)
    return _compile(_unit(sources), tuple(directories), [*code, *_LINK_SHARED, *flags], objects).read_bytes()


def compile_zig_object(source: Path, *, machine: str | None = None) -> Path:
    """The object that a Zig file is compiled to, with checks of bounds and overflows, for `compile_library` to link.

    It imports nothing but ``std``. Raises as `build` does.
    """
    try:
        return compile_zig(source.read_text("utf-8"), [*_ZIG, "-target", _triple(machine)])
    except CompilerError as error:
        raise InternalError(f"Zig files compile\n{error}", str(error.source)) from error


def _unit(sources: Sequence[Path]) -> str:
    return "".join(f'#include "{path.name}"\n' for path in sources)


def _triple(machine: str | None) -> str:
    return f"{machine or platform.machine()}-linux-gnu.{_GLIBC}"


def _compile(unit: str, directories: Sequence[Path], flags: Sequence[str], objects: Sequence[Path] = ()) -> Path:
    try:
        return compile_c(unit, directories, flags, objects)
    except CompilerError as error:
        raise InternalError(f"generated C compiles without a warning\n{error}", str(error.source)) from error
