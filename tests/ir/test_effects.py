from appnet.ir.effects import ends, handler_effects
from appnet.ir.nodes import (
    AnyPattern,
    Arm,
    Block,
    FieldUse,
    Foreach,
    Forward,
    HandlerEffects,
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
from appnet.language.types import FLOAT, INT, STRING, UINT, MapType, OptionType, VecType
from tests.support.match_action import FORWARD, do, integer, let, number, refuse, text, truth, when

NAMES = State("names", MapType(STRING, STRING))


def test_a_handler_that_only_forwards_has_no_effect():
    assert handler_effects(Block(FORWARD)) == HandlerEffects()


def test_a_field_that_is_read_and_written_is_one_use_in_the_order_of_first_uses():
    body = Block(
        (
            WriteField("b", integer(1)),
            Let(Local("x", STRING), ReadField("a", STRING)),
            Let(Local("y", INT), ReadField("b", INT)),
            *FORWARD,
        )
    )
    assert handler_effects(body).fields == (FieldUse("b", INT, True, True), FieldUse("a", STRING, True, False))


def test_asking_a_container_reads_it_and_setting_it_writes_it():
    other = State("other", MapType(STRING, STRING))
    body = Block(
        (
            let("o", "map_get", NAMES, text("k"), type=OptionType(STRING)),
            do("map_set", other, text("k"), text("v")),
            *FORWARD,
        )
    )
    effects = handler_effects(body)
    assert effects.state_read == {"names"}
    assert effects.state_written == {"other"}


def test_state_as_an_operand_is_read_wherever_it_stands():
    limit, words = State("limit", FLOAT), State("words", VecType(STRING))
    body = Block(
        (
            do("map_set", NAMES, State("key", STRING), State("value", STRING)),
            SetState(State("copy", FLOAT), limit),
            Foreach(Local("w", STRING), words, Block((WriteField("a", State("inner", STRING)),))),
            refuse("no"),
        )
    )
    effects = handler_effects(body)
    assert effects.state_read == {"key", "value", "limit", "words", "inner"}
    assert effects.state_written == {"names", "copy"}


def test_effects_of_operations_are_found_in_nested_blocks():
    inner = (
        let("r", "random_float", number(0.0), number(1.0), type=FLOAT),
        let("s", "status", type=INT),
        let("m", "get_metadata", text("k"), type=STRING),
        do("set_metadata", text("k"), text("v")),
        let("t", "now", type=State("t", INT).type),
        let("b", "get_backends", type=VecType(INT)),
    )
    effects = handler_effects(Block((when(truth(True), *inner), *FORWARD)))
    assert effects == HandlerEffects(
        metadata_read=True,
        metadata_written=True,
        reads_status=True,
        uses_random=True,
        uses_time=True,
        reads_backends=True,
    )


def test_only_a_refusal_can_refuse_and_only_an_open_end_can_drop():
    assert handler_effects(Block((refuse("no"),))) == HandlerEffects(can_refuse=True)
    assert handler_effects(Block(())) == HandlerEffects(can_drop=True)
    either = handler_effects(Block((when(truth(True), refuse("no")),)))
    assert (either.can_refuse, either.can_drop) == (True, True)


def test_a_match_ends_the_handler_when_its_arms_cover_all_and_all_end():
    option = Local("o", OptionType(UINT))
    forward, nothing = Block(FORWARD), Block(())
    some, none, other = SomePattern(None), NonePattern(), AnyPattern()
    yes, no = LiteralPattern(truth(True)), LiteralPattern(truth(False))
    assert ends(Block((Match(option, (Arm(some, forward), Arm(none, forward))),)))
    assert ends(Block((Match(truth(True), (Arm(yes, forward), Arm(no, forward))),)))
    assert ends(Block((Match(integer(1), (Arm(LiteralPattern(integer(1)), forward), Arm(other, forward))),)))
    assert not ends(Block((Match(option, (Arm(some, forward),)),)))
    assert not ends(Block((Match(truth(True), (Arm(yes, forward), Arm(yes, forward))),)))
    assert not ends(Block((Match(option, (Arm(some, forward), Arm(other, nothing))),)))
    one_and_zero = Arm(LiteralPattern(integer(1)), forward), Arm(LiteralPattern(integer(0)), forward)
    assert not ends(Block((Match(integer(7), one_and_zero),)))


def test_a_loop_may_run_for_no_item():
    loop = Foreach(Local("i", INT), State("v", VecType(INT)), Block((Forward(),)))
    assert not ends(Block((loop,)))
