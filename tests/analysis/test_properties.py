from appnet.analysis import infer
from appnet.analysis.influence import influencing
from appnet.ir.nodes import StateClass
from tests.analysis.support import COUNTER, FIREWALL, LOG, STAMP, element


def test_a_handler_s_fields_headers_and_ways_out():
    found = infer(FIREWALL)
    assert found.request.reads == {"key"}
    assert found.request.refuses
    assert found.request.can_end
    assert not found.request.drops
    assert not found.response.can_end
    assert found.request != found.response
    assert infer(STAMP).request.metadata_written == {"x-stamp"}


def test_a_key_in_a_parameter_is_known_and_a_computed_one_is_any():
    state = "key: string"
    by_parameter = element("a", "set_metadata(rpc, key, 'x')", state=state, head="init(key = 'User')")
    assert infer(by_parameter).request.metadata_written == {"user"}
    assert infer(element("b", "set_metadata(rpc, get(rpc, 'key'), 'x')")).request.metadata_written == {"*"}


def test_records_and_counters_influence_nothing():
    found = infer(LOG)
    assert found.state == {"keys": StateClass.RECORD}
    assert found.influencing == set()
    assert found.lasting() == {"keys"}
    assert infer(COUNTER).influencing == set()


def test_what_decides_a_verdict_influences_by_way_of_other_variables():
    limited = element(
        "limited",
        """
        seen = seen + 1
        match seen > 3:
            true => full = true
            false => pass
        note = note + 1
        match full:
            true => send(err('full'), Up)
            false => pass
        """,
        state="seen: int\nfull: bool\nnote: int",
    )
    assert influencing(limited) == {"seen", "full"}


def test_what_decides_how_often_is_drawn_influences_later_draws():
    source = """
    match turn > 3:
        true => noise = randomf(0, 1)
        false => pass
    turn = turn + 1
    """
    state = "turn: int\nnoise: float"
    assert influencing(element("noisy", source, state=state)) == frozenset()
    drawn = "match randomf(0, 1) < 0.5:\n    true => send(err('x'), Up)\n    false => pass\n"
    assert influencing(element("both", source + drawn.replace("\n", "\n    "), state=state)) == {"turn"}


def test_a_loop_over_state_that_writes_the_message_influences():
    loop = "foreach(words, lambda(word):\n    set(rpc, 'key', word)\n)"
    assert influencing(element("loop", loop, state="words: Vec<string>")) == {"words"}
