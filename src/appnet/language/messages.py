"""What the checker needs to know of a method's .proto: its name and the fields of its two messages."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from appnet.language.types import Type


@dataclass(frozen=True)
class Field:
    """A field of scalars: one, many (a Vec), or a map of them.

    ``path`` is dotted as in the .proto, ``numbers`` are its field numbers from the message inwards, ``kind`` is
    how it stands on the wire: the .proto type's name (``string``, ``sint32``, …) or ``enum``; a map's is that of its
    values, and ``key_kind`` that of its keys. ``packed``: many numbers are written as one record. ``default`` is what
    it reads as where it is absent, if that is not the type's zero. ``oneofs``: for each number, the path of the oneof
    that has it as a member, or nothing; empty where there is none at all.
    """

    path: str
    type: Type
    numbers: tuple[int, ...]
    kind: str
    default: bool | int | float | bytes | None = None
    key_kind: str = ""
    packed: bool = False
    oneofs: tuple[str, ...] = ()

    def is_rival(self, other: Field) -> bool:
        """Whether a message that has the one cannot have the other: a oneof has them in different members."""
        return any(
            name and self.numbers[:at] == other.numbers[:at] and other.oneofs[at : at + 1] == (name,) and mine != theirs
            for at, (name, mine, theirs) in enumerate(zip(self.oneofs, self.numbers, other.numbers, strict=False))
        )


@dataclass(frozen=True)
class MessageSchema:
    """A message type.

    ``fields`` holds every field of scalars reachable through singular messages, by dotted path;
    ``unsupported`` says of the other paths why programs cannot use them. Of the paths in ``unknown`` nothing is known:
    a statement with one is taken to be right. ``oneofs`` has the members of each oneof, by its path; the kind of one
    that is a message is ``message``.
    """

    full_name: str
    fields: Mapping[str, Field]
    unsupported: Mapping[str, str] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()
    oneofs: Mapping[str, tuple[Field, ...]] = field(default_factory=dict)

    def rivals(self, path: str) -> tuple[str, ...]:
        """The fields that a message loses when this one is set."""
        one = self.fields[path]
        return tuple(it.path for it in self.fields.values() if it.is_rival(one)) if one.oneofs else ()


def spelled(fields: Mapping[str, Field], path: str) -> list[Field]:
    """The fields that ``path`` may mean: the one of this name, or else those of it in another case, or else those whose
    words are joined in another way (``userName`` for ``user_name``). More than one: it is not clear.
    """
    if path in fields:
        return [fields[path]]
    for form in (str.lower, folded):
        found = [it for name, it in fields.items() if form(name) == form(path)]
        if found:
            return found
    return []


def folded(path: str) -> str:
    """``path`` in the spelling in which ``userName`` and ``user_name`` are the same."""
    return path.replace("_", "").lower()


@dataclass(frozen=True)
class MethodSignature:
    """A gRPC method; ``full_name`` is its path, ``/package.Service/Method``."""

    full_name: str
    request: MessageSchema
    response: MessageSchema
    client_streaming: bool = False
    server_streaming: bool = False

    @cached_property
    def digest(self) -> str:
        """A hash of what programs can tell of it: the same in every process."""
        messages = [(it.full_name, sorted(map(repr, it.fields.values()))) for it in (self.request, self.response)]
        text = repr((self.full_name, self.client_streaming, self.server_streaming, messages))
        return hashlib.sha256(text.encode()).hexdigest()
