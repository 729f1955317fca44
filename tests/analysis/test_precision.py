"""What proofs know of values: pairs that nobody can tell apart, and that were once left open."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appnet.analysis import Proved, Refuted, Strength, decide
from appnet.analysis.replay import Parting, replay
from appnet.ir.nodes import Element
from appnet.language.messages import MethodSignature
from tests.analysis.support import element
from tests.analysis.test_capacity import on_sample
from tests.support.sample import SAMPLE
from tests.support.signatures import KV

STRONG, WEAK = Strength.STRONG, Strength.WEAK
LOOP = """
found = 0
foreach(get(rpc, 'tags'), lambda({item}):
    if {item} == get(rpc, 'text'):
        found = found + 1
)
if found {condition}:
    set(rpc, 'points', {value})
"""


def _writes(condition: str, value: str) -> str:
    return f"if {condition}:\n    set(rpc, 'points', {value})"


SAME = {
    "a 32-bit float is narrowed once": (
        on_sample("touch", "set(rpc, 'narrow', get(rpc, 'narrow'))"),
        on_sample("reads", "set(rpc, 'ratio', get(rpc, 'narrow'))"),
    ),
    "a Map of them, too": (
        on_sample("touch", "set(rpc, 'weights', get(rpc, 'weights'))"),
        on_sample("reads", "set(rpc, 'points', to_int(size(get(rpc, 'weights'))))"),
    ),
    "nothing is added by the empty text": (
        on_sample("touch", "set(rpc, 'text', concat('', concat(get(rpc, 'text'), '')))"),
        on_sample("reads", "set(rpc, 'extra', get(rpc, 'text'))"),
    ),
    "a text before, a text behind": (
        on_sample("before", "set(rpc, 'text', concat('a', get(rpc, 'text')))"),
        on_sample("behind", "set(rpc, 'text', concat(get(rpc, 'text'), 'b'))"),
    ),
    "loops of the same text": (
        on_sample("one", f"unused = 1\n{LOOP.format(item='tag', condition='> 0', value=1)}"),
        on_sample("other", LOOP.format(item="word", condition="<= 0", value=2)),
    ),
    "less, or not less": (
        on_sample("less", _writes("get(rpc, 'ratio') < 0.5", "1")),
        on_sample("more", _writes("get(rpc, 'ratio') >= 0.5", "2")),
    ),
    "less and greater": (
        on_sample("less", _writes("get(rpc, 'ratio') < 0.5", "1")),
        on_sample("more", _writes("get(rpc, 'ratio') > 0.5", "2")),
    ),
    "texts before and behind another": (
        on_sample("less", _writes("get(rpc, 'text') < 'h'", "1")),
        on_sample("more", _writes("get(rpc, 'text') > 'm'", "2")),
    ),
    "two floors of floats": (
        on_sample("low", "set(rpc, 'ratio', max(get(rpc, 'ratio'), 1.0))"),
        on_sample("high", "set(rpc, 'ratio', max(get(rpc, 'ratio'), 3.5))"),
    ),
    "an index that no Vec has": (
        on_sample("beyond", "set(few, 7, 'x')", state="@capacity(2)\nfew: Vec<string>"),
        on_sample("never", "send(err('no'), Up)"),
    ),
    "a length that no text has": (
        on_sample("long", "if to_int(size(get(rpc, 'text'))) < 0:\n    send(err('long'), Up)"),
        on_sample("count", "n = n + 1", state="n: int"),
    ),
    "a response comes after its request": (
        on_sample(
            "asked",
            "set(seen, rpc_id(), 'x')",
            state="seen: Map<uint, string>",
            resp="if get(seen, rpc_id(), '') != 'x':\n    send(err('never asked'), Up)",
        ),
        on_sample("notes", "pass", state="n: int", resp="if status(rpc) == 0:\n    n = n + 1"),
    ),
}

SAME_WEAK = {
    "a variable that is read after it was set": (
        on_sample("sets", "last = get(rpc, 'text')\nset(rpc, 'extra', last)", state="last: string"),
        on_sample("no_bad", "if get(rpc, 'text') == 'bad':\n    send(err('no'), Up)"),
    ),
    "a variable that is read where nothing runs": (
        on_sample("dead", "n = n + 1\nif 1 > 2:\n    set(rpc, 'points', n)", state="n: int"),
        on_sample("no_bad", "if get(rpc, 'text') == 'bad':\n    send(err('no'), Up)"),
    ),
    "nothing ever passes": (
        on_sample("counts", "n = n + 1\nif n > 3:\n    send(err('many'), Up)", state="n: int"),
        on_sample("never", "send(err('no'), Up)"),
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_proved(name: str) -> None:
    first, second = SAME[name]
    for pair in ((first, second), (second, first)):
        assert isinstance(decide(*pair, SAMPLE, STRONG), Proved)


@pytest.mark.parametrize("name", SAME_WEAK)
def test_proved_where_what_differs_never_shows(name: str) -> None:
    first, second = SAME_WEAK[name]
    assert isinstance(decide(first, second, SAMPLE, WEAK), Proved)
    assert isinstance(decide(first, second, SAMPLE, STRONG), Refuted)


def test_not_proved_where_a_nan_is_neither() -> None:
    less = on_sample("less", _writes("get(rpc, 'ratio') < 0.5", "1"))
    other = on_sample("other", _writes("not (get(rpc, 'ratio') >= 0.5)", "2"))
    assert isinstance(decide(less, other, SAMPLE, WEAK), Refuted)


MAP_OF_MAPS = "last: Map<string, int>\nouter: Map<string, Map<string, int>>"
TAKES = on_sample(
    "takes",
    "match get(outer, get(rpc, 'text')):\n    Some(v) => last = v\n    None => pass",
    state=MAP_OF_MAPS,
    resp="set(outer, get(rpc, 'text'), {'a': 1})",
)
ASKS = on_sample(
    "asks",
    "match get(outer, 'k'):\n    Some(v) => set(rpc, 'points', get(v, 'a', 0))\n    None => pass\nsend(err('no'), Up)",
    state=MAP_OF_MAPS,
)


@pytest.mark.parametrize("strength", list(Strength))
def test_maps_of_maps_are_decided(strength: Strength) -> None:
    for pair in ((TAKES, ASKS), (ASKS, TAKES)):
        decision = decide(*pair, SAMPLE, strength)
        assert isinstance(decision, Refuted if strength is STRONG else Proved)


def _streaming(name: str, req: str, **parts: str) -> tuple[MethodSignature, Element]:
    method = replace(KV, client_streaming=True, server_streaming=True)
    return method, element(name, req, **parts)


def test_the_second_message_of_a_call_can_tell() -> None:
    once = "if get(seen, rpc_id(), 0) > 0 and get(rpc, 'key') == 'again':\n    send(err('again'), Up)"
    method, first = _streaming("first", f"{once}\nset(seen, rpc_id(), 1)", state="seen: Map<uint, int>")
    _, second = _streaming("second", "set(rpc, 'key', 'again')")
    decision = decide(first, second, method, WEAK)
    assert isinstance(decision, Refuted)
    found = decision.counterexample
    assert [(it.kind, it.call) for it in found.events] == [("request", 1), ("request", 1)]
    assert replay(first, second, method, WEAK, found) == Parting(1, found.as_written, found.swapped)


def test_a_response_of_a_stream_may_follow_another() -> None:
    twice = "if get(seen, rpc_id(), 0) > 0 and get(rpc, 'key') == 'again':\n    send(err('again'), Up)"
    method, first = _streaming(
        "first", "set(seen, rpc_id(), 0)", state="seen: Map<uint, int>", resp=f"{twice}\nset(seen, rpc_id(), 1)"
    )
    _, second = _streaming("second", "pass", resp="set(rpc, 'key', 'again')")
    decision = decide(second, first, method, WEAK)
    assert isinstance(decision, Refuted)
    assert [it.kind for it in decision.counterexample.events] == ["request", "response", "response"]
