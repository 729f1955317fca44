"""The script in a real store, as instances of a weak variable ask it: what is lost on the way counts once all the same."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import valkey

from appnet.state.layout import script, state_keys, state_scope
from tests.support.shared_store import losing, store_under_test


@pytest.fixture(scope="module")
def client() -> Iterator[valkey.Valkey]:
    with store_under_test() as it:
        yield it.client


@dataclass
class Instance:
    """One instance of a number that is merged by `sum`."""

    client: valkey.Valkey
    element: str
    name: str
    birth: bytes = b""
    version: int = 0
    scope: str = state_scope("test", "app", "a", "b")

    @property
    def keys(self) -> dict[str, str]:
        """By the names of their parts."""
        return {it.rpartition(":")[2]: it for it in state_keys(self.scope, self.element, "x")}

    def ask(self, *arguments: bytes | str | int) -> bytes:
        keys = state_keys(self.scope, self.element, "x")
        answer = self.client.eval(script(), len(keys), *keys, *arguments)
        assert isinstance(answer, bytes)
        return answer

    def meet(self, batch: int = 0) -> int:
        """The number of its last batch that is in the store."""
        first = b"\1" + struct.pack("<IIQ", 0, 8, 0)
        answer = self.ask("meet", self.name, "x", "int", "", first, batch)
        assert answer[0] == 0, answer
        size = struct.unpack_from("<I", answer, 1)[0]
        self.birth = answer[5 : 5 + size]
        self.version, last = struct.unpack_from("<QQ", answer, 5 + size)
        return int(last)

    def merge(self, by: int, batch: int) -> int:
        """How the store answers that so much was added."""
        changes = b"\1" + struct.pack("<IIQI", 0, 8, by, 0) if by else b""
        return self.ask("merge", self.name, "sum i 0", self.birth, self.version, changes, batch)[0]

    @property
    def value(self) -> int:
        """What the store has."""
        found = self.client.hget(self.keys["entries"], "")
        assert isinstance(found, bytes)
        return int.from_bytes(found, "little")


def test_a_batch_that_is_sent_again_counts_once(client: valkey.Valkey) -> None:
    one = Instance(client, "again", "1")
    one.meet()
    assert [one.merge(5, 1), one.merge(5, 1), one.merge(2, 2), one.merge(5, 1)] == [0, 0, 0, 0]
    assert one.value == 7


def test_of_a_batch_that_meets_a_cut_value_the_rest_counts_once(client: valkey.Valkey) -> None:
    one = Instance(client, "cut", "1")
    one.meet()
    changes = b"".join(b"\1" + struct.pack("<I1sIQI", 1, key, 8, 5, 0) for key in (b"a", b"b", b"c"))
    client.hset(one.keys["entries"], "b", "cut")
    with pytest.raises(valkey.ResponseError, match="too short"):
        one.ask("merge", one.name, "sum i 0", one.birth, one.version, changes, 1)
    assert one.ask("merge", one.name, "sum i 0", one.birth, one.version, changes, 1)[0] == 0
    five = struct.pack("<Q", 5)
    assert client.hmget(one.keys["entries"], "a", "b", "c") == [five, b"cut", five]
    assert one.meet(1) == 1
    client.hdel(one.keys["entries"], "b")
    assert one.ask("merge", one.name, "sum i 0", one.birth, one.version, changes, 2)[0] == 0
    ten = struct.pack("<Q", 10)
    assert client.hmget(one.keys["entries"], "a", "b", "c") == [ten, five, ten]


def test_a_batch_of_which_nothing_could_be_merged_counts_later(client: valkey.Valkey) -> None:
    one = Instance(client, "nothing", "1")
    one.meet()
    client.hset(one.keys["entries"], "", "cut")
    with pytest.raises(valkey.ResponseError, match="too short"):
        one.merge(5, 1)
    client.hset(one.keys["entries"], "", bytes(8))
    assert one.merge(5, 1) == 0
    assert one.value == 5


def test_who_meets_again_without_an_answer_is_told_of_no_batch_that_never_came(client: valkey.Valkey) -> None:
    one = Instance(client, "meets", "1")
    one.meet()
    one.merge(5, 1)
    assert [one.meet(2), one.meet(2), one.meet(2)] == [1, 1, 1]
    assert one.merge(9, 2) == 0  # the batch of before comes late
    assert one.value == 5
    one.merge(3, 3)
    assert [one.value, one.meet(4)] == [8, 3]


def test_who_was_silent_for_long_is_still_known_by_its_batches(client: valkey.Valkey) -> None:
    one, two, three = (Instance(client, "silent", it) for it in "123")
    one.meet(), two.meet()
    one.merge(5, 1)
    client.zincrby(one.keys["instances"], -60_000, "1")  # milliseconds
    three.meet()
    assert one.merge(5, 1) == 0
    assert one.meet(1) == 1
    assert one.value == 5


def test_state_does_not_end_while_its_only_instance_is_cut_off(client: valkey.Valkey) -> None:
    one = Instance(client, "cut off", "1")
    one.meet()
    one.merge(5, 1)
    client.zincrby(one.keys["instances"], -60_000, "1")
    assert (one.meet(1), one.value) == (1, 5)


def test_who_has_merged_what_the_store_lost_meets_again(client: valkey.Valkey) -> None:
    one, two = Instance(client, "lost end", "1"), Instance(client, "lost end", "2")
    one.meet(), two.meet()
    with losing(client, list(one.keys.values())):
        assert one.merge(5, 1) == 0
    for it in "12":
        client.zincrby(one.keys["instances"], -6000, it)  # it is time to say that they are alive
    assert [one.merge(5, 2), two.merge(0, 1)] == [2, 2]
    assert (one.meet(2), two.meet()) == (0, 0)
    for it in "12":
        client.zincrby(one.keys["instances"], -6000, it)
    assert [one.merge(5, 3), two.merge(1, 2), one.value] == [0, 0, 6]


def test_who_was_silent_for_an_hour_is_forgotten(client: valkey.Valkey) -> None:
    one, two = Instance(client, "forgotten", "1"), Instance(client, "forgotten", "2")
    one.meet(), two.meet()
    one.merge(5, 1)
    client.zincrby(one.keys["instances"], -7_200_000, "1")
    two.meet()
    assert client.zrange(one.keys["instances"], 0, -1) == [b"2"]
    assert not any(it.endswith(b":1") for it in client.hkeys(one.keys["meta"]))
