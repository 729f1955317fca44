"""What an element does that another side of the wire would see differently."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from appnet.analysis import Strength, infer, places
from appnet.analysis.influence import clock_is_kept, clock_is_seen
from appnet.analysis.places import Tied, ends_before_messages, notices_answers, notices_messages, ties
from appnet.analysis.wire_errors import Told, told
from appnet.diagnostics.source import TextSource
from appnet.ir import compile_element
from appnet.ir.nodes import Element
from tests.analysis.support import element
from tests.support.signatures import KV

NOTE, SHARED = "codes: Vec<int>", "@consistency(strong) @combiner(sum) n: int"

ERRORS = {  # by what `resp` does: what can be told of an error that the wire makes
    "pass": (),
    "set(rpc, 'key', 'x')": (),
    "set(codes, size(codes), get(rpc, 'score'))": (),
    "set(codes, size(codes), status(rpc))": (Told.COUNTED,),
    "if status(rpc) != 0:\n    set(codes, size(codes), 1)": (Told.COUNTED,),
    "if status(rpc) == 0:\n    set(codes, size(codes), 1)": (),
    "if not (status(rpc) == 0):\n    set(codes, size(codes), 1)": (Told.COUNTED,),
    "if not (status(rpc) != 0):\n    set(codes, size(codes), 1)": (),
    "code = status(rpc)\nmatch code:\n    0 => set_metadata(rpc, 'x', 'y')": (),
    "code = status(rpc)\nmatch code:\n    5 => set_metadata(rpc, 'x', 'y')": (Told.MARKED,),
    "match status(rpc):\n    0 => pass\n    _ => send(err('no'), Up)": (Told.REPLACED,),
    "match status(rpc):\n    0 => send(err('no'), Up)": (),
    "match status(rpc) == 0:\n    true => send(err('no'), Up)\n    false => pass": (),
    "match status(rpc) == 0:\n    true => send(rpc, Up)\n    false => send(err('no'), Up)": (Told.REPLACED,),
    "if get(rpc, 'key') == '':\n    send(err('no'), Up)": (Told.REPLACED,),
    "set_metadata(rpc, 'x', 'y')": (Told.MARKED,),
    "set(rpc, 'score', status(rpc))": (Told.COUNTED,),
    "if status(rpc) > 3:\n    pass": (Told.COUNTED,),
    "code = status(rpc)\ncode = 0\nif code == 0:\n    set_metadata(rpc, 'x', 'y')": (Told.MARKED,),
    "foreach([1, 2], lambda(x):\n    if status(rpc) == 0:\n        set_metadata(rpc, 'x', 'y')\n)": (),
    "foreach([1, 2], lambda(x):\n    set_metadata(rpc, 'x', 'y')\n)": (Told.MARKED,),
}


@pytest.mark.parametrize("resp", ERRORS)
def test_what_can_be_told_of_an_error_of_the_wire(resp: str) -> None:
    assert told(element("it", state=NOTE, resp=resp)) == set(ERRORS[resp])


def test_a_response_that_is_dropped_where_it_is_an_error_is_told() -> None:
    text = "state:\n    pass\ninit():\n    pass\nreq(rpc):\n    send(rpc, Down)\nresp(rpc):\n    match status(rpc):\n        {} => send(rpc, Up)\n"
    for arm, found in (("0", {Told.REPLACED}), ("_", set())):
        assert told(_compiled(text.format(arm))) == found


def _compiled(text: str) -> Element:
    return compile_element(TextSource(Path("it.appnet"), text), KV).element


def test_where_the_clock_shows() -> None:
    bucket = element(
        "bucket",
        "if time_diff(current_time(), last) < 1.0:\n    send(err('wait'), Up)\nlast = current_time()",
        state="last: Instant",
    )
    note = element("note", "set(times, size(times), current_time())", state="times: Vec<Instant>")
    date = element("date", "set_metadata(rpc, 'x', to_string(wall_time()))", state="n: int")
    assert [(clock_is_seen(it), clock_is_kept(it, it.state[0].name)) for it in (bucket, note, date)] == [
        (True, True),
        (False, True),
        (True, False),
    ]
    assert clock_is_seen(element("when", "if wall_time() > 5.0:\n    set(rpc, 'hot', true)"))


def _kinds(it: Element, strength: Strength, **properties: object) -> set[Tied]:
    return {tie.kind for tie in ties(it, KV, replace(infer(it), **properties), strength)}


def test_shared_state_moves_freely_and_instances_own_does_not() -> None:
    quota = "if n >= 3:\n    send(err('quota'), Up)\nn = n + 1"
    for state, strong in (("n: int", {Tied.STATE}), (SHARED, set())):
        it = element("quota", quota, state=state)
        assert (_kinds(it, Strength.STRONG), _kinds(it, Strength.WEAK)) == (strong, set())
    mixed = element("mixed", "n = n + 1\nm = m + 1", state=f"{SHARED}\nm: int")
    assert [it.cause for it in ties(mixed, KV, infer(mixed), Strength.STRONG)] == [
        "each instance has its own `m`, and the sides have different instances"
    ]


def test_a_number_of_a_call_in_shared_state_is_passed_on() -> None:
    text = "set(inside, rpc_id(), true)\nif to_int(size(inside)) > 3:\n    send(err('full'), Up)"
    own = element("own", text, state="inside: Map<uint, bool>")
    shared = element("shared", text, state="@consistency(strong) inside: Map<uint, bool>")
    assert _kinds(own, Strength.WEAK) == set(), "the Map follows, and with it the numbers"
    assert _kinds(shared, Strength.WEAK) == _kinds(shared, Strength.STRONG) == {Tied.CALL_NUMBER}


@pytest.mark.parametrize(
    ("key", "tied"),
    [
        ("user", False),
        ("x-tenant", False),
        ("X-Envoy-Attempt-Count", True),
        ("te", True),
        ("dst", True),
        ("date", True),
    ],
)
def test_metadata_that_proxies_set_or_remove(key: str, tied: bool) -> None:
    it = element("it", f"if get_metadata(rpc, '{key}') == 'x':\n    send(err('no'), Up)")
    assert _kinds(it, Strength.WEAK) == ({Tied.METADATA} if tied else set())
    parameter = element(
        "it", "set(rpc, 'key', get_metadata(rpc, header))", state="header: string", head=f"init(header = '{key}')"
    )
    assert _kinds(parameter, Strength.WEAK) == ({Tied.METADATA} if tied else set())


def test_what_is_said_by_hand_is_believed() -> None:
    it = element("it")
    hand = infer(it)
    assert _kinds(it, Strength.STRONG, by_hand=True) == set()
    response = replace(hand.response, reads_status=True, metadata_written=frozenset({"x"}), refuses=True)
    assert _kinds(it, Strength.STRONG, by_hand=True, response=response) == {Tied.ERRORS}
    for flag, tied in (("time", Tied.CLOCK), ("delays", Tied.WAIT), ("chooses_host", Tied.HOSTS)):
        request = replace(hand.request, **{flag: True})
        assert _kinds(it, Strength.WEAK, by_hand=True, request=request) == {tied}


def test_who_can_tell_when_an_answer_comes() -> None:
    noticing = {
        "state": element("it", state="n: int", resp="n = n * 2"),
        "time": element("it", resp="if wall_time() > 5.0:\n    set(rpc, 'hot', true)"),
        "load": element("it", "(load, at) = get_load(0)\nset(rpc, 'score', load)"),
    }
    blind = {
        "sum": element("it", state="n: int", resp="n = n + 1"),
        "note": element("it", state=NOTE, resp="set(codes, size(codes), status(rpc))"),
        "request": element("it", "set(rpc, 'score', n)\nn = n + 1", state="n: int"),
        "call": element(
            "it", "set(m, rpc_id(), 1)", state="m: Map<uint, int>", resp="set(rpc, 'score', get(m, rpc_id(), 0))"
        ),
        "constant": element("it", state="n: int", head="init(n = 3)", resp="set(rpc, 'score', n)"),
    }
    for answer, elements in ((True, noticing), (False, blind)):
        for name, it in elements.items():
            assert notices_answers(it, infer(it), Strength.STRONG) is answer, name
    assert not notices_answers(noticing["state"], infer(noticing["state"]), Strength.WEAK), "nobody asks for it"


def test_what_is_read_of_a_call_ties_unless_both_sides_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation that is added ties until somebody says that it need not."""
    it = element("it", "set(rpc, 'key', method())")
    assert _kinds(it, Strength.STRONG) == set()
    monkeypatch.setattr(places, "SAME_ON_BOTH_SIDES", frozenset())
    assert _kinds(it, Strength.STRONG) == {Tied.CALL}
    assert _kinds(element("it", "set(rpc, 'key', to_string(rpc_id()))"), Strength.STRONG) == {Tied.CALL_NUMBER}


