"""What holds for every program: it compiles, and whatever comes, its handlers end with a verdict."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings

from appnet.diagnostics.source import TextSource
from appnet.interpret import ChainInstance, Environment, Forwarded, Refused, dump
from appnet.ir.compile import compile_element
from appnet.ir.nodes import Element, StateClass
from tests.support.calls import Clock, run
from tests.support.elements import make_program, programs
from tests.support.printer import print_element
from tests.support.sample import SAMPLE
from tests.support.traffic import Traffic, make_traffic


def compiled(source: str, name: str = "generated") -> Element:
    return compile_element(TextSource(Path("generated.appnet"), source), SAMPLE, name=name).element


def observe(elements: list[Element], calls: Traffic) -> object:
    """Everything that can be seen of the calls."""
    clock = Clock()
    chain = ChainInstance(elements, Environment(clock, seed=7, backend_count=3))
    seen = [(str(outcome), str(rpc.message), str(rpc.metadata)) for _, _, rpc, outcome in run(chain, clock, calls)]
    return seen, dump(chain), str(chain.records())


@pytest.mark.parametrize("seed", range(200))
def test_every_program_runs_to_a_verdict_on_all_traffic(seed: int):
    source = random.Random(seed)
    elements = [compiled(make_program(source), "first"), compiled(make_program(source), "second")]
    calls = make_traffic(seed, 10)
    clock = Clock()
    chain = ChainInstance(elements, Environment(clock, seed=7, backend_count=3))
    for step, _, rpc, outcome in run(chain, clock, calls):
        assert (outcome is None) == (step.kind == "end")
        assert isinstance(outcome, Forwarded | Refused | None)
        assert rpc.rpc_id > 0
    lasting = sum(
        variable.state_class not in (StateClass.RPC_SCOPED, StateClass.RECORD)
        for element in elements
        for variable in element.state
    )
    assert dump(chain).count("\n") == lasting


@pytest.mark.parametrize("seed", range(1000, 1020))
def test_a_program_does_the_same_again(seed: int):
    elements, calls = [compiled(make_program(random.Random(seed)))], make_traffic(seed, 10)
    assert observe(elements, calls) == observe(elements, calls)


@given(programs())
@settings(max_examples=50)
def test_every_program_is_typed_and_can_be_shown(source: str):
    element = compiled(source)
    shown = print_element(element)
    assert shown.startswith("element generated\n")
    assert all(f"state {variable.name}: {variable.type}" in shown for variable in element.state)


def test_generated_programs_use_every_state_class():
    classes = {
        variable.state_class for seed in range(150) for variable in compiled(make_program(random.Random(seed))).state
    }
    assert classes == set(StateClass)
