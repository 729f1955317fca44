"""What handlers do to state, locals and the message: one element at a time."""

from appnet.interpret import Forwarded, Refused, Rpc
from appnet.ir.nodes import (
    AnyPattern,
    Arm,
    Block,
    Const,
    Foreach,
    Let,
    LiteralPattern,
    Local,
    Match,
    NonePattern,
    ReadField,
    SetState,
    SomePattern,
    State,
    WriteField,
)
from appnet.language.types import (
    BOOL,
    BYTES,
    FLOAT,
    INSTANT,
    INT,
    STRING,
    UINT,
    MapType,
    OptionType,
    PairType,
    VecType,
)
from tests.support.match_action import FORWARD, METHOD, chain, do, element, integer, let, number, refuse, text, when

VEC = VecType(INT)
ITEMS = State("items", VEC)
NAMES = State("names", MapType(STRING, INT))
N = State("n", INT)


def count_from(path: str, name: str = "got") -> Let:
    return Let(Local(name, INT), ReadField(path, INT))


# --- state ---


def test_state_starts_at_the_defaults_of_its_types():
    types = {
        "a": BOOL,
        "b": INT,
        "c": FLOAT,
        "d": STRING,
        "e": BYTES,
        "f": INSTANT,
        "g": PairType(INT, VEC),
        "h": VEC,
        "i": MapType(STRING, INT),
        "j": UINT,
    }
    state = chain(element(state=types)).state_of("probe")
    defaults = {"a": False, "b": 0, "c": 0.0, "d": b"", "e": b"", "f": 0, "g": (0, []), "h": [], "i": {}, "j": 0}
    assert state == defaults


def test_init_runs_once_for_each_instance():
    made = element(state={"n": INT}, init=(let("t", "add", N, integer(1), type=INT), SetState(N, Local("t", INT))))
    instance = chain(made)
    instance.request(Rpc(METHOD))
    assert instance.state_of("probe") == {"n": 1}
    assert chain(made).state_of("probe") == {"n": 1}


def test_state_lasts_from_call_to_call():
    made = element(
        state={"n": INT}, req=(let("t", "add", N, integer(2), type=INT), SetState(N, Local("t", INT)), *FORWARD)
    )
    instance = chain(made)
    for _ in range(3):
        instance.request(Rpc(METHOD))
    assert instance.state_of("probe") == {"n": 6}


def test_a_capacity_is_that_of_the_variable():
    made = element(
        state={"names": NAMES.type, "items": VEC},
        capacity={"names": 2, "items": 2},
        req=(
            Let(Local("k", STRING), ReadField("text", STRING)),
            do("map_set", NAMES, Local("k", STRING), integer(1)),
            do("vec_append", ITEMS, integer(1)),
            let("s", "vec_size", ITEMS, type=UINT),
            let("i", "to_int", Local("s", UINT), type=INT),
            do("vec_set", ITEMS, integer(0), Local("i", INT)),
            *FORWARD,
        ),
    )
    instance = chain(made)
    for key in (b"a", b"b", b"c"):
        instance.request(Rpc(METHOD, {"text": key}))
    state = instance.state_of("probe")
    assert state == {"names": {b"b": 1, b"c": 1}, "items": [2, 1]}


def test_assigning_a_container_cuts_it_down_to_the_variable():
    long = Local("long", VEC)
    body = (
        let("long", "vec_new", type=VEC),
        *(do("vec_append", long, integer(i)) for i in range(4)),
        SetState(ITEMS, long),
        *FORWARD,
    )
    instance = chain(element(state={"items": VEC}, capacity={"items": 3}, req=body))
    instance.request(Rpc(METHOD))
    assert instance.state_of("probe") == {"items": [1, 2, 3]}


def test_rpc_scoped_state_has_no_capacity():
    calls = State("calls", MapType(UINT, INT))
    put = (let("id", "rpc_id", type=UINT), do("map_set", calls, Local("id", UINT), integer(7)), *FORWARD)
    get = (
        let("id", "rpc_id", type=UINT),
        let("o", "map_get_or", calls, Local("id", UINT), integer(0), type=INT),
        WriteField("count", Local("o", INT)),
        *FORWARD,
    )
    instance = chain(element(state={"calls": calls.type}, capacity={"calls": 1}, req=put, resp=get))
    rpcs = [Rpc(METHOD), Rpc(METHOD)]
    for rpc in rpcs:
        instance.request(rpc)
    assert [instance.response(rpc, 0) for rpc in rpcs] == [Forwarded({"count": 7})] * 2


