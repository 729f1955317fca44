"""Pairs that a proof might get wrong: what tells the orders apart is easy to overlook."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.analysis import Proved, Refuted, Strength, decide
from appnet.diagnostics.source import TextSource
from appnet.ir import compile_element
from appnet.ir.nodes import Element
from appnet.optimize.problem import problem_of
from tests.analysis.support import element
from tests.support.sample import SAMPLE
from tests.support.signatures import KV


def on_sample(name: str, req: str) -> Element:
    """An element of so many statements on sample.proto, which has oneofs, Vecs and Maps."""
    body = "\n".join(f"    {line}" for line in req.splitlines())
    source = (
        f"state:\n    pass\ninit():\n    pass\nreq(rpc):\n{body}\n    send(rpc, Down)\nresp(rpc):\n    send(rpc, Up)\n"
    )
    return compile_element(TextSource(Path(f"{name}.appnet"), source), SAMPLE).element


COPY = element("copy", "if get_metadata(rpc, 'x') == 'go':\n    set_metadata(rpc, 'y', get_metadata(rpc, 'y'))")
GO = element("go", "set_metadata(rpc, 'x', 'go')")
LIMIT = element(
    "limit", "if n > 1:\n    send(err('no'), Up)", state="n: int", resp="if status(rpc) > 16:\n    n = n + 1"
)
STRANGE = element("strange", "pass", resp="if status(rpc) > 16:\n    send(err('x', PERMISSION_DENIED), Up)")


@pytest.mark.parametrize("strength", list(Strength))
@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(COPY, GO, id="an empty header is not an absent one"),
        pytest.param(STRANGE, LIMIT, id="servers may answer with codes that gRPC has no name for"),
    ],
)
def test_not_proved_on_headers_and_status(first: Element, second: Element, strength: Strength) -> None:
    assert not isinstance(decide(first, second, KV, strength), Proved)


@pytest.mark.parametrize("strength", list(Strength))
def test_the_trailers_that_end_sees(strength: Strength) -> None:
    state, refuses = "seen: Map<string, int>", "if get(rpc, 'key') == get(rpc, 'rpcid'):\n    send(err('no'), Up)"
    ask = "match get(seen, 'x'):\n    Some(n) =>\n        send(err('full'), Up)\n    None =>\n        pass"
    sees = element("sees", ask, state=state, end="set(seen, get_trailer(rpc, 'cost'), 1)")
    for other in (element("sets", resp="set_trailer(rpc, 'cost', 'x')"), element("refuses", refuses)):
        assert not isinstance(decide(sees, other, KV, strength), Proved)
    assert isinstance(decide(sees, element("writes", "set(rpc, 'score', 1)"), KV, strength), Proved)


DELAYS = ("delay(rpc, get(rpc, 'ratio'))", "foreach(get(rpc, 'tags'), lambda(_tag):\n    delay(rpc, 0.5)\n)")


@pytest.mark.parametrize("one", DELAYS)
@pytest.mark.parametrize("other", DELAYS)
def test_delays_add_up_in_loops_too(one: str, other: str) -> None:
    both = "\nset(rpc, 'big', 1)"  # so that only a proof lets them swap
    decision = decide(on_sample("one", one + both), on_sample("other", other + both), SAMPLE, Strength.STRONG)
    assert isinstance(decision, Proved)


APPEND = "t = get(rpc, 'tags')\nset(t, size(t), '{}')\nset(rpc, 'tags', t)"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("set(rpc, 'cash', 'a')", "set(rpc, 'points', 3)", id="members of a oneof"),
        pytest.param("set(rpc, 'cash', '')", "set(rpc, 'card.number', '')", id="members that are empty"),
        pytest.param(
            "set(rpc, 'cash', 'a')", "set(rpc, 'text', get(rpc, 'other.word'))", id="one reads what is cleared"
        ),
        pytest.param("set(rpc, 'tags', [])", "set(rpc, 'big', size(get(rpc, 'tags')))", id="a Vec that is emptied"),
        pytest.param(APPEND.format("a"), APPEND.format("b"), id="both append"),
    ],
)
def test_told_apart_by_fields(one: str, other: str) -> None:
    first, second = on_sample("first", one), on_sample("second", other)
    for pair in ((first, second), (second, first)):
        assert isinstance(decide(*pair, SAMPLE, Strength.WEAK), Refuted)


def test_members_of_one_oneof_in_one_element_do_not_hinder_others() -> None:
    first = on_sample("first", "set(rpc, 'cash', 'a')\nset(rpc, 'points', 3)")
    second = on_sample("second", "set(rpc, 'tags', [])")
    assert isinstance(decide(first, second, SAMPLE, Strength.STRONG), Proved)


# --- whole calls ---


def never_proved(first: Element, second: Element, strength: Strength) -> None:
    for one, other in ((first, second), (second, first)):
        assert not isinstance(decide(one, other, KV, strength), Proved)


REFUSES = element("refuses", "if get(rpc, 'key') == 'bad':\n    send(err('no'), Up)")


@pytest.mark.parametrize(
    "shows",
    [
        element("shows", "n = n + 1\nset_deadline(rpc, to_float(n))", state="n: int"),
        element("shows", "n = n + 1", state="n: int", resp="set_trailer(rpc, 'x-n', to_string(n))"),
    ],
    ids=("in the deadline", "in trailers"),
)
def test_state_that_shows_outside_the_message(shows: Element) -> None:
    never_proved(shows, REFUSES, Strength.WEAK)


def test_what_a_call_remembered_is_seen_at_its_end_where_it_is_refused_too() -> None:
    noting = element(
        "noting",
        state="kept: Map<uint, string>\nnoted: Vec<string>",
        resp="set(kept, rpc_id(), get(rpc, 'key'))",
        end="set(noted, size(noted), get(kept, rpc_id(), ''))",
    )
    refusing = element("refusing", resp="if get(rpc, 'key') == 'bad':\n    send(err('no'), Up)")
    never_proved(noting, refusing, Strength.STRONG)


@pytest.mark.parametrize("open_", ["", "pass", "if get_metadata(rpc, 'user') == 'eve':\n    send(err('no'), Up)"])
def test_a_call_that_ends_before_its_message_has_begun_or_not(open_: str) -> None:
    ending = element("ending", state="n: int", open=open_, end="n = n + 1")
    never_proved(ending, element("stamp", "set_metadata(rpc, 'x-key', get(rpc, 'key'))"), Strength.STRONG)


@pytest.mark.parametrize("open_", ["set_deadline(rpc, 2.0)", "if deadline(rpc) < 2.0:\n    send(err('late'), Up)"])
def test_time_that_counts_from_the_beginning_of_a_call(open_: str) -> None:
    never_proved(element("timed", open=open_), REFUSES, Strength.WEAK)


MARKS = element("marks", resp="set_metadata(rpc, 'x-why', 'it')")
SAYS_WHY = element("why", "if get(rpc, 'key') == 'bad':\n    set_metadata(rpc, 'x-why', 'it')\n    send(err('no'), Up)")


@pytest.mark.parametrize("other", [MARKS, SAYS_WHY])
def test_metadata_of_errors_may_differ_under_weak_and_is_read_by_those_before(other: Element) -> None:
    decision = decide(REFUSES, other, KV, Strength.WEAK)
    assert isinstance(decision, Proved)
    assert decision.status_may_differ
    hears = element(
        "hears",
        "if n > 1:\n    send(err('enough'), Up)",
        state="n: int",
        resp="if get_metadata(rpc, 'x-why') == 'it':\n    n = n + 1",
    )
    chain, here = (hears, REFUSES, other), [frozenset({0})] * 3
    kept = problem_of(chain, here, (0, 0, 0), Strength.WEAK, lambda a, b, how: decide(a, b, KV, how)).kept
    assert (1, 2) in kept


def test_calls_that_meet_between_headers_and_message() -> None:
    takes = "if n > 3:\n    send(err('full'), Up)\nn = n + 1"
    for other in (REFUSES, element("stamp", "set_metadata(rpc, 'x-key', get(rpc, 'key'))")):
        never_proved(element("takes", state="n: int", open=takes, end="pass"), other, Strength.WEAK)
