"""The rules of the language, each as a small program and what comes of it."""

import math
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from appnet.diagnostics.source import TextSource
from appnet.interpret import Answered, ChainInstance, Environment, Forwarded, Outcome, Refused, Rpc
from appnet.ir.compile import compile_element
from appnet.language import Given
from appnet.language.operations.metadata import DELAY, HOST
from tests.support.sample import SAMPLE


def chain(*programs: str, state: str = "pass", backends: int = 0) -> ChainInstance:
    """Elements named a, b, c, … of these handlers; a program that has no blocks is the body of ``req``."""
    elements = []
    for name, program in zip("abcdef", programs, strict=False):
        text = dedent(program).strip("\n")
        if not text.startswith("state:"):
            body = text if text.startswith("req") else "req(rpc):\n" + _indented(text + "\nsend(rpc, Down)")
            resp = "" if "resp(rpc):" in body else "\nresp(rpc):\n    send(rpc, Up)"
            text = f"state:\n{_indented(dedent(state).strip())}\ninit():\n    pass\n{body}{resp}\n"
        elements.append(compile_element(TextSource(Path("rule.appnet"), text), SAMPLE, name=name).element)
    return ChainInstance(elements, Environment(lambda: 5_000_000_000, seed=1, backend_count=backends))


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def ask(program: str, state: str = "pass", **fields: object) -> Outcome:
    """What becomes of one request."""
    return chain(program, state=state).request(Rpc(SAMPLE, dict(fields)))


# --- nothing can crash a proxy ---


def test_an_integer_divided_by_zero_is_zero():
    got = ask("set(rpc, 'count', 7 / get(rpc, 'small'))\nset(rpc, 'big', get(rpc, 'wide') / 0)", wide=3)
    assert got == Forwarded({"count": 0, "big": 0})


def test_integers_wrap():
    got = ask(
        "set(rpc, 'count', get(rpc, 'count') + 1)\nset(rpc, 'big', get(rpc, 'big') - 1)",
        count=2**63 - 1,
    )
    assert got == Forwarded({"count": -(2**63), "big": 2**64 - 1})


def test_an_index_out_of_range_reads_none_and_writes_nothing():
    program = """
        set(items, 5, 1)
        set(items, 0 - 1, 1)
        match get(items, 0):
            Some(item) => send(err('found'), Up)
            None => pass
        set(items, 0, 7)
        set(rpc, 'count', get(items, 0, 0) + get(items, 1, 100))
    """
    assert ask(program, state="items: Vec<int>") == Forwarded({"count": 107})


def test_a_string_that_is_no_utf8_is_passed_through_untouched():
    got = ask("set(rpc, 'extra', concat(get(rpc, 'text'), '!'))", text=b"\xff\xfe")
    assert got == Forwarded({"extra": b"\xff\xfe!"})


def test_foreach_runs_over_a_snapshot():
    program = """
        set(items, size(items), 1)
        foreach(items, lambda(item):
            set(items, size(items), item)
        )
        set(rpc, 'big', size(items))
    """
    assert ask(program, state="items: Vec<int>") == Forwarded({"big": 2})


def test_a_full_map_drops_the_key_least_recently_set():
    program = "set(seen, get(rpc, 'text'), 1)\nset(rpc, 'big', size(seen))"
    instance = chain(program, state="@capacity(2) seen: Map<string, int>")
    sizes = [instance.request(Rpc(SAMPLE, {"text": key})) for key in (b"a", b"b", b"a", b"c")]
    assert sizes == [Forwarded({"big": size}) for size in (1, 2, 2, 2)]
    assert list(instance.state_of("a")["seen"]) == [b"a", b"c"]


def test_a_full_vec_drops_its_oldest_item():
    program = "set(log, size(log), get(rpc, 'count'))\nset(rpc, 'big', size(log))"
    instance = chain(program, state="@capacity(2) log: Vec<int>")
    for count in (1, 2, 3):
        instance.request(Rpc(SAMPLE, {"count": count}))
    assert instance.state_of("a") == {"log": [2, 3]}


def test_a_capacity_is_65536_unless_another_is_given():
    program = """
        set(seen, get(rpc, 'count'), true)
        set(rpc, 'big', size(seen))
    """
    instance = chain(program, state="seen: Map<int, bool>")
    rpcs = [Rpc(SAMPLE, {"count": count}) for count in range(65_538)]
    sizes = [rpc.message["big"] for rpc in rpcs if instance.request(rpc)]
    assert sizes[65_534:] == [65_535, 65_536, 65_536, 65_536]
    assert 0 not in instance.state_of("a")["seen"]


