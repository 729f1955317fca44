"""What a container can hold is one thing for the interpreter and for proofs: sizes around it, small and as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.analysis import Counterexample, Event, Proved, Refuted, Strength, decide
from appnet.analysis.replay import replay
from appnet.diagnostics.source import TextSource
from appnet.interpret.values import Value
from appnet.ir import compile_element
from appnet.ir.nodes import Element
from appnet.language.capacity import DEFAULT_CAPACITY
from tests.support.elements import with_capacity
from tests.support.programs import program
from tests.support.sample import SAMPLE


def on_sample(name: str, req: str, **parts: str) -> Element:
    return compile_element(TextSource(Path(f"{name}.appnet"), program(req, **parts)), SAMPLE).element


def keeps(name: str, type_: str, path: str) -> Element:
    """It assigns the field to a variable, and says whether all of it is there."""
    body = f"""
    kept = get(rpc, '{path}')
    if size(kept) == size(get(rpc, '{path}')):
        set(rpc, 'points', 1)
    else:
        set(rpc, 'points', 2)
    """
    return on_sample(name, body, state=f"kept: {type_}")


def sized(size: int) -> Counterexample:
    fields: dict[str, Value] = {"tags": [b"x"] * size, "counts": {b"%d" % number: number for number in range(size)}}
    return Counterexample((Event("request", 1, fields=fields),), "", "")


ALL = on_sample("all", "set(rpc, 'points', 1)")
VEC = keeps("vec", "Vec<string>", "tags")
MAP = keeps("map", "Map<string, int>", "counts")
ELSEWHERE = on_sample(
    "elsewhere",
    """
    match get(others, 'all'):
        Some(found) => last = found
        None => pass
    if size(last) == size(get(others, 'all', {})):
        set(rpc, 'points', 1)
    else:
        set(rpc, 'points', 2)
    """,
    state="others: Map<string, Map<string, int>>\nlast: Map<string, int>",
)
AGAIN = on_sample(
    "again",
    """
    many = get(rpc, 'counts')
    match get(many, '0'):
        Some(n) => set(many, '0', n)
        None => pass
    set(rpc, 'points', to_int(size(many)))
    """,
)
COUNT = on_sample("count", "set(rpc, 'points', to_int(size(get(rpc, 'counts'))))")


@pytest.mark.parametrize("strength", list(Strength))
@pytest.mark.parametrize("element", [VEC, MAP], ids=lambda it: it.name)
def test_what_is_assigned_is_cut_down(element: Element, strength: Strength) -> None:
    assert replay(element, ALL, SAMPLE, strength, sized(DEFAULT_CAPACITY)) is None
    assert replay(element, ALL, SAMPLE, strength, sized(DEFAULT_CAPACITY + 1)) is not None
    for pair in ((element, ALL), (ALL, element)):
        assert not isinstance(decide(*pair, SAMPLE, strength), Proved)


@pytest.mark.parametrize("capacity", [1, 2, 5])
@pytest.mark.parametrize("element", [VEC, MAP], ids=lambda it: it.name)
def test_a_lower_capacity_is_met_by_the_search(element: Element, capacity: int) -> None:
    small = with_capacity(element, capacity)
    assert replay(small, ALL, SAMPLE, Strength.WEAK, sized(capacity)) is None
    assert replay(small, ALL, SAMPLE, Strength.WEAK, sized(capacity + 1)) is not None
    assert isinstance(decide(small, ALL, SAMPLE, Strength.WEAK), Refuted)


def test_what_comes_out_of_another_container_is_cut_down_too() -> None:
    assert not isinstance(decide(with_capacity(ELSEWHERE, 2), ALL, SAMPLE, Strength.WEAK), Proved)


@pytest.mark.parametrize("strength", list(Strength))
@pytest.mark.parametrize("capacity", [1, 3, DEFAULT_CAPACITY])
def test_a_known_key_of_a_map_that_is_larger_still_drops_nothing(capacity: int, strength: Strength) -> None:
    again, count = with_capacity(AGAIN, capacity), with_capacity(COUNT, capacity)
    assert isinstance(decide(again, count, SAMPLE, strength), Proved)
    for size in (capacity, capacity + 1):
        assert replay(again, count, SAMPLE, strength, sized(size)) is None
