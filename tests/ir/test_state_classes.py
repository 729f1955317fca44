import pytest

from appnet.ir.nodes import Block, Foreach, Let, Local, ReadField, Refuse, SetState, State, StateClass, Statement
from appnet.ir.state_classes import classify
from appnet.language.types import BOOL, FLOAT, INT, STRING, UINT, MapType, OptionType, PairType, Type, VecType
from tests.support.match_action import FORWARD, do, integer, let, number, text, truth, when

CALLS = MapType(UINT, STRING)
ID = let("id", "rpc_id", type=UINT)
ID_LOCAL = Local("id", UINT)


def class_of(type_: Type, *req: Statement, init: tuple[Statement, ...] = (), resp: tuple[Statement, ...] = ()):
    return classify(Block(init), (Block((*req, *FORWARD)), Block((*resp, *FORWARD))), {"x": type_})["x"]


def x(type_: Type) -> State:
    return State("x", type_)


# --- rpc-scoped ---


def test_a_map_touched_only_at_the_call_number_is_rpc_scoped():
    get = let("o", "map_get", x(CALLS), ID_LOCAL, type=OptionType(STRING))
    got = class_of(
        CALLS,
        ID,
        do("map_set", x(CALLS), ID_LOCAL, text("v")),
        resp=(ID, get, do("map_delete", x(CALLS), ID_LOCAL)),
    )
    assert got is StateClass.RPC_SCOPED


def test_the_call_number_is_followed_through_names_and_conversions_that_keep_its_bits():
    keyed = MapType(INT, STRING)
    steps = (ID, let("n", "to_int", ID_LOCAL, type=INT), Let(Local("k", INT), Local("n", INT)))
    assert class_of(keyed, *steps, do("map_set", x(keyed), Local("k", INT), text("v"))) is StateClass.RPC_SCOPED


def test_a_conversion_that_loses_bits_is_not_the_call_number():
    keyed = MapType(FLOAT, STRING)
    steps = (ID, let("n", "to_float", ID_LOCAL, type=FLOAT))
    assert class_of(keyed, *steps, do("map_set", x(keyed), Local("n", FLOAT), text("v"))) is StateClass.GENERAL


def test_a_local_assigned_twice_is_not_the_call_number():
    reassigned = Let(ID_LOCAL, ReadField("big", UINT))
    assert class_of(CALLS, ID, reassigned, do("map_set", x(CALLS), ID_LOCAL, text("v"))) is StateClass.GENERAL
    assert class_of(CALLS, ID, do("map_set", x(CALLS), ID_LOCAL, text("v")), reassigned) is StateClass.GENERAL


@pytest.mark.parametrize(
    "other",
    [
        do("map_set", x(CALLS), State("y", UINT), text("v")),
        let("s", "map_size", x(CALLS), type=UINT),
        Let(Local("copy", CALLS), x(CALLS)),
        SetState(x(CALLS), Local("copy", CALLS)),
    ],
)
def test_one_access_elsewhere_makes_a_map_general(other: Statement):
    assert class_of(CALLS, ID, do("map_set", x(CALLS), ID_LOCAL, text("v")), other) is StateClass.GENERAL


def test_a_map_that_init_fills_is_not_rpc_scoped():
    in_init = (do("map_set", x(CALLS), State("y", UINT), text("v")),)
    assert class_of(CALLS, ID, do("map_set", x(CALLS), ID_LOCAL, text("v")), init=in_init) is StateClass.GENERAL
    get = let("o", "map_get", x(CALLS), ID_LOCAL, type=OptionType(STRING))
    assert class_of(CALLS, ID, get, init=in_init) is StateClass.READ_ONLY


# --- record ---


@pytest.mark.parametrize("item", [STRING, FLOAT, PairType(STRING, UINT)])
def test_a_vec_only_appended_to_is_a_record_stream(item: Type):
    type_ = VecType(item)
    assert class_of(type_, do("vec_append", x(type_), Local("i", item))) is StateClass.RECORD
    assert class_of(type_, init=(do("vec_append", x(type_), Local("i", item)),)) is StateClass.RECORD