# --- verdicts ---


def test_send_forwards():
    assert ask("pass") == Forwarded({})


@pytest.mark.parametrize(
    ("answer", "code"), [("err('no')", 10), ("err('no', PERMISSION_DENIED)", 7), ("err('no', UNAVAILABLE)", 14)]
)
def test_an_error_answers_the_caller(answer: str, code: int):
    assert chain(f"req(rpc):\n    send({answer}, Up)").request(Rpc(SAMPLE)) == Refused(code, b"no")


def test_an_errors_text_may_be_computed():
    program = "req(rpc):\n    send(err(concat('no ', get(rpc, 'text'))), Up)"
    assert chain(program).request(Rpc(SAMPLE, {"text": b"\xff"})) == Refused(10, b"no \xff")


def test_a_path_without_send_drops_the_rpc():
    program = """
        req(rpc):
            match get(rpc, 'text'):
                'good' => send(rpc, Down)
                'bad' => send(err('bad'), Up)
    """
    instance = chain(program)
    outcomes = [instance.request(Rpc(SAMPLE, {"text": text})) for text in (b"good", b"bad", b"else")]
    assert outcomes == [Forwarded({}), Refused(10, b"bad"), Refused(14, b"dropped by a")]


def test_send_ends_the_handler():
    program = """
        req(rpc):
            if get(rpc, 'yes'):
                send(err('early'), Up)
            ran = ran + 1
            send(rpc, Down)
    """
    instance = chain(program, state="ran: int")
    for yes in (True, False, True):
        instance.request(Rpc(SAMPLE, {"yes": yes}))
    assert instance.state_of("a") == {"ran": 1}


def test_what_was_not_encrypted_with_the_key_is_an_error_response():
    seal = "set(rpc, 'text', encrypt(get(rpc, 'text'), 'key'))"
    unpack = "set(rpc, 'text', decompress(get(rpc, 'text')))"
    assert chain(unpack).request(Rpc(SAMPLE, {"text": b"plain"})) == Refused(3, b"decompress failed in a")
    unseal = "set(rpc, 'text', decrypt(get(rpc, 'text'), 'key'))"
    assert chain(seal, unseal).request(Rpc(SAMPLE, {"text": b"secret"})) == Forwarded({"text": b"secret"})
    assert chain(unseal).request(Rpc(SAMPLE, {"text": b"plain"})) == Refused(3, b"decrypt failed in a")


# --- a chain ---

TRACE = """
    req(rpc):
        set_metadata(rpc, 'user', concat(get_metadata(rpc, 'user'), 'NAME'))
        send(rpc, Down)
    resp(rpc):
        codes = codes + 1 + status(rpc) * 1000
        set_metadata(rpc, 'user', concat(get_metadata(rpc, 'user'), 'NAME'))
        send(rpc, Up)
"""
REFUSE = """
    req(rpc):
        if get(rpc, 'yes'):
            send(err('stop', NOT_FOUND), Up)
        send(rpc, Down)
    resp(rpc):
        if get(rpc, 'yes'):
            send(err('back', ALREADY_EXISTS), Up)
        send(rpc, Up)
"""


def traced(*programs: str) -> ChainInstance:
    return chain(
        *(TRACE.replace("NAME", program) if len(program) == 1 else program for program in programs), state="codes: int"
    )


def test_requests_pass_in_order_and_responses_in_reverse():
    instance, rpc = traced("x", "y", "z"), Rpc(SAMPLE)
    instance.request(rpc)
    assert rpc.metadata == {"user": b"xyz"}
    instance.response(rpc, 0)
    assert rpc.response_metadata == {"user": b"zyx"}


def test_an_error_passes_the_resp_of_the_elements_before():
    instance = traced("x", "y", REFUSE, "z")
    assert instance.request(Rpc(SAMPLE, {"yes": True})) == Refused(5, b"stop", {"user": b"yx"})
    assert [instance.state_of(name)["codes"] for name in "abd"] == [5001, 5001, 0]


def test_an_error_made_by_a_response_handler_passes_the_elements_before():
    instance, rpc = traced("x", REFUSE, "z"), Rpc(SAMPLE)
    instance.request(rpc)
    rpc.message = {"yes": True}
    assert instance.response(rpc, 0) == Refused(6, b"back", {"user": b"x"})
    assert [instance.state_of(name)["codes"] for name in "ac"] == [6001, 1]


