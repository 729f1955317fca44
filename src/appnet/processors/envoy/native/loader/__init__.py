"""The loader: the one dynamic module that Envoy knows, built from the files beside this one."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from appnet.codegen.c.build import RUNTIME, compile_library, compile_zig_object
from appnet.processors.envoy.build import HTTP
from appnet.processors.signing import TRUSTED_KEYS
from appnet.system.cache import cache_directory, keeping

_HERE = Path(__file__).parent
MODULES = "ENVOY_DYNAMIC_MODULES_SEARCH_PATH"
"""The variable that says where Envoy looks for dynamic modules."""

PAYLOAD_SOURCES = (*(_HERE / name for name in ("payload.c", "trust.c", "shared_object.c")), RUNTIME / "options.c")
"""What reads payloads and verifies them, by `signature_checks`."""
_FILES = (
    *("loader.c", "services.c", "answers.c", "turns.c", "streams.c", "fiber.c"),
    *("store.c", "dial.c", "jobs.c", "resp.c", "state_keeper.c", "outbox.c", "timers.c"),
)
_SOURCES = (*(_HERE / name for name in _FILES), *PAYLOAD_SOURCES)


@cache
def loader_library() -> Path:
    """The loader as ``libNAME.so``, built where it is not cached; NAME changes with its contents.

    Envoy finds it as NAME when ENVOY_DYNAMIC_MODULES_SEARCH_PATH is the file's folder.
    """
    return dynamic_module("appnet_loader", _SOURCES, include=[RUNTIME, HTTP], objects=[signature_checks()])


def signature_checks() -> Path:
    """What `ed25519.h` declares, as an object to link."""
    return compile_zig_object(_HERE / "ed25519.zig")


def loader_environment(trusted: str) -> dict[str, str]:
    """What an Envoy has in its environment that finds the loader; ``trusted``: texts of public keys."""
    return {MODULES: str(loader_library().parent), TRUSTED_KEYS: trusted}


@cache
def loader_identity() -> str:
    """What tells one build of the loader from another: the first 12 hexadecimal digits of its file's SHA-256."""
    return hashlib.sha256(loader_library().read_bytes()).hexdigest()[:12]


def dynamic_module(
    name: str,
    sources: Sequence[Path],
    *,
    include: Sequence[Path] = (),
    flags: Sequence[str] = (),
    objects: Sequence[Path] = (),
) -> Path:
    """A dynamic module of Envoy's, written against ``envoy_abi.h``, as ``libNAME_CONTENT.so`` beside the loader."""
    library = compile_library(sources, include=[*include, _HERE], flags=[*_UNRESOLVED, *flags], objects=objects)
    path = cache_directory() / _FOLDER / f"lib{name}_{hashlib.sha256(library).hexdigest()[:16]}.so"
    if path.exists():
        return path
    with keeping():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(library)
        os.replace(file.name, path)  # another process may be doing the same  # noqa: PTH105
    return path


# A proxy opens any module of the folder whose name it is told by xDS: no loader in it opens what is not signed.
_FOLDER = "signed-loaders"
# Envoy brings the callbacks when it opens the library.
_UNRESOLVED = ("-Wl,--allow-shlib-undefined", "-Wl,-z,lazy", "-lpthread", "-ldl")
