import re
from pathlib import Path

import pytest

from appnet.analysis import Counterexample, Event, Proved, Refuted, Strength, Unknown, decide, infer
from appnet.analysis.replay import Parting, replay
from appnet.analysis.syntactic import decide_by_properties
from tests.analysis.pairs import TOO_LAX, TOO_STRICT, Pair
from tests.analysis.support import COUNTER, FAULT, FIREWALL, LOG, element, random_runs
from tests.support.signatures import KV

DOCS = Path(__file__).parents[2] / "docs" / "analysis.md"


@pytest.mark.parametrize("pair", TOO_STRICT, ids=lambda pair: pair.name)
def test_proved_where_the_cheap_rule_keeps_the_order(pair: Pair):
    cheap = decide_by_properties(infer(pair.first), infer(pair.second), pair.strength)
    assert isinstance(cheap, Unknown)
    assert isinstance(decide(pair.first, pair.second, KV, pair.strength), Proved)
    assert isinstance(decide(pair.second, pair.first, KV, pair.strength), Proved)


@pytest.mark.parametrize("pair", TOO_LAX, ids=lambda pair: pair.name)
def test_refuted_by_a_run_that_the_interpreter_repeats(pair: Pair):
    decision = decide(pair.first, pair.second, KV, pair.strength)
    assert isinstance(decision, Refuted)
    found = decision.counterexample
    parting = replay(pair.first, pair.second, KV, pair.strength, found)
    assert parting == Parting(len(found.events) - 1, found.as_written, found.swapped)


@pytest.mark.parametrize(("title", "pairs"), [("too strict", TOO_STRICT), ("too lax", TOO_LAX)])
def test_the_docs_have_a_row_for_each(title: str, pairs: tuple[Pair, ...]):
    text = DOCS.read_text(encoding="utf-8")
    section = text.split(f"{title}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| ([^|]+) \| (strong|weak) \|", section, re.MULTILINE)
    assert rows == [(pair.name, pair.strength.value) for pair in pairs]


def test_a_counterexample_is_a_short_story():
    decision = decide(FIREWALL, COUNTER, KV, Strength.STRONG)
    assert isinstance(decision, Refuted)
    (event,) = decision.counterexample.events
    assert (event.kind, event.fields, event.metadata) == ("request", {"key": b"bad"}, {})
    assert decision.counterexample.start == {}
    assert "`calls` of counter is 0" in decision.counterexample.as_written
    assert "`calls` of counter is 1" in decision.counterexample.swapped


@pytest.mark.parametrize("pair", TOO_LAX, ids=lambda pair: pair.name)
def test_calls_of_a_counterexample_are_numbered_from_1_and_asked_before_they_are_answered(pair: Pair):
    decision = decide(pair.first, pair.second, KV, pair.strength)
    assert isinstance(decision, Refuted)
    calls: list[int] = []
    for event in decision.counterexample.events:
        assert event.kind == "request" or event.call in calls
        calls += [event.call] if event.call not in calls else []
    assert calls == list(range(1, len(calls) + 1))


def test_a_state_that_runs_do_not_reach_soon_is_stated():
    never_soon = element(
        "late",
        "if calls > 123456:\n    send(err('enough'), Up)\ncalls = calls + 1",
        state="calls: int",
    )
    decision = decide(never_soon, LOG, KV, Strength.STRONG)
    assert isinstance(decision, Refuted)
    assert decision.counterexample.start["late"]["calls"] >= 123456


def test_weak_says_where_the_status_may_differ():
    decision = decide(FIREWALL, FAULT, KV, Strength.WEAK)
    assert isinstance(decision, Proved)
    assert decision.status_may_differ
    same_code = element("other", "if get(rpc, 'hot'):\n    send(err('other', PERMISSION_DENIED), Up)")
    assert not decide(FIREWALL, same_code, KV, Strength.WEAK).status_may_differ  # type: ignore[union-attr]


def test_draws_are_coupled_but_elements_of_one_text_draw_apart():
    # Where each draws for itself, the order of two equal elements cannot be told but by who refuses.
    other = element("other", "if randomf(0, 1) < 0.5:\n    send(err('fault', UNAVAILABLE), Up)")
    assert isinstance(decide(FAULT, other, KV, Strength.STRONG), Proved)


