"""The C of the native host, for tests that build chains with the machine's own compiler."""

from __future__ import annotations

from appnet.processors.envoy.build import HOSTS
from appnet.processors.envoy.targets import NATIVE

_HOST = HOSTS[NATIVE]
INCLUDE = (*(f"-I{folder}" for folder in _HOST.folders), *(it for it in _HOST.flags if it.startswith("-D")))
"""Where its files are, and what it defines for them."""


def unit(*names: str) -> str:
    """C text that is these files, one after another."""
    return "".join(f'#include "{name}"\n' for name in names)


MEMORY = unit("hosted.c")
SHARED = unit("runtime.c", *(path.name for path in _HOST.sources if path.name != "hosted.c"))
"""What is the same for all chains, but for the memory that they take."""

EXPORTS = unit(*(path.name for path in _HOST.exports))
"""What stands behind a chain's own text."""
