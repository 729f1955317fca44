"""What the loader's outbox posts twice has the same name, and what makes room is told of."""

from __future__ import annotations

import subprocess
from pathlib import Path

from appnet.codegen.c.build import RUNTIME
from appnet.processors.envoy.build import HTTP
from appnet.system.zig import compile_c
from tests.support.payloads import LOADER

PROGRAM = Path(__file__).with_name("c") / "outbox.c"


def test_batches() -> None:
    flags = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread"]
    program = compile_c(f'#include "outbox.c"\n{PROGRAM.read_text()}', [RUNTIME, HTTP, LOADER], flags)
    program.chmod(0o755)
    subprocess.run([program], check=True, timeout=60)