def test_the_size_of_messages_ties() -> None:
    reads = "if byte_size(rpc) > 99:\n    send(err('large'), Up)"
    assert _kinds(element("it", reads), Strength.WEAK) == _kinds(element("it", reads), Strength.STRONG) == {Tied.SIZE}
    noted = element("it", state=NOTE, resp="set(codes, size(codes), to_int(byte_size(rpc)))")
    assert _kinds(noted, Strength.WEAK) == {Tied.SIZE}
    by_hand = element("it", "pass")
    assert _kinds(by_hand, Strength.WEAK, request=replace(infer(by_hand).request, reads_size=True)) == {Tied.SIZE}


@pytest.mark.parametrize("text", ["set(rpc, 'key', to_string(deadline(rpc)))", "set_deadline(rpc, 2.0)"])
def test_deadlines_tie(text: str) -> None:
    assert _kinds(element("it", text), Strength.WEAK) == _kinds(element("it", text), Strength.STRONG) == {Tied.DEADLINE}


@pytest.mark.parametrize("asked", ["authority(rpc)", "peer(rpc)"])
def test_who_calls_and_whom_ties(asked: str) -> None:
    assert _kinds(element("it", f"set(rpc, 'key', {asked})"), Strength.WEAK) == {Tied.CALL}


def test_a_trailer_marks_errors_as_metadata_does() -> None:
    assert told(element("it", resp="set_trailer(rpc, 'x', 'y')")) == {Told.MARKED}


