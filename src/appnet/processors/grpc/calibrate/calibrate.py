"""Takes the prices of a gRPC library on this machine: probes as a library's chains, and how long calls take in them.

A loop in C makes the calls, as a library does, each probe in turn in every round. What interceptors do around a chain
is no part of that, as it needs a program. Of gRPC-Go it was measured where AppNet's own prices were
(`python -m benchmarks.probes`), and is added.
"""

from __future__ import annotations

import asyncio
import ctypes
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from appnet.codegen.c import chain_abi as abi
from appnet.codegen.c.build import RUNTIME, compile_library
from appnet.codegen.c.printer import ChainSource, print_chain
from appnet.grpc.container import MACHINE
from appnet.measure.probes import METHOD, TEXT, Probe, all_probes
from appnet.measure.solve import CalibrationError, Effort, solve
from appnet.optimize.cost import TargetCosts
from appnet.processors.grpc.build import C, build_for

_LOOP = Path(__file__).parent / "c" / "loop.c"
_WARM_UP_CALLS, _CALLS = 2_000, 200

_DIGITS = 6  # of a microsecond: what a loop tells
_SHARE = 0.1  # of the time that a proxy is loaded for: a loop has no network, and varies less

INTERCEPTORS: Mapping[str, float] = {
    "module": 0.062,
    "request_message": 0.023,
    "response_message": 0.038,
    "metadata": 0.091,
    "metadata_write": 0.091,
    "write": 0.33,
}
"""Microseconds that gRPC-Go's interceptors take around a chain, by price: `python -m benchmarks.probes`."""


class _Pair(ctypes.Structure):
    _fields_ = (("key", abi.View), ("value", abi.View))


class Loop:
    """A probe's chain with a loop of calls around it."""

    def __init__(self, probe: Probe, code: bytes, loop: ctypes.CDLL) -> None:
        self._library = abi.open_library(code)
        self._table = ctypes.addressof(ctypes.c_char.in_dll(self._library, "appnet_frames"))
        self._call = loop.an_loop
        self._call.restype = ctypes.c_uint64
        self._call.argtypes = (ctypes.c_void_p, abi.View, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint64)
        self._kept = [ctypes.create_string_buffer(it, len(it)) for it in (TEXT, b"user", b"probe")]
        self._text, key, value = (abi.view_of(it, len(it)) for it in self._kept)
        self._metadata = _Pair(key, value)
        self._name = probe.finds

    def microseconds(self, calls: int) -> float:
        """The CPU time of a call. Raises `CalibrationError` where one was not let through."""
        took: int = self._call(self._table, self._text, ctypes.addressof(self._metadata), 1, calls)
        if not took:
            raise CalibrationError(f"a call through the probe {self._name} was not let through")
        return took / calls / 1000


async def calibrate(effort: Effort, progress: Callable[[str], None]) -> TargetCosts:
    """The prices; ``progress`` is told what is done next. Raises `CalibrationError`."""
    return with_interceptors(await calibrate_chains(effort, progress))


async def calibrate_chains(effort: Effort, progress: Callable[[str], None]) -> TargetCosts:
    """The same without what interceptors take."""
    probes = all_probes()
    progress("building probes for libraries")
    loops = await asyncio.to_thread(_build, probes)
    return solve(probes, await asyncio.to_thread(_measured, probes, loops, effort, progress))


def with_interceptors(chain: TargetCosts) -> TargetCosts:
    """The prices of chains, with what interceptors take around them. What is small beside that is not rounded away."""
    parts = {
        it: getattr(chain, it) + INTERCEPTORS.get(it, 0.0) for it in ("module", "request_message", "response_message")
    }
    operations = {kind: price + INTERCEPTORS.get(kind, 0.0) for kind, price in chain.operations.items()}
    rounded = {kind: round(price, _DIGITS) for kind, price in operations.items()}
    return replace(chain, operations=rounded, **{it: round(price, _DIGITS) for it, price in parts.items()})


def loop_library() -> ctypes.CDLL:
    """The loop, compiled."""
    return abi.open_library(compile_library([_LOOP], include=(RUNTIME, C)))


def _build(probes: Sequence[Probe]) -> dict[str, Loop]:
    loop = loop_library()

    def one(probe: Probe) -> tuple[str, Loop]:
        source = ChainSource("calibrate", "1", ((METHOD, (probe.element,)),))
        return probe.finds, Loop(probe, build_for(print_chain(source), MACHINE), loop)

    with ThreadPoolExecutor() as pool:  # each waits for a compiler of its own
        return dict(pool.map(one, probes))


def _measured(
    probes: Sequence[Probe], loops: Mapping[str, Loop], effort: Effort, progress: Callable[[str], None]
) -> dict[str, float]:
    """What each probe costs a call, in all the copies that it is charged for."""
    costs: dict[str, list[float]] = {it.finds: [] for it in probes}
    for it in loops.values():
        it.microseconds(_WARM_UP_CALLS)
    shuffle = random.Random(1)  # noqa: S311 -- an order, no secret
    for number in range(effort.rounds):
        for name in shuffle.sample(list(costs), len(costs)):
            progress(f"round {number + 1} of {effort.rounds}: {name} in a library")
            calls = max(_CALLS, round(effort.seconds * _SHARE * 1e6 / loops[name].microseconds(_CALLS)))
            costs[name].append(loops[name].microseconds(calls))
    return {it.finds: it.copies * statistics.median(costs[it.finds]) for it in probes}
