"""Plans of real chains: legal, cheaper, explained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from appnet.analysis import Proved, Refuted, Strength
from appnet.analysis.decision import Counterexample, Event
from appnet.application.load import BoundMethod, LoadedChain, load
from appnet.application.model import Chain, Edge, ElementSpec, Side, Stop
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.place import Span
from appnet.diagnostics.source import FileSource, TextSource
from appnet.diagnostics.yaml_reader import Located
from appnet.ir import compile_element
from appnet.ir.needs import Need
from appnet.ir.nodes import Element
from appnet.optimize import Algorithm, OptimizedPlan, Place, Planner, Profile, Settings, UnsuitedError
from appnet.optimize.cost import KINDS, TargetCosts
from appnet.optimize.explain import explain, explanation_json, told, told_application, told_changes, told_order, total
from appnet.optimize.picture import picture
from appnet.optimize.placement import OptLevel
from appnet.optimize.problem import problem_of
from appnet.optimize.profile import load_profiles
from appnet.optimize.search import inverted
from tests.support import snapshots
from tests.support.prices import DEFAULT
from tests.support.svg import drawn_texts

ECHO = Path("config/samples/echo/sample_echo_sidecar.yaml")


@pytest.fixture(scope="module")
def edge() -> LoadedChain:
    return load(FileSource(ECHO)).chains[0]


def places(edge: LoadedChain, target: str = "native") -> tuple[Place, ...]:
    prices = DEFAULT.targets[target]
    return tuple(Place(side, "sidecar", target, frozenset(Need), prices) for side in Side)


def optimize(
    edge: LoadedChain,
    level: OptLevel,
    target: str = "native",
    algorithm: Algorithm = Algorithm.COST,
    profile: Profile | None = None,
    running: OptimizedPlan | None = None,
) -> OptimizedPlan:
    planner = Planner(Settings(level, algorithm), DEFAULT.crossing)
    return planner.plan(edge, places(edge, target), profile, running)


def alone(edge: LoadedChain, element: Element, fixed: Side | None, side: Side) -> LoadedChain:
    """The chain of this element alone."""
    spec = ElementSpec(Located(element.name, Span.whole(FileSource(ECHO))), FileSource(ECHO))
    chain = replace(edge.chain, stops=(Stop(spec, fixed, side),))
    return LoadedChain(chain, (BoundMethod(edge.method, {element.name: element}),), edge.proto)


def sides(found: OptimizedPlan) -> dict[str, list[list[str]]]:
    return {
        side.value: [[it.name.value for it in part.elements] for part in found.plan.segments if part.place.side is side]
        for side in Side
    }


def test_as_written_nothing_is_moved_or_fused(edge: LoadedChain) -> None:
    found = optimize(edge, OptLevel.NO)
    assert sides(found) == {"client": [["fault"], ["logging"], ["metrics"]], "server": [["firewall"]]}
    assert found.cost == found.written_cost


@pytest.mark.parametrize("target", ["native", "wasm"])
@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("level", [OptLevel.IGNORE, OptLevel.WEAK, OptLevel.STRONG])
def test_every_level_is_legal_and_no_dearer_than_as_written(
    edge: LoadedChain, level: OptLevel, algorithm: Algorithm, target: str
) -> None:
    found = optimize(edge, level, target, algorithm)
    assert found.problem.is_legal(found.arrangement.order, found.arrangement.at)
    assert found.cost < found.written_cost
    assert sorted(it for modules in sides(found).values() for module in modules for it in module) == sorted(
        edge.elements
    )


def test_strong_keeps_what_records_before_what_refuses(edge: LoadedChain) -> None:
    (client,) = sides(optimize(edge, OptLevel.STRONG))["client"]
    assert client.index("fault") < client.index("logging")


def test_traffic_that_was_seen_changes_the_plan(edge: LoadedChain) -> None:
    often = optimize(edge, OptLevel.STRONG, profile=Profile({"fault": 0.9}))
    rarely = optimize(edge, OptLevel.STRONG, profile=Profile({"fault": 0.0}))
    assert often.cost < rarely.cost / 2


def test_what_chooses_a_host_runs_on_the_clients_side(edge: LoadedChain) -> None:
    text = "state:\n    pass\ninit():\n    pass\nreq(rpc):\n    set(rpc, 'dst', 1)\n    send(rpc, Down)\nresp(rpc):\n    send(rpc, Up)\n"
    chooser = compile_element(TextSource(Path("chooser.appnet"), text), edge.method).element
    for asked, place in ((None, 0), (Side.SERVER, 1)):  # what was asked for stays
        found = optimize(alone(edge, chooser, asked, Side.SERVER), OptLevel.IGNORE)
        assert found.problem.suits == (frozenset({place}),)


def test_a_status_that_may_differ_keeps_the_pair_where_it_is_read(edge: LoadedChain) -> None:
    reader = "state:\n    n: int\ninit():\n    pass\nreq(rpc):\n    send(rpc, Down)\nresp(rpc):\n    if status(rpc) != 0:\n        n = n + 1\n    send(rpc, Up)\n"
    watcher = compile_element(TextSource(Path("watcher.appnet"), reader), edge.method).element
    chain = [watcher, edge.elements["fault"], edge.elements["firewall"]]

    def decide(*_: object) -> Proved:
        return Proved("for the test", status_may_differ=True)

    free = problem_of(chain[1:], [frozenset({0})] * 2, [0] * 2, Strength.WEAK, decide)
    bound = problem_of(chain, [frozenset({0})] * 3, [0] * 3, Strength.WEAK, decide)
    assert free.kept == frozenset()
    assert (1, 2) in bound.kept


LIBRARY, SIDECAR = (frozenset(Need) - {Need.REPLY}, frozenset(Need))
SLOW, FAST = DEFAULT.targets["wasm"], DEFAULT.targets["native"]
SEVERAL = (
    Place(Side.CLIENT, "grpc", "native", LIBRARY, FAST),
    Place(Side.CLIENT, "sidecar", "wasm", SIDECAR, SLOW),
    Place(Side.SERVER, "sidecar", "wasm", SIDECAR, SLOW),
)


@pytest.fixture(scope="module")
def over_several(edge: LoadedChain) -> OptimizedPlan:
    return Planner(Settings(OptLevel.IGNORE), DEFAULT.crossing).plan(edge, SEVERAL)


def test_of_several_places_the_cheapest_is_taken(over_several: OptimizedPlan) -> None:
    """As written all run in the sidecars, as the sample lists no other processor."""
    assert over_several.problem.written == (1, 1, 1, 2)
    assert [(it.name, it.place) for it in over_several.plan.segments] == [
        ("client-grpc", SEVERAL[0]),
        ("server", SEVERAL[2]),
    ]


def test_what_replies_runs_where_it_may(edge: LoadedChain) -> None:
    text = "state:\n    pass\ninit():\n    pass\nreq(rpc):\n    send(reply(), Up)\nresp(rpc):\n    send(rpc, Up)\n"
    replies = compile_element(TextSource(Path("replies.appnet"), text), edge.method).element
    chain = alone(edge, replies, Side.CLIENT, Side.CLIENT)
    planner = Planner(Settings(OptLevel.STRONG), DEFAULT.crossing)
    assert [it.name for it in planner.plan(chain, SEVERAL).plan.segments] == ["client-sidecar"]
    with pytest.raises(UnsuitedError) as caught:
        planner.plan(chain, SEVERAL[:1])
    (lack,) = caught.value.lacks
    assert (lack.place, [it.need for it in lack.asked]) == (SEVERAL[0], [Need.REPLY])


def test_several_places_are_told_apart(over_several: OptimizedPlan) -> None:
    found = explain(over_several)
    assert list(found.planned) == ["client grpc", "client sidecar", "server"]
    changes = list(told_changes(found))
    assert "fault runs in the client's grpc, not its sidecar" in changes
    assert explanation_json(found)["moves"][0] == {
        "element": "fault",
        "before": "client sidecar",
        "after": "client grpc",
    }
    drawn = drawn_texts(picture([found]))
    assert drawn.count("client's grpc") == drawn.count("client's sidecar") == 1


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (1, 0, "in the client's grpc, not its sidecar"),
        (1, 2, "on the server's side, not in the client's sidecar"),
        (2, 0, "in the client's grpc, not on the server's side"),
    ],
)
def test_a_move_names_the_places_that_it_is_between(
    over_several: OptimizedPlan, before: int, after: int, words: str
) -> None:
    problem = replace(over_several.problem, written=(before,) * 4)
    arrangement = replace(over_several.arrangement, at=(after,) * 4)
    changes = list(told_changes(explain(replace(over_several, problem=problem, arrangement=arrangement))))
    assert changes[0] == f"fault runs {words}"


BESIDE_PROXIES = (
    Place(Side.CLIENT, "grpc", "library", SIDECAR, FAST),
    Place(Side.CLIENT, "sidecar", "native", SIDECAR, FAST, 19.0),
    Place(Side.SERVER, "sidecar", "native", SIDECAR, FAST, 19.0),
    Place(Side.SERVER, "grpc", "library", SIDECAR, FAST),
)


def in_programs(edge: LoadedChain) -> LoadedChain:
    """The chain whose configuration lists programs before sidecars."""
    listed = tuple(Located(it, Span.whole(FileSource(ECHO))) for it in ("grpc", "sidecar"))
    return replace(edge, chain=replace(edge.chain, processors=listed))


def test_proxies_that_could_be_bypassed_are_told(edge: LoadedChain) -> None:
    planner = Planner(Settings(OptLevel.STRONG), 1.0)
    found = explain(planner.plan(in_programs(edge), BESIDE_PROXIES))
    assert found.planned["client sidecar"] == found.planned["server sidecar"] == []
    assert found.idle == {"client sidecar": 18.81, "server sidecar": 18.81}  # 1 % end at the fault element
    (line,) = (it for it in told(found) if "bypass" in it)
    assert line.startswith(
        "  the client's sidecar and the server's sidecar have no elements: an RPC that bypasses them saves 37.6 µs, "
        "and gives up what they do without elements, such as mTLS"
    )
    assert explanation_json(found)["idle"] == found.idle
    alone = explain(planner.plan(in_programs(edge), BESIDE_PROXIES[1:3]))
    assert alone.idle == {}


def test_what_can_tell_a_program_from_its_proxy_stays_where_it_was_written(edge: LoadedChain) -> None:
    """`metrics` measures time, and a call is in the program and in the sidecar at different times."""
    planner = Planner(Settings(OptLevel.STRONG), 1.0)
    cheap = replace(BESIDE_PROXIES[0], prices=TargetCosts(0.0, 0.0, 0.0, dict.fromkeys(KINDS, 0.0)))
    found = planner.plan(edge, (cheap, *BESIDE_PROXIES[1:]))  # the sample lists sidecars alone
    assert found.problem.written == (1, 1, 1, 2)
    assert explain(found).planned == {
        "client grpc": ["fault", "logging"],
        "client sidecar": ["metrics"],
        "server sidecar": ["firewall"],
        "server grpc": [],
    }


def test_equal_chains_are_planned_once_whatever_the_edge(edge: LoadedChain) -> None:
    planner = Planner(Settings(OptLevel.WEAK), DEFAULT.crossing)
    first = planner.plan(edge, places(edge), Profile({"fault": 0.5}, rate=1.0))
    other = replace(edge, chain=replace(edge.chain, edge=Edge("a", "b", ("echo",))))
    second = planner.plan(other, places(edge), Profile({"fault": 0.5}, rate=2.0))
    assert second.problem is first.problem
    assert second.plan.edge == other.chain.edge
    assert planner.plan(edge, places(edge, "wasm"), Profile({"fault": 0.5})).problem is not first.problem
    assert planner.plan(edge, places(edge), Profile({"fault": 0.4})).problem is not first.problem


def test_the_explanation_says_what_why_and_why_not(edge: LoadedChain) -> None:
    found = explain(optimize(edge, OptLevel.STRONG))
    text = "\n".join(told(found))
    assert "as planned   client: fault + logging + metrics\n             server: firewall\n" in text
    assert (
        "kept in order\n  fault, logging: the order makes a difference\n    a call comes\n    fault first: fault draws and refuses; "
        in text
    )


def test_a_refutation_is_told_as_a_story(edge: LoadedChain) -> None:
    optimized = optimize(edge, OptLevel.STRONG)
    events = (
        Event("request", 7, 0, {"Body": b"test"}, {"user": b"ann"}),
        Event("response", 7, 1_500_000_000, status=14),
    )
    assert story_of(optimized, events) == (
        "let `n` of acl be 3",
        'a call comes with {Body: "test"} and metadata {user: "ann"}',
        "1.5 s later, the server fails the call with UNAVAILABLE",
        "fault first: the caller gets ABORTED",
        "logging first: it arrives",
    )
    stream = (Event("request", 9), Event("request", 4), Event("request", 9), Event("response", 4, 0, {"Body": b"x"}))
    assert story_of(optimized, stream)[1:-2] == (
        "call 1 comes",
        "call 2 comes",
        "call 1 sends a message",
        'the server responds to call 2 with {Body: "x"}',
    )


def story_of(optimized: OptimizedPlan, events: tuple[Event, ...]) -> tuple[str, ...]:
    """How it is told that these events tell fault and logging apart."""
    refuted = Refuted(Counterexample(events, "the caller gets ABORTED", "it arrives", {"acl": {"n": 3}}))
    optimized.problem.decisions[0, 1] = refuted  # type: ignore[index]
    return next(it for it in explain(optimized).pairs if (it.first, it.second) == ("fault", "logging")).story


def test_the_first_screen_has_a_line_on_what_is_kept(edge: LoadedChain) -> None:
    found = explain(optimize(edge, OptLevel.STRONG))
    assert told_order([found]) == "order kept for 5 pairs"
    assert told_order([found, found]) == "order kept for 10 pairs"
    assert told_order([explain(optimize(edge, OptLevel.IGNORE))]) == ""


def test_a_share_that_an_element_cannot_refuse_does_not_count(edge: LoadedChain) -> None:
    seen = Profile({"logging": 0.9, "metrics": 0.5, "fault": 0.5})
    plain = Profile({"fault": 0.5})
    with_shares, without = (optimize(edge, OptLevel.WEAK, profile=it) for it in (seen, plain))
    assert with_shares.cost == without.cost
    assert with_shares.arrangement == without.arrangement
    assert optimize(edge, OptLevel.WEAK).cost != without.cost


def test_the_picture_shows_every_element_twice(edge: LoadedChain) -> None:
    drawn = drawn_texts(picture([explain(optimize(edge, OptLevel.WEAK))]))
    for name in edge.elements:
        assert drawn.count(name) == 2


def test_the_picture_of_an_application_begins_with_its_graph(edge: LoadedChain) -> None:
    found = explain(optimize(edge, OptLevel.WEAK))
    other = replace(found, client="server", server="store", methods=("Get", "Put"))
    graph = [("frontend", "server"), ("server", "store"), ("store", "frontend"), ("server", "cache")]
    drawn = drawn_texts(picture([found, other], graph))
    cost = f"{found.written_cost:.1f} \u2192 {found.cost:.1f} µs"
    assert drawn[:6] == [cost, cost, "frontend", "server", "store", "cache"]
    assert drawn.count("frontend->server echo") == drawn.count("server->store Get, Put") == 1


def test_an_application_costs_what_its_chains_cost(edge: LoadedChain) -> None:
    optimized = optimize(edge, OptLevel.WEAK)
    one, two = explain(optimized, Profile(rate=1000.0)), explain(optimized, Profile(rate=500.0))
    sums = total([one, two])
    assert sums.cost == pytest.approx(2 * optimized.cost)
    assert sums.cores == pytest.approx(1500 * optimized.cost / 1e6)
    assert sums.written_cores == pytest.approx(1500 * optimized.written_cost / 1e6)
    assert total([one, explain(optimized)]).cores is None
    lines = list(told_application([one, two]))
    assert lines[0] == "frontend->server echo"
    assert lines[-2].startswith("one RPC on each of 2 chains: ")
    assert lines[-1].startswith("the observed RPCs: 0.0")
    json.dumps(explanation_json(one))


BAD = Path(__file__).parent / "bad"
BAD_PROFILES = {
    "a list": ("- 1\n", "C080"),
    "another key": ("elements: {}\nrate: 3\n", "C010"),
    "no elements": ("{}\n", "C011"),
    "an element of another chain": ("elements:\n  faultt: {refused: 0.1}\n", "C081"),
    "more than all": ("elements:\n  fault: {refused: 1.5}\n", "C082"),
    "no number": ("elements:\n  fault: {refused: often}\n", "C082"),
    "an edge without a chain": ("edges:\n  frontend->servr:\n    - rate: 3\n", "C081"),
    "an edge with a mapping": ("edges:\n  frontend->server: {rate: 3}\n", "C012"),
    "an edge with a number": ("edges:\n  frontend->server: [3]\n", "C012"),
    "no rate": ("edges:\n  frontend->server:\n    - rate: -1\n", "C082"),
    "an endless rate": ("edges:\n  frontend->server:\n    - rate: .inf\n", "C082"),
    "another method": ("edges:\n  frontend->server:\n    - {method: ech, rate: 3}\n", "C081"),
    "which method": ("edges:\n  server->store:\n    - rate: 3\n", "C011"),
    "an element of another edge": (
        "edges:\n  server->store:\n    - {method: Get, elements: {firewall: {refused: 0.5}}}\n",
        "C081",
    ),
}


@pytest.fixture(scope="module")
def chains(edge: LoadedChain) -> list[Chain]:
    """The echo sample's, and of another edge one for each of two methods, without the firewall."""
    stops = tuple(it for it in edge.chain.stops if it.spec.name.value != "firewall")
    others = [replace(edge.chain, edge=Edge("server", "store", (method,)), stops=stops) for method in ("Get", "Put")]
    return [edge.chain, *others]


