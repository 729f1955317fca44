"""Elements that reply in the server's place: what is proved of them the interpreter does not tell apart."""

import pytest

from appnet.analysis import Proved, Refuted, Strength, decide
from appnet.analysis.replay import Parting, replay
from appnet.ir.nodes import Element
from tests.analysis.support import COUNTER, FAULT, FIREWALL, STAMP, element, random_runs
from tests.support.signatures import KV

STRONG, WEAK = Strength.STRONG, Strength.WEAK


def replies(name: str, condition: str, value: str, *, field: str = "key") -> Element:
    reply = f"    r = reply()\n    set(r, '{field}', {value})\n    send(r, Up)"
    return element(name, f"if {condition}:\n{reply}")


BAD = replies("bad", "get(rpc, 'key') == 'bad'", "'no'")
WORSE = replies("worse", "get(rpc, 'key') == 'worse'", "'no'")
HOT = replies("hot", "get(rpc, 'hot')", "'no'")
HOT_ELSEWHERE = replies("elsewhere", "get(rpc, 'hot')", "'no'", field="rpcid")
EMPTY = element("empty", "if get(rpc, 'hot'):\n    send(reply(), Up)")
SETS_DEFAULT = replies("default", "get(rpc, 'hot')", "''")
ECHO = replies("echo", "get(rpc, 'hot')", "get(rpc, 'key')")
MASKS = element("masks", resp="set(rpc, 'key', 'masked')")
MASKS_OTHERS = element("masks", resp="if get(rpc, 'key') != 'no':\n    set(rpc, 'key', 'masked')")
SERVED_BY = element("served_by", resp="set_metadata(rpc, 'x-served-by', 'appnet')")
REWRITES = element("rewrites", "set(rpc, 'key', 'x')")
BREAKER = element(
    "breaker",
    "if failures > 3:\n    send(err('open', UNAVAILABLE), Up)",
    state="failures: int",
    resp="if status(rpc) != 0:\n    failures = failures + 1",
)


@pytest.mark.parametrize(
    ("first", "second", "strength"),
    [
        (BAD, STAMP, STRONG),
        (BAD, WORSE, STRONG),  # one answer, whoever gives it
        (BAD, MASKS_OTHERS, STRONG),  # which leaves this reply alone
        (BAD, COUNTER, WEAK),  # which nobody asks
        (ECHO, STAMP, STRONG),
    ],
    ids=lambda it: getattr(it, "name", None),
)
def test_proved(first: Element, second: Element, strength: Strength):
    for one, other in ((first, second), (second, first)):
        decision = decide(one, other, KV, strength)
        assert isinstance(decision, Proved)
        for run in random_runs(one, other, KV, seed=3, from_init=100, from_states=100):
            same_status = not decision.status_may_differ
            assert replay(one, other, KV, strength, run, same_status=same_status) is None


@pytest.mark.parametrize(
    ("first", "second", "strength"),
    [
        (BAD, COUNTER, STRONG),  # the counter misses what was answered
        (BAD, FIREWALL, WEAK),  # an answer or an error
        (BAD, FAULT, WEAK),
        (BAD, HOT_ELSEWHERE, WEAK),  # two answers
        (EMPTY, SETS_DEFAULT, WEAK),  # a field that is set, to what it would read as
        (BAD, MASKS, WEAK),  # the answer passes who forwarded
        (ECHO, REWRITES, WEAK),
        (BAD, BREAKER, WEAK),
        (BAD, SERVED_BY, WEAK),  # a reply has metadata like any response
    ],
    ids=lambda it: getattr(it, "name", None),
)
def test_refuted(first: Element, second: Element, strength: Strength):
    for one, other in ((first, second), (second, first)):
        decision = decide(one, other, KV, strength)
        assert isinstance(decision, Refuted)
        found = decision.counterexample
        parting = replay(one, other, KV, strength, found)
        assert parting == Parting(len(found.events) - 1, found.as_written, found.swapped)


def test_the_story_tells_of_a_reply():
    decision = decide(HOT, FIREWALL, KV, WEAK)
    assert isinstance(decision, Refuted)
    assert decision.counterexample.as_written == 'answered with `key` "no"'
    assert decision.counterexample.swapped == 'refused with PERMISSION_DENIED saying "firewall"'
