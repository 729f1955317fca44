"""Pairs that a proof might get wrong: what tells the orders apart is easy to overlook."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.analysis import Proved, Refuted, Strength, decide
from appnet.diagnostics.source import TextSource
from appnet.ir import compile_element
from appnet.ir.nodes import Element
from tests.analysis.support import element
from tests.support.sample import SAMPLE
from tests.support.signatures import KV


def on_sample(name: str, req: str) -> Element:
    """An element of so many statements on sample.proto, which has oneofs, Vecs and Maps."""
    body = "\n".join(f"    {line}" for line in req.splitlines())
    source = (
        f"state:\n    pass\ninit():\n    pass\nreq(rpc):\n{body}\n    send(rpc, Down)\nresp(rpc):\n    send(rpc, Up)\n"
    )
    return compile_element(TextSource(Path(f"{name}.appnet"), source), SAMPLE).element


COPY = element("copy", "if get_metadata(rpc, 'x') == 'go':\n    set_metadata(rpc, 'y', get_metadata(rpc, 'y'))")
GO = element("go", "set_metadata(rpc, 'x', 'go')")
LIMIT = element(
    "limit", "if n > 1:\n    send(err('no'), Up)", state="n: int", resp="if status(rpc) > 16:\n    n = n + 1"
)
STRANGE = element("strange", "pass", resp="if status(rpc) > 16:\n    send(err('x', PERMISSION_DENIED), Up)")


@pytest.mark.parametrize("strength", list(Strength))
@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(COPY, GO, id="an empty header is not an absent one"),
        pytest.param(STRANGE, LIMIT, id="servers may answer with codes that gRPC has no name for"),
    ],
)
def test_not_proved_on_headers_and_status(first: Element, second: Element, strength: Strength) -> None:
    assert not isinstance(decide(first, second, KV, strength), Proved)


DELAYS = ("delay(rpc, get(rpc, 'ratio'))", "foreach(get(rpc, 'tags'), lambda(_tag):\n    delay(rpc, 0.5)\n)")


@pytest.mark.parametrize("one", DELAYS)
@pytest.mark.parametrize("other", DELAYS)
def test_delays_add_up_in_loops_too(one: str, other: str) -> None:
    both = "\nset(rpc, 'big', 1)"  # so that only a proof lets them swap
    decision = decide(on_sample("one", one + both), on_sample("other", other + both), SAMPLE, Strength.STRONG)
    assert isinstance(decision, Proved)


APPEND = "t = get(rpc, 'tags')\nset(t, size(t), '{}')\nset(rpc, 'tags', t)"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("set(rpc, 'cash', 'a')", "set(rpc, 'points', 3)", id="members of a oneof"),
        pytest.param("set(rpc, 'cash', '')", "set(rpc, 'card.number', '')", id="members that are empty"),
        pytest.param(
            "set(rpc, 'cash', 'a')", "set(rpc, 'text', get(rpc, 'other.word'))", id="one reads what is cleared"
        ),
        pytest.param("set(rpc, 'tags', [])", "set(rpc, 'big', size(get(rpc, 'tags')))", id="a Vec that is emptied"),
        pytest.param(APPEND.format("a"), APPEND.format("b"), id="both append"),
    ],
)
def test_told_apart_by_fields(one: str, other: str) -> None:
    first, second = on_sample("first", one), on_sample("second", other)
    for pair in ((first, second), (second, first)):
        assert isinstance(decide(*pair, SAMPLE, Strength.WEAK), Refuted)


def test_members_of_one_oneof_in_one_element_do_not_hinder_others() -> None:
    first = on_sample("first", "set(rpc, 'cash', 'a')\nset(rpc, 'points', 3)")
    second = on_sample("second", "set(rpc, 'tags', [])")
    assert isinstance(decide(first, second, SAMPLE, Strength.STRONG), Proved)
