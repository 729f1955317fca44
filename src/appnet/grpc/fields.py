"""The fields of messages, as chains read and write them: by plans of descriptors, so that any class will do.

A text of protobuf's is bytes for the chain. The entries of a map have no order in Python: chains see them in that of
their keys.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from google.protobuf.message import Message

from appnet.grpc.chain import ENTRIES, ITEMS, KEYED_MESSAGES, ONE, Field, Side
from appnet.grpc.frame import OF_REPLY, Call, bits_of, float_of, text_at

_INTS = {"int32": 32, "sint32": 32, "sfixed32": 32, "enum": 32, "int64": 64, "sint64": 64, "sfixed64": 64}
_UNSIGNED = {"uint32": 32, "fixed32": 32, "uint64": 64, "fixed64": 64}


class Plan:
    """How the fields of one side of a method are read from messages and written into them."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._bound: dict[Any, Bound] = {}

    def bind(self, message: Any) -> Bound:
        """The plan for messages such as this one. Raises `ValueError` where they do not fit the chain."""
        if not isinstance(message, Message):
            raise ValueError(f"{type(message).__name__} is no message of protobuf")  # noqa: TRY004 -- as all that does not fit
        descriptor = message.DESCRIPTOR
        found = self._bound.get(descriptor)
        if found is None:
            try:
                found = self._bound[descriptor] = Bound(descriptor, self._side.fields)
            except ValueError as error:
                name = descriptor.full_name
                raise ValueError(f"messages {name} of this program do not fit: {error}") from None
        return found

    def fill(self, call: Call, message: Any) -> Bound | None:
        """Gives a call the fields that a message has; nothing where the chain asks for none."""
        if not self._side.needs_message:
            return None
        bound = self.bind(message)
        bound.fill(call, message)
        return bound