def test_record_streams_are_noted_in_order_and_other_vecs_are_not():
    log = State("log", VecType(PairType(STRING, INT)))
    body = (
        Let(Local("t", STRING), ReadField("text", STRING)),
        let("p", "pair", Local("t", STRING), integer(1), type=log.type.item),
        do("vec_append", log, Local("p", log.type.item)),
        do("vec_append", ITEMS, integer(1)),
        let("s", "vec_size", ITEMS, type=UINT),
        *FORWARD,
    )
    made = element("a", {"log": log.type, "items": VEC}, req=body)
    other = element("b", {"log": log.type}, req=(*body[:3], refuse("no")))
    instance = chain(made, other)
    instance.request(Rpc(METHOD, {"text": b"x"}))
    instance.request(Rpc(METHOD, {"text": b"y"}))
    assert instance.records() == [
        ("a.log", (b"x", 1)),
        ("b.log", (b"x", 1)),
        ("a.log", (b"y", 1)),
        ("b.log", (b"y", 1)),
    ]


# --- value semantics ---


def test_a_local_holds_a_copy_of_state_and_state_a_copy_of_a_local():
    copy = Local("copy", VEC)
    body = (
        Let(copy, ITEMS),
        do("vec_append", copy, integer(1)),
        SetState(State("kept", VEC), copy),
        do("vec_append", copy, integer(2)),
        *FORWARD,
    )
    instance = chain(element(state={"items": VEC, "kept": VEC}, req=body))
    instance.request(Rpc(METHOD))
    assert instance.state_of("probe") == {"items": [], "kept": [1]}


def test_what_a_map_gives_is_a_copy():
    nested = State("nested", MapType(STRING, VEC))
    got = Local("got", VEC)
    body = (
        let("empty", "vec_new", type=VEC),
        do("map_set", nested, text("k"), Local("empty", VEC)),
        do("vec_append", Local("empty", VEC), integer(1)),
        let("o", "map_get", nested, text("k"), type=OptionType(VEC)),
        Match(
            Local("o", OptionType(VEC)), (Arm(SomePattern(got), Block((do("vec_append", got, integer(2)),))),)
        ),
        *FORWARD,
    )  # fmt: skip
    instance = chain(element(state={"nested": nested.type}, req=body))
    instance.request(Rpc(METHOD))
    assert instance.state_of("probe") == {"nested": {b"k": []}}


def test_a_loop_runs_over_the_items_as_they_were_when_it_began():
    body = (
        do("vec_append", ITEMS, integer(1)),
        do("vec_append", ITEMS, integer(2)),
        Foreach(Local("i", INT), ITEMS, Block((do("vec_append", ITEMS, Local("i", INT)),))),
        *FORWARD,
    )
    instance = chain(element(state={"items": VEC}, req=body))
    instance.request(Rpc(METHOD))
    assert instance.state_of("probe") == {"items": [1, 2, 1, 2]}


def test_a_verdict_in_a_loop_ends_the_handler():
    body = (
        do("vec_append", ITEMS, integer(1)),
        do("vec_append", ITEMS, integer(2)),
        Foreach(Local("i", INT), ITEMS, Block((SetState(N, Local("i", INT)), refuse("in the loop")))),
        *FORWARD,
    )
    instance = chain(element(state={"items": VEC, "n": INT}, req=body))
    assert instance.request(Rpc(METHOD)) == Refused(10, b"in the loop")
    assert instance.state_of("probe")["n"] == 1


# --- match ---


def test_the_first_arm_that_fits_runs_and_none_may_fit():
    def arms(*literals: int) -> tuple[Arm, ...]:
        return tuple(Arm(LiteralPattern(integer(value)), Block((refuse(f"arm {value}"),))) for value in literals)

    wild = Arm(AnyPattern(), Block((refuse("any"),)))
    got = Local("got", INT)
    some = chain(element(req=(count_from("count"), Match(got, arms(1, 2)), *FORWARD)))
    every = chain(element(req=(count_from("count"), Match(got, (*arms(1), wild, *arms(2))), *FORWARD)))
    assert some.request(Rpc(METHOD, {"count": 2})) == Refused(10, b"arm 2")
    assert some.request(Rpc(METHOD, {"count": 3})) == Forwarded({})
    assert every.request(Rpc(METHOD, {"count": 2})) == Refused(10, b"any")


