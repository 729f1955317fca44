"""How copies of weak state are merged: an instance's changes since its last merge are combined into the store's value.

A Map is merged entry by entry; any other variable is one entry. The combiners:

* sum: what the instance added since is added;
* max, min: the larger, or smaller, of both values stays;
* LWW: the later write stays, by hybrid clocks; a deleted entry leaves its clock behind;
* union: what the instance put in is added, what it took out is taken out.

Unless clocks decide, an entry that the instance deleted goes if nobody else has changed it since the instance saw it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from appnet.interpret.values import Value, copy_value, fit, float_bits, same_value, wrap
from appnet.language.types import FLOAT, INSTANT, MapType, PairType, Type, VecType

Clock = tuple[int, int, int]
"""A hybrid clock: the wall clock in nanoseconds, a count of writes at that time, and the number of the instance."""

Key = Value
WHOLE: Key = ()
"""The key of the only entry of a variable that is no Map."""

_BEGINNING: Clock = (-1, 0, 0)


@dataclass
class Kept:
    """A variable in the store. ``entries``: those of a Map, least recently set first; Instants by the wall clock.

    ``versions``: of each entry, which changes whenever the entry does. ``clocks``: of the last write to each, also to
    those that were deleted. ``count``: of the versions given.
    """

    type: Type
    capacity: int
    entries: dict[Key, Value]
    versions: dict[Key, int] = field(default_factory=dict)
    clocks: dict[Key, Clock] = field(default_factory=dict)
    count: int = 0

    def value(self) -> Value:
        """A copy of what the variable holds."""
        return value_of(self.entries, self.type)

    def replace(self, value: Value) -> None:
        """Gives it another value; entries that stay as they are keep their versions."""
        entries = entries_of(value, self.type)
        for key in self.entries.keys() | entries.keys():
            if key not in entries or key not in self.entries or not same_value(entries[key], self.entries[key]):
                self._touch(key)
        self.entries = entries

    def put(self, key: Key, value: Value) -> None:
        """Sets an entry, which becomes the newest."""
        self.entries.pop(key, None)
        self.entries[key] = value
        self._touch(key)

    def renew(self, key: Key) -> None:
        """An entry was set, by a write that lost: where it is there, it becomes the newest."""
        if key in self.entries:
            self.put(key, self.entries[key])

    def remove(self, key: Key) -> None:
        """Takes an entry away, where it is there."""
        self.entries.pop(key, None)
        self._touch(key)

    def drop_oldest(self) -> int:
        """Drops what is more than the capacity; how many entries or items."""
        if isinstance(self.type, MapType):
            before = list(self.entries)
            dropped = fit(self.entries, self.capacity)
            for key in before[:dropped]:
                self._touch(key)
            return dropped
        return fit(self.entries[WHOLE], self.capacity)

    def _touch(self, key: Key) -> None:
        self.count += 1
        self.versions[key] = self.count


@dataclass(frozen=True)
class Seen:
    """What an instance had from the store at its last merge."""

    entries: Mapping[Key, Value] = field(default_factory=dict)
    versions: Mapping[Key, int] = field(default_factory=dict)


def seen(kept: Kept) -> Seen:
    """What the store has now."""
    return Seen(copy_value(kept.entries), dict(kept.versions))


def merge(kept: Kept, base: Seen, now: Mapping[Key, Value], written: Mapping[Key, Clock], combiner: str) -> int:
    """Combines what changed since ``base`` into the store; how many entries or items that is full had to let go.

    ``written``: the entries that were set or deleted since, with the clock of the last time.
    """
    gone = base.entries.keys() | written.keys() if combiner == "LWW" else base.entries.keys()
    for key in gone:
        if key not in now:
            _delete(kept, base, key, written, combiner)
    for key, value in now.items():
        if key in written or key not in base.entries or not same_value(value, base.entries[key]):
            _set(kept, base, key, value, written, combiner)
    return kept.drop_oldest()


def _delete(kept: Kept, base: Seen, key: Key, written: Mapping[Key, Clock], combiner: str) -> None:
    if combiner == "LWW":
        clock = written[key]
        if clock > kept.clocks.get(key, _BEGINNING):
            kept.remove(key)
            kept.clocks[key] = clock
        else:
            kept.renew(key)
    elif kept.versions.get(key) == base.versions.get(key):
        kept.remove(key)
    elif combiner == "sum" and key in kept.entries:
        kept.put(key, wrap(kept.entries[key] - base.entries[key], _merged_type(kept.type)))


def _set(kept: Kept, base: Seen, key: Key, value: Value, written: Mapping[Key, Clock], combiner: str) -> None:
    here = kept.entries.get(key)
    match combiner:
        case "LWW":
            clock = written[key]
            if clock > kept.clocks.get(key, _BEGINNING):
                kept.put(key, copy_value(value))
                kept.clocks[key] = clock
            else:
                kept.renew(key)
        case "sum":
            zero = 0.0 if _merged_type(kept.type) == FLOAT else 0
            added = value - base.entries.get(key, zero)
            if here is not None or added or key not in base.entries:
                kept.put(key, wrap((zero if here is None else here) + added, _merged_type(kept.type)))
        case "max" | "min":
            better = max if combiner == "max" else min
            kept.put(key, value if here is None else better(here, value, key=_in_order))
        case _:
            added_to = isinstance(kept.type, VecType) and here is not None
            kept.put(key, _united(here, base.entries.get(key, []), value) if added_to else copy_value(value))


def _united(here: Value, before: Value, value: Value) -> Value:
    """The Vec of the store, without what was taken out of ``before`` and with what was put in."""
    gone, new = _without(before, value), _without(value, before)
    return [*_without(here, gone), *copy_value(new)]


def _without(items: Value, others: Value) -> Value:
    """The items but, of each that is among the others, the first ones: as many as are there."""
    left = list(others)
    kept = []
    for it in items:
        index = next((number for number, other in enumerate(left) if same_value(it, other)), None)
        if index is None:
            kept.append(it)
        else:
            del left[index]
    return kept


def _in_order(value: Value) -> Value:
    """What numbers are compared by: -0.0 is before 0.0, and NaN comes last."""
    if not isinstance(value, float):
        return value
    bits = float_bits(value)
    return bits if bits < 2**63 else 2**63 - bits - 1


def _merged_type(type_: Type) -> Type:
    return type_.value if isinstance(type_, MapType) else type_


def entries_of(value: Value, type_: Type) -> dict[Key, Value]:
    """A copy of the value as entries."""
    return copy_value(value) if isinstance(type_, MapType) else {WHOLE: copy_value(value)}


def value_of(entries: Mapping[Key, Value], type_: Type) -> Value:
    """A copy of what the entries are."""
    return copy_value(dict(entries)) if isinstance(type_, MapType) else copy_value(entries[WHOLE])


def shifted(value: Value, type_: Type, by: int) -> Value:
    """The value with its Instants moved by so many nanoseconds, from one clock to another."""
    match type_:
        case PairType(first=first, second=second):
            return (shifted(value[0], first, by), shifted(value[1], second, by))
        case VecType(item=item):
            return [shifted(it, item, by) for it in value]
        case MapType(key=key, value=kept):
            return {shifted(name, key, by): shifted(it, kept, by) for name, it in value.items()}
    return value + by if type_ == INSTANT else value