class Place:
    """A field of messages of one descriptor. ``steps`` lead to the message that holds it, from the message itself or
    from the messages of ``around``."""

    def __init__(self, field: Field, descriptor: Any, around: Place | None) -> None:
        self.kind, self.many, self.key_kind, self.around = field.kind, field.many, field.key_kind, around
        numbers = field.numbers
        if around is not None:
            descriptor, numbers = around.inner(numbers)
        self.steps: list[str] = []
        self.in_oneof = False
        for number in numbers[:-1]:
            step = self._find(descriptor, number)
            if step.message_type is None or step.is_repeated:
                raise ValueError(f"field {step.full_name} is no message")
            self.steps.append(step.name)
            descriptor = step.message_type
        self.last = self._find(descriptor, numbers[-1])
        self.name: str = self.last.name
        self.is_map = self.last.message_type is not None and self.last.message_type.GetOptions().map_entry
        self._check()

    def _find(self, descriptor: Any, number: int) -> Any:
        if descriptor is None:
            raise ValueError(f"field {number} stands in no message")
        found = descriptor.fields_by_number.get(number)
        if found is None:
            raise ValueError(f"{descriptor.full_name} has no field {number}")
        self.in_oneof |= found.containing_oneof is not None and not _synthetic(found)
        return found

    def inner(self, numbers: tuple[int, ...]) -> tuple[Any, tuple[int, ...]]:
        """The descriptor of the messages that others stand within, and their numbers from there."""
        descriptor = self.last.message_type
        if descriptor is None:
            raise ValueError(f"nothing stands within {self.last.full_name}")
        if self.many == KEYED_MESSAGES:  # the messages are the values of entries
            value = descriptor.fields_by_number.get(2)
            if value is None or value.message_type is None or len(numbers) < 2:
                raise ValueError("a field of entries without a number")
            return value.message_type, numbers[1:]
        return descriptor, numbers

    def _check(self) -> None:
        """Finds out whether the field is what the chain was compiled for."""
        last = value = self.last
        if (self.many != ONE) != last.is_repeated:
            raise ValueError(f"field {last.full_name} is repeated, or is not, in another .proto")
        self.key: Any = None
        if self.many in {ENTRIES, KEYED_MESSAGES}:
            found = last.message_type.fields_by_number if last.message_type is not None else {}
            self.key, value = found.get(1), found.get(2)
            if self.key is None or value is None or not _same(self.key, self.key_kind):
                raise ValueError(f"field {last.full_name} has other keys in another .proto")
        if not _same(value, self.kind):
            raise ValueError(f"field {last.full_name} has another type in another .proto")
        self.value = value
        self.presence: bool = last.has_presence
        self.is_text = self.kind in {"string", "bytes"}
        self.is_float = self.many == ONE and self.kind in {"float", "double"}

    # --- where it is ---

    def messages(self, holder: Any, *, make: bool = False) -> list[Any]:
        """Of a field of many messages, those in a message that holds it. ``make``: an entry that has none gets one."""
        if self.many != KEYED_MESSAGES:
            return list(getattr(holder, self.name))
        if self.is_map:
            return [value for _, value in self.entries(holder)]
        held = self._living(getattr(holder, self.name))
        found = [getattr(it, self.value.name) for it in held]
        for it in found if make else ():
            it.SetInParent()
        return found

    def entries(self, holder: Any) -> list[tuple[Any, Any]]:
        """Those of a map, in the order of their keys. Of entries that protobuf takes for repeated messages, the last of
        each key, in their order."""
        held = getattr(holder, self.name)
        if self.is_map:
            return sorted(held.items(), key=lambda it: it[0])
        key, value = self.key.name, self.value.name
        return [(getattr(it, key), getattr(it, value)) for it in self._living(held)]

    def _living(self, held: Sequence[Any]) -> list[Any]:
        last = {getattr(it, self.key.name): number for number, it in enumerate(held)}
        return [it for number, it in enumerate(held) if last[getattr(it, self.key.name)] == number]

    def holders(self, message: Any, *, make: bool = False) -> list[Any]:
        """The messages that have the field. Where one has nothing there, an empty one stands for it; with ``make``,
        that is added."""
        found = [message]
        if self.around is not None:
            found = [it for one in self.around.holders(message) for it in self.around.messages(one, make=make)]
        for step in self.steps:
            found = [getattr(it, step) for it in found]
            for it in found if make else ():
                it.SetInParent()
        return found

    def holder(self, message: Any) -> Any:
        """The one message that has the field; None where a message around it is not there."""
        for step in self.steps:
            if not message.HasField(step):
                return None
            message = getattr(message, step)
        return message

    def is_there(self, holder: Any) -> bool:
        """Whether the message has the field; what has no presence counts where it is not 0, as -0.0 is not."""
        if self.presence:
            return bool(holder.HasField(self.name))
        value = getattr(holder, self.name)
        return bool(value) or (self.is_float and math.copysign(1, value) < 0)

    # --- reading ---

    def read(self, call: Call, index: int, message: Any) -> None:
        """Gives the call what the message has of it."""
        if self.around is not None:
            self._read_each(call, index, message)
            return
        holder = self.holder(message)
        if holder is None or not self.is_there(holder):
            return
        if self.many == ONE:
            if self.kind == "message":
                call.set_bits(index, 1)
                return
            value = getattr(holder, self.name)
            if self.is_text:
                call.set_text(index, _plain(value))
            else:
                call.set_bits(index, bits_of(value))
        elif self.many == ITEMS:
            call.set_values(index, [_plain(it) for it in getattr(holder, self.name)])
        elif self.many == ENTRIES:
            call.set_values(index, [_plain(it) for pair in self.entries(holder) for it in pair], each=2)
        else:
            call.set_bits(index, len(self.messages(holder)))

    def _read_each(self, call: Call, index: int, message: Any) -> None:
        if self.kind == "message":
            if self.many != ONE:
                call.set_bits(index, sum(len(self.messages(it)) for it in self.holders(message)))
            return
        held = [getattr(it, self.name) for it in self.holders(message)]
        call.set_values(index, [_plain(it) for it in (held if self.many == ONE else _all(held))])

    # --- writing ---

    def clear(self, message: Any) -> None:
        """Takes it out of the message."""
        holders = [self.holder(message)] if self.around is None else self.holders(message)
        for it in holders:
            if it is not None:
                it.ClearField(self.name)

    def write(self, call: Call, part: int, slots: int, index: int, message: Any) -> None:
        """Sets it in the message. Raises `ValueError` where the value does not fit."""
        if self.around is None and self.many == ONE:
            slot = call.slot(slots, index)
            value = self._value(self.last, self.kind, slot.word, slot.size)
            setattr(self.holders(message, make=True)[0], self.name, value)
            return
        values = list(self._values(call, part, index))
        if self.around is not None:
            self._write_each(values, message)
            return
        if not values and not self.in_oneof and self.holder(message) is None:
            return  # nothing is made for nothing
        holder = self.holders(message, make=True)[0]
        if self.many == ITEMS:
            getattr(holder, self.name)[:] = values
            return
        holder.ClearField(self.name)
        held = getattr(holder, self.name)
        for key, value in zip(values[::2], values[1::2], strict=True):
            if self.is_map:
                held[key] = value
            else:
                held.add(**{self.key.name: key, self.value.name: value})

    def _values(self, call: Call, part: int, index: int) -> Iterator[Any]:
        entries = self.many == ENTRIES
        for number, (word, size) in enumerate(call.values(part, index, 1 + entries)):
            field, kind = (self.key, self.key_kind) if entries and number % 2 == 0 else (self.value, self.kind)
            yield self._value(field, kind, word, size)

    def _write_each(self, values: list[Any], message: Any) -> None:
        """One value in each of the many messages that it stands within, or as many as each has."""
        for holder in self.holders(message, make=self.many == ONE):
            count = 1 if self.many == ONE else len(getattr(holder, self.name))
            if count > len(values):
                raise ValueError(f"a chain wrote fewer values of {self.last.full_name} than there are messages")
            mine, values = values[:count], values[count:]
            if self.many == ONE:
                setattr(holder, self.name, mine[0])
            elif count:
                getattr(holder, self.name)[:] = mine

    @staticmethod
    def _value(field: Any, kind: str, bits: int, size: int) -> Any:
        """A value as protobuf takes it; a text that is no UTF-8 fits into no string."""
        if kind in {"string", "bytes"}:
            text = text_at(bits, size)
            if field.type == field.TYPE_BYTES:
                return text
            try:
                return text.decode()
            except UnicodeDecodeError:
                raise ValueError(f"an element wrote a text that is not UTF-8 into {field.full_name}") from None
        if kind == "bool":
            return bool(bits & 0xFF)
        if kind in _INTS:
            width = _INTS[kind]
            bits &= (1 << width) - 1
            return bits - (1 << width) if bits >> (width - 1) else bits
        if kind in _UNSIGNED:
            return bits & ((1 << _UNSIGNED[kind]) - 1)
        if kind == "message":
            raise ValueError(f"an element wrote a message into {field.full_name}")
        return float_of(bits)


