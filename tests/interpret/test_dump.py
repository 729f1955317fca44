import math

from appnet.interpret import Rpc, dump
from appnet.ir.nodes import Const, Element, Let, Local, ReadField, SetState, State
from appnet.language.types import (
    BOOL,
    BYTES,
    FLOAT,
    INSTANT,
    INT,
    STRING,
    UINT,
    MapType,
    PairType,
    VecType,
)
from tests.support.match_action import FORWARD, METHOD, chain, do, element, integer, let, number, text, truth

FIRST = """\
first.yes = true
first.no = false
first.n = -3
first.u = 18446744073709551615
first.at = 5
first.half = 3fe0000000000000
first.nan = 7ff8000000000000
first.zero = 8000000000000000
first.text = "686920ff"
first.none = ""
first.pair = (1, "61")
first.empty = {}
"""
SECOND = """\
second.vec = [1, 2]
second.map = {"62": [], "61": []}
second.hits = 1
"""


def first() -> Element:
    """A variable of each type that has no items, and an empty container."""
    constants = {
        "yes": truth(True),
        "no": truth(False),
        "n": integer(-3),
        "u": Const(2**64 - 1, UINT),
        "at": Const(5, INSTANT),
        "half": number(0.5),
        "nan": number(-math.nan),
        "zero": number(-0.0),
        "text": Const(b"hi \xff", BYTES),
        "none": text(""),
    }
    pair = PairType(INT, STRING)
    return element(
        "first",
        {**{name: value.type for name, value in constants.items()}, "pair": pair, "empty": MapType(BOOL, FLOAT)},
        (
            *(SetState(State(name, value.type), value) for name, value in constants.items()),
            let("p", "pair", integer(1), text("a"), type=pair),
            SetState(State("pair", pair), Local("p", pair)),
        ),
    )


def second() -> Element:
    """Containers that `init` fills; of what calls write, records and state of a call are not dumped."""
    vec, map_ = State("vec", VecType(INT)), State("map", MapType(STRING, VecType(INT)))
    calls, log, hits = State("calls", MapType(UINT, INT)), State("log", VecType(INT)), State("hits", INT)
    empty = Local("e", VecType(INT))
    return element(
        "second",
        {"vec": vec.type, "calls": calls.type, "map": map_.type, "log": log.type, "hits": INT},
        (
            do("vec_append", vec, integer(1)),
            do("vec_append", vec, integer(2)),
            let("e", "vec_new", type=vec.type),
            *(do("map_set", map_, text(key), empty) for key in ("a", "b", "a")),
        ),
        (
            let("s", "vec_size", vec, type=UINT),
            let("id", "rpc_id", type=UINT),
            do("map_set", calls, Local("id", UINT), integer(1)),
            do("vec_append", log, integer(1)),
            let("h", "add", hits, integer(1), type=INT),
            SetState(hits, Local("h", INT)),
            Let(Local("t", STRING), ReadField("text", STRING)),
            *FORWARD,
        ),
    )


def test_every_type_is_dumped_in_declaration_order_and_chain_order():
    instance = chain(first(), second())
    instance.request(Rpc(METHOD))
    assert dump(instance) == FIRST + SECOND
