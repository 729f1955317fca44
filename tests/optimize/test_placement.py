"""Where elements run, fused or each in a module of its own, as an AppNetConfig writes them."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from appnet.application.load import read_applications
from appnet.application.model import Chain, Side
from appnet.diagnostics.source import MemorySource
from appnet.optimize.placement import OptLevel, Plan, place

NAMED = {"manifest.yaml": "", "echo.proto": "", **{f"{it}.appnet": "" for it in "abcdefgh"}}


def written(client: str = "", any_: str = "", pair: str = "", server: str = "") -> Chain:
    """The chain of a configuration whose elements are the letters of its chains."""
    chains = {"clientChain": client, "anyChain": any_, "pairChain": pair, "serverChain": server}
    spec = {
        "processors": ["sidecar"],
        "appName": "app",
        "clientService": "frontend",
        "serverService": "server",
        "method": "echo",
        "appManifestFile": "manifest.yaml",
        "proto": "echo.proto",
        **{key: [{"name": it, "file": f"{it}.appnet"} for it in letters] for key, letters in chains.items() if letters},
    }
    top = {"apiVersion": "api.core.appnet.io/v1", "kind": "AppNetConfig", "metadata": {"name": "it"}, "spec": spec}
    (application,) = read_applications(MemorySource("it.yaml", {**NAMED, "it.yaml": yaml.safe_dump(top)}))
    return application.chains[0]


def letters(plan: Plan, side: Side) -> list[str]:
    return ["".join(it.name.value for it in segment.elements) for segment in plan.on(side)]


@pytest.mark.parametrize(
    ("chains", "client", "server"),
    [
        (("ab", "c", "", "d"), ["abc"], ["d"]),
        (("ab", "", "", ""), ["ab"], []),
        (("", "", "", "d"), [], ["d"]),
        (("", "c", "", ""), ["c"], []),
        (("", "c", "", "d"), [], ["cd"]),
        (("a", "b", "cdef", "g"), ["abce"], ["fdg"]),
        (("", "b", "cd", "g"), ["bc"], ["dg"]),
    ],
)
def test_fused(chains: tuple[str, str, str, str], client: list[str], server: list[str]) -> None:
    plan = place(written(*chains), OptLevel.STRONG)
    assert (letters(plan, Side.CLIENT), letters(plan, Side.SERVER)) == (client, server)


def test_as_written_is_one_module_for_each_element() -> None:
    plan = place(written("ab", "c", "", "d"), OptLevel.NO)
    assert letters(plan, Side.CLIENT) == ["a", "b", "c"]
    assert letters(plan, Side.SERVER) == ["d"]
    assert [it.name for it in plan.segments] == ["client-a", "client-b", "client-c", "server-d"]


CHAINS = st.permutations("abcdefgh").flatmap(
    lambda it: (
        st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 1), st.integers(0, 2))
        .filter(any)
        .map(
            lambda n: (
                "".join(it[: n[0]]),
                "".join(it[2 : 2 + n[1]]),
                "".join(it[4 : 4 + 2 * n[2]]),
                "".join(it[6 : 6 + n[3]]),
            )
        )
    )
)


@given(CHAINS)
def test_both_levels_run_every_element_once_and_in_the_same_order(chains: tuple[str, str, str, str]) -> None:
    chain = written(*chains)
    orders = []
    for level in OptLevel:
        plan = place(chain, level)
        orders.append("".join(letters(plan, Side.CLIENT) + letters(plan, Side.SERVER)))
        assert len({it.name for it in plan.segments}) == len(plan.segments)
        assert all(it.elements for it in plan.segments)
        for names, side in ((chains[0], Side.CLIENT), (chains[3], Side.SERVER)):
            assert "".join(it for it in "".join(letters(plan, side)) if it in names) == names
        for first, second in zip(chains[2][::2], chains[2][1::2], strict=True):
            assert first in "".join(letters(plan, Side.CLIENT))
            assert second in "".join(letters(plan, Side.SERVER))
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == sorted("".join(chains))
