"""The loader: the one dynamic module that Envoy knows, built from the C files beside this one."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from appnet.codegen.c.build import RUNTIME, compile_library
from appnet.processors.envoy.build import HTTP
from appnet.system.cache import cache_directory, keeping

_HERE = Path(__file__).parent
_SOURCES = (
    *(_HERE / name for name in ("loader.c", "payload.c", "shared_object.c", "state_keeper.c", "outbox.c", "timers.c")),
    RUNTIME / "options.c",
    RUNTIME / "sha256.c",
)


@cache
def loader_library() -> Path:
    """The loader as ``libNAME.so``, built where it is not cached; NAME changes with its contents.

    Envoy finds it as NAME when ENVOY_DYNAMIC_MODULES_SEARCH_PATH is the file's folder.
    """
    return dynamic_module("appnet_loader", _SOURCES, include=[RUNTIME, HTTP])


def dynamic_module(
    name: str, sources: Sequence[Path], *, include: Sequence[Path] = (), flags: Sequence[str] = ()
) -> Path:
    """A dynamic module of Envoy's, written against ``envoy_abi.h``, as ``libNAME_CONTENT.so`` beside the loader."""
    library = compile_library(sources, include=[*include, _HERE], flags=[*_UNRESOLVED, *flags])
    path = cache_directory() / "loaders" / f"lib{name}_{hashlib.sha256(library).hexdigest()[:16]}.so"
    if path.exists():
        return path
    with keeping():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(library)
        os.replace(file.name, path)  # another process may be doing the same  # noqa: PTH105
    return path


# Envoy brings the callbacks when it opens the library.
_UNRESOLVED = ("-Wl,--allow-shlib-undefined", "-Wl,-z,lazy", "-lpthread", "-ldl")
