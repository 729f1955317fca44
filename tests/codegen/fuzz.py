"""Random messages through the scanner and the splicer under sanitizers, judged by protobuf's own parser."""

from __future__ import annotations

import argparse
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from typing import IO, Any

from google.protobuf.message import DecodeError

from tests.codegen.fixture import FIELDS, HERE, bits_of, get, message_class
from tests.codegen.judged import STRICTER, same_number
from tests.support.native_host import INCLUDE

_FLAGS = ("-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", *INCLUDE, f"-I{HERE}")
_LENGTHS = struct.Struct("<5I")
_FRAMES_A_REPORT = 500_000


def build(folder: Path) -> Path:
    """c/wire_fuzz.c with every sanitizer that the machine's compiler has."""
    compiler = [sys.executable, "-m", "ziglang", "cc", "-fsanitize=undefined", "-fno-sanitize-trap=all"]
    if gcc := shutil.which("gcc"):
        compiler = [gcc, "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    program = folder / "wire_fuzz"
    subprocess.run([*compiler, *_FLAGS, HERE / "wire_fuzz.c", "-o", program, "-lpthread"], check=True)
    return program


def fuzz(seed: int, frames: int) -> Iterator[str]:
    """Runs the program and yields, for each message, `judged` or what was wrong with it.

    Raises ``AssertionError`` where scanner or splicer and protobuf disagree, or a sanitizer found something.
    """
    with tempfile.TemporaryDirectory(prefix="appnet-wire-") as folder:
        arguments = [build(Path(folder)), str(seed), str(frames)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, bufsize=1 << 20) as process:
            assert process.stdout is not None
            for _ in range(frames):
                yield _judge(*_blobs(process.stdout))
        assert process.returncode == 0, "the program failed: its last words stand above"


def _blobs(stream: IO[bytes]) -> list[bytes]:
    head = stream.read(_LENGTHS.size)
    assert len(head) == _LENGTHS.size, "the program ended early: its last words stand above"
    ends = list(accumulate(_LENGTHS.unpack(head), initial=0))
    body = stream.read(ends[-1])
    return [body[start:end] for start, end in pairwise(ends)]


def _judge(message: bytes, flaw: bytes, found: bytes, writes: bytes, spliced: bytes) -> str:
    parse = message_class().FromString
    if flaw:
        reason = flaw.decode()
        if reason not in STRICTER:
            try:
                parse(message)
            except DecodeError:
                return reason
            raise AssertionError(f"protobuf reads what is refused as `{reason}`: {message.hex()}")
        return reason
    try:
        theirs = parse(message)
    except DecodeError:
        raise AssertionError(f"protobuf refuses what the scanner reads: {message.hex()}") from None
    theirs.DiscardUnknownFields()
    theirs.ClearField("many")
    ours = parse(found)
    if ours.SerializeToString() != theirs.SerializeToString():
        _compare_fields(ours, theirs, message)
    if parse(message + writes).SerializeToString() != parse(spliced).SerializeToString():
        raise AssertionError(f"{message.hex()} with {writes.hex()} became {spliced.hex()}")
    return "judged"


def _compare_fields(ours: Any, theirs: Any, message: bytes) -> None:
    """Field by field: an empty submessage reads like none, and a NaN like any other."""
    for path, kind in FIELDS.items():
        mine, its = (bits_of(get(it, path), kind) for it in (ours, theirs))
        assert same_number(kind, mine, its), f"{path} is {mine!r}, by protobuf {its!r}: {message.hex()}"


def main() -> int:
    arguments = argparse.ArgumentParser(description="random messages through scanner and splicer")
    arguments.add_argument("--frames", type=int, default=10_000_000)
    arguments.add_argument("--seed", type=int, default=time.time_ns() >> 20)
    given = arguments.parse_args()
    started, seen = time.monotonic(), Counter[str]()
    for number, what in enumerate(fuzz(given.seed, given.frames), start=1):
        seen[what] += 1
        if number % _FRAMES_A_REPORT == 0 or number == given.frames:
            took = time.monotonic() - started
            print(f"seed {given.seed}: {number:,} frames, {seen['judged']:,} well-formed, {took:.0f} s", flush=True)
    for what, count in seen.most_common():
        print(f"{count:12,}  {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
