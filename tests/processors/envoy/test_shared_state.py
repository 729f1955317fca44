"""Strong state of modules in a real store: what instances see of each other, as the interpreter has it."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from appnet.ir import sharing
from appnet.processors.envoy.harness.native import ModuleUnderTest
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.processors.processor import Denied
from appnet.state.layout import state_keys
from tests.support.raw_grpc import frame, string_field
from tests.support.shared_instances import PATH, Instances, compiled
from tests.support.shared_store import StoreUnderTest, losing, store_under_test


@pytest.fixture(scope="module")
def store() -> Iterator[StoreUnderTest]:
    with store_under_test() as it:
        yield it


LIMIT = "x = x + 1\nif x > 3:\n    send(err('no'), Up)"
PUT = "set(x, get(rpc, 'body'), get(x, get(rpc, 'body'), 0) + 1)"


def test_strong_state_is_one(store: StoreUnderTest) -> None:
    them = Instances(store, compiled("@consistency(strong)\nx: int", LIMIT), 3)
    assert [them.call(it % 3) for it in range(5)] == ["passes", "passes", "passes", "no", "no"]


def test_a_map_is_one_and_agrees_with_the_interpreter(store: StoreUnderTest) -> None:
    them = Instances(store, compiled("@consistency(strong) @capacity(3)\nx: Map<string, int>", PUT), 3)
    for number in range(40):
        body = bytes([97 + (number * 7) % 5])
        them.call(number % 3, body)
        them.agree(number % 3)


def test_a_map_that_instances_know_in_part_has_its_capacity(
    store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each instance keeps two entries, and the store drops those that the interpreter drops."""
    monkeypatch.setattr(sharing, "PART", 2)
    state = "@consistency(strong) @capacity(5)\nx: Map<string, int>\n@consistency(strong)\nn: int"
    req = """n = n + 1
b = get(rpc, 'body')
seen = get(x, b, -1)
if n - n / 4 * 4 == 3:
    delete(x, b)
else:
    set(x, b, n)
send(err(to_string(seen)), Up)"""
    them = Instances(store, compiled(state, req), 3)
    draw = random.Random(1)
    for _ in range(80):
        number = draw.randrange(3)
        if draw.randrange(10) == 0:
            them.restart(number)
        them.call(number, draw.choice([b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"\xf7", b""]))
        assert them.in_store("x") == list(them.interpreted[number].state_of("it")["x"].items())
        known = them.modules[number].state_dump().splitlines()[0]
        assert known.count(": ") <= 4, known  # what it keeps, and what the step was told at the keys that it read


CASES = {
    "a Map of texts, and what is empty": (
        "@consistency(strong) @capacity(4)\nx: Map<string, string>\n@consistency(strong)\nn: int",
        "b = get(rpc, 'body')\nif n > 4:\n    delete(x, b)\n    n = 0\nelse:\n    set(x, b, concat(b, to_string(n)))\n    n = n + 1",
    ),
    "pairs and Instants": (
        "@consistency(strong)\nx: Map<string, <int, Instant>>\n@consistency(strong)\nlast: Instant",
        """set(x, get(rpc, 'body'), (2, last))
last = current_time()
if size(x) > 3:
    delete(x, get(rpc, 'body'))
    send(err('full'), Up)""",
    ),
    "a Vec": (
        "@consistency(strong) @capacity(3)\nx: Vec<string>\n@consistency(strong)\nn: int",
        """set(x, size(x), get(rpc, 'body'))
set(x, 0, 'first')
n = to_int(size(x))
if get(x, 2, '') == 'c':
    x = []""",
    ),
    "a Map as a whole, of keys that are numbers": (
        "@consistency(strong)\nx: Map<int, bool>\n@consistency(strong)\ny: Map<int, bool>",
        "set(x, to_int(size(get(rpc, 'body'))) + to_int(size(x)), true)\nif size(x) > 5:\n    y = x\n    delete(x, 3)",
    ),
    "local state beside it": (
        "@consistency(strong)\nx: int\nmine: int\nseen: Map<string, int>\ncount: int\nlog: Vec<string>",
        """x = x + 1
mine = mine + x
set(seen, get(rpc, 'body'), x)
count = count + 1
set(log, size(log), get(rpc, 'body'))
if x > 100:
    send(err(to_string(mine)), Up)""",
    ),
    "random draws": (
        "@consistency(strong)\nx: Map<string, int>",
        "set(x, get(rpc, 'body'), randomi(0, 1000))\nif get(x, 'a', 0) > 500:\n    send(err('large'), Up)",
    ),
}