class Bound:
    """A plan for messages of one descriptor."""

    def __init__(self, descriptor: Any, fields: Sequence[Field]) -> None:
        found: dict[int, Place] = {}

        def place(index: int, depth: int) -> Place:
            if index not in found:
                if depth > len(fields):
                    raise ValueError("fields stand within one another")
                it = fields[index]
                found[index] = Place(it, descriptor, place(it.within - 1, depth + 1) if it.within else None)
            return found[index]

        self._places = [place(index, 0) for index in range(len(fields))]

    def fill(self, call: Call, message: Any) -> None:
        """Gives a call the fields that a message has."""
        call.fields(len(self._places))
        for index, it in enumerate(self._places):
            it.read(call, index, message)

    def apply(self, call: Call, slots: int, part: int, message: Any) -> None:
        """Does to a message what handlers made of it: what is cleared goes first, then what is written stands there.

        Raises `ValueError` where a value does not fit."""
        states = [call.slot(slots, index) for index in range(len(self._places))]
        for it, state in zip(self._places, states, strict=True):
            if state.cleared and part != OF_REPLY:
                it.clear(message)
        for index, (it, state) in enumerate(zip(self._places, states, strict=True)):
            if state.written:
                it.write(call, part, slots, index, message)


def _same(field: Any, kind: str) -> bool:
    """Whether values are the same on the wire; of texts, one of the types may not care for UTF-8."""
    names = {field.TYPE_GROUP: "message"}
    found = names.get(field.type) or _TYPE_NAMES[field.type]
    return found == kind or {found, kind} == {"string", "bytes"}


_TYPE_NAMES = (
    "", "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string", "group", "message",
    "bytes", "uint32", "enum", "sfixed32", "sfixed64", "sint32", "sint64",
)  # fmt: skip


def _synthetic(field: Any) -> bool:
    """Whether it is in a oneof of its own only because it is optional."""
    oneof = field.containing_oneof
    return len(oneof.fields) == 1 and oneof.name == f"_{field.name}"


def _plain(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


def _all(lists: Iterable[Sequence[Any]]) -> list[Any]:
    return [it for one in lists for it in one]
