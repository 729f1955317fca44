"""Which elements of a chain may cross the wire, and why the others may not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from appnet.analysis import Properties, Strength
from appnet.analysis.places import (
    Tie,
    Tied,
    ends_before_messages,
    ends_calls,
    following,
    notices_answers,
    notices_messages,
    ties,
)
from appnet.application.model import Side, Stop
from appnet.ir.nodes import Element
from appnet.language.messages import MethodSignature
from appnet.optimize.placement import Place


@dataclass(frozen=True)
class Bound:
    """What binds an element to places. ``ties``: to the side that it was written on, on any of the edge's methods.

    ``follows``: state that each instance has for itself, and that comes along where it moves. ``ends``: calls may end
    at it; ``notices``: it can be told there when an answer comes. ``ends_early``: calls may end at it before a message
    came; ``notices_early``: it can be told there that messages came of such a call. ``sizes``, ``resizes``: whether it
    reads the size of requests, and of responses, or changes it.
    """

    ties: tuple[Tie, ...] = ()
    follows: tuple[str, ...] = ()
    ends: bool = False
    notices: bool = False
    ends_early: bool = False
    notices_early: bool = False
    sizes: tuple[bool, bool] = (False, False)
    resizes: tuple[bool, bool] = (False, False)


def bound_of(element: Element, method: MethodSignature, properties: Properties, strength: Strength | None) -> Bound:
    """What binds the element to its side on calls of the method. ``strength`` None: only what it cannot run without."""
    return Bound(
        tuple(ties(element, method, properties, strength)),
        following(element) if strength is Strength.WEAK else (),
        strength is not None and ends_calls(properties),
        strength is not None and notices_answers(element, properties, strength),
        strength is not None and ends_before_messages(element),
        strength is not None and notices_messages(element, properties, strength),
        (
            strength is not None and properties.request.reads_size,
            strength is not None and properties.response.reads_size,
        ),
        (bool(properties.request.writes), bool(properties.response.writes)),
    )


def at_home(stops: Sequence[Stop], asks_for_hosts: Sequence[bool]) -> tuple[Stop, ...]:
    """The stops, of which those of no side that ask for hosts are on the client's side, where hosts are known.

    One that comes after an element of the server's side stays there.
    """
    found: list[Stop] = []
    behind = False
    for stop, asks in zip(stops, asks_for_hosts, strict=True):
        behind = behind or stop.fixed is Side.SERVER
        moves = stop.fixed is None and asks and not behind
        found.append(Stop(stop.spec, Side.CLIENT, Side.CLIENT) if moves else stop)
    return tuple(found)


def within_ties(
    suits: Sequence[frozenset[int]],
    written: Sequence[int],
    places: Sequence[Place],
    bound: Sequence[Bound],
) -> list[frozenset[int]]:
    """Where elements may run, of places that ``suits`` lists, when those with ties stay on their side, and those that
    can tell a program from the proxy before it stay in their place."""
    return [
        suiting & {at} if any(tie.kind is not Tied.STATE for tie in it.ties)
        else _staying(suiting, at, places) if it.ties
        else suiting
        for suiting, at, it in zip(suits, written, bound, strict=True)
    ]  # fmt: skip


def beside_answers(
    names: Sequence[str],
    suits: Sequence[frozenset[int]],
    written: Sequence[int],
    places: Sequence[Place],
    bound: Sequence[Bound],
    kept: Collection[tuple[int, int]],
) -> tuple[list[frozenset[int]], list[Bound]]:
    """The same where an answer that one element makes can be told by another: no wire comes between them, or goes.

    ``kept``: pairs that keep their order. What stands before the one that notices makes no answers that it sees.
    """
    found, why = list(suits), list(bound)
    for one, notices in enumerate(bound):
        for other, ends in enumerate(bound):
            told = (notices.notices and ends.ends) or (notices.notices_early and ends.ends_early)
            apart = one != other and told and (other, one) not in kept
            if not apart or not _on(suits[one], Side.CLIENT, places) or not _on(suits[other], Side.SERVER, places):
                continue
            words = {
                one: f"it can tell when a response of `{names[other]}` comes, and the wire takes time",
                other: f"`{names[one]}` can tell when its responses come, and the wire takes time",
            }
            for it, cause in words.items():
                staying = _staying(found[it], written[it], places)
                if staying != found[it]:
                    tie = Tie(Tied.ANSWERS, cause)
                    found[it], why[it] = staying, _tied(why[it], tie)
    return found, why


def beside_sizes(
    names: Sequence[str],
    suits: Sequence[frozenset[int]],
    written: Sequence[int],
    places: Sequence[Place],
    bound: Sequence[Bound],
) -> tuple[list[frozenset[int]], list[Bound]]:
    """The same where one element reads the size of messages that another one writes to before: that one stays, too."""
    found, why = list(suits), list(bound)
    for first, second in combinations(range(len(bound)), 2):
        requests = bound[first].resizes[0] and bound[second].sizes[0]
        responses = bound[second].resizes[1] and bound[first].sizes[1]
        for writer, reader, told in ((first, second, requests), (second, first, responses)):
            staying = _staying(found[writer], written[writer], places)
            if told and staying != found[writer]:
                cause = (
                    f"`{names[reader]}` reads the size of messages, which includes what it writes only before the wire"
                )
                found[writer], why[writer] = staying, _tied(why[writer], Tie(Tied.SIZE, cause))
    return found, why


def _tied(bound: Bound, tie: Tie) -> Bound:
    return replace(bound, ties=(*bound.ties, tie))


def _staying(suits: frozenset[int], written: int, places: Sequence[Place]) -> frozenset[int]:
    return frozenset(it for it in suits if places[it].side is places[written].side)


def _on(suits: frozenset[int], side: Side, places: Sequence[Place]) -> bool:
    return any(places[it].side is side for it in suits)
