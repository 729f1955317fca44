"""Envoys in containers that are told at their start all that they will ever run."""

from __future__ import annotations

from collections.abc import Sequence

from appnet.processors.artifact import Artifact
from appnet.processors.envoy.listeners import static_cluster, static_listener
from appnet.processors.envoy.native.loader import MODULES, loader_library
from appnet.processors.envoy.node import filters_of, sidecar_of, tunnels_of
from appnet.processors.envoy.proxy.binary import envoy_binary
from appnet.processors.envoy.proxy.bootstrap import Identity, static_bootstrap_json
from appnet.processors.envoy.targets import NATIVE
from appnet.processors.processor import Container, NodeSettings
from appnet.processors.signing import TRUSTED_KEYS, trusted_keys, user_key
from appnet.system.address import Address
from appnet.system.installed import program_version

_ADMIN = Address("127.0.0.1", 9901)


def envoy_container(settings: NodeSettings, artifacts: Sequence[Artifact]) -> Container:
    """Envoy's own image, of the version that dynamic modules are built for. Raises `EnvoyError` where none is here."""
    sidecar = sidecar_of(settings, artifacts)
    key = user_key() if any(it.segment.place.target == NATIVE for it in artifacts) else None
    listener = static_listener(sidecar, filters_of(settings, artifacts, key))
    identity = Identity(settings.name, settings.end.service)
    resources = [listener, static_cluster(sidecar), *tunnels_of(settings, artifacts, key)]
    text = static_bootstrap_json(identity, settings.records, _ADMIN, resources)
    bootstrap, modules = settings.folder / "envoy.json", settings.folder / "modules"
    files = {str(bootstrap): f"{text}\n".encode()}
    environment: dict[str, str] = {}
    if key is not None:
        loader = loader_library()
        files[str(modules / loader.name)] = loader.read_bytes()
        environment = {MODULES: str(modules), TRUSTED_KEYS: trusted_keys(key)}
    command = ("-c", str(bootstrap), "--concurrency", str(settings.workers))
    version = program_version(envoy_binary(), "--version")
    return Container(f"envoyproxy/envoy:distroless-v{version}", command, environment, files)
