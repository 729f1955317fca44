"""Programs checked without their method: fields and parameters are taken as given, and nothing right is told wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from appnet.diagnostics.diagnostic import Severity
from appnet.diagnostics.source import TextSource
from appnet.language import parse
from appnet.language.assume import check_assuming
from tests.support.elements import programs
from tests.support.sample import SAMPLE

PROGRAM = """state:
    limit: float
    names: Vec<string>

init({parameters}):
    pass

req(rpc):
    {req}
    send(rpc, Down)

resp(rpc):
    {resp}
    send(rpc, Up)
"""


def errors(req: str = "pass", resp: str = "pass", parameters: str = "") -> list[tuple[str, int]]:
    program = parse(TextSource(Path("it.appnet"), PROGRAM.format(req=req, resp=resp, parameters=parameters)))
    found = check_assuming(program, None, name="it")
    return [(it.code, it.span.line) for it in found if it.severity is Severity.ERROR]


@settings(max_examples=60)
@given(programs())
def test_a_right_program_is_right_without_its_method(source: str) -> None:
    found = check_assuming(parse(TextSource(Path("it.appnet"), source)), None, name="it")
    assert [it.render() for it in found if it.severity is Severity.ERROR] == []


@pytest.mark.parametrize(
    ("req", "resp"),
    [
        ("set(rpc, 'a', get(rpc, 'b') - 1)", "set(names, size(names), get(rpc, 'a'))"),
        ("x = get(rpc, 'a.b') + get(rpc, 'c')", "if get(rpc, 'ok') and get(rpc, 'n') > 0.5: pass"),
        ("set(names, size(names), concat(get(rpc, 'x'), to_string(get(rpc, 'y'))))", "limit = get(rpc, 'x') * limit"),
        (
            "clear(rpc, 'a')\n    limit = to_float(size(rpc, 'b')) + to_float(size(rpc, 'c.d'))",
            "if has(rpc, 'x.y'): pass",
        ),
        ("set(rpc, dst, 3)", "if get(rpc, 'meta_status') == 'success': pass"),
    ],
)
def test_fields_have_the_types_that_their_uses_need(req: str, resp: str) -> None:
    assert errors(req, resp) == []


@pytest.mark.parametrize(
    ("req", "code"),
    [
        ("set(names, size(names), get(rpc, 'a') > 1)", "E020"),
        ("x = concat(get(rpc, 'a'), get(rpc, 'a') - 1)", "E020"),
        ("x = get(rpc, 'a') + missing", "E010"),
        ("send(rpc, Up)", "E030"),
        ("gett(rpc, 'a')", "E013"),
    ],
)
def test_what_no_field_type_mends_is_told(req: str, code: str) -> None:
    assert errors(req) == [(code, 9)]


def test_parameters_without_a_default_are_taken_as_given() -> None:
    assert errors(parameters="limit") == []
    assert errors("pass", parameters="limit = 'much'") == [("E020", 5)]


def test_with_a_method_its_fields_count_and_parameters_are_taken_as_given() -> None:
    program = parse(
        TextSource(Path("it.appnet"), PROGRAM.format(req="x = get(rpc, 'nothing')", resp="pass", parameters="limit"))
    )
    assert [it.code for it in check_assuming(program, SAMPLE, name="it")] == ["E014"]
