"""What programs may write: each construct that public programs use, and what it is taken to mean."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError
from appnet.diagnostics.source import TextSource
from appnet.ir import compile_element
from appnet.ir.nodes import Const, Element, SetState
from appnet.language import Given
from appnet.language.types import BOOL, FLOAT, INT, STRING, UINT
from tests.support.programs import program
from tests.support.signatures import ECHO, KV

STATE = """
    n: int
    u: uint
    f: float
    s: string
    flag: bool
    since: Instant
    names: Map<string, string>
    times: Map<string, float>
    loads: Map<int, <int, float>>
    items: Vec<int>
"""


def compiled(req: str, **others: str) -> Element:
    return compile_element(TextSource(Path("probe.appnet"), program(req, **({"state": STATE} | others))), KV).element


def codes(req: str, **others: str) -> list[str]:
    with pytest.raises(DiagnosticError) as caught:
        compiled(req, **others)
    return [it.code for it in caught.value.diagnostics]


ACCEPTED = {
    "a literal is what is needed": "f = 1\nu = 1\nn = 1\nf = -1",
    "integers where a float is needed": "f = n\nf = u\nf = n + f",
    "int and uint meet": "n = size(items) + n\nflag = u < n\nn = u\nu = n",
    "a size and a literal": "flag = size(names) > 10 and 10 > size(items)",
    "seconds of an instant": "f = current_time()\nf = time_diff(current_time(), f)\nf = time_diff(current_time(), since)",
    "an instant in a Map of floats": "set(times, 'a', current_time())",
    "metadata read as a number": "shard = 0\nshard = get_rpc_header(rpc, 'shard')\nitems = items\nn = shard",
    "metadata compared with a number": "flag = get_metadata(rpc, 'k') == 3 or get_metadata('k') > 1.5",
    "metadata with and without the rpc": "set_metadata('dst', 1)\nset_metadata(rpc, 'dst', f)\nset_rpc_header(rpc, 'a', flag)",
    "a field's type as third argument": "n = get(rpc, 'score', 'int32')\ns = get(rpc, 'key', 'string')",
    "the backend, quoted or not": "set(rpc, dst, 1)\nset(rpc, 'dst', n)\nset(rpc, 'dst', 'two')",
    "a field in another case": "s = get(rpc, 'KEY')\nset(rpc, 'Key', 'x')",
    "infinity": "f = inf\nf = inf_f\nf = min(inf, f)",
    "match with parentheses": "match(n):\n    1 => pass\n    -2 => pass\n    _ => pass",
    "match on a float with a whole number": "match f:\n    1 => pass\n    2.5 => pass",
    "match on text and truth": "match s:\n    'a' => pass\nmatch flag:\n    true => n = 1\n    false => n = 2",
    "match on an option": "match get(names, 'a'):\n    Some(x) => s = x\n    None => pass\nmatch get(items, 0):\n    Some(_) => pass\n    _ => pass",
    "if, elif, else": "if flag: n = 1\nelif n > 1:\n    n = 2\nelse:\n    n = 3",
    "directions in either case": "if flag:\n    send(rpc, down)\nelif n == 1:\n    send(err('no'), up)\nelse:\n    send(rpc, DOWN)",
    "errors with a code": "if flag:\n    send(err('no', PERMISSION_DENIED), Up)\nelif n > 1:\n    send(err(s, 8), Up)\nsend(err(s, unavailable), Up)",
    "pairs": "p = (1, 2.5)\n(a, b) = p\nc, d = p\nset(loads, a, (n, n))\nn = c\nf = d",
    "a pair with a default": "(a, b) = get(loads, 1, (0, 0))\nn = a\nf = b",
    "a Vec told later": "v = []\nset(v, size(v), 'a')\ns = get(v, 0, '')",
    "a state Vec emptied": "items = []",
    "foreach": "total = 0\nforeach(items, lambda(x):\n    last = x\n    total = total + x\n)\nn = total",
    "foreach closed at once": "foreach(items, lambda(x):\n    n = n + x)",
    "foreach in foreach": "foreach(items, lambda(x):\n    foreach(items, lambda(y):\n        n = n + x * y\n    )\n)",
    "random choices": "foreach(random_choices(items, 2), lambda(b): n = b)",
    "backends": "b = get_backends()\n(load, at) = get_load(get(b, 0, 0))\nf = quantile(estimate_RIF_distribution(b), 0.5)",
    "sizes": "n = byte_size(rpc, 'key')\nn = len(s)\nn = size(get(rpc, 'blob'))",
    "text": "s = concat(s, 'x')\nflag = contains(s, 'x') or starts_with(s, 'y')\nu = hash(s)\ns = hmac(s, 'key')",
    "named conversions": "s = to_string(f)\nn = to_int(f)\nn = to_int(s)\nf = to_float(s)\nu = to_uint(s)",
    "delete": "delete(names, s)",
    "a Map told later": "m = {}\nset(m, s, n)\nn = get(m, 'a', 0)",
    "an untold Vec told by another": "v = []\nv = items\nn = get(v, 0, 0)",
    "literals of one type": "v = [1, f, u]\nf = get(v, 0, 0.5)\nm = {u: 'a', 2: s}\ns = get(m, u, '')",
    "literals where a type is needed": "items = [1, -2,]\ntimes = {'a': 1, s: n}\nloads = {1: (2, 3)}",
    "literals within literals": "v = [[1], []]\nm = {'a': {1: [f]}, s: {}}",
    "literals as arguments": "f = quantile([1, 2.5], 0.5)\nn = size([s, s]) + get({'a': 1}, s, 0)",
    "a literal over several lines": "items = [\n  1,  # one\n  2,\n]",
    "texts joined": "s = s + 'x' + to_string(n)\nset(rpc, 'blob', get(rpc, 'blob') + s)",
    "metadata added to a number": "n = get_metadata(rpc, 'k') + 1\ns = get_metadata(rpc, 'k') + 'x'",
    "remainders": "n = n % 3 * 2\nu = u % 7\nf = n % 2",
    "foreach over a Map": "foreach(names, lambda(k, v): s = s + k + v)\nforeach({1: f}, lambda(k, v):\n    n = n + k\n    f = v\n)",
    "a delay": "delay(rpc, 1)\ndelay(rpc, f / 1000)",
    "joined lines": "n = (1 +\n  2\n+ 3)\nset(names, 'a',  # why\n'b')",
    "method and id": "s = method()\nu = rpc_id()\nn = status(rpc)",
}


@pytest.mark.parametrize("req", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_it_compiles(req: str):
    compiled(req)


def test_other_names_for_the_rpc():
    source = program("x = 1").replace("req(rpc)", "req(call)").replace("send(rpc, Down)", "send(call, Down)")
    compile_element(TextSource(Path("probe.appnet"), source), KV)


def test_decorators_in_any_order_on_any_line():
    source = program(state="@capacity(3) @combiner(sum)\n@persistence(true) @consistency(weak)\nm: Map<string, int>")
    found = compile_element(TextSource(Path("probe.appnet"), source), KV)
    (variable,) = found.element.state
    assert (variable.capacity, variable.combiner, variable.persistent) == (3, "sum", True)
    assert variable.consistency.value == "weak"
    assert found.warnings == ()


def test_methods_with_streams_are_for_the_processors_to_refuse():
    streams = replace(KV, client_streaming=True, server_streaming=True)
    compile_element(TextSource(Path("probe.appnet"), program()), streams)


# --- what init is given ---


def first_of_init(head: str, given: dict[str, Given], state: str = STATE) -> object:
    source = program(head=head, state=state)
    element = compile_element(TextSource(Path("probe.appnet"), source), KV, parameters=given).element
    statement = element.init.statements[0]
    assert isinstance(statement, SetState)
    return statement.value


@pytest.mark.parametrize(
    ("head", "value", "seen"),
    [
        ("init(f = 1)", None, Const(1.0, FLOAT)),
        ("init(f = 1)", 2, Const(2.0, FLOAT)),
        ("init(f)", "2.5", Const(2.5, FLOAT)),
        ("init(n = 3)", "-4", Const(-4, INT)),
        ("init(u)", 2**64 - 1, Const(2**64 - 1, UINT)),
        ("init(s)", 12, Const(b"12", STRING)),
        ("init(flag)", True, Const(True, BOOL)),
        ("init(flag)", "False", Const(False, BOOL)),
    ],
)
def test_a_parameter_is_of_its_variables_type(head: str, value: str | float | None, seen: Const):
    name = head[5:].rstrip(")").split(" ")[0]
    assert first_of_init(head, {} if value is None else {name: Given(value)}) == seen


@pytest.mark.parametrize(
    ("head", "given"),
    [
        ("init(f)", {}),
        ("init(f)", {"f": "many"}),
        ("init(f)", {"f": True}),
        ("init(f)", {"f": 10**400}),
        ("init(n)", {"n": 1.5}),
        ("init(n)", {"n": 2**63}),
        ("init(u)", {"u": -1}),
        ("init(flag)", {"flag": 1}),
        ("init()", {"f": 1.0}),
        ("init(f = n)", {}),
    ],
)
def test_a_parameter_that_is_not_given_well(head: str, given: dict[str, str | float | bool]):
    with pytest.raises(DiagnosticError) as caught:
        first_of_init(head, {name: Given(value) for name, value in given.items()})
    assert [it.code for it in caught.value.diagnostics] == ["E041"]


# --- scopes ---


def test_a_name_first_assigned_in_an_arm_ends_with_it():
    assert codes("if flag:\n    x = 1\nn = x") == ["E011"]


def test_a_name_first_assigned_in_a_loop_ends_with_it():
    assert codes("foreach(items, lambda(i):\n    x = i\n)\nn = x") == ["E011"]


def test_what_a_handler_assigns_the_other_does_not_see():
    assert codes("x = 1", resp="n = x") == ["E010"]


def test_a_variable_keeps_its_type():
    assert codes("x = 1\nx = 'a'") == ["E020"]


# --- each mistake is told once ---


def found_in(req: str) -> list[Diagnostic]:
    with pytest.raises(DiagnosticError) as caught:
        compiled(req)
    return caught.value.diagnostics


def test_what_follows_from_an_error_brings_none():
    req = "x = nope\ny = x + 1\nset(names, s, y)\nforeach(items, lambda(n):\n    pass\n)\nif y == 1:\n    z = y\nn = 'one'"
    assert [(it.code, it.span.line) for it in found_in(req)] == [("E010", 17), ("E012", 20), ("E020", 25)]


def test_a_program_with_two_wrong_handlers_is_told_of_both():
    assert codes("n = 'a'", resp="f = 'b'") == ["E020", "E020"]


def test_warnings_come_with_the_program():
    source = program("x = 1 / size(get(rpc, 'body'))\nif x == 1: send(rpc, Down)\n").replace(
        "send(rpc, Down)\n\nresp", "\nresp"
    )
    warnings = compile_element(TextSource(Path("probe.appnet"), source), ECHO).warnings
    assert [it.code for it in warnings] == ["W003", "W001"]


@pytest.mark.parametrize("one", ["[{}]", "{{{}}}"])
def test_a_literal_has_an_end(one: str) -> None:
    items = [f"{it}: {it}" if one[0] == "{" else str(it) for it in range(4_097)]
    compiled(f"x = {one.format(', '.join(items[:-1]))}")
    assert codes(f"x = {one.format(', '.join(items))}") == ["E003"]


def test_a_chain_that_is_too_long_is_told_why_it_is_deep() -> None:
    for chain in (" + ".join(["'a'"] * 3_000), " and ".join(["flag"] * 3_000)):
        with pytest.raises(DiagnosticError) as caught:
            compiled(f"x = {chain}")
        (told,) = caught.value.diagnostics
        assert told.help.startswith("each operator contains everything before it")
