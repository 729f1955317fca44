"""Output that nobody reads to its end, or that has no room."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.quickstart.support import APPNETCTL

SAMPLES = Path(__file__).parents[2] / "config" / "samples"
HOTEL = str(SAMPLES / "hotel" / "sample_hotel_sidecar.yaml")
ELEMENT = str(SAMPLES / "elements" / "prequal_client.appnet")
COMMANDS = [
    ["plan", HOTEL, "-o", "yaml"],
    ["explain", HOTEL],
    ["show", ELEMENT],
    ["check", HOTEL],
    ["explain-code", "E014"],
    ["-h"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda it: it[0])
def test_nothing_is_said_of_a_pipe_that_nobody_reads(arguments: list[str]) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    try:
        told = subprocess.run([*APPNETCTL, *arguments], stdout=writes, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writes)
    assert told.stderr == ""
    assert told.returncode == 1


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda it: it[0])
def test_a_full_disk_behind_standard_output_is_told(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        told = subprocess.run([*APPNETCTL, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert told.stderr == "error: [Errno 28] No space left on device\n"
    assert told.returncode == 1


def test_a_locale_that_lacks_a_letter_gets_a_question_mark() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    told = subprocess.run([*APPNETCTL, "explain", HOTEL], capture_output=True, text=True, check=False, env=environment)
    assert (told.returncode, told.stderr) == (0, "")
    assert "expected CPU per RPC: 21.9 ?s (22.5 ?s before optimisation)" in told.stdout
