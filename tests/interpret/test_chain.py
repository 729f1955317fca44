"""Which elements a message passes, who sees an error, and what the caller gets."""

from dataclasses import replace

from appnet.interpret import ChainInstance, Environment, Forwarded, Refused, Rpc
from appnet.ir.nodes import Element, Let, Local, ReadField, SetState, State, Statement, WriteField
from appnet.language.types import BOOL, FLOAT, INSTANT, INT, STRING, UINT, PairType, VecType
from tests.support.match_action import FORWARD, METHOD, chain, do, element, integer, let, refuse, route, text, when

LOG = State("log", VecType(STRING))
STATUS = let("code", "status", type=INT)


def note(mark: str) -> Statement:
    return do("vec_append", LOG, text(mark))


def logged(name: str, req: tuple[Statement, ...] = FORWARD, resp: tuple[Statement, ...] = FORWARD) -> Element:
    """An element that records its handlers before it runs them."""
    return element(name, {"log": LOG.type}, req=(note("req"), *req), resp=(note("resp"), *resp))


def trace(instance: ChainInstance) -> list[str]:
    return [f"{scope.split('.')[0]} {value.decode()}" for scope, value in instance.records()]


def refuse_if(path: str, message: str, code: int = 10) -> tuple[Statement, ...]:
    asked = Local("asked", BOOL)
    return Let(asked, ReadField(path, BOOL)), when(asked, refuse(message, code)), *FORWARD


# --- order ---


def test_requests_pass_in_order_and_responses_in_reverse():
    instance = chain(logged("a"), logged("b"))
    rpc = Rpc(METHOD)
    assert instance.request(rpc) == Forwarded({})
    assert instance.response(rpc, 0) == Forwarded({})
    assert trace(instance) == ["a req", "b req", "b resp", "a resp"]


def test_a_refused_request_passes_no_later_element_and_its_error_the_earlier_ones():
    instance = chain(logged("a"), logged("b"), logged("c", refuse_if("yes", "stop", 7)), logged("d"))
    assert instance.request(Rpc(METHOD, {"yes": True})) == Refused(7, b"stop")
    assert trace(instance) == ["a req", "b req", "c req", "b resp", "a resp"]


def test_a_refused_call_has_no_further_response():
    instance = chain(logged("a"), logged("b", (refuse("stop"),)))
    rpc = Rpc(METHOD)
    instance.request(rpc)
    assert instance.response(rpc, 0) == Forwarded({})
    assert trace(instance) == ["a req", "b req", "a resp"]


def test_an_element_without_a_verdict_drops_the_rpc():
    assert chain(element("gate", req=())).request(Rpc(METHOD)) == Refused(14, b"dropped by gate")
    instance = chain(element("gate", resp=()))
    rpc = Rpc(METHOD)
    instance.request(rpc)
    assert instance.response(rpc, 0) == Refused(14, b"dropped by gate")


def test_a_refusing_response_handler_ends_the_way_of_the_response():
    instance = chain(logged("a"), logged("b", resp=(refuse("late", 9),)), logged("c"))
    rpc = Rpc(METHOD)
    instance.request(rpc)
    assert instance.response(rpc, 0) == Refused(9, b"late")
    assert trace(instance) == ["a req", "b req", "c req", "c resp", "b resp", "a resp"]


# --- error responses ---


def test_the_status_is_zero_in_req_and_in_a_good_response():
    seen = State("seen", INT)
    keep = (
        STATUS,
        let("s", "sub", Local("code", INT), integer(1), type=INT),
        SetState(seen, Local("s", INT)),
        *FORWARD,
    )
    instance = chain(element(state={"seen": INT}, req=keep, resp=keep))
    rpc = Rpc(METHOD)
    instance.request(rpc)
    assert instance.state_of("probe") == {"seen": -1}
    instance.response(rpc, 0)
    assert instance.state_of("probe") == {"seen": -1}


def test_earlier_elements_see_the_code_of_the_refusal_last_made():
    def keep(name: str, *then: Statement) -> Element:
        body = (STATUS, SetState(State("seen", INT), Local("code", INT)), *(then or FORWARD))
        return element(name, {"seen": INT}, resp=body)

    instance = chain(keep("a"), keep("b", refuse("changed", 5)), keep("c"), element("d", req=(refuse("first", 7),)))
    assert instance.request(Rpc(METHOD)) == Refused(5, b"changed")
    assert [instance.state_of(name)["seen"] for name in "abc"] == [5, 7, 7]


