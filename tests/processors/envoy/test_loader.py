"""The loader as a library: whether Envoy will find in it what it looks for."""

from __future__ import annotations

import ctypes
import hashlib
import re
from pathlib import Path

import envoy

from appnet.processors.envoy.native.loader import loader_identity, loader_library

ENVOY = Path(envoy.__file__).parent / "_bin" / "envoy"


def test_every_hook_of_envoys_http_filters_resolves():
    binary = ENVOY.read_bytes()
    hooks = set(re.findall(rb"(?<=\0)envoy_dynamic_module_on_(?:http_filter_\w+|program_init)(?=\0)", binary))
    assert len(hooks) > 30
    loader = ctypes.CDLL(str(loader_library()), mode=ctypes.RTLD_LOCAL | 1)  # 1: lazy, Envoy's callbacks are not here
    assert [hook.decode() for hook in hooks if not hasattr(loader, hook.decode())] == []


def test_the_version_is_one_that_envoy_knows():
    loader = ctypes.CDLL(str(loader_library()), mode=ctypes.RTLD_LOCAL | 1)
    loader.envoy_dynamic_module_on_program_init.restype = ctypes.c_char_p
    version: bytes = loader.envoy_dynamic_module_on_program_init()
    assert b"\0" + version + b"\0" in ENVOY.read_bytes()


def test_the_librarys_name_changes_with_its_contents():
    path = loader_library()
    assert re.fullmatch(r"libappnet_loader_[0-9a-f]{16}\.so", path.name)
    assert loader_library() == path


def test_nothing_lies_beside_it_that_opens_what_is_not_signed():
    """Loaders that were built before there were signatures lie elsewhere in the cache."""
    assert loader_library().parent.name == "signed-loaders"
    found = [it for it in loader_library().parent.glob("libappnet_loader_*.so") if b"APPNETM1" in it.read_bytes()]
    assert found == []


def test_the_librarys_identity_is_the_hash_of_its_file():
    assert hashlib.sha256(loader_library().read_bytes()).hexdigest().startswith(loader_identity())
    assert len(loader_identity()) == 12
