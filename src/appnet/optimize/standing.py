"""Where the elements of a chain may run, and where they run as written.

As written, an element runs in the first place of its side that gives all it needs, by the order in which the user
listed processors, as far as requests never go back to a place that they have passed. Where its side has no place, that
is one of the other side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appnet.application.model import ElementSpec, Side, Stop
from appnet.ir.needs import Asked, Need
from appnet.optimize.placement import Place


@dataclass(frozen=True)
class Lack:
    """An element that can run in no place.

    ``place``: of those where it could stand, the one that gives most of what it needs.
    ``asked``: what it needs and ``place`` does not give. ``after``: set where ``place`` gives all, but a request has
    passed it once the element before, ``after``, is in a place that gives what that needs.
    """

    spec: ElementSpec
    place: Place
    asked: tuple[Asked, ...]
    after: ElementSpec | None = None


class UnsuitedError(Exception):
    """A chain cannot run as written in the places that there are."""

    def __init__(self, lacks: Sequence[Lack]) -> None:
        super().__init__(", ".join(it.spec.name.value for it in lacks))
        self.lacks = tuple(lacks)


@dataclass(frozen=True)
class Standing:
    """Of each element, numbers of places: ``suits``, where it may run, and ``at``, where it does as written."""

    suits: tuple[frozenset[int], ...]
    at: tuple[int, ...]


def standing(
    stops: Sequence[Stop], asked: Sequence[Sequence[Asked]], places: Sequence[Place], preferred: Sequence[str]
) -> Standing:
    """Where the elements may run, and do as written. ``asked``: what each needs; ``preferred``: processors by name.

    Raises `UnsuitedError`.
    """
    lacks = lacking(stops, asked, places)
    if lacks:
        raise UnsuitedError(lacks)
    suits = [_suits(stop, it, places) for stop, it in zip(stops, asked, strict=True)]
    rank = {name: number for number, name in enumerate(preferred)}
    latest, last = [], len(places) - 1
    for suiting in reversed(suits):  # a later place would leave none for what comes behind
        last = max(it for it in suiting if it <= last)
        latest.append(last)
    at: list[int] = []
    for stop, suiting, last in zip(stops, suits, reversed(latest), strict=True):
        free = [it for it in suiting if (at[-1] if at else 0) <= it <= last]

        def key(number: int, side: Side = stop.side) -> tuple[bool, int, int]:
            place = places[number]
            return place.side is not side, rank.get(place.processor, len(rank)), number

        at.append(min(free, key=key))
    return Standing(tuple(suits), tuple(at))


def _suits(stop: Stop, asked: Sequence[Asked], places: Sequence[Place]) -> frozenset[int]:
    needed = {it.need for it in asked}
    return frozenset(number for number in _could_stand(stop, places) if needed <= places[number].gives)


def _could_stand(stop: Stop, places: Sequence[Place]) -> list[int]:
    """Where the element could stand, whatever it needs."""
    on_side = [number for number, it in enumerate(places) if stop.fixed in (None, it.side)]
    return on_side or list(range(len(places)))


def lacking(stops: Sequence[Stop], asked: Sequence[Sequence[Asked]], places: Sequence[Place]) -> tuple[Lack, ...]:
    """What keeps the chain from running as written; nothing where it can.

    The elements that no place suits; if there are none, the first that cannot come after those before it.
    """
    found: list[Lack] = []
    suits = [_suits(stop, it, places) for stop, it in zip(stops, asked, strict=True)]
    for stop, suiting, wants in zip(stops, suits, asked, strict=True):
        if not suiting:
            found.append(_lack(stop, wants, [places[it] for it in _could_stand(stop, places)]))
    if found:
        return tuple(found)
    earliest, after = 0, 0
    for number, (stop, suiting) in enumerate(zip(stops, suits, strict=True)):
        free = [it for it in suiting if it >= earliest]
        if not free:
            return (Lack(stop.spec, places[max(suiting)], (), stops[after].spec),)
        if min(free) > earliest:
            earliest, after = min(free), number
    return ()


def _lack(stop: Stop, asked: Sequence[Asked], candidates: Sequence[Place]) -> Lack:
    def missing(place: Place) -> tuple[Asked, ...]:
        return tuple(it for it in asked if it.need not in place.gives)

    def kinds(place: Place) -> set[Need]:
        return {it.need for it in missing(place)}

    place = min(candidates, key=lambda it: len(kinds(it)))
    return Lack(stop.spec, place, missing(place))
