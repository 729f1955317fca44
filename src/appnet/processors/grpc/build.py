"""What libraries load: a chain as a shared object that needs nothing, neither a C library nor a dynamic linker, and as
a module of wasm for everywhere else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from appnet.codegen.c import build as c
from appnet.codegen.c.build import RUNTIME, Host
from appnet.processors.grpc.container import Container

C = Path(__file__).parent / "c"
"""The C files of hosts that cannot be called back."""

MACHINES = ("amd64", "arm64")
"""The machines that there is code for, as Go names them."""

ISOLATED = "wasm32"
"""The code for everywhere else, which a runtime of wasm keeps apart."""

# Go's signal handlers read x28, so nothing else may use it. Pages of arm64 may have 64 KiB.
_TARGETS = {
    "amd64": ("x86_64-linux-musl", ()),
    "arm64": ("aarch64-linux-musl", ("-mcpu=generic+reserve_x28",)),
}
_TELLS = ("-DAN_WHY=1", "-DAN_TRACE=1")
# Each table has a section of its own, or one that a library does not use would keep all that it names.
_SECTIONS = ("-ffunction-sections", "-fdata-sections")
_FLAGS = (
    *_TELLS,
    *_SECTIONS,
    *(
        "-DAN_FREESTANDING=1",
        "-ffreestanding",
        "-fno-stack-protector",
        "-fno-asynchronous-unwind-tables",
        "-fPIC",
    ),
    *("-fvisibility=hidden", "-Wframe-larger-than=16384"),
)
_LINK = (
    *("-nostdlib", "-s", "-shared", "-Wl,--gc-sections", "-Wl,-Bsymbolic", "-Wl,-e,appnet_frames"),
    *("-Wl,-z,max-page-size=65536", "-Wl,--build-id=none"),
)


def _host(machine: str, *, shares: bool = False) -> Host:
    """``shares``: for chains with state in a store; what they need is a third of their code."""
    triple, flags = _TARGETS[machine]
    sharing = (C / "stores.c", C / "fibers.c") if shares else ()
    return Host(
        f"library-{machine}",
        sources=(RUNTIME / "freestanding.c", C / "memory.c", C / "events.c", *sharing),
        exports=(RUNTIME / "chain_table.c", C / "frames_table.c"),
        include=(C,),
        triple=triple,
        flags=(*_FLAGS, *flags, *(("-DAN_SHARED=1",) if shares else ())),
        link=_LINK,
    )


_EXPORTS = (
    *("appnet_frames", "an_alloc", "an_free", "an_state_dump"),
    *("frames_instance_new", "frames_instance_free", "frames_open", "frames_begin", "frames_request"),
    *("frames_response", "frames_end_response", "frames_end", "frames_finish", "frames_values"),
    *(
        "frames_telemetry_take",
        "frames_metrics_take",
        "frames_spans_take",
        "an_traces_lost",
        "isolated_state",
        "isolated_begin",
        "isolated_end",
        "isolated_changes",
    ),
    *("isolated_apply", "isolated_calls"),
)


def _isolated() -> Host:
    return Host(
        f"library-{ISOLATED}",
        sources=(RUNTIME / "freestanding.c", C / "events.c", C / "isolated.c"),
        exports=(RUNTIME / "chain_table.c", C / "frames_table.c"),
        include=(C,),
        triple="wasm32-freestanding",
        flags=(*_TELLS, *_SECTIONS),
        link=(
            *("-s", "-nostdlib", "-Wl,--no-entry", "-Wl,-z,stack-size=262144"),
            *(f"-Wl,--export={name}" for name in _EXPORTS),
        ),
    )


HOSTS = {**{machine: _host(machine) for machine in MACHINES}, ISOLATED: _isolated()}
_SHARING = {machine: _host(machine, shares=True) for machine in MACHINES}


def build(code: str) -> bytes:
    """The printed chain for all machines, packed. Raises `InternalError` where it does not compile."""
    with ThreadPoolExecutor() as pool:
        built = pool.map(lambda machine: build_for(code, machine), HOSTS)
        return Container(dict(zip(HOSTS, built, strict=True))).pack()


def build_for(code: str, machine: str) -> bytes:
    """The code for one of `HOSTS` alone."""
    sharing = _SHARING if c.wants(code, "STORE") else {}
    return c.build(code, sharing.get(machine, HOSTS[machine]))
