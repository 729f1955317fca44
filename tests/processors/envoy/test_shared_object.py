"""What the loader takes for a whole shared object, before the dynamic linker may see it."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from appnet.codegen.c.build import RUNTIME, compile_library
from appnet.processors.envoy.native import loader
from tests.support.tiny_modules import stamping_native


class View(ctypes.Structure):
    _fields_ = (("data", ctypes.c_char_p), ("size", ctypes.c_size_t))


@pytest.fixture(scope="module")
def flaw(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], str | None]:
    """What is wrong with a file, by the loader's own check."""
    path = tmp_path_factory.mktemp("check") / "check.so"
    source = Path(loader.__file__).parent / "shared_object.c"
    path.write_bytes(compile_library([source], include=[RUNTIME], flags=["-fvisibility=default"]))
    check = ctypes.CDLL(str(path)).shared_object_flaw
    check.argtypes, check.restype = [View], ctypes.c_char_p

    def of(file: bytes) -> str | None:
        text: bytes | None = check(View(file, len(file)))
        return None if text is None else text.decode()

    return of


def test_a_whole_module_has_no_flaw(flaw: Callable[[bytes], str | None]) -> None:
    assert flaw(stamping_native("1")) is None


def test_a_module_cut_anywhere_has_one(flaw: Callable[[bytes], str | None]) -> None:
    module = stamping_native("1")
    header = 64
    assert all(flaw(module[:size]) == "the chain is no shared object" for size in range(header))
    assert all(flaw(module[:size]) == "the chain's shared object is cut short" for size in range(header, len(module)))


@pytest.mark.parametrize(
    ("offset", "layout", "value", "expected"),
    [
        (4, "<B", 1, "the chain is no shared object"),  # 32 bits
        (16, "<H", 2, "the chain is no shared object"),  # a program
        (18, "<H", 243, "the chain is for another kind of processor"),  # RISC-V
        (32, "<Q", 2**64 - 8, "the chain's shared object is cut short"),  # program headers beyond the end
        (54, "<H", 8, "the chain's shared object is damaged"),  # program headers of another size
        (56, "<H", 0, "the chain's shared object is damaged"),  # no program headers
    ],
)
def test_headers_that_the_linker_would_trust(
    flaw: Callable[[bytes], str | None], offset: int, layout: str, value: int, expected: str
) -> None:
    module = bytearray(stamping_native("1"))
    struct.pack_into(layout, module, offset, value)
    assert flaw(bytes(module)) == expected