@pytest.mark.parametrize("name", BAD_PROFILES)
def test_a_profile_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, request: pytest.FixtureRequest, chains: list[Chain]
) -> None:
    text, code = BAD_PROFILES[name]
    monkeypatch.chdir(tmp_path)
    Path("profile.yaml").write_text(text)
    with pytest.raises(DiagnosticError) as caught:
        load_profiles(FileSource(Path("profile.yaml")), chains)
    assert [it.code for it in caught.value.diagnostics] == [code]
    snapshots.compare(str(caught.value), BAD / f"{name.replace(' ', '_')}.txt", request)


def test_a_profile_tells_of_all_chains_and_of_single_ones(tmp_path: Path, chains: list[Chain]) -> None:
    (tmp_path / "profile.yaml").write_text("""
elements:
  fault: {refused: 0.25}
edges:
  frontend->server:
    - rate: 1200
      elements:
        firewall: {refused: 0.5}
  server->store:
    - method: Put
      rate: 0.5
      elements:
        fault: {refused: 0}
""")
    assert load_profiles(FileSource(tmp_path / "profile.yaml"), chains) == [
        Profile({"fault": 0.25, "firewall": 0.5}, 1200.0),
        Profile({"fault": 0.25}),
        Profile({"fault": 0.0}, 0.5),
    ]


