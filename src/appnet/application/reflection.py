"""What a running server says of its own methods, by gRPC's server reflection."""

from __future__ import annotations

from typing import Any, NamedTuple

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from appnet.application.proto_files import set_of
from appnet.system.address import Address

_ASK_SECONDS = 10.0
_OF_SERVERS = ("grpc.reflection.", "grpc.health.", "grpc.channelz.")


class ReflectionError(Exception):
    """A server does not say which methods it has."""


def reflected(address: Address) -> FileDescriptorSet:
    """The files of the server's services, with all that they import. Raises `ReflectionError`."""
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(str(address), options=options) as plain:
        database = ProtoReflectionDescriptorDatabase(grpc.intercept_channel(plain, _Deadline()))
        try:
            names = [it for it in database.get_services() if not it.startswith(_OF_SERVERS)]
            pool = DescriptorPool(database)
            files: list[FileDescriptor] = [pool.FindServiceByName(it).file for it in names]
        except grpc.RpcError as error:
            raise ReflectionError(_told(address, error)) from None
        except (KeyError, TypeError, DecodeError) as error:
            what = " ".join(str(error).split())
            raise ReflectionError(f"what {address} says of its services cannot be used: {what}") from None
    if not files:
        raise ReflectionError(f"{address} has no services")
    return set_of(files)


def _told(address: Address, error: Any) -> str:
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return f"{address} has no server reflection: give its .proto"
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return f"nobody answers at {address}"
    return f"{address} does not say which services it has: {error.code().name}: {error.details()}"


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
