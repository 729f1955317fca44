"""Which state is shared, as what it is declared and how it is used say together."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from appnet.diagnostics.source import TextSource
from appnet.ir.compile import compile_element
from appnet.ir.nodes import Consistency, Element, StateClass
from appnet.ir.sharing import Share, Sharing, shared_variables, shares, shares_of, steps_in_store, unavailable_of
from tests.support.elements import make_program
from tests.support.sample import SAMPLE
from tests.support.signatures import ECHO


def compiled(state: str, req: str = "send(rpc, Down)", resp: str = "send(rpc, Up)", init: str = "pass") -> Element:
    text = f"state:\n{_in(state)}\ninit():\n{_in(init)}\nreq(rpc):\n{_in(req)}\nresp(rpc):\n{_in(resp)}\n"
    return compile_element(TextSource(Path("it.appnet"), text), ECHO).element


def _in(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))


def share(state: str, *parts: str, **named: str) -> Share:
    return shares(compiled(state, *parts, **named))["x"]


COUNT = "set(x, get(rpc, 'body'), get(x, get(rpc, 'body'), 0) + 1)\nsend(rpc, Down)"


def test_what_is_not_declared_stays() -> None:
    assert share("x: int", "x = x + 1\nsend(rpc, Down)").sharing is Sharing.LOCAL


@pytest.mark.parametrize("level", ["strong", "weak"])
@pytest.mark.parametrize(
    ("type_", "req", "init"),
    [
        ("Map<uint, string>", "set(x, rpc_id(), 'a')\nsend(rpc, Down)", "pass"),
        ("Vec<string>", "append(x, get(rpc, 'body'))\nsend(rpc, Down)", "pass"),
        ("int", "if x > 1:\n    send(err('no'), Up)\nsend(rpc, Down)", "x = 2"),
    ],
    ids=["rpc-scoped", "record", "read-only"],
)
def test_what_needs_no_sharing_stays_whatever_is_declared(level: str, type_: str, req: str, init: str) -> None:
    req = req.replace("append(x,", "set(x, size(x),") if "append" in req else req
    found = share(f"@consistency({level})\nx: {type_}", req, init=init)
    assert found.sharing is Sharing.LOCAL
    assert found.reason


@pytest.mark.parametrize("level", ["strong", "weak"])
def test_what_init_draws_is_the_first_instances(level: str) -> None:
    req = "if x > 0.5:\n    send(err('no'), Up)\nsend(rpc, Down)"
    found = share(f"@consistency({level})\nx: float", req, init="x = randomf(0.0, 1.0)")
    assert (found.sharing, found.combiner) == (Sharing.MERGED, "LWW")


@pytest.mark.parametrize("level", ["strong", "weak"])
def test_a_counter_that_nobody_reads_is_merged(level: str) -> None:
    found = share(f"@consistency({level})\nx: int", "x = x + 1\nsend(rpc, Down)")
    assert (found.sharing, found.combiner) == (Sharing.MERGED, "sum")


def test_other_strong_state_is_in_the_store() -> None:
    req = "x = x + 1\nif x > 3:\n    send(err('no'), Up)\nsend(rpc, Down)"
    found = share("@consistency(strong)\nx: int", req)
    assert (found.sharing, found.combiner, found.sharded) == (Sharing.SHARED, None, False)


@pytest.mark.parametrize(("declared", "combiner"), [("", "LWW"), ("@combiner(sum)", "sum"), ("@combiner(max)", "max")])
def test_weak_state_is_merged_as_declared(declared: str, combiner: str) -> None:
    found = share(f"@consistency(weak) {declared}\nx: Map<string, int>", COUNT)
    assert (found.sharing, found.combiner) == (Sharing.MERGED, combiner)


# --- a key at a time ---

MAP = "@consistency(strong)\nx: Map<string, int>"


@pytest.mark.parametrize(
    "req",
    [
        COUNT,
        "k = concat('a', get(rpc, 'body'))\nset(x, k, get(x, k, 0) + 1)\nsend(rpc, Down)",
        "set(x, 'all', get(x, 'all', 0) + 1)\nsend(rpc, Down)",
        "set(x, get_metadata(rpc, 'k'), get(x, get_metadata(rpc, 'k'), 0) + 1)\nsend(rpc, Down)",
    ],
    ids=["field", "computed", "constant", "metadata"],
)
def test_one_key_of_a_map_is_sharded(req: str) -> None:
    assert share(MAP, req).sharded


@pytest.mark.parametrize(
    "req",
    [
        "set(x, get(rpc, 'body'), get(x, 'other', 0) + 1)\nsend(rpc, Down)",
        "set(x, get(rpc, 'body'), size(x))\nsend(rpc, Down)",
        "k = get(rpc, 'body')\nn = get(x, k, 0)\nset(rpc, 'body', 'b')\nset(x, get(rpc, 'body'), n)\nsend(rpc, Down)",
        "k = 'k'\nn = get(x, get_metadata(rpc, k), 0)\nset_metadata(rpc, k, 'b')\nset(x, get_metadata(rpc, k), n)",
        "k = get(rpc, 'body')\nn = get(x, k, 0)\nk = 'b'\nset(x, k, n)\nsend(rpc, Down)",
        "set(x, to_string(randomi(0, 9)), get(x, to_string(randomi(0, 9)), 0))\nsend(rpc, Down)",
    ],
    ids=["two keys", "size", "field written", "metadata written", "local assigned twice", "drawn"],
)
def test_several_keys_are_not(req: str) -> None:
    found = share(MAP, req)
    assert (found.sharing, found.sharded) == (Sharing.SHARED, False)


def test_two_variables_in_one_step_are_not_sharded() -> None:
    req = "y = y + 1\nif y > get(x, 'a', 0):\n    set(x, 'a', y)\nsend(rpc, Down)"
    assert not share(f"{MAP}\n@consistency(strong)\ny: int", req).sharded


def test_sharded_on_each_method_or_on_none() -> None:
    one = compiled(MAP, COUNT)
    other = compiled(MAP, "set(x, get(rpc, 'body'), size(x))\nsend(rpc, Down)")
    assert shares_of([one, one])["x"].sharded
    assert not shares_of([one, other])["x"].sharded


AT_KEYS = "set(x, get(rpc, 'body'), get(x, 'other', 0) + 1)\ndelete(x, 'b')\nsend(rpc, Down)"
LARGE = "@consistency(strong) @capacity(65537)\nx: Map<string, int>"


@pytest.mark.parametrize(
    ("state", "req", "part"),
    [
        (LARGE, COUNT, 65_536),
        (LARGE, AT_KEYS, 65_536),
        (f"{LARGE}\n@consistency(strong)\ny: int", f"y = y + get(x, 'a', 0)\n{AT_KEYS}", 65_536),
        (MAP, COUNT, 0),
        (LARGE, f"if size(x) > 3:\n    delete(x, 'a')\n{COUNT}", 0),
        (f"{LARGE}\n@consistency(strong)\ny: Map<string, int>", f"set(y, 'a', get(y, 'a', 0) + 1)\n{COUNT}", 0),
        (f"{LARGE}\ny: int\nz: int", f"y = y + 1\n{COUNT}", 65_536),
        (f"{LARGE}\ny: int", f"y = get(x, 'a', y)\n{COUNT}", 0),
    ],
    ids=[
        "one key",
        "several keys",
        "beside a number",
        "of the usual capacity",
        "size",
        "beside a Map",
        "beside a counter",
        "beside local state",
    ],
)
def test_a_large_map_that_is_only_used_at_keys_is_known_in_part(state: str, req: str, part: int) -> None:
    assert share(state, req).part == part


def test_known_in_part_on_each_method_or_on_none() -> None:
    one = compiled(LARGE, COUNT)
    other = compiled(LARGE, "set(x, get(rpc, 'body'), to_int(size(x)))\nsend(rpc, Down)")
    assert shares_of([one, one])["x"].part == 65_536
    assert shares_of([one, other])["x"].part == 0


# --- of an element ---


def test_an_element_has_one_policy_while_its_store_is_away() -> None:
    found = compiled("@consistency(strong) @unavailable(local)\nx: int\n@consistency(weak)\ny: int\nz: int")
    assert [it.unavailable for it in found.state] == ["local", "local", "refuse"]
    mixed = "x = x + y\ny = x\nif x > 3:\n    send(err('no'), Up)\nsend(rpc, Down)"
    assert unavailable_of(compiled("@consistency(strong) @unavailable(local)\nx: int\ny: int", mixed)) == "local"
    assert unavailable_of(compiled("x: int", mixed.replace("y", "x"))) == "refuse"


@pytest.mark.parametrize("seed", range(20))
def test_any_program_declared_shared_keeps_the_rules(seed: int) -> None:
    """Whatever a program does: the rules that the runtime relies on."""
    source = random.Random(seed)
    plain = compile_element(TextSource(Path("it.appnet"), make_program(source)), SAMPLE).element
    assert not shared_variables(plain)
    level = source.choice([Consistency.WEAK, Consistency.STRONG])
    element = replace(plain, state=tuple(replace(it, consistency=level) for it in plain.state))
    found = shares(element)
    assert found.keys() == {it.name for it in element.state}
    for it in element.state:
        one = found[it.name]
        assert one.reason
        assert (one.combiner is not None) == (one.sharing is Sharing.MERGED)
        if it.state_class in {StateClass.RPC_SCOPED, StateClass.RECORD}:
            assert not one.in_store
        if level is Consistency.STRONG and it.state_class is StateClass.GENERAL:
            assert one.sharing is Sharing.SHARED
    sharded = [name for name, it in found.items() if it.sharded]
    steps = [name for name, it in found.items() if it.sharing is Sharing.SHARED]
    assert sharded in ([], steps)
    assert steps_in_store(element) == bool(steps)
    assert not (level is Consistency.WEAK and steps)