@pytest.mark.parametrize("item", [VecType(INT), PairType(PairType(INT, INT), INT)])
def test_a_vec_of_anything_deeper_is_not_a_record_stream(item: Type):
    type_ = VecType(item)
    assert class_of(type_, do("vec_append", x(type_), Local("i", item))) is StateClass.GENERAL


VEC = VecType(INT)


@pytest.mark.parametrize(
    "other",
    [
        let("s", "vec_size", x(VEC), type=UINT),
        do("vec_set", x(VEC), integer(0), integer(1)),
        SetState(x(VEC), Local("empty", VEC)),
        Foreach(Local("i", INT), x(VEC), Block()),
    ],
)
def test_a_vec_that_is_also_used_otherwise_is_general(other: Statement):
    assert class_of(VEC, do("vec_append", x(VEC), integer(1)), other) is StateClass.GENERAL
    assert class_of(VEC, do("vec_append", x(VEC), integer(1)), resp=(other,)) is StateClass.GENERAL


# --- counter ---


def add(a: Local | State, b: object, to: str = "t", type_: Type = INT) -> tuple[Statement, Statement]:
    return let(to, "add", a, b, type=type_), SetState(x(type_), Local(to, type_))


@pytest.mark.parametrize("type_", [INT, UINT, FLOAT])
def test_a_number_only_added_to_is_a_counter(type_: Type):
    other = Local("e", type_)
    assert class_of(type_, *add(x(type_), other, type_=type_)) is StateClass.COUNTER
    assert (
        class_of(type_, *add(other, x(type_), type_=type_), resp=add(x(type_), other, type_=type_))
        is StateClass.COUNTER
    )


def test_a_counter_may_be_set_in_init():
    start = (SetState(x(INT), integer(5)),)
    assert class_of(INT, *add(x(INT), integer(1)), init=start) is StateClass.COUNTER


def test_a_counter_inside_a_match_stays_one():
    assert class_of(INT, when(truth(True), *add(x(INT), integer(1)))) is StateClass.COUNTER


@pytest.mark.parametrize(
    "body",
    [
        add(x(INT), x(INT)),
        (*add(x(INT), integer(1)), let("c", "gt", x(INT), integer(9), type=BOOL)),
        (*add(x(INT), integer(1)), SetState(x(INT), integer(0))),
        (*add(x(INT), integer(1)), Let(Local("seen", INT), Local("t", INT))),
        (let("t", "sub", x(INT), integer(1), type=INT), SetState(x(INT), Local("t", INT))),
        (*add(x(INT), integer(1)), *add(x(INT), integer(2))),
        # both sums start from the same x, so the second forgets the first
        (
            let("t", "add", x(INT), integer(1), type=INT),
            let("u", "add", x(INT), integer(2), type=INT),
            SetState(x(INT), Local("t", INT)),
            SetState(x(INT), Local("u", INT)),
        ),
    ],
    ids=["itself", "compared", "reset", "sum used", "subtracted", "sum named twice", "overlapping"],
)
def test_any_other_use_makes_a_number_general(body: tuple[Statement, ...]):
    assert class_of(INT, *body) is StateClass.GENERAL


def test_reading_a_counter_in_init_makes_it_general():
    assert class_of(INT, *add(x(INT), integer(1)), init=(Let(Local("y", INT), x(INT)),)) is StateClass.GENERAL


# --- read-only ---


def test_state_that_handlers_only_read_is_read_only():
    acl = MapType(STRING, STRING)
    fill = (do("map_set", x(acl), text("k"), text("v")),)
    assert (
        class_of(acl, let("o", "map_get", x(acl), text("k"), type=OptionType(STRING)), init=fill)
        is StateClass.READ_ONLY
    )
    assert class_of(FLOAT, let("c", "lt", x(FLOAT), number(1.0), type=BOOL)) is StateClass.READ_ONLY
    assert class_of(STRING, Refuse(x(STRING), 10)) is StateClass.READ_ONLY


@pytest.mark.parametrize("type_", [INT, VEC, CALLS])
def test_state_that_nothing_touches_is_read_only(type_: Type):
    assert class_of(type_) is StateClass.READ_ONLY


def test_state_that_a_handler_sets_is_general():
    assert class_of(STRING, SetState(x(STRING), text("v"))) is StateClass.GENERAL
