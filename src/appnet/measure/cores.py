"""Which processor core does what, so that the load does not take the time of the proxy that is measured."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Cores:
    """Numbers of cores; with a single one both are it."""

    proxy: frozenset[int]
    load: frozenset[int]

    @classmethod
    def divide(cls) -> Cores:
        """The last core for proxies, the others for load, upstream and this process."""
        every = sorted(os.sched_getaffinity(0))
        return cls(frozenset(every[-1:]), frozenset(every[:-1] or every))


@contextmanager
def running_on(cores: frozenset[int]) -> Iterator[None]:
    """This thread, and what it starts meanwhile, runs on ``cores``."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
