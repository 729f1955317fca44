"""Where elements run as written, what keeps them from it, and how segments are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations_with_replacement
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from appnet.application.load import read_applications
from appnet.application.model import Chain, Edge, ElementSpec, Side, Stop
from appnet.diagnostics.place import Span
from appnet.diagnostics.source import FileSource, MemorySource
from appnet.diagnostics.yaml_reader import Located
from appnet.ir.needs import Asked, Need
from appnet.optimize import Lack, UnsuitedError
from appnet.optimize.placement import OptLevel, Place, Plan, plan_of
from appnet.optimize.standing import lacking, standing
from tests.support.prices import DEFAULT

SPAN = Span.whole(FileSource(Path("c.yaml")))


NAMED = {"manifest.yaml": "", "echo.proto": "", **{f"{it}.appnet": "" for it in "abcdefgh"}}


def config(client: str = "", any_: str = "", pair: str = "", server: str = "") -> Chain:
    """The chain of an AppNetConfig whose elements are the letters of its chains."""
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


def place(*where: str, gives: Iterable[Need] = Need) -> Place:
    """The place SIDE, SIDE-PROCESSOR or SIDE-PROCESSOR-TARGET."""
    side, processor, target = (*where, *("sidecar", "native")[len(where) - 1 :])
    return Place(Side(side), processor, target, frozenset(gives), DEFAULT.targets["native"])


BOTH = (place("client"), place("server"))


def as_written(chain: Chain, level: OptLevel = OptLevel.STRONG, places: Sequence[Place] = BOTH) -> Plan:
    at = standing(chain.stops, [()] * len(chain.stops), places, ["sidecar"]).at
    placed = zip((it.spec for it in chain.stops), at, strict=True)
    return plan_of(chain.edge, places, placed, fused=level is not OptLevel.NO)


def letters(plan: Plan, side: Side) -> list[str]:
    return [
        "".join(it.name.value for it in segment.elements) for segment in plan.segments if segment.place.side is side
    ]


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
def test_fused(written: Chain, client: list[str], server: list[str]) -> None:
    plan = as_written(written)
    assert (letters(plan, Side.CLIENT), letters(plan, Side.SERVER)) == (client, server)


def test_as_written_is_one_module_for_each_element() -> None:
    plan = as_written(config("ab", "c", "", "d"), OptLevel.NO)
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
    written = config(*chains)
    orders = []
    for level in OptLevel:
        plan = as_written(written, level)
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


# --- several places on a side ---

REPLY, ROUTE = (Asked(it, "", "for the test") for it in (Need.REPLY, Need.ROUTE))
LIBRARY = place("client", "grpc", gives={Need.ROUTE})
SIDECAR = place("client", "sidecar", gives={Need.REPLY})
BEHIND = place("server", "sidecar", gives={Need.REPLY, Need.DELAY})
PLACES = (LIBRARY, SIDECAR, BEHIND)
GIVEN = st.frozensets(st.sampled_from([Need.REPLY, Need.ROUTE]))
A, B, C = (ElementSpec(Located(it, SPAN), FileSource(Path(f"{it}.appnet"))) for it in "abc")


def at_client(*specs: ElementSpec) -> list[Stop]:
    return [Stop(it, Side.CLIENT, Side.CLIENT) for it in specs]


def test_segments_are_named_for_what_tells_their_places_apart() -> None:
    def names(*places: Place, fused: bool = True) -> list[str]:
        plan = plan_of(Edge("x", "y", ()), places, [(A, it) for it in range(len(places))], fused=fused)
        return [it.name for it in plan.segments]

    assert names(*BOTH) == ["client", "server"]
    assert names(*PLACES) == ["client-grpc", "client-sidecar", "server"]
    assert names(*PLACES, fused=False) == ["client-grpc-a", "client-sidecar-a", "server-a"]
    twice = (place("client", "sidecar", "wasm"), place("client", "sidecar"), place("client", "grpc"))
    assert names(*twice) == ["client-sidecar-wasm", "client-sidecar-native", "client-grpc"]


@pytest.mark.parametrize(
    ("preferred", "at"), [(["grpc", "sidecar"], (0, 0)), (["sidecar", "grpc"], (1, 1)), ([], (0, 0))]
)
def test_as_written_elements_are_in_the_place_that_is_listed_first(preferred: list[str], at: tuple[int, ...]) -> None:
    assert standing(at_client(A, B), [(), ()], PLACES, preferred).at == at


@pytest.mark.parametrize(
    ("asked", "preferred", "at"),
    [
        ([(), (REPLY,), ()], ["grpc", "sidecar"], (0, 1, 1)),  # a request does not go back to the library
        ([(), (ROUTE,), ()], ["sidecar", "grpc"], (0, 0, 1)),
        ([(ROUTE,), (REPLY,), ()], ["sidecar", "grpc"], (0, 1, 1)),
    ],
)
def test_as_written_elements_are_where_they_get_what_they_need(
    asked: list[tuple[Asked, ...]], preferred: list[str], at: tuple[int, ...]
) -> None:
    found = standing(at_client(A, B, C), asked, PLACES, preferred)
    assert found.at == at
    assert [len(it) for it in found.suits] == [1 if it else 2 for it in asked]


def test_an_element_of_no_side_crosses_the_wire_for_what_it_needs() -> None:
    delay = Asked(Need.DELAY, "", "for the test")
    found = standing([Stop(A, None, Side.CLIENT), Stop(B, None, Side.SERVER)], [(delay,), ()], PLACES, [])
    assert found.at == (2, 2)


def test_what_an_element_lacks_is_told_of_the_place_that_gives_most() -> None:
    delay = Asked(Need.DELAY, "", "for the test")
    stops = [*at_client(A, B), Stop(C, Side.SERVER, Side.SERVER)]
    asked = [(REPLY, ROUTE, delay), (ROUTE,), (ROUTE, REPLY)]
    lacks = (Lack(A, LIBRARY, (REPLY, delay)), Lack(C, BEHIND, (ROUTE,)))
    assert lacking(stops, asked, PLACES) == lacks
    with pytest.raises(UnsuitedError) as caught:
        standing(stops, asked, PLACES, [])
    assert caught.value.lacks == lacks
    assert str(caught.value) == "a, c"


def test_where_its_side_has_no_place_an_element_is_on_the_other() -> None:
    stops = [*at_client(A, B), Stop(C, Side.SERVER, Side.SERVER)]
    assert standing(stops, [(), (REPLY,), ()], [BEHIND], []).at == (0, 0, 0)
    assert lacking(stops, [(), (ROUTE,), ()], [BEHIND]) == (Lack(B, BEHIND, (ROUTE,)),)


def test_a_place_that_a_request_has_passed_is_none() -> None:
    assert lacking(at_client(A, B, C), [(), (REPLY,), (ROUTE,)], PLACES) == (Lack(C, LIBRARY, (), after=B),)
    assert lacking(at_client(A, C, B), [(), (ROUTE,), (REPLY,)], PLACES) == ()


@given(st.data())
def test_as_written_is_what_comes_first_of_all_that_is_possible(data: st.DataObject) -> None:
    where = (("client", "x"), ("client", "y"), ("server", "y"))
    places = [place(*it, gives=data.draw(GIVEN)) for it in where]
    ends = st.sampled_from([(Side.CLIENT, Side.CLIENT), (Side.SERVER, Side.SERVER), (None, Side.CLIENT)])
    stops = [Stop(A, *it) for it in data.draw(st.lists(ends, min_size=1, max_size=4))]
    asked = [[Asked(it, "", "") for it in data.draw(GIVEN)] for _ in stops]

    def suits(number: int, at: int) -> bool:
        wanted = {it.need for it in asked[number]}
        return stops[number].fixed in (None, places[at].side) and wanted <= places[at].gives

    def rank(at: tuple[int, ...]) -> list[tuple[bool, bool, int]]:
        """By element: its own side before the other, then the processor that is listed first, y."""
        there = zip(stops, (places[it] for it in at), at, strict=True)
        return [(stop.side is not one.side, one.processor != "y", number) for stop, one, number in there]

    every = combinations_with_replacement(range(len(places)), len(stops))
    possible = [at for at in every if all(suits(*it) for it in enumerate(at))]
    assert bool(lacking(stops, asked, places)) is not bool(possible)
    if possible:
        assert standing(stops, asked, places, ["y", "x"]).at == min(possible, key=rank)


def test_a_plan_lists_segments_as_requests_pass_them() -> None:
    plan = plan_of(Edge("x", "y", ()), PLACES, [(A, 0), (B, 1), (C, 1)], fused=True)
    assert [(it.place, it.elements) for it in plan.segments] == [(LIBRARY, (A,)), (SIDECAR, (B, C))]