ON_WASM = ("a Map of texts, and what is empty", "local state beside it")


@pytest.mark.parametrize(("target", "name"), [*((NATIVE, it) for it in CASES), *((WASM, it) for it in ON_WASM)])
def test_instances_agree_with_the_interpreter(store: StoreUnderTest, target: str, name: str) -> None:
    state, req = CASES[name]
    element = compiled(state, req)
    for seed in range(4 if target == NATIVE else 1):  # they run the same C
        draw = random.Random(seed)
        them = Instances(store, element, 3, target)
        for _ in range(60):
            them.now_ns += draw.randrange(10**9)
            one = draw.randrange(3)
            match draw.randrange(20):
                case 0 if not store.away:
                    them.restart(one)
                case 1 if not store.away:
                    them.restart(0, 1, 2)
                case 2:
                    them.away(away=not store.away)
                case _:
                    them.call(one, draw.choice([b"a", b"b", b"c", b"", b"\xff."]))
                    them.agree(one)
        them.away(away=False)


def natives(them: Instances) -> list[ModuleUnderTest]:
    """The instances, without the interpreter's."""
    return [it for it in them.modules if isinstance(it, ModuleUnderTest)]


def told(module: ModuleUnderTest, body: bytes) -> str:
    """What a call through the instance is refused with."""
    call = module.call()
    found = call.run_request(PATH, {}, [frame(string_field(1, body))])
    call.end()
    return found.text.decode() if isinstance(found, Denied) else ""


def test_an_instance_that_was_idle_takes_what_a_failover_has_left(store: StoreUnderTest) -> None:
    """Another has come as far as it was, and the store has no word about that."""
    count = f"{PUT}\nsend(err(to_string(get(x, get(rpc, 'body'), 0))), Up)"
    them = Instances(store, compiled("@consistency(strong)\nx: Map<string, int>", count))
    one, two = natives(them)
    assert [told(one, b"a"), told(two, b"a")] == ["1", "2"]
    with losing(store.client, state_keys(them.scope, "it")):
        assert [told(one, b"a"), told(one, b"lost")] == ["3", "1"]
    two.now_ns += 10**9
    assert [told(two, b"b"), told(two, b"b")] == ["1", "2"]
    one.now_ns += 10**9
    assert [told(one, b"b"), told(one, b"a"), told(two, b"lost")] == ["3", "3", "1"]


SINCE = """if get(rpc, 'body') == 'set':
    last = current_time()
else:
    send(err(to_string(to_int(time_diff(current_time(), last)))), Up)"""
HOUR_NS = 3600 * 10**9


@pytest.mark.parametrize("level", ["@consistency(strong)", "@consistency(weak) @combiner(max)"])
def test_an_instant_stays_the_same_moment_while_machines_sleep(store: StoreUnderTest, level: str) -> None:
    """The first machine sleeps for an hour: its clock stands still, but for the one on the wall."""
    one, two = them = natives(Instances(store, compiled(f"{level}\nlast: Instant", SINCE)))

    def merge() -> None:
        for it in (one, two, one):
            assert it.carrier is not None
            it.carrier.beat()
            it.carrier.merge()

    told(one, b"set")
    merge()
    assert [told(it, b"") for it in them] == ["0", "0"]
    two.now_ns += HOUR_NS
    one.wall_ahead_ns += HOUR_NS
    merge()
    assert [told(it, b"") for it in them] == ["3600", "3600"]
    told(one, b"set")
    merge()
    assert [told(it, b"") for it in them] == ["0", "0"]
