from dataclasses import replace

import pytest

from appnet.diagnostics.diagnostic import InternalError
from appnet.ir.effects import handler_effects
from appnet.ir.nodes import (
    AnyPattern,
    Arm,
    Block,
    Const,
    Do,
    Foreach,
    Forward,
    HandlerEffects,
    Let,
    LiteralPattern,
    Local,
    Match,
    NonePattern,
    ReadField,
    Refuse,
    SetState,
    SomePattern,
    State,
    StateClass,
    Statement,
    WriteField,
)
from appnet.ir.verify import verify
from appnet.language.types import FLOAT, INSTANT, INT, STRING, UINT, UNIT, MapType, OptionType, Type, VecType
from tests.support.match_action import FORWARD, do, element, integer, let, number, refuse, text, truth, when

A = Local("a", INT)
OPTION = let("o", "map_get", State("names", MapType(STRING, INT)), text("k"), type=OptionType(INT))
FOUND = Local("o", OptionType(INT))
STATE: dict[str, Type] = {"names": MapType(STRING, INT), "n": INT, "items": VecType(INT)}
USE_A = WriteField("count", A)


def arm(pattern: object, *body: Statement) -> Arm:
    return Arm(pattern, Block(body))


TRUE, FALSE = LiteralPattern(truth(True)), LiteralPattern(truth(False))

LEGAL: dict[str, tuple[Statement, ...]] = {
    "a local used after it is bound": (Let(A, integer(1)), USE_A),
    "a local given a new value": (Let(A, integer(1)), Let(A, integer(2)), USE_A),
    "a local bound in all arms": (
        Match(truth(True), (arm(TRUE, Let(A, integer(1))), arm(FALSE, Let(A, integer(2))))),
        USE_A,
    ),
    "a local bound in all arms that go on": (
        Match(truth(True), (arm(TRUE, Let(A, integer(1))), arm(FALSE, refuse("no")))),
        USE_A,
    ),
    "the item of an option": (OPTION, Match(FOUND, (arm(SomePattern(A), USE_A), arm(NonePattern())))),
    "the item of a loop": (Foreach(A, State("items", VecType(INT)), Block((USE_A,))),),
    "a verdict in a loop": (Foreach(A, State("items", VecType(INT)), Block((Forward(),))),),
    "a container made in the handler": (
        let("v", "vec_new", type=VecType(INT)),
        do("vec_append", Local("v", VecType(INT)), integer(1)),
    ),
    "the same name in two arms": (
        Match(truth(True), (arm(TRUE, Let(A, integer(1)), USE_A), arm(FALSE, Let(A, integer(2)), USE_A))),
    ),
}

ILLEGAL: dict[str, tuple[Statement, ...]] = {
    "a local is bound on every path to its use": (USE_A,),
    "a local is bound on every path to its use: one arm": (when(truth(True), Let(A, integer(1))), USE_A),
    "a local is bound on every path to its use: no arm may fit": (
        Match(integer(1), (arm(LiteralPattern(integer(1)), Let(A, integer(1))),)),
        USE_A,
    ),
    "a local is bound on every path to its use: after its loop": (
        Foreach(A, State("items", VecType(INT)), Block()),
        USE_A,
    ),
    "a local is bound on every path to its use: bound in a loop": (
        Foreach(Local("i", INT), State("items", VecType(INT)), Block((Let(A, integer(1)),))),
        USE_A,
    ),
    "a local is bound on every path to its use: after its arm": (OPTION, Match(FOUND, (arm(SomePattern(A)),)), USE_A),
    "a local has the type of its value": (Let(A, text("x")),),
    "a local has one type": (Let(A, integer(1)), Let(Local("a", STRING), text("x"))),
    "a local has one type: at its use": (Let(A, integer(1)), WriteField("text", Local("a", STRING))),
    "a local gets a value": (let("u", "vec_append", State("items", VecType(INT)), integer(1), type=UNIT),),
    "names of locals are unique: two patterns": (
        OPTION,
        Match(FOUND, (arm(SomePattern(A)),)),
        Match(FOUND, (arm(SomePattern(A)),)),
    ),
    "names of locals are unique: a pattern over a local": (
        OPTION,
        Let(A, integer(1)),
        Match(FOUND, (arm(SomePattern(A)),)),
    ),
    "names of locals are unique: a local after a loop": (
        Foreach(A, State("items", VecType(INT)), Block()),
        Let(A, integer(1)),
    ),
    "state is set to values of its type": (SetState(State("n", INT), text("x")),),
    "state is declared with its type": (SetState(State("other", INT), integer(1)),),
    "state is declared with its type: another": (SetState(State("n", UINT), Const(1, UINT)),),
    "operands and result fit the signature": (let("s", "add", integer(1), number(1.0), type=INT),),
    "an operation is declared": (let("s", "frobnicate", integer(1), type=INT),),
    "what is done for its effect gives no value": (Do(let("s", "add", integer(1), integer(1), type=INT).value),),
    "a constant is a value of its type": (Let(A, Const(2**63, INT)),),
    "a constant is a value of its type: a bool for an int": (Let(A, Const(True, INT)),),
    "a constant is a value of its type: an int for a float": (Let(Local("f", FLOAT), Const(1, FLOAT)),),
    "a literal has the type of the subject": (Match(integer(1), (arm(TRUE),)),),
    "Some and None take options apart": (Match(integer(1), (arm(NonePattern()),)),),
    "Some binds the item of the option": (OPTION, Match(FOUND, (arm(SomePattern(Local("s", STRING))),))),
    "foreach takes the items of a Vec": (Foreach(Local("i", STRING), State("items", VecType(INT)), Block()),),
    "foreach takes the items of a Vec: not a Map": (
        Foreach(Local("i", STRING), State("names", MapType(STRING, INT)), Block()),
    ),
    "nothing stands after a verdict": (Forward(), Let(A, integer(1))),
    "nothing stands after a verdict: in an arm": (when(truth(True), refuse("no"), Let(A, integer(1))),),
    "a refusal has an error code": (when(truth(True), Refuse(text("x"), 0)),),
    "a refusal has an error code: beyond the last": (when(truth(True), Refuse(text("x"), 17)),),
    "a refusal has a text": (when(truth(True), Refuse(integer(1), 10)),),
    "a field has a path": (Let(A, ReadField("", INT)),),
    "fields hold scalars": (Let(Local("t", INSTANT), ReadField("t", INSTANT)),),
}


