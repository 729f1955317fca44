"""WebAssembly modules whose events can wait in the middle, as ``fibers.h`` has it: Binaryen's pass ``asyncify``."""

from __future__ import annotations

import ctypes
import importlib.util
import threading
from functools import cache
from pathlib import Path

from appnet.diagnostics.diagnostic import InternalError

_PASSES = (b"asyncify",)
_CALLERS = ("an_judge", "an_run_end", "an_step_wait")
"""What calls by a pointer what may wait: ``AN_APART`` in the runtime. No other call by a pointer waits."""
_SETTINGS = {
    "asyncify-imports": "none.none",  # nothing of the host's waits. By default all of it may
    "asyncify-ignore-indirect": "1",
    "asyncify-addlist": ",".join(_CALLERS),
}

_one_at_a_time = threading.Lock()  # the library's settings are the process's


class _Written(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_void_p), ("size", ctypes.c_size_t), ("source_map", ctypes.c_void_p)]


def can_unwind() -> bool:
    """Whether Binaryen is installed: its wheel is for some machines alone."""
    return _library_path() is not None


def unwinding(module: bytes) -> bytes:
    """The module with what ``fibers.c`` imports from ``asyncify``, which is to be the compiler's: no host has it."""
    library = _library()
    with _one_at_a_time:
        read = library.BinaryenModuleRead(module, len(module))
        library.BinaryenModuleSetFeatures(read, _features(library))
        missing = [it for it in _CALLERS if not library.BinaryenGetFunction(read, it.encode())]
        if missing:
            raise InternalError("functions through which events wait have a name", missing[0])
        library.BinaryenSetOptimizeLevel(1)
        for name, value in _SETTINGS.items():
            library.BinaryenSetPassArgument(name.encode(), value.encode())
        library.BinaryenModuleRunPasses(read, (ctypes.c_char_p * len(_PASSES))(*_PASSES), len(_PASSES))
        written = library.BinaryenModuleAllocateAndWrite(read, None)
        library.BinaryenModuleDispose(read)
    found = ctypes.string_at(written.bytes, written.size)
    _free(written.bytes)
    return found


def _features(library: ctypes.CDLL) -> int:
    """Those that the C compiler uses by itself."""
    names = ("MutableGlobals", "NontrappingFPToInt", "BulkMemory", "SignExt", "Multivalue", "ReferenceTypes")
    found = 0
    for it in names:
        found |= int(getattr(library, f"BinaryenFeature{it}")())
    return found


@cache
def _library_path() -> Path | None:
    spec = importlib.util.find_spec("icpp_binaryen")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0], "lib", "libbinaryen.so")


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(_library_path()))
    handle, size, text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p
    library.BinaryenModuleRead.argtypes, library.BinaryenModuleRead.restype = [text, size], handle
    library.BinaryenModuleSetFeatures.argtypes = [handle, ctypes.c_uint32]
    library.BinaryenSetPassArgument.argtypes = [text, text]
    library.BinaryenModuleRunPasses.argtypes = [handle, ctypes.POINTER(text), ctypes.c_uint32]
    library.BinaryenGetFunction.argtypes, library.BinaryenGetFunction.restype = [handle, text], handle
    library.BinaryenModuleAllocateAndWrite.argtypes = [handle, text]
    library.BinaryenModuleAllocateAndWrite.restype = _Written
    library.BinaryenModuleDispose.argtypes = [handle]
    return library


def _free(block: int) -> None:
    """It was allocated by the C library, for us."""
    free = ctypes.CDLL(None).free
    free.argtypes = [ctypes.c_void_p]
    free(block)
