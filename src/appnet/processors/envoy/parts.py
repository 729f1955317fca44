"""What has to be installed for Envoys on this machine."""

from __future__ import annotations

from appnet.processors.envoy.proxy.binary import envoy_binary
from appnet.processors.processor import ProcessorError, Requirement
from appnet.system.installed import package_version_of, program_version

_REINSTALL = "install AppNet again; in a clone: make clean quickstart"


def _envoy() -> str | None:
    try:
        return program_version(envoy_binary(), "--version")
    except ProcessorError:
        return None


PARTS = (
    Requirement("Envoy", _envoy, _REINSTALL),
    Requirement("C compiler (zig)", package_version_of("ziglang"), _REINSTALL),
    Requirement("gRPC", package_version_of("grpcio"), _REINSTALL),
)
