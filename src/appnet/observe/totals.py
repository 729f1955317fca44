"""What all instances of all chains have counted, from the latest that each of them has told."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

from appnet.observe.points import INSTANCE, Histogram, Point, Value

Key = tuple[tuple[str, str], ...]
"""Attributes and their values, in the order of their names."""

_K = TypeVar("_K")
_SILENT_SECONDS = 40.0
"""After which an instance has ended: chains tell their counts at least every 15 seconds."""
_LATE_NS = 60 * 10**9
"""No post comes so late: one that seems to be older than that is of a machine whose clock was set back."""


class InstanceKey(NamedTuple):
    """By what an instance is told apart: its id, and its start in nanoseconds since the Unix epoch."""

    id: str
    start_ns: int


@dataclass
class _Instance:
    resource: Mapping[str, str]
    heard: float = 0.0
    changed: bool = False  # since `changes` was asked last
    series: dict[tuple[str, Key], Point] = field(default_factory=dict)


class Totals:
    """The latest point of every series of every instance; usable as a subscriber of ``OtlpReceiver``.

    Counts are cumulative, so a post that comes twice, late or never changes no sum for long. An instance is told apart
    by its id and start. Beyond ``max_instances``, what the one that was silent longest had counted is added to what
    ended, under its attributes without its id. One that may go on is not: its next post would count all of it again. As
    long as there is no other, new ones are refused. ``max_series`` bounds what one instance may tell, ``max_size`` what
    is kept of all, in bytes as far as these can be told. Points that were not taken are counted as ``refused``.
    ``late`` counts instances that began before this did: what they tell first they may have counted long ago.
    ``clock``: of seconds.
    """

    def __init__(
        self,
        max_instances: int = 4_096,
        max_series: int = 20_000,
        max_size: int = 512 << 20,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_instances, self._max_series, self._max_size = max_instances, max_series, max_size
        self._clock = clock
        self._instances: dict[InstanceKey, _Instance] = {}
        self._ended: dict[tuple[str, Key], Value] = {}
        self._size = 0
        self.refused = self.late = 0
        self._began_ns = time.time_ns()

    def add(self, point: Point) -> None:
        """Takes one point, unless a later one of its series has come, or there is no room for it."""
        found = self._instance(point)
        if found is None:
            self.refused += 1
            return
        series = (point.name, _key(point.attributes))
        before = found.series.get(series)
        if before is not None and point.time_ns < before.time_ns < point.time_ns + _LATE_NS:
            return
        size = self._size + _size(point) - (0 if before is None else _size(before))
        if size > self._max_size or (before is None and len(found.series) >= self._max_series):
            self.refused += 1
            return
        self._size = size
        found.series[series] = replace(point, resource=found.resource)  # not one of its own for each post

    def _instance(self, point: Point) -> _Instance | None:
        """That of the point, which has been heard of now; None where there is no room for it."""
        key, now = InstanceKey(point.resource[INSTANCE], point.start_ns), self._clock()
        found = self._instances.pop(key, None)
        if found is None:
            if len(self._instances) >= self._max_instances:
                silent = next(iter(self._instances))
                if self._instances[silent].heard > now - _SILENT_SECONDS:
                    return None
                self._end(self._instances.pop(silent))
            if self._size + _text_size(point.resource) > self._max_size:
                return None
            self._size += _text_size(point.resource)
            found = _Instance(point.resource)
            self.late += point.start_ns < self._began_ns
        found.heard, found.changed = now, True
        self._instances[key] = found  # last in order: heard of last
        return found

    def _end(self, instance: _Instance) -> None:
        resource = {key: value for key, value in instance.resource.items() if key != INSTANCE}
        self._size -= _text_size(instance.resource)
        for (name, _), point in instance.series.items():
            self._size -= _size(point)
            attributes = {**resource, **point.attributes}
            key = (name, _key(attributes))
            if key not in self._ended:
                size = self._size + _text_size(attributes)
                if size > self._max_size or len(self._ended) >= self._max_series:
                    self.refused += 1
                    continue
                self._size = size
            add_up(self._ended, key, point.value)

    # --- to keep them ---

    def changes(self, *, everything: bool = False) -> dict[InstanceKey, list[Point]]:
        """All that instances have told which were heard of since this was asked last; or ``everything``."""
        found = {key: list(it.series.values()) for key, it in self._instances.items() if it.changed or everything}
        for key in found:
            self._instances[key].changed = False
        return found

    def known(self) -> set[InstanceKey]:
        """The instances, also silent ones."""
        return set(self._instances)

    def ended(self) -> dict[tuple[str, Key], Value]:
        """What instances had counted that are known no more, by name and attributes."""
        return dict(self._ended)

    def restore(self, instances: Mapping[InstanceKey, list[Point]], ended: Mapping[tuple[str, Key], Value]) -> None:
        """Takes up what `changes` and `ended` told before. Instances count as heard of now, as they may live; those
        that have told something meanwhile know better."""
        for key, points in instances.items():
            for it in points if key not in self._instances else ():
                self.add(it)
        for series, value in ended.items():
            self._size += _text_size(dict(series[1])) if series not in self._ended else 0
            add_up(self._ended, series, value)

    # --- what they come to ---

    def series(
        self, names: Container[str] | None = None, *, living: bool = False
    ) -> Iterator[tuple[str, Mapping[str, str], Value]]:
        """Every series of the metrics ``names``, or of all, by its name and attributes, those of its resource included.
        ``living``: only of instances that have been heard of lately. More may come in while somebody iterates."""
        since = self._clock() - _SILENT_SECONDS
        for instance in list(self._instances.values()):
            for point in list(instance.series.values()) if instance.heard >= since or not living else ():
                if names is None or point.name in names:
                    yield point.name, {**instance.resource, **point.attributes}, point.value
        for (name, key), value in list(self._ended.items()) if not living else ():
            if names is None or name in names:
                yield name, dict(key), value

    def by(
        self, names: Iterable[str], attributes: Iterable[str], *, living: bool = False
    ) -> dict[tuple[str, ...], Value]:
        """The sums of the metrics ``names`` for each value of these attributes; absent ones are empty."""
        found: dict[tuple[str, ...], Value] = {}
        chosen, of = frozenset(names), tuple(attributes)
        for _, labels, value in self.series(chosen, living=living):
            add_up(found, tuple(labels.get(it, "") for it in of), value)
        return found


def _key(attributes: Mapping[str, str]) -> Key:
    return tuple(sorted(attributes.items()))


def _size(point: Point) -> int:
    """About the bytes that it takes, without its resource."""
    buckets = point.value.counts if isinstance(point.value, Histogram) else ()
    return _text_size(point.attributes) + 40 * len(buckets)


def _text_size(attributes: Mapping[str, str]) -> int:
    return 1_000 + sum(map(len, attributes.keys())) * 4 + sum(map(len, attributes.values())) * 4


def add_up(sums: dict[_K, Value], key: _K, value: Value) -> None:
    """Adds the value to the sum of this key. A histogram of another scale than the sum is left out."""
    before = sums.get(key)
    if before is None:
        sums[key] = value
    elif isinstance(before, Histogram) and isinstance(value, Histogram):
        if before.scale == value.scale:
            sums[key] = before.plus(value)
    elif isinstance(before, int) and isinstance(value, int):
        sums[key] = before + value