def test_an_error_handler_without_a_verdict_drops():
    instance = chain(element("a", resp=()), element("b", req=(refuse("stop"),)))
    assert instance.request(Rpc(METHOD)) == Refused(14, b"dropped by a")


def test_a_servers_error_passes_all_elements_with_its_code():
    keep = (STATUS, SetState(State("seen", INT), Local("code", INT)), *FORWARD)
    instance = chain(*(element(name, {"seen": INT}, resp=keep) for name in "ab"))
    rpc = Rpc(METHOD)
    instance.request(rpc)
    assert instance.response(rpc, 13) == Forwarded({})
    assert [instance.state_of(name)["seen"] for name in "ab"] == [13, 13]


def test_in_an_error_response_fields_read_as_defaults_and_writing_has_no_effect():
    seen = State("seen", STRING)
    read = Let(Local("t", STRING), ReadField("text", STRING))
    resp = (WriteField("text", text("new")), read, SetState(seen, Local("t", STRING)), *FORWARD)
    watch = element("watch", {"seen": STRING}, (SetState(seen, text("unset")),), resp=resp)
    server_error = chain(watch)
    rpc = Rpc(METHOD)
    server_error.request(rpc)
    rpc.message = {"text": b"from the server"}
    assert server_error.response(rpc, 2) == Forwarded({})
    assert server_error.state_of("watch") == {"seen": b""}
    refused = chain(watch, element("gate", req=(refuse("stop"),)))
    assert refused.request(Rpc(METHOD, {"text": b"from the client"})) == Refused(10, b"stop")
    assert refused.state_of("watch") == {"seen": b""}


def test_an_error_made_here_has_no_metadata_and_a_servers_error_has():
    seen = State("seen", STRING)
    mark = do("set_metadata", text("mark"), text("1"))
    get = let("m", "get_metadata", text("mark"), type=STRING)
    watch = element("watch", {"seen": STRING}, resp=(get, mark, SetState(seen, Local("m", STRING)), *FORWARD))
    instance = chain(watch, element("gate", resp=refuse_if("yes", "bad")))
    good, bad = Rpc(METHOD), Rpc(METHOD)
    for rpc, answer in ((good, False), (bad, True)):
        instance.request(rpc)
        rpc.message, rpc.response_metadata = {"yes": answer}, {"mark": b"server"}
    instance.response(bad, 0)
    assert instance.state_of("watch") == {"seen": b""}
    assert bad.response_metadata == {"mark": b"server"}
    instance.response(good, 4)
    assert instance.state_of("watch") == {"seen": b"server"}
    assert good.response_metadata == {"mark": b"1"}


# --- what passes between elements ---


def test_later_elements_see_what_earlier_ones_set():
    first = element("first", req=(WriteField("text", text("new")), do("set_metadata", text("k"), text("v")), *FORWARD))
    read = (
        Let(Local("t", STRING), ReadField("text", STRING)),
        let("m", "get_metadata", text("k"), type=STRING),
        let("c", "concat", Local("t", STRING), Local("m", STRING), type=STRING),
        WriteField("text", Local("c", STRING)),
        *FORWARD,
    )
    rpc = Rpc(METHOD, {"text": b"old", "count": 1})
    assert chain(first, element("second", req=read)).request(rpc) == Forwarded({"text": b"newv"})
    assert rpc.message == {"text": b"newv", "count": 1}


def test_response_handlers_see_the_responses_message_and_headers():
    body = (
        Let(Local("t", STRING), ReadField("text", STRING)),
        let("m", "get_metadata", text("k"), type=STRING),
        do("set_metadata", text("seen"), Local("m", STRING)),
        WriteField("text", Local("m", STRING)),
        *FORWARD,
    )
    rpc = Rpc(METHOD, {"text": b"asked"}, metadata={"k": b"request"})
    instance = chain(element(resp=body))
    instance.request(rpc)
    rpc.message, rpc.response_metadata = {"text": b"answer"}, {"k": b"response"}
    assert instance.response(rpc, 0) == Forwarded({"text": b"response"})
    assert rpc.response_metadata == {"k": b"response", "seen": b"response"}
    assert rpc.metadata == {"k": b"request"}


def test_calls_are_numbered_from_one_and_keep_their_number():
    keep = (let("id", "rpc_id", type=UINT), do("vec_append", State("ids", VecType(UINT)), Local("id", UINT)), *FORWARD)
    instance = chain(element(state={"ids": VecType(UINT)}, req=keep, resp=keep))
    first, second = Rpc(METHOD), Rpc(METHOD)
    instance.request(first)
    instance.request(second)
    instance.response(second, 0)
    instance.response(first, 0)
    assert [value for _, value in instance.records()] == [1, 2, 2, 1]


