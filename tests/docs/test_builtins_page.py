"""The page of the built-ins: true to their declarations, with examples that hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.interpret import ChainInstance, Environment, Forwarded, Rpc
from appnet.ir.compile import compile_element
from appnet.ir.nodes import Call, Element
from appnet.ir.walk import call_of, statements
from appnet.language.operations.registry import OPERATIONS
from tests.docs.builtins_page import STATE, page
from tests.docs.elements_page import ROOT
from tests.support import snapshots
from tests.support.programs import program
from tests.support.sample import SAMPLE


def element_of(example: str) -> Element:
    *before, truth = example.splitlines()
    body = "\n".join([*before, f"if not ({truth}):", "    send(err('it does not hold'), Up)"])
    source = program(body, state="\n".join(STATE))
    return compile_element(Path("example.appnet"), SAMPLE, source=source).element


def test_the_page_is_made_from_the_declarations(request: pytest.FixtureRequest) -> None:
    snapshots.compare(page(), ROOT / "docs" / "builtins.md", request)


@pytest.mark.parametrize("name", OPERATIONS)
def test_its_example_uses_it_and_holds(name: str) -> None:
    element = element_of(OPERATIONS[name].example)
    calls = (call_of(statement) for statement in statements(element.req.body))
    assert name in {call.op for call in calls if isinstance(call, Call)}
    chain = ChainInstance([element], Environment(lambda: 5_000_000_000, seed=1, backend_count=3))
    assert isinstance(chain.request(Rpc(SAMPLE, metadata={"user": b"ann"})), Forwarded)


def test_an_example_that_does_not_hold_is_told() -> None:
    chain = ChainInstance([element_of("1 == 2")], Environment(lambda: 0))
    assert not isinstance(chain.request(Rpc(SAMPLE)), Forwarded)
