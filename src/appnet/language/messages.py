"""What the checker needs to know of a method's .proto: its name and the fields of its two messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from appnet.language.types import Type


@dataclass(frozen=True)
class Field:
    """A singular scalar field.

    ``path`` is dotted as in the .proto, ``numbers`` are its field numbers from the message inwards, ``kind`` is
    how it stands on the wire: the .proto type's name (``string``, ``sint32``, …) or ``enum``. ``default`` is what it
    reads as where it is absent, if that is not the type's zero.
    """

    path: str
    type: Type
    numbers: tuple[int, ...]
    kind: str
    default: bool | int | float | bytes | None = None


@dataclass(frozen=True)
class MessageSchema:
    """A message type.

    ``fields`` holds every singular scalar field reachable through singular messages, by dotted path;
    ``unsupported`` says of the other paths why programs cannot use them. Of the paths in ``unknown`` nothing is known:
    a statement with one is taken to be right.
    """

    full_name: str
    fields: Mapping[str, Field]
    unsupported: Mapping[str, str] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()


@dataclass(frozen=True)
class MethodSignature:
    """A gRPC method; ``full_name`` is its path, ``/package.Service/Method``."""

    full_name: str
    request: MessageSchema
    response: MessageSchema
    client_streaming: bool = False
    server_streaming: bool = False
