"""Every part of every built-in is there: where one is missing, the test of its name says which."""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path

import pytest

from appnet.analysis import meanings as symbolic
from appnet.codegen.c.build import RUNTIME
from appnet.codegen.c.printer import ChainSource, print_chain
from appnet.codegen.c.printer.operations import EFFECTS, TEMPLATES, VALUES
from appnet.diagnostics.source import TextSource
from appnet.interpret import ChainInstance, Environment, Forwarded, Rpc
from appnet.interpret.operations import MEANINGS
from appnet.ir.compile import compile_element
from appnet.ir.nodes import Call
from appnet.ir.walk import call_of, statements
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import OPERATIONS
from appnet.language.operations.signature import signature_of
from appnet.optimize.cost import KINDS
from appnet.processors.envoy.harness.calls import DeliveredBody
from tests.built_ins.examples import BACKENDS, FORMS, NOW_NS, SEED, compiled, method_of
from tests.differential.compare import TARGETS, Subject
from tests.support.elements import make_program
from tests.support.sample import SAMPLE

CASES = Path(__file__).parents[1] / "interpret" / "test_operations.py"
REPEATABLE = Effect.READS_CONTAINER

each = pytest.mark.parametrize("name", OPERATIONS)


@cache
def has_c(name: str) -> bool:
    """Whether there is a template, or a function of the runtime that takes the operands and nothing else."""
    headers = "\n".join(it.read_text(encoding="utf-8") for it in RUNTIME.glob("*.h"))
    declared = re.search(rf"\ban_{name}\(([^)]*)\)", headers)
    fits = declared is not None and declared[1].count(",") + 1 == len(signature_of(OPERATIONS[name]).parameters)
    return fits or any(name in it for it in (TEMPLATES, VALUES, EFFECTS))


@each
def test_its_signature_can_be_read(name: str) -> None:
    outer = re.sub(r"<[^<>]*>", "x", OPERATIONS[name].signature.split(" -> ")[0])
    assert len(signature_of(OPERATIONS[name]).parameters) == (0 if outer == "()" else outer.count(",") + 1)


@each
def test_its_price_has_a_kind(name: str) -> None:
    assert OPERATIONS[name].cost_kind in KINDS


@each
def test_the_interpreter_has_a_meaning(name: str) -> None:
    assert name in MEANINGS, "add a function of its name in appnet.interpret.operations"


@each
def test_its_example_uses_it_and_holds(name: str) -> None:
    element = compiled(name)
    handler = element.req if OPERATIONS[name].block == "req" else element.resp
    used = {call.op for it in statements(handler.body) if isinstance(call := call_of(it), Call)}
    assert name in used
    chain = ChainInstance([element], Environment(lambda: NOW_NS, SEED, BACKENDS))
    rpc = Rpc(method_of(name), metadata={"user": b"ann"})
    assert isinstance(chain.request(rpc), Forwarded)
    assert isinstance(chain.response(rpc, 0), Forwarded)


@pytest.mark.parametrize("name", FORMS)
def test_the_example_of_a_form_holds(name: str) -> None:
    chain = ChainInstance([compiled(name, FORMS[name])], Environment(lambda: NOW_NS, SEED, BACKENDS))
    assert isinstance(chain.request(Rpc(method_of(name), metadata={"user": b"ann"})), Forwarded)


@pytest.mark.parametrize("target", TARGETS, ids=lambda it: it.name)
@pytest.mark.parametrize("name", FORMS)
def test_the_example_of_a_form_holds_in_c(name: str, target: Subject) -> None:
    call = target.harness(module(target), seed=SEED, backend_count=BACKENDS, now_ns=NOW_NS).call()
    assert isinstance(call.run_request(method_of(name).full_name, {"user": b"ann"}, [b"\0\0\0\0\0"]), DeliveredBody)
    call.end()


@each
def test_a_case_of_the_interpreter_judges_it(name: str) -> None:
    assert f'"{name}"' in CASES.read_text(encoding="utf-8"), f"add a case to {CASES}"


@each
def test_c_has_it(name: str) -> None:
    assert has_c(name), f"add an_{name} to the runtime's headers, or a template in appnet.codegen.c.printer.operations"


@cache
def module(target: Subject) -> bytes:
    """All examples that can be printed, each as a method of its own."""
    methods = [(method_of(name), [compiled(name)]) for name in OPERATIONS if has_c(name)]
    methods += [(method_of(name), [compiled(name, example)]) for name, example in FORMS.items()]
    return target.compile(print_chain(ChainSource("examples", "1", methods)))


@pytest.mark.parametrize("target", TARGETS, ids=lambda it: it.name)
@each
def test_its_example_holds_in_c(name: str, target: Subject) -> None:
    assert has_c(name), "there is no C"
    harness = target.harness(module(target), seed=SEED, backend_count=BACKENDS, now_ns=NOW_NS)
    call = harness.call()
    empty = [b"\0\0\0\0\0"]
    assert isinstance(call.run_request(method_of(name).full_name, {"user": b"ann"}, empty), DeliveredBody)
    assert isinstance(call.run_response({}, empty, 0), DeliveredBody)
    call.end()


@each
def test_proofs_have_a_meaning(name: str) -> None:
    operation = OPERATIONS[name]
    exact = symbolic.EXACT.keys()
    assert (name in exact) != operation.opaque, "give it a function in appnet.analysis.meanings, or declare it opaque"
    assert not operation.opaque or not operation.effects & ~REPEATABLE, "equal operands do not give equal results"


@cache
def used_by_programs() -> set[str]:
    found: set[str] = set()
    for seed in range(250):
        element = compile_element(TextSource(Path("random.appnet"), make_program(random.Random(seed))), SAMPLE).element
        for body in (element.init, element.req.body, element.resp.body):
            found |= {call.op for it in statements(body) if isinstance(call := call_of(it), Call)}
    return found


@each
def test_random_programs_use_it(name: str) -> None:
    assert name in used_by_programs(), "have tests/support/expressions.py write it"


@pytest.mark.parametrize(
    "part", [MEANINGS, symbolic.EXACT, TEMPLATES | VALUES | EFFECTS], ids=["interpreter", "proofs", "c"]
)
def test_nothing_has_a_part_without_a_declaration(part: dict[str, object]) -> None:
    assert set(part) <= set(OPERATIONS)


def test_an_example_that_does_not_hold_is_told() -> None:
    chain = ChainInstance([compiled("add", "1 == 2")], Environment(lambda: 0))
    assert not isinstance(chain.request(Rpc(method_of("add"))), Forwarded)