def test_a_full_map_forgets_in_an_order_that_counts():
    remembers = element("remembers", "set(seen, get(rpc, 'key'), true)", state="@capacity(2)\nseen: Map<string, bool>")
    decision = decide(remembers, FIREWALL, KV, Strength.STRONG)
    assert isinstance(decision, Refuted)
    empties = element(
        "empties",
        "set(seen, get(rpc, 'key'), true)\ndelete(seen, get(rpc, 'key'))",
        state="@capacity(2)\nseen: Map<string, bool>",
    )
    assert isinstance(decide(empties, FIREWALL, KV, Strength.STRONG), Refuted)  # by the entry that had to go


def test_loops_are_functions_of_what_they_read():
    loop = "foreach(words, lambda(word):\n    if word == get(rpc, 'key'):\n        hits = hits + 1\n)\nif hits > 0:\n    send(err('x'), Up)\nset(words, size(words), get(rpc, 'key'))"
    looping = element("looping", f"hits = 0\n{loop}", state="words: Vec<string>")
    stamp = element("stamp", "set(rpc, 'score', 1)")
    rewrite = element("rewrite", "set(rpc, 'key', 'x')")
    assert isinstance(decide(looping, stamp, KV, Strength.STRONG), Proved)
    assert isinstance(decide(looping, rewrite, KV, Strength.STRONG), Refuted)


def test_what_is_refused_for_want_of_memory_is_not_judged():
    grows = element("grows", "set(rpc, 'key', replace(get(rpc, 'key'), 'a', get(rpc, 'key')))")
    refuses = "if calls > 1:\n    send(err('limit'), Up)"
    limit = element("limit", f"calls = calls + 1\n{refuses}", state="calls: int")
    for size, parts in ((8_000, False), (9_000, True)):
        calls = tuple(Event("request", call, fields={"key": key}) for call, key in ((1, b"a" * size), (2, b"b")))
        parting = replay(grows, limit, KV, Strength.WEAK, Counterexample(calls[: 1 + parts], "", ""))
        assert (parting is not None) == parts
    assert isinstance(decide(grows, limit, KV, Strength.STRONG), Proved)
    assert "What is refused for want of memory is not judged" in DOCS.read_text(encoding="utf-8")


INSIDE = element(
    "inside",
    state="inside: int",
    open="if inside > 1:\n    send(err('full'), Up)\ninside = inside + 1",
    end="inside = inside - 1",
)


def test_a_run_may_have_headers_without_their_message():
    decision = decide(INSIDE, FIREWALL, KV, Strength.WEAK)
    assert isinstance(decision, Refuted)
    assert "headers" in {it.kind for it in decision.counterexample.events}


def test_how_long_a_call_waits_for_its_message_tells_orders_apart():
    late = element(
        "late",
        state="began: Map<uint, Instant>",
        open="set(began, rpc_id(), current_time())",
        resp="if time_diff(current_time(), get(began, rpc_id(), current_time())) > 1.0:\n    send(err('late'), Up)",
    )
    decision = decide(late, FIREWALL, KV, Strength.STRONG)
    assert isinstance(decision, Refuted)
    assert [it.kind for it in decision.counterexample.events] == ["headers", "request", "response"]


def test_an_end_that_changes_nothing_may_run_or_not():
    ending = element("ending", "send(rpc, Down)", end="match status(rpc):\n    0 => pass")
    assert isinstance(decide(ending, FIREWALL, KV, Strength.STRONG), Proved)


def test_runs_know_what_each_handler_computes():
    """Both handlers have locals of the same names, of which one is empty in the first."""
    computing = element(
        "computing", "n = n + wall_time()", state="n: float", open="match base64_decode('no base64'):\n    None => pass"
    )
    runs = random_runs(computing, FIREWALL, KV, seed=1, from_init=50, from_states=0)
    assert any(replay(computing, FIREWALL, KV, Strength.STRONG, it) for it in runs)