TELLS = """
    req(rpc):
        set_metadata(rpc, 'retry-after', '5')
        set_metadata(rpc, 'x-taken-back', '1')
        delete_metadata(rpc, 'x-taken-back')
        if get(rpc, 'yes'):
            send(err('later', UNAVAILABLE), Up)
        send(rpc, Down)
    resp(rpc):
        set_trailer(rpc, 'grpc-retry-pushback-ms', '100')
        if status(rpc) == 13:
            send(err('hidden', ABORTED), Up)
        send(rpc, Up)
"""
SEES = """
    req(rpc):
        send(rpc, Down)
    resp(rpc):
        if status(rpc) != 0:
            set_metadata(rpc, 'x-seen', get_metadata(rpc, 'retry-after') + '/' + get_metadata(rpc, 'content-type'))
            set_metadata(rpc, 'x-old', get_metadata(rpc, 'old') + get_trailer(rpc, 'old'))
        send(rpc, Up)
"""


def test_what_a_handler_has_set_goes_with_its_error_and_is_seen_on_the_way():
    instance = chain(SEES, TELLS)
    told = {"retry-after": b"5", "x-seen": b"5/application/grpc", "x-old": b""}
    assert instance.request(Rpc(SAMPLE, {"yes": True})) == Refused(14, b"later", told)


def test_an_error_made_by_an_element_carries_nothing_of_an_earlier_one():
    instance, rpc = chain(SEES, TELLS), Rpc(SAMPLE)
    instance.request(rpc)
    rpc.response_metadata = {"old": b"secret", "grpc-status-details-bin": b"c2VjcmV0"}
    told = {"grpc-retry-pushback-ms": b"100", "x-seen": b"/application/grpc", "x-old": b""}
    assert instance.response(rpc, 13) == Refused(10, b"hidden", told)


def test_a_servers_error_has_one_set_of_metadata_unless_its_response_has_begun():
    instance, rpc = chain(SEES, SEES), Rpc(SAMPLE)
    instance.request(rpc)
    rpc.response_metadata = {"old": b"1"}
    assert instance.response(rpc, 5) == Forwarded({})
    assert rpc.response_metadata["x-old"] == b"11"
    begun = Rpc(SAMPLE, response_begun=True)
    instance.request(begun)
    begun.response_metadata, begun.response_trailers = {"old": b"1"}, {"old": b"2"}
    assert instance.response(begun, 5) == Forwarded({})
    assert begun.response_trailers["x-old"] == b"22"


def test_a_reply_takes_along_what_was_set():
    replies = """
        req(rpc):
            set_metadata(rpc, 'x-cache', 'hit')
            r = reply()
            set(r, 'text', 'kept')
            send(r, Up)
        resp(rpc):
            send(rpc, Up)
    """
    marks = """
        req(rpc):
            send(rpc, Down)
        resp(rpc):
            set_metadata(rpc, 'x-seen', get_metadata(rpc, 'x-cache'))
            set_trailer(rpc, 'cost', '0' + get_trailer(rpc, 'x-cache'))
            send(rpc, Up)
    """
    answered = chain(marks, replies).request(Rpc(SAMPLE))
    assert isinstance(answered, Answered)
    assert (answered.metadata, answered.trailers) == ({"x-cache": b"hit", "x-seen": b"hit"}, {"cost": b"0"})


def test_end_sees_the_trailers_with_which_the_response_left_the_element():
    notes = """
        req(rpc):
            set_metadata(rpc, 'cost', 'none')
            if get(rpc, 'yes'):
                send(err('no'), Up)
            send(rpc, Down)
        resp(rpc):
            set_trailer(rpc, 'cost', get_trailer(rpc, 'cost') + 'x')
            send(rpc, Up)
        end(rpc):
            seen = get_trailer(rpc, 'Cost')
    """
    for ended, seen in (
        (lambda chain, rpc: chain.response(rpc, 0), (b"1xx", b"1x")),
        (lambda chain, rpc: chain.response(rpc, 5), (b"0xx", b"0x")),
        (lambda chain, rpc: chain.end(rpc), (b"", b"")),
        (lambda chain, rpc: chain.end(rpc, 0), (b"1", b"1")),
    ):
        instance, rpc = chain(notes, notes, state="seen: string"), Rpc(SAMPLE)
        instance.request(rpc)
        rpc.response_metadata, rpc.response_trailers = {"cost": b"0"}, {"cost": b"1"}
        ended(instance, rpc)
        assert tuple(instance.state_of(name)["seen"] for name in "ab") == seen
    refusing = "            if get(rpc, 'yes'):\n                send(err('no'), Up)\n"
    assert refusing in notes
    instance = chain(notes.replace(refusing, ""), notes, state="seen: string")
    instance.request(Rpc(SAMPLE, {"yes": True}))
    assert tuple(instance.state_of(name)["seen"] for name in "ab") == (b"nonex", b"")  # it let nothing pass


