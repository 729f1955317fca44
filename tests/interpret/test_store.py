"""The store of shared state: what instances see of each other, step by step."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.diagnostics.source import TextSource
from appnet.interpret import ChainInstance, Environment, Forwarded, Outcome, Refused, Rpc, Store
from appnet.ir.compile import compile_element
from appnet.ir.nodes import Element
from tests.support.programs import program
from tests.support.signatures import ECHO


def compiled(state: str, req: str = "", **blocks: str) -> Element:
    return compile_element(TextSource(Path("it.appnet"), program(req, state=state, **blocks)), ECHO).element


class Instances:
    """So many instances of an element, with one store; each has a wall clock that is ahead by another second."""

    def __init__(self, element: Element, count: int = 2) -> None:
        self.store, self.now_ns = Store(), 0
        self._element = element
        self.chains = [self.fresh(number) for number in range(count)]

    def fresh(self, number: int) -> ChainInstance:
        """An instance as it begins. All see the same time by the wall clock, and another by their own."""
        environment = Environment(
            lambda: self.now_ns - number * 10**9, seed=number, wall_ahead_ns=(10 + number) * 10**9
        )
        return ChainInstance([self._element], environment, store=self.store, number=number)

    def restart(self, *numbers: int) -> None:
        for it in numbers:
            self.store.leave(it)
        for it in numbers:
            self.chains[it] = self.fresh(it)

    def call(self, number: int, body: str = "") -> Outcome:
        return self.chains[number].request(Rpc(ECHO, {"Body": body.encode()}, {}))

    def merge(self) -> None:
        for chain in self.chains * 2:
            chain.merge()

    def x(self, number: int) -> object:
        return self.chains[number].state_of("it")["x"]


LIMIT = "x = x + 1\nif x > 3:\n    send(err('no'), Up)"
PUT = "set(x, get(rpc, 'body'), get(x, get(rpc, 'body'), 0) + 1)"


def test_strong_state_is_one() -> None:
    them = Instances(compiled("@consistency(strong)\nx: int", LIMIT), 3)
    assert [isinstance(them.call(it % 3), Forwarded) for it in range(5)] == [True, True, True, False, False]
    assert [them.x(it) for it in range(3)] == [5, 5, 5]


def test_weak_state_is_merged() -> None:
    them = Instances(compiled("@consistency(weak) @combiner(sum)\nx: Map<string, int>", PUT))
    for number, body in [(0, "a"), (1, "a"), (1, "b"), (0, "a")]:
        them.call(number, body)
    assert [them.x(0), them.x(1)] == [{b"a": 2}, {b"a": 1, b"b": 1}]
    them.merge()
    assert them.x(0) == them.x(1) == {b"a": 3, b"b": 1}


def test_what_is_not_declared_is_each_instances_own() -> None:
    them = Instances(compiled("x: int", LIMIT))
    them.call(0)
    assert [them.x(0), them.x(1)] == [1, 0]


def test_init_counts_once() -> None:
    drawn = compiled(
        "@consistency(strong)\nx: float", "if x > 2.0:\n    send(err('no'), Up)", init="x = randomf(0.0, 1.0)"
    )
    them = Instances(drawn, 3)
    assert them.x(0) == them.x(1) == them.x(2)
    them.restart(0)
    assert them.x(0) == them.x(1)


@pytest.mark.parametrize(("persists", "left"), [("true", 2), ("false", 0)])
def test_state_ends_with_the_last_instance_unless_it_persists(persists: str, left: int) -> None:
    them = Instances(compiled(f"@consistency(strong) @persistence({persists})\nx: int", LIMIT))
    them.call(0)
    them.restart(1)
    them.call(1)
    assert them.x(0) == 2
    them.restart(0, 1)
    assert them.x(1) == left


def test_an_instance_that_dies_loses_what_it_has_not_merged() -> None:
    them = Instances(compiled("@consistency(weak) @combiner(sum)\nx: int", "x = x + 1"))
    them.call(0)
    them.merge()
    them.call(0)
    them.call(1)
    them.restart(0)
    them.merge()
    assert them.x(0) == them.x(1) == 2


def test_capacity_holds_for_the_whole() -> None:
    for level, combiner in [("strong", "LWW"), ("weak", "sum"), ("weak", "union")]:
        state = f"@consistency({level}) @combiner({combiner}) @capacity(2)\nx: Map<string, int>"
        them = Instances(compiled(state, PUT))
        for number, body in [(0, "a"), (0, "b"), (1, "c")]:
            them.call(number, body)
        them.merge()
        assert them.x(0) == them.x(1) == {b"b": 1, b"c": 1}


# --- combiners ---

SET = "set(x, 'k', len(get(rpc, 'body')))"
DELETE = (
    "if get(rpc, 'body') == '':\n    delete(x, 'k')\nelse:\n    set(x, 'k', get(x, 'k', 0) + len(get(rpc, 'body')))"
)


@pytest.mark.parametrize(("combiner", "kept"), [("max", 3), ("min", 1), ("LWW", 2), ("sum", 6)])
def test_of_several_writes(combiner: str, kept: int) -> None:
    them = Instances(compiled(f"@consistency(weak) @combiner({combiner})\nx: Map<string, int>", SET), 3)
    for number, body in [(0, "abc"), (2, "a"), (1, "ab")]:
        them.now_ns += 1
        them.call(number, body)
    them.merge()
    assert [them.x(it) for it in range(3)] == [{b"k": kept}] * 3


@pytest.mark.parametrize(
    ("combiner", "left"), [("max", {b"k": 3}), ("union", {b"k": 3}), ("LWW", {}), ("sum", {b"k": 2})]
)
def test_a_delete_beside_a_write(combiner: str, left: dict[bytes, int]) -> None:
    """The entry was 1; one instance adds 2, then another deletes it: first the write is merged."""
    them = Instances(compiled(f"@consistency(weak) @combiner({combiner})\nx: Map<string, int>", DELETE))
    them.call(0, "a")
    them.merge()
    them.now_ns += 1
    them.call(0, "ab")
    them.now_ns += 1
    them.call(1, "")
    them.merge()
    assert them.x(0) == them.x(1) == left


def test_an_earlier_write_does_not_bring_back_what_was_deleted_later() -> None:
    them = Instances(compiled("@consistency(weak) @combiner(LWW)\nx: Map<string, int>", DELETE))
    them.call(0, "a")
    them.merge()
    them.call(1, "ab")  # earlier, and merged later
    them.now_ns += 1
    them.call(0, "")
    them.merge()
    assert them.x(0) == them.x(1) == {}


def test_vecs_are_united() -> None:
    req = "if get(rpc, 'body') == '':\n    x = []\nelse:\n    set(x, size(x), get(rpc, 'body'))\nif size(x) > 9:\n    send(err('no'), Up)"
    them = Instances(compiled("@consistency(weak) @combiner(union)\nx: Vec<string>", req))
    them.call(0, "a")
    them.merge()
    for number, body in [(0, "b"), (1, "c"), (0, "c")]:
        them.call(number, body)
    them.merge()
    assert them.x(0) == them.x(1) == [b"a", b"b", b"c", b"c"]
    them.call(1, "")
    them.call(0, "d")
    them.merge()
    assert them.x(0) == them.x(1) == [b"d"]


# --- clocks of machines ---


@pytest.mark.parametrize("level", ["strong", "weak"])
def test_instants_mean_the_same_to_all(level: str) -> None:
    req = "if time_diff(current_time(), x) < 5.0:\n    send(err('soon'), Up)\nx = current_time()"
    them = Instances(compiled(f"@consistency({level})\nx: Instant", req))
    them.now_ns = 100 * 10**9
    assert isinstance(them.call(0), Forwarded)
    them.merge()
    them.now_ns += 4 * 10**9
    assert isinstance(them.call(1), Refused)
    them.now_ns += 2 * 10**9
    assert isinstance(them.call(1), Forwarded)


# --- the store is away ---


def test_what_needs_the_store_is_refused_while_it_is_away() -> None:
    them = Instances(compiled("@consistency(strong)\nx: int", LIMIT))
    them.call(0)
    them.store.away = True
    assert them.call(1) == Refused(14, b"state of it is unavailable")
    them.store.away = False
    assert isinstance(them.call(1), Forwarded)
    assert them.x(0) == 2


def test_or_goes_on_by_its_copy() -> None:
    them = Instances(compiled("@consistency(strong) @unavailable(local)\nx: int", LIMIT))
    them.call(0)
    them.call(1)
    them.store.away = True
    assert [isinstance(them.call(1), Forwarded) for _ in range(3)] == [True, False, False]
    them.store.away = False
    assert them.x(0) == them.x(1) == 2


def test_weak_state_waits_for_it() -> None:
    them = Instances(compiled("@consistency(weak) @combiner(sum)\nx: int", "x = x + 1"))
    them.store.away = True
    them.call(0)
    them.call(1)
    them.merge()
    assert [them.x(0), them.x(1)] == [1, 1]
    them.store.away = False
    them.merge()
    assert [them.x(0), them.x(1)] == [2, 2]


def test_an_end_is_not_forgotten() -> None:
    inside = "x = x + 1\nif x > 1:\n    x = x - 1\n    send(err('busy'), Up)"
    them = Instances(compiled("@consistency(strong)\nx: int", open=inside, end="x = x - 1"))
    rpc = Rpc(ECHO, {}, {})
    assert isinstance(them.chains[0].request(rpc), Forwarded)
    them.store.away = True
    them.chains[0].end(rpc)
    them.store.away = False
    assert them.x(0) == 0
    assert isinstance(them.call(1), Forwarded)
