"""The runtime under sanitizers, on generated calls: nothing is read that is not there, and threads do not meet."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.native_host import INCLUDE

HERE = Path(__file__).parent / "c"
WARNINGS = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Werror"]


def build(folder: Path, sanitizer: str) -> Path | None:
    """The driver with this sanitizer, by the machine's compiler; None where that has none."""
    compiler, program = shutil.which("cc"), folder / "driver"
    if compiler is None:
        return None
    probe = folder / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    flag = f"-fsanitize={sanitizer}"
    if subprocess.run([compiler, flag, probe, "-o", program], capture_output=True, check=False).returncode:
        return None
    subprocess.run([compiler, *WARNINGS, flag, "-fno-sanitize-recover=all", *sources(), "-o", program], check=True)
    return program


def sources() -> list[str]:
    return [*INCLUDE, f"-I{HERE}", str(HERE / "driver.c"), "-lpthread"]


def judged(program: Path, seed: int, calls: int, threads: int) -> tuple[int, int]:
    """Runs the driver; how many requests and responses its chain judged."""
    arguments = [str(program), *map(str, (seed, calls, threads))]
    run = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    requests, responses = map(int, run.stdout.split())
    return requests, responses


def test_no_byte_is_read_or_written_out_of_place(tmp_path: Path):
    program = build(tmp_path, "address,undefined")
    if program is None:  # zig's own sanitizer finds undefined behaviour, though not every stray read
        program = tmp_path / "driver"
        flags = [*WARNINGS, "-fsanitize=undefined"]
        subprocess.run([sys.executable, "-m", "ziglang", "cc", *flags, *sources(), "-o", program], check=True)
    requests, responses = judged(program, seed=1, calls=100_000, threads=1)
    assert requests > 3_000
    assert responses > 20_000


def test_threads_do_not_race(tmp_path: Path):
    program = build(tmp_path, "thread")
    if program is None:
        pytest.skip("cc has no thread sanitizer: apt-get install gcc libtsan2")
    requests, responses = judged(program, seed=2, calls=5_000, threads=4)
    assert requests > 500
    assert responses > 3_000
