"""Weak state of native modules in a real store: what merges make of it, as the interpreter has it."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.support.shared_instances import Instances, compiled
from tests.support.shared_store import StoreUnderTest, store_under_test


@pytest.fixture(scope="module")
def store() -> Iterator[StoreUnderTest]:
    with store_under_test() as it:
        yield it


PUT = """b = get(rpc, 'body')
if b == '':
    delete(x, 'a')
else:
    set(x, b, get(x, b, 0) + 3 - len(b) * 2)
    if b == 'clear':
        x = y
if size(x) > 90:
    send(err('full'), Up)"""
COUNT = "b = get(rpc, 'body')\nset(x, b, get(x, b, 0) + 3 - len(b) * 2)\nif size(x) > 90:\n    send(err('full'), Up)"
TEXTS = PUT.replace("get(x, b, 0) + 3 - len(b) * 2", "concat(get(x, b, ''), b)")
ROUNDS = """b = get(rpc, 'body')
if b == '':
    x = []
else:
    set(x, size(x), b)
if b == 'b':
    set(x, 0, 'first')
if size(x) > 90:
    send(err('full'), Up)"""


def weak(combiner: str, declaration: str, more: str = "") -> str:
    return f"@consistency(weak) @combiner({combiner}) {more}\n{declaration}"


NUMBER = "x = x * 2 + 1 - len(get(rpc, 'body'))\nif x > 1000:\n    x = 3"
UNORDERED, STRONG_TOO = "Map by sum, with deletes", "beside strong state"
CASES = {
    **{f"Map by {it}": (weak(it, "x: Map<string, int>", "@capacity(4)") + "\ny: Map<string, int>", PUT) for it in
       ("max", "min", "LWW", "union")},
    "Map by sum": (weak("sum", "x: Map<string, int>", "@capacity(3)"), COUNT),
    UNORDERED: (weak("sum", "x: Map<string, int>") + "\ny: Map<string, int>", PUT),
    "Map of texts by LWW": (weak("LWW", "x: Map<string, string>", "@capacity(3)") + "\ny: Map<string, string>", TEXTS),
    "Map of texts by union": (weak("union", "x: Map<string, string>") + "\ny: Map<string, string>", TEXTS),
    **{f"int by {it}": (weak(it, "x: int"), NUMBER) for it in ("sum", "max", "min", "LWW")},
    **{f"float by {it}": (weak(it, "x: float"), "x = x * 0.5 - 0.25\nif get(rpc, 'body') == 'a':\n    x = 3.0\nif x > 5.0:\n    send(err('no'), Up)") for it in
       ("sum", "max", "min", "LWW")},
    "uint by sum": (weak("sum", "x: uint"), "x = x * 3 + len(get(rpc, 'body'))\nif x > 1000:\n    send(err('no'), Up)"),
    "a counter": (weak("sum", "x: int"), "x = x + len(get(rpc, 'body')) - 1"),
    "a strong counter": ("@consistency(strong)\nx: float", "x = x + 0.5"),
    "a counter by LWW": (weak("LWW", "x: int"), "x = x + len(get(rpc, 'body'))"),
    "a text": (weak("LWW", "x: string"), "x = concat(get(rpc, 'body'), x)\nif len(x) > 9:\n    x = 'short'"),
    "a pair": (weak("LWW", "x: <int, string>"), "(n, last) = x\nx = (n + 1, get(rpc, 'body'))\nif n > 9:\n    send(err('no'), Up)"),
    "Instants by max": (weak("max", "x: Instant"), "if time_diff(current_time(), x) < 1.0:\n    send(err('soon'), Up)\nx = current_time()"),
    "Map of Instants by max": (weak("max", "x: Map<Instant, Instant>") + "\nlast: Instant", "set(x, last, current_time())\nif size(x) > 4:\n    delete(x, last)\n    send(err('no'), Up)\nlast = current_time()"),
    "Vec by union": (weak("union", "x: Vec<string>", "@capacity(5)"), ROUNDS),
    "Vec by LWW": (weak("LWW", "x: Vec<string>", "@capacity(5)"), ROUNDS),
    "what init draws": ("@consistency(weak)\nx: int\ny: int", "y = y + x\nif x > 500:\n    send(err('large'), Up)"),
    "several": (weak("sum", "x: Map<int, int>") + "\n" + weak("LWW", "y: Map<int, bool>") + "\n" + weak("max", "z: uint"),
                "n = len(get(rpc, 'body'))\nset(x, n, get(x, n, 0) + 1)\nset(y, get(x, n, 0), true)\nz = size(y)\nif z > 6:\n    delete(y, n)"),
    STRONG_TOO: ("@consistency(strong)\ns: int\n" + weak("sum", "x: Map<string, int>") + "\n" + weak("LWW", "y: int"),
                            "b = get(rpc, 'body')\ns = s + 1\nset(x, b, get(x, b, 0) + s)\ny = s\nif s > 30:\n    send(err('no'), Up)"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_native_instances_agree_with_the_interpreter(store: StoreUnderTest, name: str) -> None:
    state, req = CASES[name]
    element = compiled(state, req, init="x = randomi(0, 1000)" if name == "what init draws" else "pass")
    for seed in range(4):
        draw = random.Random(seed)
        them = Instances(store, element, 3)
        for _ in range(80):
            them.now_ns += draw.choice([0, 0, 1, 10**9])
            one = draw.randrange(3)
            match draw.randrange(20):
                case 0 if not store.away:
                    them.restart(one)
                case 1 if not store.away and draw.randrange(4) == 0:
                    them.restart(0, 1, 2)
                case 2 if name != STRONG_TOO:
                    them.away(away=not store.away)
                case it if it < 9:
                    them.merge(one)
                case _:
                    them.call(one, draw.choice([b"a", b"b", b"c", b"d", b"clear", b"", b"\xff."]))
                    them.agree(one, ordered=name != UNORDERED)
            if name != STRONG_TOO:  # the interpreter's merge also looks at strong state
                them.agree(one, ordered=name != UNORDERED)
        them.away(away=False)
