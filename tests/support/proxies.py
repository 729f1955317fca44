"""A controller, a recording server and Envoys between them, for one test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig

from appnet.processors.envoy.filters import native_filter
from appnet.processors.envoy.listeners import Sidecar, sidecar_resources
from appnet.processors.envoy.native.loader import loader_environment, loader_library
from appnet.processors.envoy.proxy.bootstrap import Identity
from appnet.processors.envoy.proxy.process import EnvoyProcess, EnvoySettings
from appnet.processors.envoy.xds.server import XdsServer
from appnet.processors.envoy.xds.snapshot import Snapshot
from appnet.processors.options import ChainOptions
from appnet.processors.signing import SigningKey
from appnet.system.address import Address
from tests.support.raw_grpc import RawClient, RecordingServer, Reply, frame

PATH = "/echo.EchoService/echo"
LISTENER = "ingress"

KEY = SigningKey.generate()
TRUSTING = loader_environment(KEY.public_text)
"""The environment of a proxy that finds the loader and trusts the key."""


@dataclass
class Bench:
    """One Envoy between a raw client and a recording server."""

    xds: XdsServer
    server: RecordingServer
    envoy: EnvoyProcess
    filters: Sequence[str]

    def snapshot(self, version: str, *extensions: TypedExtensionConfig) -> Snapshot:
        upstream = [Address("127.0.0.1", self.server.port)]
        sidecar = Sidecar(LISTENER, self.filters, upstream)
        return Snapshot(version, (*sidecar_resources(sidecar), *extensions))

    @property
    def node(self) -> str:
        return self.envoy.settings.identity.node

    async def call(self, path: str = PATH, body: bytes = frame(b"")) -> Reply:
        port = (await self.envoy.listener_address(LISTENER)).port

        def blocking() -> Reply:
            with RawClient(port) as client:
                return client.call(path, body)

        return await asyncio.to_thread(blocking)


@contextlib.asynccontextmanager
async def bench(
    folder: Path, filters: Sequence[str] = (), *, environment: Mapping[str, str] = TRUSTING, workers: int = 1
) -> AsyncIterator[Bench]:
    with RecordingServer() as server:
        async with XdsServer() as xds:
            settings = EnvoySettings(
                Identity("node-1", "echo"), folder, xds.address, environment=environment, workers=workers
            )
            async with EnvoyProcess(settings) as envoy:
                yield Bench(xds, server, envoy, filters)


def options(version: str) -> ChainOptions:
    return ChainOptions(service="echo", node="node-1", version=version)


def signed_filter(name: str, module: bytes, options: ChainOptions, key: SigningKey = KEY) -> TypedExtensionConfig:
    """The filter that runs a native module."""
    return native_filter(name, module, options, loader_library().stem.removeprefix("lib"), key)
