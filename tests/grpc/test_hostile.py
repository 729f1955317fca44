"""Files that are no chains, or that were tampered with: refused with a reason before anything of them runs."""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path

import pytest

from appnet.grpc.chain import Chain
from appnet.grpc.container import MACHINE, code_for
from appnet.grpc.elf import read_layout
from appnet.grpc.image import Image

CASES = int(os.environ.get("APPNET_HOSTILE", "2000"))


class Unrun(Chain):
    """A chain that is read as any, but not run."""

    def __init__(self, file: bytes) -> None:
        self.image = Image(file)
        self._read()


@pytest.fixture(scope="module")
def code(chains: Path) -> bytes:
    return (chains / f"calls.{MACHINE}.so").read_bytes()


def test_it_is_read(code: bytes) -> None:
    chain = Chain(code)
    assert chain.name == "calls.client"
    assert [it.path for it in chain.methods] == [f"/grpc.testing.TestService/{it}Call" for it in ("Unary", "Empty")]
    assert chain.methods[0].request.fields[-1].kind == "bytes"


def test_what_was_cut_short_is_refused(code: bytes) -> None:
    for size in [*range(1024), *range(1024, len(code) * 9 // 10, 97)]:
        with pytest.raises(ValueError, match=r"\w"):
            read_layout(code[:size])


@pytest.mark.parametrize(
    ("at", "value", "why"),
    [
        (0, b"\x7fELG", "not an object file of 64 bits"),
        (16, b"\2\0", "not a shared object"),
        (18, b"\3\0", r"for another machine \(3\)"),
        (32, b"\xff" * 8, "ends early"),
        (56, b"\xff\xff", "ends early"),
    ],
)
def test_headers_that_lie(code: bytes, at: int, value: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Unrun(code[:at] + value + code[at + len(value) :])


def test_another_abi_is_refused(code: bytes) -> None:
    layout = read_layout(code)
    held = layout.segment_of(layout.entry, 4)
    assert held is not None
    at = code.index(held.file) + layout.entry - held.start
    (abi,) = struct.unpack_from("<I", code, at)
    with pytest.raises(ValueError, match=f"for ABI {abi + 1} of frames"):
        Unrun(code[:at] + struct.pack("<I", abi + 1) + code[at + 4 :])


def test_tampered_files_are_refused_or_read_within_bounds(code: bytes) -> None:
    """Nothing of them runs: that a file is what was built, its hash says."""
    layout = read_layout(code)
    parts = [range(64 + 9 * 56)]
    for it in layout.segments:
        if it.file and not it.executable:
            start = code.index(it.file)
            parts.append(range(start, start + len(it.file)))
    edges = (0, 1, 1 << 16, (1 << 16) - 8, 1 << 31, 1 << 32, (1 << 64) - 1, (1 << 64) - 8, len(code))
    source, taken, refused = random.Random(1), 0, 0
    for _ in range(CASES):
        mutated = bytearray(code)
        part = source.choice(parts)
        for _ in range(source.randint(1, 3)):
            at = source.choice(part)
            kind = source.randrange(4)
            if kind == 0:
                mutated[at] ^= 1 << source.randrange(8)
            elif kind == 1:
                mutated[at] = source.randrange(256)
            else:
                value = source.getrandbits(64) if kind == 2 else source.choice(edges)
                struct.pack_into("<Q", mutated, min(at & -8, len(mutated) - 8), value)
        try:
            Unrun(bytes(mutated))
        except ValueError:
            refused += 1
        else:
            taken += 1
    assert taken > 0
    assert refused > CASES // 10


@pytest.mark.parametrize("size", [0, 3, 20, 100])
def test_containers_that_are_none(chains: Path, size: int) -> None:
    from appnet.processors.grpc.container import Container  # noqa: PLC0415

    whole = Container({MACHINE: b"code", "vax": b"other"}).pack()
    assert code_for(whole) == b"code"
    with pytest.raises(ValueError, match="it has no code for pdp11, only for"):
        code_for(whole, "pdp11")
    for broken in (whole[:size], whole + b"x", whole.replace(b"other", b"othes")):
        with pytest.raises(ValueError, match=r"not the code of a chain|not what its hash says"):
            code_for(broken)