@pytest.mark.parametrize("body", LEGAL.values(), ids=LEGAL)
def test_legal_bodies(body: tuple[Statement, ...]):
    element(state=STATE, req=(*body, *FORWARD))


@pytest.mark.parametrize(("rule", "body"), ILLEGAL.items(), ids=ILLEGAL)
def test_broken_rules_are_named_with_their_node(rule: str, body: tuple[Statement, ...]):
    legal = element(state=STATE)
    broken = replace(legal, req=replace(legal.req, body=Block((*body, *FORWARD))))
    with pytest.raises(InternalError) as raised:
        verify(broken)
    assert str(raised.value).startswith(rule.split(":", maxsplit=1)[0] + ": ")
    assert raised.value.node is not None


@pytest.mark.parametrize(
    "statement",
    [
        Forward(),
        refuse("no"),
        Let(A, ReadField("count", INT)),
        WriteField("count", integer(1)),
        let("i", "rpc_id", type=UINT),
        let("m", "method", type=STRING),
        let("s", "status", type=INT),
        do("set_metadata", text("k"), text("v")),
    ],
    ids=str,
)
def test_init_has_no_call(statement: Statement):
    with pytest.raises(InternalError, match=r"init has no|only handlers"):
        element(init=(statement,))


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("names of their own", lambda made: replace(made, state=(*made.state, made.state[0]))),
        ("at least 1", lambda made: replace(made, state=(replace(made.state[0], capacity=0),))),
        ("can be stored", lambda made: replace(made, state=(replace(made.state[0], type=OptionType(INT)),))),
        ("can be stored", lambda made: replace(made, state=(replace(made.state[0], type=MapType(VecType(INT), INT)),))),
        ("hold for all", lambda made: replace(made, state=(replace(made.state[0], state_class=StateClass.RECORD),))),
        ("effects must be", lambda made: replace(made, req=replace(made.req, effects=HandlerEffects(can_refuse=True)))),
    ],
)  # fmt: skip
def test_broken_elements(rule: str, change: object):
    made = element(state={"n": INT})
    with pytest.raises(InternalError, match=rule):
        verify(change(made))


def test_a_body_of_many_thousand_statements_is_no_burden():
    def step(i: int) -> Statement:
        bumped = Local(f"a{i}", INT)
        return when(
            truth(True), let(bumped.name, "add", integer(i), integer(1), type=INT), SetState(State("n", INT), bumped)
        )

    made = element(state={"n": INT}, req=(*(step(i) for i in range(20_000)), *FORWARD))
    assert made.req.effects == handler_effects(made.req.body)


def test_any_pattern_makes_a_match_complete():
    legal = (
        Match(integer(1), (arm(LiteralPattern(integer(1)), Let(A, integer(1))), arm(AnyPattern(), Let(A, integer(2))))),
        USE_A,
    )
    assert element(req=(*legal, *FORWARD)).req.effects.can_drop is False
