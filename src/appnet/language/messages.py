"""What the checker needs to know of a method's .proto: its name and the fields of its two messages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from appnet.language.types import Type


@dataclass(frozen=True)
class Field:
    """A field of scalars: one, many (a Vec), or a map of them; or a field of messages.

    ``path`` is dotted as in the .proto, ``numbers`` are its field numbers from the message inwards, ``kind`` is
    how it stands on the wire: the .proto type's name (``string``, ``sint32``, …), ``enum`` or ``message``; a map's is
    that of its values, and ``key_kind`` that of its keys. ``packed``: many numbers are written as one record.
    ``default`` is what it reads as where it is absent, if that is not the type's zero. ``oneofs``: for each number, the
    path of the oneof that has it as a member, or nothing; empty where there is none at all. ``groups``: for each
    number, whether it is a group's; empty likewise. ``presence``: whether a message can tell that it has the field.
    ``names``: the numbers that a closed enum has names for.

    The type of a message is ``bool``, whether it is there; that of many is ``uint``, how many there are. ``within``:
    the path of the field of many messages that it stands in; its type is then a Vec of what each of those has.
    ``many``: whether a message has any number of it. ``secret``: no log may show it.
    """

    path: str
    type: Type
    numbers: tuple[int, ...]
    kind: str
    default: bool | int | float | bytes | None = None
    key_kind: str = ""
    packed: bool = False
    oneofs: tuple[str, ...] = ()
    groups: tuple[bool, ...] = ()
    presence: bool = False
    names: tuple[int, ...] = ()
    within: str = ""
    many: bool = False
    secret: bool = False

    @property
    def is_message(self) -> bool:
        """Whether it holds a message, or many."""
        return self.kind == "message"

    def is_inside(self, path: str) -> bool:
        """Whether it is the field at the path, or one inside it."""
        return self.path == path or self.path.startswith(f"{path}.")

    def is_rival(self, other: Field, start: int = 0) -> bool:
        """Whether a message that has the one cannot have the other: a oneof has them in different members. ``start``:
        the number from which on that is looked for."""
        return any(
            at >= start
            and name
            and self.numbers[:at] == other.numbers[:at]
            and other.oneofs[at : at + 1] == (name,)
            and mine != theirs
            for at, (name, mine, theirs) in enumerate(zip(self.oneofs, self.numbers, other.numbers, strict=False))
        )


@dataclass(frozen=True)
class MessageSchema:
    """A message type.

    ``fields`` holds every field of scalars, by dotted path, and ``messages`` those of messages; the path of what is in
    a map of messages goes through ``values``. ``unsupported`` says of paths why programs cannot read and write them. Of
    the paths in ``unknown`` nothing is known: a statement with one is taken to be right. ``oneofs`` has the members of
    each oneof, by its path. ``assumed``: there is no .proto; whatever is asked of a field is taken to be right.
    """

    full_name: str
    fields: Mapping[str, Field]
    unsupported: Mapping[str, str] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()
    oneofs: Mapping[str, tuple[Field, ...]] = field(default_factory=dict)
    messages: Mapping[str, Field] = field(default_factory=dict)
    assumed: bool = False

    def field(self, path: str) -> Field:
        """The field at the path, of scalars or of messages."""
        return self.fields.get(path) or self.messages[path]

    def all_fields(self) -> Iterator[Field]:
        """Those of scalars, then those of messages."""
        yield from self.fields.values()
        yield from self.messages.values()

    def rivals(self, path: str) -> tuple[str, ...]:
        """The fields that a message loses when this one is set, those of messages too: inside many messages, each of
        those."""
        one = self.field(path)
        if not one.oneofs or (one.within and one.many):  # what has some of it has no rival of it
            return ()
        start = len(self.messages[one.within].numbers) if one.within else 0
        return tuple(it.path for it in self.all_fields() if it.is_rival(one, start))

    def around(self, path: str) -> tuple[str, ...]:
        """The messages that a field stands in, outermost first; of a field inside many, those inside the same."""
        names = path.split(".")
        outer = (".".join(names[:count]) for count in range(1, len(names)))
        within = self.field(path).within
        return tuple(it for it in outer if it in self.messages and self.messages[it].within == within and it != within)

    def inside(self, path: str) -> tuple[str, ...]:
        """The fields that a message loses with this one: itself, and what is inside it."""
        return tuple(it.path for it in self.all_fields() if it.is_inside(path))


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

    @property
    def messages(self) -> tuple[MessageSchema, MessageSchema]:
        """Those of requests and of responses."""
        return self.request, self.response

    @cached_property
    def digest(self) -> str:
        """A hash of what programs can tell of it: the same in every process."""
        messages = [(it.full_name, sorted(map(repr, it.all_fields()))) for it in self.messages]
        text = repr((self.full_name, self.client_streaming, self.server_streaming, messages))
        return hashlib.sha256(text.encode()).hexdigest()
