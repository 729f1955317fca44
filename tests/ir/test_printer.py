from dataclasses import replace

from appnet.ir.nodes import (
    AnyPattern,
    Arm,
    Block,
    Consistency,
    Foreach,
    Let,
    Local,
    Match,
    NonePattern,
    ReadField,
    SetState,
    SomePattern,
    State,
    WriteField,
)
from appnet.language.types import FLOAT, INT, STRING, MapType, OptionType, VecType
from tests.support.match_action import FORWARD, do, element, let, number, refuse, text
from tests.support.printer import print_element

NAMES = State("names", MapType(STRING, STRING))

EXPECTED = """\
element gate
  state names: Map<string, string>  (general, capacity 10)
  state limit: float  (general, weak, combined by max, persistent)
  state log: Vec<string>  (record)
  state list: Vec<int>  (read-only)

  init
    state.limit = 1.5

  req  (reads text, writes text, reads metadata, random, can refuse)
    t = rpc.text
    m = get_metadata('k')
    vec_append(state.log, m)
    o = map_get(state.names, t)
    match o
      Some(name) =>
        rpc.text = name
      Some(_) =>
        pass
      None =>
        map_set(state.names, t, "it's")
      _ =>
        refuse 'no' code 7
    foreach i in state.list
      r = random_float(0.0, 1.0)
      state.limit = r
    forward

  resp  (can drop)
    pass
"""


def test_an_element_reads_as_match_action():
    option = Local("o", OptionType(STRING))
    arms = (
        Arm(SomePattern(Local("name", STRING)), Block((WriteField("text", Local("name", STRING)),))),
        Arm(SomePattern(None), Block()),
        Arm(NonePattern(), Block((do("map_set", NAMES, Local("t", STRING), text("it's")),))),
        Arm(AnyPattern(), Block((refuse("no", 7),))),
    )
    draw = let("r", "random_float", number(0.0), number(1.0), type=FLOAT)
    req = (
        Let(Local("t", STRING), ReadField("text", STRING)),
        let("m", "get_metadata", text("k"), type=STRING),
        do("vec_append", State("log", VecType(STRING)), Local("m", STRING)),
        let("o", "map_get", NAMES, Local("t", STRING), type=OptionType(STRING)),
        Match(option, arms),
        Foreach(
            Local("i", INT),
            State("list", VecType(INT)),
            Block((draw, SetState(State("limit", FLOAT), Local("r", FLOAT)))),
        ),
        *FORWARD,
    )
    state = {"names": NAMES.type, "limit": FLOAT, "log": VecType(STRING), "list": VecType(INT)}
    init = (SetState(State("limit", FLOAT), number(1.5)),)
    made = element("gate", state, init, req, (), {"names": 10})
    names, limit, *rest = made.state
    limit = replace(limit, consistency=Consistency.WEAK, combiner="max", persistent=True)
    assert print_element(replace(made, state=(names, limit, *rest))) == EXPECTED
