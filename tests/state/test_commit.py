"""The script in a real store: instances join, commit, are told what they missed, and end."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import valkey

from appnet.interpret.values import Value, copy_value, default_value, same_value
from appnet.language.types import BYTES, FLOAT, INSTANT, INT, STRING, MapType, PairType, Type, VecType
from appnet.state.layout import (
    PARTS,
    Change,
    ChangeKind,
    Committed,
    Joined,
    StateRefusedError,
    Step,
    apply_change,
    decode,
    encode,
    encode_changes,
    encode_key,
    encode_steps,
    first_changes,
    read_committed,
    read_joined,
    script,
    state_keys,
    state_scope,
)
from tests.support.shared_store import losing, store_under_test

VARIABLES: dict[str, Type] = {
    "count": INT,
    "rate": FLOAT,
    "seen": VecType(STRING),
    "used": MapType(STRING, INT),
    "pairs": MapType(INT, PairType(BYTES, INSTANT)),
}


ORIGINAL = script()
EVERYTHING = Change(ChangeKind.READ_ALL, "")


@pytest.fixture(scope="module")
def client() -> Iterator[valkey.Valkey]:
    with store_under_test() as it:
        yield it.client


@dataclass
class Instance:
    """One instance of an element in Python: its copy of the state."""

    client: valkey.Valkey
    element: str
    name: str
    first: dict[str, Value] = field(default_factory=lambda: {name: default_value(it) for name, it in VARIABLES.items()})
    types: dict[str, Type] = field(default_factory=lambda: dict(VARIABLES))
    lasting: str = ""
    bound: str = ""
    values: dict[str, Value] = field(default_factory=dict)
    birth: bytes = b""
    position: int = 0
    batch: int = 0
    scope: str = state_scope("test", "app", "a", "b")

    def ask(self, *arguments: bytes | str | int) -> bytes:
        keys = state_keys(self.scope, self.element)
        answer = self.client.eval(script(), len(keys), *keys, *arguments)
        assert isinstance(answer, bytes)
        return answer

    def join(self) -> Joined:
        kinds = "".join(f"{name}:{it}\n" for name, it in self.types.items())
        first = [it for name, kind in self.types.items() for it in first_changes(name, kind, self.first[name])]
        joined = read_joined(
            self.ask("join", self.name, kinds, self.lasting, encode_changes(first), self.batch, self.bound)
        )
        self.birth, self.position = joined.birth, joined.position
        self.values = {name: default_value(it) for name, it in self.types.items()}
        self.take(joined.changes)
        return joined

    def take(self, changes: tuple[Change, ...]) -> None:
        for it in changes:
            if it.variable in self.types:
                kind = self.types[it.variable]
                self.values[it.variable] = apply_change(it, kind, self.values[it.variable])

    def commit(self, *changes: Change, alive: str = "") -> Committed | None:
        """One step, which counts as one that has read everything."""
        return self.commit_steps(Step(changes, [EVERYTHING]), alive=alive)

    def commit_steps(self, *steps: Step, alive: str = "") -> Committed | None:
        self.batch += 1
        changes, told = encode_steps(steps)
        arguments = ("commit", self.name, self.birth, self.position, changes, self.batch, alive, told)
        answer = read_committed(self.ask(*arguments))
        if answer is not None:
            self.position = answer.position
            self.take(answer.others or ())
            for step, taken in zip(steps, answer.taken or [True] * len(steps), strict=True):
                self.take(tuple(step.changes) if taken else ())
        return answer

    def leave(self) -> None:
        self.ask("leave", self.name)


def count(number: int) -> Change:
    return Change(ChangeKind.VALUE, "count", b"", encode(number, INT))


def put(key: bytes, number: int) -> Change:
    return Change(ChangeKind.SET, "used", key, encode(number, INT))


def test_who_was_slower_is_told_what_it_missed(client: valkey.Valkey) -> None:
    one, two = Instance(client, "missed", "1"), Instance(client, "missed", "2")
    one.join(), two.join()
    assert one.commit(count(1), put(b"a", 1)) == Committed(2)
    assert two.commit(count(5)) == Committed(2, (count(1), put(b"a", 1)), (False,))
    assert two.commit(count(6)) == Committed(3)
    assert one.commit() == Committed(3, (count(6),), (False,))
    assert one.commit() == Committed(3)
    assert one.values == two.values
    assert one.values["count"] == 6


def used(key: bytes, kind: ChangeKind = ChangeKind.READ) -> Change:
    return Change(kind, "used", key)


def test_steps_that_touch_nothing_of_what_others_changed_are_taken(client: valkey.Valkey) -> None:
    one, two = Instance(client, "disjoint", "1"), Instance(client, "disjoint", "2")
    one.join(), two.join()
    others = (put(b"a", 1), count(1), put(b"b.c", 1))
    one.commit(*others)
    steps = {
        "the same entry": (Step([put(b"a", 2)]), False),
        "another one": (Step([put(b"b", 5)], [used(b"c")]), True),
        "one that is read": (Step([put(b"d", 5)], [used(b"b.c")]), False),
        "what a step that is not taken has changed": (Step([put(b"e", 5)], [used(b"d")]), False),
        "all of a Map": (Step([], [used(b"", ChangeKind.READ_ALL)]), False),
        "nothing of it": (Step([], [used(b"z")]), True),
        "a Map that it empties": (Step([used(b"", ChangeKind.CLEAR)]), False),
        "another variable": (Step([Change(ChangeKind.VALUE, "rate", b"", encode(1.5, FLOAT))]), True),
        "the same variable": (Step([], [Change(ChangeKind.READ_ALL, "count")]), False),
        "everything": (Step([], [EVERYTHING]), False),
    }
    found = two.commit_steps(*(step for step, _ in steps.values()))
    assert found == Committed(3, others, tuple(taken for _, taken in steps.values()))
    assert one.commit() == Committed(3, (put(b"b", 5), *steps["another variable"][0].changes), (False,))
    assert one.values == two.values
    assert two.commit_steps(Step([used(b"a", ChangeKind.DELETE)])) == Committed(4)


def test_one_that_lost_the_answer_learns_which_steps_were_taken(client: valkey.Valkey) -> None:
    one, two = Instance(client, "partly", "1"), Instance(client, "partly", "2")
    one.join(), two.join()
    one.commit(put(b"a", 1))
    two.commit_steps(Step([put(b"b", 1)]), Step([put(b"a", 2)]))
    joined = two.join()
    assert (joined.last, joined.taken) == (1, (True, False))
    assert read_committed(two.ask("commit", "2", two.birth, two.position, b"", 1, "", b"")) is None
    two.commit_steps(Step([put(b"a", 2)]))
    assert two.join().taken == ()


def test_too_many_changes_are_not_looked_at(client: valkey.Valkey) -> None:
    one, two = Instance(client, "many", "1"), Instance(client, "many", "2")
    one.join(), two.join()
    one.commit(*(put(b"%d" % it, it) for it in range(1024)))
    found = two.commit_steps(Step([put(b"a", 1)]))
    assert found is not None
    assert found.taken == (True,)
    two.commit(*(put(b"%d" % it, it) for it in range(1025)))
    found = one.commit_steps(Step([put(b"b", 1)]))
    assert found is not None
    assert found.taken == (False,)


def test_a_large_batch_and_a_large_map(client: valkey.Valkey) -> None:
    """More entries than one question of the script is about."""
    one, late = Instance(client, "large", "1"), Instance(client, "large", "late")
    one.join()
    sets, deletes = (
        [put(b"%d" % it, it) for it in range(2500)],
        [used(b"%d" % it, ChangeKind.DELETE) for it in range(1200)],
    )
    assert one.commit(*sets) == Committed(2)
    assert one.commit(*deletes, put(b"0", 7), put(b"2000", 8)) == Committed(3)
    one.take((*sets, *deletes, put(b"0", 7), put(b"2000", 8)))
    late.join()
    assert list(late.values["used"].items()) == list(one.values["used"].items())
    keys = dict(zip(PARTS, state_keys(one.scope, one.element), strict=True))
    assert (client.hlen(keys["entries"]), client.zcard(keys["order"])) == (1301, 1301)


def with_limits(monkeypatch: pytest.MonkeyPatch, limits: dict[bytes, bytes]) -> None:
    """The script has other limits from now on."""
    strict = ORIGINAL
    for limit, other in limits.items():
        assert strict.count(limit) == 1
        strict = strict.replace(limit, other)
    monkeypatch.setattr(sys.modules[__name__], "script", lambda: strict)


@pytest.mark.parametrize("limit", [b"1000000", b"256 * 1024 * 1024", b"64 * 1024 * 1024"])
def test_more_than_an_instance_can_be_told_at_once_is_refused(
    client: valkey.Valkey, monkeypatch: pytest.MonkeyPatch, limit: bytes
) -> None:
    """Entries, bytes in all, and bytes of one value: here, 1000 are too many."""
    one, late = Instance(client, f"much {limit!r}", "1"), Instance(client, f"much {limit!r}", "late")
    one.join()
    large = Change(ChangeKind.VALUE, "seen", b"", encode([bytes(2000)], VARIABLES["seen"]))
    one.commit(*(put(b"%d" % it, it) for it in range(1001)), large)
    with monkeypatch.context() as patched:
        with_limits(patched, {limit: b"1000"})
        with pytest.raises(StateRefusedError, match="too much of it, over a million entries, 256 MiB, or 64 MiB"):
            late.join()
        assert one.commit(count(1)) == Committed(3), "who is there goes on"


UNKNOWN = ChangeKind.READ_UNKNOWN


def in_part(client: valkey.Valkey, element: str, name: str, capacity: int = 100_000) -> Instance:
    """An instance that knows `used` in part, and has no other Map."""
    types = {it: kind for it, kind in VARIABLES.items() if it != "pairs"}
    first = {it: default_value(kind) for it, kind in types.items()}
    return Instance(client, element, name, first, types, bound=f"{capacity} used")


def test_who_knows_a_map_in_part_is_told_of_what_it_took_for_absent(client: valkey.Valkey) -> None:
    one, two = in_part(client, "in part", "1"), in_part(client, "in part", "2")
    one.join()
    one.commit(put(b"a", 1), put(b"b.c", 2), count(7))
    two.join()
    assert two.values == {**two.first, "count": 7}
    steps = [
        (Step([put(b"z", 1)], [used(b"y", UNKNOWN)]), True),
        (Step([put(b"a", 2)], [used(b"a", UNKNOWN)]), False),
        (Step([put(b"c", 1)], [used(b"b.c", UNKNOWN), used(b"y")]), False),
        (Step([], [used(b"a")]), False),
        (Step([put(b"d", 1)], [used(b"z", UNKNOWN)]), False),  # it has dropped what a step before has set
        (Step([put(b"e", 1)], [used(b"x", UNKNOWN)]), True),
    ]
    found = two.commit_steps(*(step for step, _ in steps))
    assert found == Committed(3, (put(b"a", 1), put(b"b.c", 2)), tuple(taken for _, taken in steps))
    assert two.commit_steps(Step([put(b"q", 1)], [used(b"p", UNKNOWN)])) == Committed(4)
    assert one.commit_steps(Step([], [used(b"p", UNKNOWN)])) == Committed(
        4, (put(b"z", 1), put(b"e", 1), put(b"q", 1)), (True,)
    )


def test_a_key_that_looks_like_an_unknown_one_is_none(client: valkey.Valkey) -> None:
    one = Instance(client, "looks", "1")
    one.join()
    assert one.commit_steps(Step([put(b"a", 1)], [used(b"\xf7"), EVERYTHING])) == Committed(2)


def test_the_store_drops_what_is_too_much_of_a_map_that_instances_know_in_part(client: valkey.Valkey) -> None:
    one, two = in_part(client, "bounded", "1", 3), in_part(client, "bounded", "2", 3)
    one.join(), two.join()
    keys = dict(zip(PARTS, state_keys(one.scope, one.element), strict=True))

    def entries() -> list[bytes]:
        members = client.zrange(keys["order"], 0, -1)
        assert isinstance(members, list)
        assert {*members} == {*client.hkeys(keys["entries"])}  # type: ignore[misc]
        return [it.removeprefix(b"used.") for it in members]

    one.commit(put(b"a", 1), put(b"b", 1), put(b"c", 1))
    assert one.commit(put(b"a", 2), put(b"d", 1)) == Committed(3)
    assert entries() == [b"c", b"a", b"d"]
    assert two.commit() == Committed(
        4,
        (put(b"a", 1), put(b"b", 1), put(b"c", 1), put(b"a", 2), put(b"d", 1), used(b"b", ChangeKind.DELETE)),
        (False,),
    )
    assert one.commit_steps(Step([], [used(b"b")])) == Committed(4, (used(b"b", ChangeKind.DELETE),), (False,))
    assert one.commit(*(put(b"%d" % it, 1) for it in range(9))) == Committed(5)
    assert entries() == [b"%d" % it for it in range(9)], "of one batch, nothing is dropped"
    for number in range(4):
        two.commit()
        two.commit(put(b"x", number))
    assert entries() == [b"7", b"8", b"x"]


def test_of_a_map_that_is_known_in_part_only_what_is_asked_for_can_be_too_much(
    client: valkey.Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = in_part(client, "much in part", "1")
    one.join()
    one.commit(*(put(b"%d" % it, it) for it in range(5)))
    with_limits(monkeypatch, {b"1000000": b"4"})
    one.join()
    with_limits(monkeypatch, {b"64 * 1024 * 1024": b"7"})
    changes, told = encode_steps([Step([put(b"a", 1)], [used(b"3", UNKNOWN)])])
    answer = one.ask("commit", "1", one.birth, one.position, changes, one.batch + 1, "", told)
    assert answer == b"\3the store has more than 64 MiB at a key of `used`: delete it"
    assert one.commit_steps(Step([], [used(b"z", UNKNOWN)])) == Committed(2)


def test_of_much_that_is_asked_for_some_is_told_with_the_next_batch(
    client: valkey.Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = in_part(client, "told in parts", "1")
    one.join()
    one.commit(*(put(b"%d" % it, it) for it in range(5)))
    with_limits(monkeypatch, {b" 4 * 1024 * 1024": b" 17"})
    steps = [Step([], [used(b"%d" % it, UNKNOWN)]) for it in range(5)]
    assert one.commit_steps(*steps) == Committed(2, (put(b"0", 0), put(b"1", 1)), (False,) * 5)


def test_beside_a_map_of_another_version_nothing_is_dropped(client: valkey.Valkey) -> None:
    one, two = Instance(client, "beside", "1"), in_part(client, "beside", "2", 1)
    one.join(), two.join()
    two.commit(put(b"a", 1), put(b"b", 1))
    two.commit(put(b"c", 1))
    one.join()
    assert list(one.values["used"]) == [b"a", b"b", b"c"]


@pytest.mark.parametrize(("keys", "least", "most"), [(1, 0.0, 0.07), (10_000, 0.95, 1.0)])
def test_steps_at_many_keys_seldom_meet(client: valkey.Valkey, keys: int, least: float, most: float) -> None:
    """Sixteen instances with 32 steps each, sent by all before any is answered: how many of them the store takes."""
    draw, taken = random.Random(1), 0
    for turn in range(4):
        them = [Instance(client, f"{keys} keys {turn}", str(it)) for it in range(16)]
        for one in them:
            one.join()
        for one in them:
            found = one.commit_steps(*(Step([put(b"%d" % draw.randrange(keys), it)]) for it in range(32)))
            assert found is not None
            taken += 32 if found.others is None else sum(found.taken)
    assert least <= taken / (4 * 16 * 32) <= most, taken / (4 * 16 * 32)


def test_what_init_gave_counts_once(client: valkey.Valkey) -> None:
    one, two = Instance(client, "init", "1"), Instance(client, "init", "2")
    one.first["count"], two.first["count"] = 7, 8
    one.join(), two.join()
    assert (one.values["count"], two.values["count"]) == (7, 7)


def test_state_ends_with_the_last_instance_but_for_what_lasts(client: valkey.Valkey) -> None:
    one, two = Instance(client, "ends", "1", lasting="used"), Instance(client, "ends", "2", lasting="used")
    one.join(), two.join()
    one.commit(count(1), put(b"a", 1))
    one.leave()
    assert two.commit() == Committed(2, (count(1), put(b"a", 1)), (False,))
    two.leave()
    third = Instance(client, "ends", "3", lasting="used")
    third.join()
    assert third.values == {**third.first, "used": {b"a": 1}}
    assert two.commit(count(9)) is None
    third.leave()


def test_nothing_stays_of_state_that_does_not_last(client: valkey.Valkey) -> None:
    one = Instance(client, "gone", "1")
    one.join()
    one.commit(count(1), put(b"a", 1))
    one.leave()
    assert client.keys("*gone*") == []


def test_one_that_is_far_behind_joins_again(client: valkey.Valkey) -> None:
    one, two = Instance(client, "far", "1"), Instance(client, "far", "2")
    one.join(), two.join()
    for number in range(1024):
        one.commit(count(number))
    assert two.commit(count(-1)).others is not None
    for number in range(1024 + 1025):
        one.commit(count(number))
    assert client.llen(state_keys(one.scope, one.element)[1]) <= 2048
    assert two.commit(count(-1)) is None
    two.join()
    assert two.values["count"] == 1024 + 1024


def test_one_that_lost_the_answer_learns_what_became_of_its_batch(client: valkey.Valkey) -> None:
    one = Instance(client, "lost", "1")
    assert one.join().last == 0
    one.commit(count(1))
    one.batch += 1
    late = ("commit", one.name, one.birth, one.position, encode_changes([count(2)]), one.batch, "", b"")
    assert one.join().last == 1  # the batch has not arrived
    assert read_committed(one.ask(*late)) is None  # and is void when it does
    assert one.values["count"] == 1


@pytest.mark.parametrize(
    ("policy", "lasting", "refused"),
    [
        ("noeviction", False, False),
        ("allkeys-lru", False, True),
        ("allkeys-lru", True, True),
        ("volatile-lru", False, True),
        ("volatile-lru", True, False),  # it has no time at which it ends
    ],
)
def test_a_store_that_may_evict_the_state_is_refused(
    client: valkey.Valkey, policy: str, lasting: bool, refused: bool
) -> None:
    strong = Instance(client, f"evicted-{policy}-{lasting}", "1", lasting="used" if lasting else "")
    weak = state_keys(strong.scope, strong.element, "count")
    merged = ("meet", "1", "count", "int", "1" if lasting else "", "", 0)
    client.config_set("maxmemory-policy", policy)
    strong.join()
    assert client.eval(script(), len(weak), *weak, *merged)[:1] == b"\0", "its memory has no bound"
    client.config_set("maxmemory", "100mb")
    try:
        if refused:
            with pytest.raises(StateRefusedError, match=f"set maxmemory-policy to noeviction, not {policy}"):
                strong.join()
        else:
            strong.join()
        assert client.eval(script(), len(weak), *weak, *merged)[:1] == (b"\3" if refused else b"\0")
    finally:
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")


def test_another_type_is_refused(client: valkey.Valkey) -> None:
    one, two = Instance(client, "types", "1"), Instance(client, "types", "2")
    one.join()
    two.types["count"], two.first["count"] = FLOAT, 0.0
    with pytest.raises(StateRefusedError, match="in the store, `count` is of type int, and here float"):
        two.join()


def test_a_later_version_brings_a_variable_with_it(client: valkey.Valkey) -> None:
    one, two = Instance(client, "later", "1"), Instance(client, "later", "2")
    one.join()
    one.commit(count(3))
    two.types["more"], two.first["more"] = INT, 5
    two.join()
    assert (two.values["count"], two.values["more"]) == (3, 5)
    assert one.commit(count(4)) is None  # it joins again, and goes on
    one.join()
    assert one.commit(count(4)) == Committed(4)


@pytest.mark.parametrize("seed", range(8))
def test_copies_stay_alike_whatever_is_written(client: valkey.Valkey, seed: int) -> None:
    draw = random.Random(seed)
    them = [Instance(client, f"random{seed}", str(it)) for it in range(3)]
    for it in them:
        it.join()
    model = copy_value(them[0].values)
    for _ in range(60):
        one = draw.choice(them)
        changes = [_change(draw) for _ in range(draw.randint(0, 4))]
        while (answer := one.commit(*changes)) is not None and answer.others is not None:
            assert answer.taken == (False,)
        assert answer is not None
        for it in changes:
            model[it.variable] = apply_change(it, VARIABLES[it.variable], model[it.variable])
        assert same_value(one.values, model)
        assert [list(one.values[name]) for name in ("used", "pairs")] == [
            list(model[name]) for name in ("used", "pairs")
        ]
    late = Instance(client, f"random{seed}", "late")
    late.join()
    assert same_value(late.values, model)
    assert list(late.values["used"]) == list(model["used"])


def _change(draw: random.Random) -> Change:
    name = draw.choice(list(VARIABLES))
    kind = VARIABLES[name]
    if not isinstance(kind, MapType):
        return Change(ChangeKind.VALUE, name, b"", encode(_value(draw, kind), kind))
    key = encode_key(_value(draw, kind.key), kind.key)
    made = draw.choices([ChangeKind.SET, ChangeKind.DELETE, ChangeKind.CLEAR], [6, 3, 1])[0]
    if made is ChangeKind.CLEAR:
        return Change(made, name)
    return Change(made, name, key, encode(_value(draw, kind.value), kind.value) if made is ChangeKind.SET else b"")


def _value(draw: random.Random, kind: Type) -> Value:
    match kind:
        case PairType():
            return (_value(draw, kind.first), _value(draw, kind.second))
        case VecType():
            return [_value(draw, kind.item) for _ in range(draw.randint(0, 3))]
    if kind in {STRING, BYTES}:
        return draw.choice([b"", b"a", b"b.c", b"\0\xff", b"long" * 50])
    if kind == FLOAT:
        return draw.choice([0.0, -1.5, float("inf"), float("nan")])
    return draw.choice([0, 1, 2**40]) if kind == INSTANT else draw.choice([-(2**63), -1, 0, 1, 2**63 - 1])


@pytest.mark.parametrize("kind", [*VARIABLES.values(), MapType(STRING, VecType(INT))], ids=str)
def test_values_are_read_as_they_were_written(kind: Type) -> None:
    draw = random.Random(1)
    for _ in range(20):
        value = {_value(draw, kind.key): _value(draw, kind.value)} if isinstance(kind, MapType) else _value(draw, kind)
        assert same_value(decode(encode(value, kind), kind), value)


def test_who_joins_again_without_an_answer_is_told_of_no_batch_that_never_came(client: valkey.Valkey) -> None:
    one = Instance(client, "lost joins", "1")
    one.join()
    one.commit(count(5))
    one.batch = 2
    assert [one.join().last, one.join().last] == [1, 1]
    one.batch = 1
    assert one.commit(count(9)) is None  # the batch of before comes late
    assert one.commit(count(6)) is not None
    assert one.join().last == 3


def test_who_was_silent_for_long_is_still_known_by_its_batches(client: valkey.Valkey) -> None:
    one, two, three = (Instance(client, "long silence", it) for it in "123")
    one.join(), two.join()
    one.commit(count(5))
    client.zincrby(state_keys(one.scope, one.element)[5], -60_000, "1")  # milliseconds
    three.join()
    assert one.join().last == 1


def test_state_does_not_end_while_its_only_instance_is_cut_off(client: valkey.Valkey) -> None:
    one, two = Instance(client, "cut off", "1"), Instance(client, "cut off", "2")
    one.join(), two.join()
    one.commit(count(5))
    for it in "12":
        client.zincrby(state_keys(one.scope, one.element)[5], -60_000, it)  # milliseconds
    assert one.join().last == 1
    assert one.values["count"] == 5
    two.join()
    assert two.values["count"] == 5


def test_who_has_seen_what_the_store_lost_joins_again(client: valkey.Valkey) -> None:
    """Others have come as far as it was, and it has heard of nothing."""
    one, two = Instance(client, "lost end", "1"), Instance(client, "lost end", "2")
    one.join(), two.join()
    with losing(client, state_keys(one.scope, one.element)):
        one.commit(count(1), put(b"lost", 1))
    assert two.ask("beat", "2") == b"\2"
    two.join()
    two.commit(count(2))
    assert one.position == two.position
    assert one.commit(count(one.values["count"] + 1), alive="0") is None
    assert one.join().last == 0
    assert one.values == two.values
    assert one.commit(count(3), alive="0") is not None
    assert two.commit(count(4), alive="1") is not None


def test_who_commits_is_alive(client: valkey.Valkey) -> None:
    one = Instance(client, "busy", "1")
    one.join()
    keys = state_keys(one.scope, one.element)
    one.commit(count(4))
    client.zadd(keys[5], {"1": 1})
    client.pexpire(keys[0], 60_000)
    one.commit(count(5))
    assert client.zscore(keys[5], "1") == 1
    one.commit(count(6), alive="1")
    assert client.zscore(keys[5], "1") > 1
    assert client.pttl(keys[0]) > 60_000


def test_who_is_alive_without_state_joins_again(client: valkey.Valkey) -> None:
    one = Instance(client, "flushed", "1")
    one.join()
    assert one.ask("beat", "1") == b"\0"
    client.delete(*state_keys(one.scope, one.element))
    assert one.ask("beat", "1") == b"\2"
    assert client.exists(*state_keys(one.scope, one.element)) == 0