def test_an_edited_edge_keeps_its_plan_where_it_may() -> None:
    edge = load(FileSource(Path("config/samples/cookbook/admit.yaml"))).chains[0]
    running = optimize(edge, OptLevel.WEAK)
    assert inverted(running.arrangement.order), "the sample has elements that move"
    again = optimize(edge, OptLevel.WEAK, running=running)
    assert again.arrangement == running.arrangement
    assert set(again.problem.decisions) == set(inverted(running.arrangement.order)), "no other pair has to be decided"


def test_an_edited_edge_moves_back_what_may_not_stay(edge: LoadedChain) -> None:
    running = optimize(edge, OptLevel.IGNORE)
    assert inverted(running.arrangement.order)
    strong = optimize(edge, OptLevel.STRONG, running=running)
    assert strong.problem.is_legal(strong.arrangement.order, strong.arrangement.at)
    assert strong.arrangement != running.arrangement


def test_where_there_are_other_places_the_plan_that_runs_tells_nothing(edge: LoadedChain) -> None:
    running = optimize(edge, OptLevel.WEAK)
    planner = Planner(Settings(OptLevel.WEAK), DEFAULT.crossing)
    again = planner.plan(edge, SEVERAL, running=running)
    assert again == planner.plan(edge, SEVERAL)


def test_nothing_that_runs_changes_what_is_to_run_as_written(edge: LoadedChain) -> None:
    running = optimize(edge, OptLevel.IGNORE)
    assert optimize(edge, OptLevel.NO, running=running) == optimize(edge, OptLevel.NO)
