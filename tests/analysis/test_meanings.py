import random

import pytest
import z3

from appnet.analysis import orders
from appnet.analysis.machine import bare_machine
from appnet.analysis.meanings import Context, evaluate
from appnet.analysis.pair import SymbolicPair
from appnet.analysis.store import Store, SymbolicHeaders, SymbolicMessage
from appnet.analysis.symbols import BITS, FALSE, STREAM, TEXT, Option, World
from appnet.interpret.operations import MEANINGS as INTERPRETED
from appnet.ir.nodes import Call, Local
from appnet.language.types import BOOL, INT, STRING, UINT, Type
from tests.analysis.pairs import TOO_LAX, TOO_STRICT
from tests.support.signatures import KV


def context() -> Context:
    message = SymbolicMessage(
        z3.BitVec("status", BITS),
        FALSE,
        SymbolicHeaders.came("metadata"),
        SymbolicHeaders.came("trailers"),
        FALSE,
        FALSE,
        Option(FALSE, z3.Const("d", TEXT)),
        z3.Int("w"),
        z3.Int("deadline"),
    )
    nothing = SymbolicHeaders.none(z3.Const("empty", TEXT))
    return Context(World(), "first", "req", z3.BitVec("call", BITS), b"/m", Store({}, message, nothing))


_INTEGER = ("add", "sub", "mul", "div", "rem", "min", "max", "eq", "ne", "lt", "le", "gt", "ge")
_CORNERS = (0, 1, 2, 7, 2**31, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64 - 7)


@pytest.mark.parametrize("op", [*_INTEGER, "neg", "abs"])
@pytest.mark.parametrize("type_", [INT, UINT], ids=str)
def test_integers_are_exact(op: str, type_: Type):
    if (op, type_) == ("neg", UINT):
        return
    source = random.Random(0)
    names = ("a", "b")[: 1 if op in ("neg", "abs") else 2]
    result = BOOL if op in _INTEGER[7:] else type_
    call = Call(op, tuple(Local(name, type_) for name in names), result)
    variables = [z3.BitVec(name, BITS) for name in names]
    term = evaluate(context(), call, list(variables))
    world = World()
    for _ in range(60):
        bits = [source.choice(_CORNERS) for _ in names]
        values = [it - 2**64 if type_ == INT and it >= 2**63 else it for it in bits]
        pairs = [(variable, z3.BitVecVal(it, BITS)) for variable, it in zip(variables, bits, strict=True)]
        found = world.value_of(z3.simplify(z3.substitute(term, *pairs)), result)
        assert found == (INTERPRETED[op](bare_machine(result), *values),), (op, values)


def test_literals_are_what_the_interpreter_says():
    it = context()
    text = it.world.literal(b"user-7", STRING)
    call = Call("hash", (Local("a", STRING),), UINT)
    assert it.world.value_of(evaluate(it, call, [text]), UINT) == (INTERPRETED["hash"](bare_machine(UINT), b"user-7"),)


@pytest.mark.parametrize(("before", "found"), [(b"v2/", None), (b"te", None), (b"a test", True)])
def test_a_word_is_looked_for_behind_a_literal_where_none_can_straddle(before: bytes, found: bool | None):
    it = context()
    concat = Call("concat", (Local("a", STRING), Local("b", STRING)), STRING)
    rest, word = z3.Const("rest", TEXT), it.world.literal(b"test", STRING)
    joined = evaluate(it, concat, [it.world.literal(before, STRING), rest])
    contains = Call("contains", (Local("a", STRING), Local("b", STRING)), BOOL)
    inside = evaluate(it, contains, [joined, word])
    alone = evaluate(it, contains, [rest, word])
    assert inside.eq(alone) == (before == b"v2/")
    assert z3.is_true(inside) == (found is True)


def test_draws_of_one_handler_follow_each_other():
    it = context()
    first, second = it.draw(), it.draw()
    assert not first.eq(second)
    assert first.eq(context().draw())
    assert it.stream.sort() == STREAM


@pytest.mark.parametrize("pair", [*TOO_STRICT, *TOO_LAX], ids=lambda pair: pair.name)
def test_what_is_taken_for_granted_can_be_so(pair):
    # From facts that contradict each other, everything would follow.
    for note, step in (
        (SymbolicPair.note_new_call, SymbolicPair.request),
        (SymbolicPair.note_asked_call, SymbolicPair.response),
    ):
        world = World()
        both = SymbolicPair(pair.first, pair.second, KV, world)
        note(both)
        outcomes = [step(both, order) for order in (("first", "second"), ("second", "first"))]
        solver = z3.Solver()
        solver.add(*world.facts, *world.distinct(), *orders.of_literals(world))
        for outcome in outcomes:
            if not z3.is_false(outcome.forwarded):
                assert solver.check(outcome.forwarded) == z3.sat