def test_where_calls_begin_and_end() -> None:
    gate = element("it", state="n: int", open="if n > 1:\n    send(err('full'), Up)\nn = n + 1", end="n = n - 1")
    assert _kinds(gate, Strength.STRONG) == {Tied.STATE}
    assert ends_before_messages(gate)
    assert notices_answers(gate, infer(gate), Strength.STRONG), "a place is given back when the call is over"
    assert _kinds(element("it", state=NOTE, end="set(codes, size(codes), status(rpc))"), Strength.WEAK) == {Tied.ERRORS}
    assert _kinds(element("it", state=NOTE, end="set(codes, size(codes), 1)"), Strength.STRONG) == set()
    timer = element(
        "it",
        state="began: Map<uint, Instant>\ntook: Vec<float>",
        open="set(began, rpc_id(), current_time())",
        end="set(took, size(took), time_diff(current_time(), get(began, rpc_id(), current_time())))",
    )
    assert _kinds(timer, Strength.WEAK) == {Tied.CLOCK}


def test_who_can_tell_that_messages_came_of_a_call_that_ends_at_its_beginning() -> None:
    noticing = {
        "note": element("it", "set(codes, size(codes), get(rpc, 'score'))", state=NOTE),
        "state": element("it", "set(rpc, 'score', n)\nn = n + 1", state="n: int"),
        "error": element("it", "set(rpc, 'score', 1)", resp="set_metadata(rpc, 'x', 'y')"),
    }
    blind = {
        "field": element("it", "set(rpc, 'score', 1)"),
        "call": element("it", "set(m, rpc_id(), 1)", state="m: Map<uint, int>"),
        "holds": element("it", "set(codes, size(codes), 1)\nset_metadata(rpc, 'x', 'y')", state=NOTE),
        "answers": element("it", resp="set(codes, size(codes), 1)", state=NOTE),
    }
    for answer, elements in ((True, noticing), (False, blind)):
        for name, it in elements.items():
            assert notices_messages(it, infer(it), Strength.STRONG) is answer, name
    assert not notices_messages(noticing["note"], infer(noticing["note"]), Strength.WEAK), "records may differ"