def test_options_are_taken_apart():
    option = Local("o", OptionType(INT))
    body = (
        Let(Local("k", STRING), ReadField("text", STRING)),
        let("o", "map_get", NAMES, Local("k", STRING), type=OptionType(INT)),
        Match(
            option,
            (
                Arm(SomePattern(Local("v", INT)), Block((WriteField("count", Local("v", INT)),))),
                Arm(NonePattern(), Block((refuse("none"),))),
            ),
        ),
        *FORWARD,
    )
    instance = chain(
        element(state={"names": NAMES.type}, init=(do("map_set", NAMES, text("k"), integer(4)),), req=body)
    )
    assert instance.request(Rpc(METHOD, {"text": b"k"})) == Forwarded({"count": 4})
    assert instance.request(Rpc(METHOD, {"text": b"x"})) == Refused(10, b"none")


def test_a_float_that_is_not_a_number_fits_no_literal():
    nan = Let(Local("f", FLOAT), ReadField("ratio", FLOAT))
    fits = Match(Local("f", FLOAT), (Arm(LiteralPattern(number(float("nan"))), Block((refuse("fits"),))),))
    instance = chain(element(req=(nan, fits, *FORWARD)))
    assert instance.request(Rpc(METHOD, {"ratio": float("nan")})) == Forwarded({})


# --- fields ---


def test_an_absent_field_reads_as_its_default():
    body = (
        Let(Local("t", STRING), ReadField("text", STRING)),
        let("e", "eq", Local("t", STRING), text(""), type=BOOL),
        when(Local("e", BOOL), refuse("empty")),
        *FORWARD,
    )
    assert chain(element(req=body)).request(Rpc(METHOD)) == Refused(10, b"empty")


def test_a_written_field_is_seen_by_later_reads_as_its_kind_holds_it():
    cases = {
        "small": (Const(2**31, INT), -(2**31)),
        "level": (Const(-(2**31) - 1, INT), 2**31 - 1),
        "port": (Const(2**32 + 5, UINT), 5),
        "narrow": (number(0.1), 0.10000000149011612),
        "count": (Const(2**31, INT), 2**31),
        "big": (Const(2**64 - 1, UINT), 2**64 - 1),
        "ratio": (number(0.1), 0.1),
        "text": (Const(b"\xff", STRING), b"\xff"),
        "yes": (Const(True, BOOL), True),
    }
    for path, (written, kept) in cases.items():
        state = State("seen", written.type)
        body = (
            WriteField(path, written),
            Let(Local("back", written.type), ReadField(path, written.type)),
            SetState(state, Local("back", written.type)),
            *FORWARD,
        )
        instance = chain(element(state={"seen": written.type}, req=body))
        rpc = Rpc(METHOD)
        assert instance.request(rpc) == Forwarded({path: kept})
        assert instance.state_of("probe") == {"seen": kept}
        assert rpc.message == {path: kept}


def test_a_float_too_great_for_the_field_is_written_as_infinity():
    instance = chain(element(req=(WriteField("narrow", number(1e300)), *FORWARD)))
    assert instance.request(Rpc(METHOD)) == Forwarded({"narrow": float("inf")})


# --- metadata ---


def test_metadata_keys_are_lower_cased_and_values_kept():
    body = (
        do("set_metadata", text("X-User"), text("ann")),
        let("u", "get_metadata", text("x-USER"), type=STRING),
        WriteField("text", Local("u", STRING)),
        *FORWARD,
    )
    rpc = Rpc(METHOD, metadata={"other": b"1"})
    assert chain(element(req=body)).request(rpc) == Forwarded({"text": b"ann"})
    assert rpc.metadata == {"other": b"1", "x-user": b"ann"}


def test_reserved_keys_and_what_http_cannot_carry_are_left_alone():
    keys = ["grpc-status", "Grpc-Anything", ":path", "content-type", "TE", "", "a b", "ü", "a\n"]
    body = (
        *(do("set_metadata", text(key), text("v")) for key in keys),
        *(do("set_metadata", text("ok"), text(value)) for value in ("a\r\nb: c", "é", "\0", "\x7f")),
        *FORWARD,
    )
    rpc = Rpc(METHOD, metadata={"te": b"trailers"})
    chain(element(req=body)).request(rpc)
    assert rpc.metadata == {"te": b"trailers"}
