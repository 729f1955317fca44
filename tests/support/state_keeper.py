"""The loader's keeper of state, for native modules without a proxy."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

from appnet.codegen.c.build import RUNTIME, compile_library
from appnet.codegen.c.chain_abi import View, open_library
from appnet.processors.envoy import native

_SOURCE = Path(native.__file__).parent / "loader" / "state_keeper.c"


@cache
def _library() -> ctypes.CDLL:
    library = open_library(compile_library([_SOURCE], include=[RUNTIME], flags=["-fvisibility=default", "-lpthread"]))
    library.state_keeper_open.argtypes = [View]
    for function in (library.state_keeper_open, library.state_keeper_table):
        function.restype = ctypes.c_void_p
    library.state_keeper_table.argtypes = [ctypes.c_void_p]
    return library


def keeper(scope: str) -> int:
    """The address of the table of a keeper; it lives as long as the process."""
    text = ctypes.create_string_buffer(scope.encode())
    opened = _library().state_keeper_open(View(ctypes.addressof(text), len(scope)))
    table: int = _library().state_keeper_table(opened)
    return table