def test_a_request_takes_along_the_time_that_is_left():
    shorter = """
        req(rpc):
            set_deadline(rpc, min(deadline(rpc) / 2.0, 60.0))
            send(rpc, Down)
        resp(rpc):
            send(rpc, Up)
    """
    for told, timeout in ((b"2S", 500_000_000), (b"0m", 0), (b"1X", 30_000_000_000), (None, 30_000_000_000)):
        rpc = Rpc(SAMPLE, metadata={} if told is None else {"grpc-timeout": told})
        chain(shorter, shorter).request(rpc)
        assert rpc.timeout_ns == timeout if told != b"0m" else rpc.timeout_ns is None


def test_a_servers_error_passes_the_whole_chain():
    instance, rpc = traced("x", "y"), Rpc(SAMPLE)
    instance.request(rpc)
    assert instance.response(rpc, 13) == Forwarded({})
    assert [instance.state_of(name)["codes"] for name in "ab"] == [13001, 13001]


def test_in_an_error_response_fields_are_defaults_and_stay_so():
    program = """
        req(rpc):
            send(rpc, Down)
        resp(rpc):
            set(rpc, 'text', 'new')
            kept = concat(get(rpc, 'text'), '|')
            send(rpc, Up)
    """
    instance, rpc = chain(program, state="kept: string"), Rpc(SAMPLE)
    instance.request(rpc)
    rpc.message = {"text": b"partial answer"}
    assert instance.response(rpc, 2) == Forwarded({})
    assert instance.state_of("a") == {"kept": b"|"}


def test_what_an_element_sets_is_seen_by_all_later_ones():
    first = "set(rpc, 'inner.deep.word', 'new')\nset(rpc, 'small', 2147483648)"
    second = "set(rpc, 'text', get(rpc, 'inner.deep.word'))\nset(rpc, 'count', get(rpc, 'small'))"
    expected = {"inner.deep.word": b"new", "small": -(2**31), "text": b"new", "count": -(2**31)}
    assert chain(first, second).request(Rpc(SAMPLE)) == Forwarded(expected)


def test_rpc_id_is_one_for_the_call():
    program = """
        req(rpc):
            set(kept, rpc_id(), get(rpc, 'text'))
            send(rpc, Down)
        resp(rpc):
            set(rpc, 'text', get(kept, rpc_id(), 'lost'))
            send(rpc, Up)
    """
    instance = chain(program, state="kept: Map<uint, string>")
    first, second = Rpc(SAMPLE, {"text": b"one"}), Rpc(SAMPLE, {"text": b"two"})
    for rpc in (first, second):
        instance.request(rpc)
        rpc.message = {}
    assert instance.response(second, 0) == Forwarded({"text": b"two"})
    assert instance.response(first, 0) == Forwarded({"text": b"one"})


# --- state ---


def test_init_runs_once_for_each_instance_and_sees_parameters():
    text = dedent("""
        state:
            limit: float
            runs: int
        init(start = 2.5):
            limit = start
            runs = runs + 1
        req(rpc):
            set(rpc, 'ratio', limit)
            send(rpc, Down)
        resp(rpc):
            send(rpc, Up)
    """)
    instance = chain(text.strip())
    assert instance.request(Rpc(SAMPLE)) == Forwarded({"ratio": 2.5})
    assert instance.request(Rpc(SAMPLE)) == Forwarded({"ratio": 2.5})
    assert instance.state_of("a") == {"limit": 2.5, "runs": 1}
    given = compile_element(
        TextSource(Path("rule.appnet"), text.strip() + "\n"), SAMPLE, parameters={"start": Given(9)}
    )
    other = ChainInstance([given.element], Environment(lambda: 0))
    assert other.request(Rpc(SAMPLE)) == Forwarded({"ratio": 9.0})


