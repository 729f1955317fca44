from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appnet.application.appnet_config import AppNetConfig, ElementSpec
from appnet.application.placement import OptLevel, Plan, Side, chain_of, place
from appnet.diagnostics.diagnostic import Span
from appnet.diagnostics.yaml_reader import Located

SPAN = Span(Path("c.yaml"), 1, 1, 1, 2)


def config(client: str = "", any_: str = "", pair: str = "", server: str = "") -> AppNetConfig:
    """A configuration whose elements are the letters of its chains."""

    def chain(letters: str) -> tuple[ElementSpec, ...]:
        return tuple(ElementSpec(Located(it, SPAN), Path(f"{it}.appnet")) for it in letters)

    name = Located("x", SPAN)
    return AppNetConfig(
        *(Path("c.yaml"), "c", ("sidecar",), "app", name, name, (name,), Path("m.yaml"), Path("p.proto")),
        *(chain(client), chain(any_), chain(pair), chain(server)),
    )


def letters(plan: Plan, side: Side) -> list[str]:
    return ["".join(it.name.value for it in segment.elements) for segment in plan.on(side)]


@pytest.mark.parametrize(
    ("written", "client", "server"),
    [
        (config("ab", "c", "", "d"), ["abc"], ["d"]),
        (config("ab", "", "", ""), ["ab"], []),
        (config("", "", "", "d"), [], ["d"]),
        (config("", "c", "", ""), ["c"], []),
        (config("", "c", "", "d"), [], ["cd"]),
        (config("a", "b", "cdef", "g"), ["abce"], ["fdg"]),
        (config("", "b", "cd", "g"), ["bc"], ["dg"]),
    ],
)
def test_fused(written: AppNetConfig, client: list[str], server: list[str]) -> None:
    plan = place(chain_of(written), OptLevel.STRONG)
    assert (letters(plan, Side.CLIENT), letters(plan, Side.SERVER)) == (client, server)


def test_as_written_is_one_module_for_each_element() -> None:
    plan = place(chain_of(config("ab", "c", "", "d")), OptLevel.NO)
    assert letters(plan, Side.CLIENT) == ["a", "b", "c"]
    assert letters(plan, Side.SERVER) == ["d"]
    assert [it.name for it in plan.segments] == ["client-a", "client-b", "client-c", "server-d"]


CHAINS = st.permutations("abcdefgh").flatmap(
    lambda it: st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 1), st.integers(0, 2)).map(
        lambda n: (
            "".join(it[: n[0]]),
            "".join(it[2 : 2 + n[1]]),
            "".join(it[4 : 4 + 2 * n[2]]),
            "".join(it[6 : 6 + n[3]]),
        )
    )
)


@given(CHAINS)
def test_both_levels_run_every_element_once_and_in_the_same_order(chains: tuple[str, str, str, str]) -> None:
    written = config(*chains)
    orders = []
    for level in OptLevel:
        plan = place(chain_of(written), level)
        orders.append("".join(letters(plan, Side.CLIENT) + letters(plan, Side.SERVER)))
        assert len({it.name for it in plan.segments}) == len(plan.segments)
        assert all(it.elements for it in plan.segments)
        for chain, side in ((chains[0], Side.CLIENT), (chains[3], Side.SERVER)):
            assert "".join(it for it in "".join(letters(plan, side)) if it in chain) == chain
        for first, second in zip(chains[2][::2], chains[2][1::2], strict=True):
            assert first in "".join(letters(plan, Side.CLIENT))
            assert second in "".join(letters(plan, Side.SERVER))
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == sorted("".join(chains))
