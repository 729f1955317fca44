"""Lowering: what statements become, in which order, under which names."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from appnet.diagnostics.source import TextSource
from appnet.ir import compile_element
from appnet.ir.nodes import StateClass
from tests.support.printer import print_element
from tests.support.programs import program
from tests.support.signatures import KV

MAP = "m: Map<string, Vec<int>>"


def lowered(req: str, state: str = "pass", **others: str) -> str:
    """The body of ``req``, without the forward at its end."""
    element = compile_element(TextSource(Path("probe.appnet"), program(req, state=state, **others)), KV).element
    lines = print_element(element).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("  req"))
    end = next(number for number, line in enumerate(lines) if line.startswith("  resp"))
    return dedent("\n".join(lines[start + 1 : end])).strip().removesuffix("forward").strip()


def expect(text: str) -> str:
    return dedent(text).strip()


def test_one_operation_a_statement_from_left_to_right():
    assert lowered("x = randomf(0, 1) + randomf(2, 3) * get(rpc, 'ratio')") == expect("""
        t = random_float(0.0, 1.0)
        t.2 = random_float(2.0, 3.0)
        t.3 = rpc.ratio
        t.4 = mul(t.2, t.3)
        x = add(t, t.4)
    """)


def test_a_variable_read_before_it_is_set_anew():
    assert lowered("x = 1\nx = x + x") == expect("""
        x = 1
        x = add(x, x)
    """)


def test_locals_of_one_name_in_two_blocks_are_two():
    text = lowered("match true:\n    true =>\n        x = 1\n    _ =>\n        x = 'a'")
    assert text == expect("""
        match true
          true =>
            x = 1
          _ =>
            x.2 = 'a'
    """)


def test_a_program_cannot_take_a_name_that_the_lowering_makes():
    assert lowered("t = 1\nx = t + get(rpc, 'score')") == expect("""
        t = 1
        t.2 = rpc.score
        x = add(t, t.2)
    """)


@pytest.mark.parametrize(("word", "asked_when", "else_"), [("and", "true", "false"), ("or", "false", "true")])
def test_an_effect_right_of_and_and_or_happens_only_when_it_counts(word: str, asked_when: str, else_: str):
    assert lowered(f"x = get(rpc, 'hot') {word} randomf(0, 1) < 0.5") == expect(f"""
        t.2 = rpc.hot
        match t.2
          {asked_when} =>
            t.3 = random_float(0.0, 1.0)
            t = lt(t.3, 0.5)
          _ =>
            t = {else_}
        x = t
    """)


def test_and_of_what_has_no_effects_is_an_operation():
    assert lowered("x = get(rpc, 'hot') and size(m) > 0", MAP) == expect("""
        t = rpc.hot
        t.2 = map_size(state.m)
        t.3 = gt(t.2, 0)
        x = and(t, t.3)
    """)


def test_where_decrypt_fails_the_handler_ends():
    assert lowered("x = decrypt(get(rpc, 'key'), 'secret')") == expect("""
        t.2 = rpc.key
        t = decrypt(t.2, 'secret')
        match t
          Some(plain) =>
            t.3 = plain
          None =>
            refuse 'decrypt failed in probe' code 3
        x = t.3
    """)


def test_elif_asks_only_after_what_is_before_it():
    assert lowered("x = 0\nif x == 1:\n    x = 2\nelif randomi(0, 2) == 1:\n    x = 3\nelse:\n    x = 4") == expect("""
        x = 0
        t = eq(x, 1)
        match t
          true =>
            x = 2
          _ =>
            t.2 = random_int(0, 2)
            t.3 = eq(t.2, 1)
            match t.3
              true =>
                x = 3
              _ =>
                x = 4
    """)


def test_what_is_changed_in_place_is_stored_under_the_key_it_was_got_by():
    req = "k = 'a'\nmatch get(m, k):\n    Some(v) =>\n        k = 'b'\n        set(v, size(v), 1)\n    None => pass"
    assert lowered(req, MAP) == expect("""
        k = 'a'
        key = k
        t = map_get(state.m, key)
        match t
          Some(v) =>
            k = 'b'
            vec_append(v, 1)
            map_set(state.m, key, v)
          None =>
            pass
    """)


def test_an_option_with_a_name_is_the_same_entry():
    req = "o = get(m, 'a')\nmatch o:\n    Some(v) => set(v, 0, 1)\n    None => pass"
    assert "vec_set(v, 0, 1)\n    map_set(state.m, key, v)" in lowered(req, MAP)


@pytest.mark.parametrize("line", ["w = v\n        set(w, size(w), 1)", "v = []\n        set(v, size(v), 1)"])
def test_a_copy_and_another_value_are_not_the_maps_entry(line: str):
    text = lowered(f"match get(m, 'a'):\n    Some(v) =>\n        {line}\n    None => pass", MAP)
    assert "vec_append" in text
    assert "map_set" not in text


def test_an_entry_may_be_read_under_a_name_that_is_sometimes_another():
    req = (
        "o = get(m, 'a')\nif size(m) > 3:\n    o = get(m, 'b')\nmatch o:\n    Some(v) => x = size(v)\n    None => pass"
    )
    assert "map_set" not in lowered(req, MAP)


def test_text_from_metadata_is_read_as_what_is_needed():
    assert lowered("x = 0\nx = get_rpc_header(rpc, 'k')\nset_metadata('n', x)") == expect("""
        x = 0
        t = get_metadata('k')
        x = parse_int(t)
        t.2 = int_to_string(x)
        set_metadata('n', t.2)
    """)


def test_success_is_a_status_of_zero_and_its_name_stays_free():
    resp = "meta_status = 1\nx = get(rpc, 'meta_status') == 'success'\nset_metadata('m', meta_status)"
    element = compile_element(TextSource(Path("probe.appnet"), program(resp=resp)), KV).element
    assert dedent(print_element(element).split("  resp")[1].split("\n", 1)[1]).strip() == expect("""
        meta_status = 1
        t = status()
        t.2 = eq(t, 0)
        match t.2
          true =>
            status_text = 'success'
          _ =>
            status_text = 'failure'
        x = eq(status_text, 'success')
        t.3 = int_to_string(meta_status)
        set_metadata('m', t.3)
        forward
    """)


def test_pairs_are_taken_apart_once():
    assert lowered("(a, b) = get_load(0)") == expect("""
        pair = get_load(0)
        a = first(pair)
        b = second(pair)
    """)


def test_classes_of_state_are_found():
    state = "calls: Map<uint, float>\nlog: Vec<string>\ncount: int\nlimit: float\nlast: string"
    req = """
        set(calls, rpc_id(), current_time())
        set(log, size(log), get(rpc, 'key'))
        count = count + 1
        if get(rpc, 'ratio') > limit:
            last = get(rpc, 'key')
        set_metadata('last', last)
    """
    source = program(req, state=state, head="init(limit = 0.5)")
    element = compile_element(TextSource(Path("probe.appnet"), source), KV).element
    assert {it.name: it.state_class for it in element.state} == {
        "calls": StateClass.RPC_SCOPED,
        "log": StateClass.RECORD,
        "count": StateClass.COUNTER,
        "limit": StateClass.READ_ONLY,
        "last": StateClass.GENERAL,
    }
