"""What a running server says of its own methods, by gRPC's server reflection."""

from __future__ import annotations

import graphlib
import time
from typing import Any, NamedTuple

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from appnet.diagnostics.source import MOST_BYTES
from appnet.system.address import Address

_ASK_SECONDS = 10.0
_ALL_SECONDS = 60.0
_MOST_FILES = 10_000
_OF_SERVERS = ("grpc.reflection.", "grpc.health.", "grpc.channelz.")


class ReflectionError(Exception):
    """A server does not say which methods it has."""


def reflected(address: Address) -> FileDescriptorSet:
    """The files of the server's services, with all that they import. Raises `ReflectionError`."""
    options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", MOST_BYTES)]
    with grpc.insecure_channel(str(address), options=options) as plain:
        database = ProtoReflectionDescriptorDatabase(grpc.intercept_channel(plain, _Deadline()))
        try:
            names = [it for it in database.get_services() if not it.startswith(_OF_SERVERS)]
            files = _files(database, names)
        except grpc.RpcError as error:
            raise ReflectionError(_told(address, error)) from None
        except (KeyError, TypeError, ValueError, DecodeError, StopIteration) as error:
            what = " ".join(str(error).split()) or "the answer is empty"
            raise ReflectionError(f"{address} sent unusable descriptions of its services: {what}") from None
    if not files:
        raise ReflectionError(f"{address} has no services")
    return FileDescriptorSet(file=files)


def _files(database: Any, services: list[str]) -> list[FileDescriptorProto]:
    """The files of the services, each behind those that it imports. Raises ValueError where there is no such order."""
    known: dict[str, FileDescriptorProto] = {}
    for it in services:
        file = database.FindFileContainingSymbol(it)
        known[file.name] = file
    deadline = time.monotonic() + _ALL_SECONDS
    waiting = [name for it in known.values() for name in it.dependency]
    while waiting:
        name = waiting.pop()
        if name not in known:
            if len(known) > _MOST_FILES or time.monotonic() > deadline:
                raise ValueError("it has too many files, or is too slow")
            known[name] = database.FindFileByName(name)
            waiting += known[name].dependency
    order = graphlib.TopologicalSorter({name: it.dependency for name, it in known.items()})
    return [known[it] for it in order.static_order()]


def _told(address: Address, error: Any) -> str:
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return f"{address} does not support server reflection: use its .proto"
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return f"{address} does not respond"
    return f"{address} does not list its services: {error.code().name}: {error.details()}"


class _Call(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Deadline(grpc.StreamStreamClientInterceptor):  # type: ignore[misc]
    """Gives every call a deadline, which the library does not."""

    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        it = client_call_details
        call = _Call(it.method, _ASK_SECONDS, it.metadata, it.credentials, it.wait_for_ready, it.compression)
        return continuation(call, request_iterator)
