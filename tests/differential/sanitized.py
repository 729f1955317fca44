"""Native modules compiled with address and undefined-behaviour sanitizers, which end the process at the first fault."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from appnet.processors.envoy.harness.native import ModuleUnderTest
from tests.differential.compare import Subject
from tests.differential.slots import SlotsUnderTest
from tests.support.native_host import EXPORTS, INCLUDE, MEMORY, SHARED
from tests.support.sanitizers import sanitizer_library

_FLAGS = ("-std=c11", "-O1", "-g", "-fPIC", "-shared", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror")
_NO_WARNINGS = ("-Wno-type-limits",)  # programs may ask whether a uint is below 0
_SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def enter(arguments: Sequence[str]) -> None:
    """Starts this Python program again with the sanitizers loaded, unless they are."""
    library = sanitizer_library("address")
    if library is None:
        sys.exit("needs gcc with its sanitizers (Debian, Ubuntu: apt install gcc)")
    if os.environ.get("LD_PRELOAD") == str(library):
        return
    # Python itself leaks at its end, and its signal handlers are not the sanitizer's business.
    environment = os.environ | {"LD_PRELOAD": str(library), "ASAN_OPTIONS": "detect_leaks=0:handle_segv=1"}
    module = sys.modules["__main__"].__spec__
    assert module is not None
    os.execve(sys.executable, [sys.executable, "-m", module.name, *arguments[1:]], environment)


@lru_cache(maxsize=1)  # both targets want the same library, one after the other
def compile_sanitized(source: str) -> bytes:
    """The chain, its host and the runtime, as one library."""
    with tempfile.TemporaryDirectory(prefix="appnet-sanitized-") as work:
        unit, library = Path(work, "chain.c"), Path(work, "chain.so")
        unit.write_text(f"#define _GNU_SOURCE 1\n{source}\n{EXPORTS}{SHARED}{MEMORY}")
        command = ["gcc", *_FLAGS, *_NO_WARNINGS, *_SANITIZERS, *INCLUDE, unit, "-o", library]
        run = subprocess.run(command, env=os.environ | {"LD_PRELOAD": ""}, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        return library.read_bytes()


TARGETS = (
    Subject("native under sanitizers", compile_sanitized, ModuleUnderTest),
    Subject("slots under sanitizers", compile_sanitized, SlotsUnderTest),
)