def test_in_a_stream_each_message_is_judged_and_the_call_keeps_its_number():
    keep = (let("id", "rpc_id", type=UINT), WriteField("big", Local("id", UINT)), *FORWARD)
    instance = chain(element(req=keep, resp=keep))
    rpc = Rpc(replace(METHOD, client_streaming=True, server_streaming=True), {"text": b"first"})
    assert instance.request(rpc) == Forwarded({"big": 1})
    rpc.message = {"text": b"second"}
    assert instance.request(rpc) == Forwarded({"big": 1})
    for _ in range(2):
        rpc.message = {}
        assert instance.response(rpc, 0) == Forwarded({"big": 1})


# --- backends ---


def load_of(host: int) -> tuple[Statement, ...]:
    load = PairType(INT, INSTANT)
    return (
        let("load", "get_load", integer(host), type=load),
        let("n", "first", Local("load", load), type=INT),
        WriteField("count", Local("n", INT)),
    )


def test_a_call_counts_for_the_host_that_a_handler_chose_until_its_response():
    choose = route("1")
    instance = chain(element(req=(*load_of(1), choose, *FORWARD), resp=(*load_of(1), *FORWARD)), backends=2)
    first, second, third = Rpc(METHOD), Rpc(METHOD), Rpc(METHOD)
    assert instance.request(first) == Forwarded({"count": 0})
    assert instance.request(second) == Forwarded({"count": 1})
    assert instance.response(first, 0) == Forwarded({"count": 1})
    instance.end(second)
    assert instance.request(third) == Forwarded({"count": 0})


def test_only_a_host_that_a_handler_chose_and_all_forwarded_counts():
    def loads(value: str, *then: Statement) -> object:
        instance = chain(
            element("set", req=(*load_of(1), route(value), *FORWARD)),
            element("then", req=then or FORWARD),
            backends=2,
        )
        instance.request(Rpc(METHOD))
        rpc = Rpc(METHOD)
        instance.request(rpc)
        return rpc.message["count"]

    assert loads("1") == 1
    assert loads("01") == 1
    assert loads("2") == loads("-1") == loads("1x") == loads("") == loads("9" * 5000) == 0
    assert loads("1", refuse("no")) == 0
    not_set = chain(element(req=(*load_of(1), *FORWARD)), backends=2)
    for _ in range(2):
        rpc = Rpc(METHOD, metadata={"dst": b"1"})
        assert not_set.request(rpc) == Forwarded({"count": 0})


# --- environment ---


def test_the_clock_is_asked_each_time():
    times = iter([0, 1_500_000_000, 4_000_000_000])
    start = State("start", INSTANT)
    init = (let("t", "now", type=INSTANT), SetState(start, Local("t", INSTANT)))
    body = (
        let("t", "now", type=INSTANT),
        let("d", "time_diff", Local("t", INSTANT), start, type=FLOAT),
        WriteField("ratio", Local("d", FLOAT)),
        *FORWARD,
    )
    instance = ChainInstance([element(state={"start": INSTANT}, init=init, req=body)], Environment(lambda: next(times)))
    assert instance.request(Rpc(METHOD)) == Forwarded({"ratio": 1.5})
    assert instance.request(Rpc(METHOD)) == Forwarded({"ratio": 4.0})


def test_draws_repeat_by_seed_and_differ_by_element():
    draw = (
        let("r", "random_int", integer(0), integer(2**62), type=INT),
        WriteField("count", Local("r", INT)),
        *FORWARD,
    )

    def drawn(seed: int, name: str) -> object:
        return chain(element(name, req=draw), seed=seed).request(Rpc(METHOD))

    assert drawn(1, "a") == drawn(1, "a")
    assert drawn(1, "a") != drawn(2, "a")
    assert drawn(1, "a") != drawn(1, "b")


def test_handlers_of_interleaved_calls_do_not_touch_each_other():
    kept = State("kept", INT)
    got = Local("got", INT)
    body = (Let(got, ReadField("count", INT)), SetState(kept, got), WriteField("count", kept), *FORWARD)
    instance = chain(element(state={"kept": INT}, req=body, resp=body))
    rpcs = [Rpc(METHOD, {"count": i}) for i in range(5)]
    for i, rpc in enumerate(rpcs):
        assert instance.request(rpc) == Forwarded({"count": i})
    for i, rpc in reversed(list(enumerate(rpcs))):
        assert instance.response(rpc, 0) == Forwarded({"count": i})