def test_containers_are_values():
    program = """
        copy = items
        set(copy, 0, 9)
        set(rpc, 'count', get(items, 0, 1) * 10 + get(copy, 0, 1))
        items = copy
        set(copy, 0, 3)
    """
    instance = chain(program, state="items: Vec<int>")
    assert instance.request(Rpc(SAMPLE)) == Forwarded({"count": 19})
    assert instance.state_of("a") == {"items": [9]}
    assert instance.request(Rpc(SAMPLE)) == Forwarded({"count": 99})


def test_and_or_ask_their_right_side_only_when_it_counts():
    program = """
        if get(rpc, 'yes') and randomi(0, 10) >= 0:
            set(rpc, 'count', 1)
        set(rpc, 'sway', randomi(0, 1000000))
    """
    without = ask("set(rpc, 'sway', randomi(0, 1000000))")
    assert ask(program, yes=False) == without
    assert ask(program, yes=True) != without


def test_backends_are_chosen_by_metadata_and_counted_while_in_flight():
    program = """
        (load, at) = get_load(1)
        set(rpc, 'count', load)
        set_metadata(rpc, 'dst', '1')
    """
    instance = chain(program, backends=2)
    rpcs = [Rpc(SAMPLE) for _ in range(3)]
    assert [instance.request(rpc) for rpc in rpcs] == [Forwarded({"count": count}) for count in range(3)]
    instance.response(rpcs[0], 0)
    assert instance.request(Rpc(SAMPLE)) == Forwarded({"count": 2})


def test_a_loop_over_a_map_goes_from_the_key_set_longest_ago_to_the_one_set_last():
    program = """
        m = {'a': 1, 'b': 2, 'c': 3, 'd': 4}
        set(m, 'b', 5)
        foreach(m, lambda(k, v):
            order = order + k + to_string(v)
            delete(m, 'd')
            set(m, 'late', 0)
        )
        set(rpc, 'text', order)
    """
    state = "@capacity(3)\nm: Map<string, int>\norder: string"
    assert ask(program, state=state) == Forwarded({"text": b"c3d4b5"})


def test_the_last_choice_of_a_host_counts():
    rpc = Rpc(SAMPLE)
    chain("set(rpc, 'dst', 1)\nset_metadata(rpc, 'DST', 'none')", backends=2).request(rpc)
    assert (rpc.routed, rpc.destination, rpc.metadata) == (True, None, {})


@pytest.mark.parametrize(
    ("seconds", "wait_ms"),
    [
        ((2.0, 0.25), 2250),
        ((2.0, -1.0), 2000),
        ((2.0, math.nan), 2000),
        ((-0.0,), 0),
        ((0.0019999, 0.0019999), 2),
        ((math.inf, 86_401.0, 0.5), 172_800_500),
    ],
)
def test_delays_add_up_each_in_whole_milliseconds_and_a_day_at_most(seconds: tuple[float, ...], wait_ms: int):
    rpc = Rpc(replace(SAMPLE, client_streaming=True))
    for it in seconds:
        rpc.message = {"ratio": it}
        chain("delay(rpc, get(rpc, 'ratio'))").request(rpc)
    assert rpc.wait_ms == wait_ms


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (DELAY, "'X-Envoy-Fault-Delay-Request'"),
        (DELAY, "'x-envoy-fault-' + 'delay-request'"),
        (HOST, "'X-AppNet-Host'"),
        (HOST, "'x-appnet-' + 'host'"),
    ],
)
def test_elements_neither_see_nor_set_what_tells_a_proxy_what_to_do(header: str, key: str):
    rpc = Rpc(SAMPLE, metadata={header: b"9"}, response_metadata={header: b"9"})
    look = f"    set(rpc, 'text', get_metadata(rpc, {key}) + '.')\n    set_metadata(rpc, {key}, '5')\n"
    tried = chain(f"req(rpc):\n{look}    send(rpc, Down)\nresp(rpc):\n{look}    send(rpc, Up)")
    assert tried.request(rpc) == Forwarded({"text": b"."})
    assert (rpc.wait_ms, rpc.metadata) == (0, {})
    assert tried.response(rpc, 0) == Forwarded({"text": b"."})
    assert rpc.response_metadata == {header: b"9"}
    assert not rpc.routed


def test_a_computed_key_chooses_no_host():
    rpc = Rpc(SAMPLE)
    chain("set_metadata(rpc, 'd' + 'st', '1')", backends=2).request(rpc)
    assert (rpc.routed, rpc.metadata) == (False, {})
