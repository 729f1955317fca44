"""Moves over the wire: what ties an element to its side, and that what is free to move is never told apart."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from appnet.analysis import Strength, infer
from appnet.analysis.places import Tied, ties
from appnet.application.load import BoundMethod, LoadedChain, load
from appnet.application.model import ElementSpec, Side, Stop
from appnet.diagnostics.place import Span
from appnet.diagnostics.source import FileSource, TextSource
from appnet.diagnostics.yaml_reader import Located
from appnet.ir import compile_element
from appnet.language.messages import Field, MethodSignature
from appnet.language.types import STRING
from appnet.optimize import OptimizedPlan, Planner, Settings
from appnet.optimize.explain import explain, explanation_json, told, told_changes
from appnet.optimize.placement import OptLevel
from appnet.optimize.search import Arrangement
from tests.optimize.chains import KV, PARTS, PLACES, STREAMS, Chain, difference, element_of
from tests.optimize.fuzz import judge
from tests.support.edge import make_world
from tests.support.edge_streams import make_streams
from tests.support.prices import DEFAULT
from tests.support.programs import program

STRONG, WEAK = Strength.STRONG, Strength.WEAK
ECHO = Path("config/samples/echo/sample_echo_sidecar.yaml")

TIED = {  # by what each part does, under strong and under weak
    "counts": ({Tied.STATE}, set()),
    "limits": ({Tied.STATE}, set()),
    "gates": ({Tied.STATE}, set()),
    "bucket": ({Tied.STATE, Tied.CLOCK}, set()),
    "dates": ({Tied.CLOCK}, {Tied.CLOCK}),
    "times": ({Tied.CLOCK}, {Tied.CLOCK}),
    "late": ({Tied.CLOCK, Tied.ERRORS}, {Tied.CLOCK, Tied.ERRORS}),
    "notes the time": ({Tied.CLOCK}, set()),
    "counts errors": ({Tied.ERRORS}, {Tied.ERRORS}),
    "hides errors": ({Tied.ERRORS}, {Tied.ERRORS}),
    "needs answers": ({Tied.ERRORS}, {Tied.ERRORS}),
    "marks answers": ({Tied.ERRORS}, {Tied.ERRORS}),
    "request id": ({Tied.METADATA}, {Tied.METADATA}),
    "any header": ({Tied.METADATA}, {Tied.METADATA}),
    "numbers": ({Tied.CALL_NUMBER}, {Tied.CALL_NUMBER}),
    "delays": ({Tied.WAIT}, {Tied.WAIT}),
    "chooses": ({Tied.HOSTS}, {Tied.HOSTS}),
    "loads": ({Tied.HOSTS, Tied.CLOCK}, {Tied.HOSTS, Tied.CLOCK}),
    "starts": ({Tied.STATE}, set()),
    "drawn": ({Tied.STATE}, set()),
    "shows": ({Tied.STATE}, set()),
}


def kinds(name: str, strength: Strength | None, method: MethodSignature = KV) -> set[Tied]:
    element = element_of("x", name, method=method)
    return {it.kind for it in ties(element, method, infer(element), strength)}


@pytest.mark.parametrize("name", PARTS)
def test_what_ties_an_element_to_its_side(name: str) -> None:
    strong, weak = TIED.get(name, (set(), set()))
    assert (kinds(name, STRONG), kinds(name, WEAK)) == (strong, weak)
    assert kinds(name, None) == strong & {Tied.HOSTS}


# --- no tie is idle: without it the move is told ---

_BESIDE = {  # who stands before and behind, where not everybody would tell
    "delays": ("stamps", "bucket"),
    "loads": ("stamps", "delays"),
    "any header": ("rewrites", "notes"),
}


@pytest.mark.parametrize("name", TIED)
def test_an_element_that_is_tied_would_be_told_on_the_other_side(name: str) -> None:
    before, behind = _BESIDE.get(name, ("stamps", "notes"))
    chain = Chain(
        (element_of("before", before), element_of("x", name), element_of("behind", behind)),
        (Side.CLIENT, None, Side.SERVER),
    )
    assert chain.problem(STRONG).suits[1] == {0}
    moved, source = Arrangement((0, 1, 2), (0, 1, 1)), random.Random(1)
    free = chain.problem(STRONG, tied=False)
    worlds = (make_world(source, calls=8) for _ in range(300))
    assert any(difference(chain, free, moved, STRONG, it, all_state=True) for it in worlds)


_ANSWERS = [
    *((first, second) for first in ("gates", "shared gate", "late") for second in ("refuses", "draws", "replies")),
    ("shows", "replies"),
]


@pytest.mark.parametrize(("first", "second"), _ANSWERS)
def test_what_answers_calls_stays_beside_what_can_tell_when_it_answers(first: str, second: str) -> None:
    chain = Chain((element_of("first", first), element_of("second", second)), (Side.CLIENT, None))
    problem = chain.problem(STRONG)
    assert problem.suits[1] == {0}
    assert [it.kind for it in problem.bound[1].ties] == [Tied.ANSWERS]
    moved, source = Arrangement((0, 1), (0, 1)), random.Random(2)
    free = chain.problem(STRONG, tied=False)
    worlds = (make_world(source, calls=8) for _ in range(400))
    assert any(difference(chain, free, moved, STRONG, it) for it in worlds)


def test_what_answers_calls_may_leave_those_that_cannot_tell_when() -> None:
    for first in ("limits", "counts", "notes answers", "counts errors"):
        chain = Chain((element_of("first", first), element_of("second", "refuses")), (Side.CLIENT, None))
        assert chain.problem(STRONG).suits[1] == {0, 1}
    behind = Chain((element_of("first", "refuses"), element_of("second", "gates")), (None, Side.SERVER))
    assert behind.problem(STRONG).suits[0] == {0, 1}, "what it refuses does not pass the gate"
    before = Chain((element_of("first", "gates"), element_of("second", "writes")), (Side.CLIENT, None))
    assert before.problem(STRONG).suits[1] == {0, 1}, "it answers nothing"


@pytest.mark.parametrize(("first", "second"), [("writes", "sized"), ("answers size", "answers")])
def test_what_writes_before_the_size_is_read_stays_there(first: str, second: str) -> None:
    parts = {
        "sized": program("if byte_size(rpc) > 10:\n    send(err('long'), Up)"),
        "answers size": program(resp="set_metadata(rpc, 'x-size', to_string(byte_size(rpc)))"),
    }
    elements = tuple(
        compile_element(TextSource(Path(f"{it}.appnet"), parts[it]), KV).element if it in parts else element_of(it, it)
        for it in (first, second)
    )
    writer = elements.index(next(it for it in elements if it.name not in parts))
    fixed = (None, Side.SERVER) if writer == 0 else (Side.CLIENT, None)
    problem = Chain(elements, fixed).problem(STRONG)
    assert problem.suits[writer] == {problem.written[writer]}
    assert [it.kind for it in problem.bound[writer].ties] == [Tied.SIZE]


# --- what is free is never told ---


@pytest.mark.parametrize("seed", range(60))
def test_random_moves_are_never_told_apart(seed: int) -> None:
    _, wrong = judge(seed, worlds=10)
    assert not wrong, wrong[0]


# --- all methods of an edge ---


def _method(name: str, *, fields: tuple[str, ...] = (), **streams: bool) -> MethodSignature:
    schema = replace(
        KV.request, fields={**KV.request.fields, **{it: Field(it, STRING, (90,), "string") for it in fields}}
    )
    return MethodSignature(f"/kv.Store/{name}", schema, schema, **streams)


def _loaded(
    programs: dict[str, str], stops: dict[str, Side | None], home: Side, *methods: MethodSignature
) -> LoadedChain:
    edge = load(FileSource(ECHO)).chains[0]
    sources = {name: TextSource(Path(f"{name}.appnet"), text) for name, text in programs.items()}
    specs = {name: ElementSpec(Located(name, Span.whole(it)), it) for name, it in sources.items()}
    placed = tuple(Stop(specs[name], side, home if side is None else side) for name, side in stops.items())
    bound = tuple(
        BoundMethod(it, {name: compile_element(source, it).element for name, source in sources.items()})
        for it in methods
    )
    return LoadedChain(replace(edge.chain, stops=placed), bound, edge.proto)


def _plan(chain: LoadedChain, level: OptLevel) -> OptimizedPlan:
    return Planner(Settings(level), DEFAULT.crossing).plan(chain, PLACES)


def _sides(found: OptimizedPlan) -> dict[str, str]:
    return {it.name.value: part.place.side.value for part in found.plan.segments for it in part.elements}


CHOOSER = program("set(rpc, 'dst', '1')")
FIRST, SECOND = _method("First", fields=("dst",)), _method("Second")


@pytest.mark.parametrize("level", OptLevel)
def test_a_host_that_is_chosen_for_one_method_alone_is_chosen_on_the_clients_side(level: OptLevel) -> None:
    """In messages of the first method `dst` is a field like others."""
    chain = _loaded({"chooser": CHOOSER}, {"chooser": None}, Side.CLIENT, FIRST, SECOND)
    assert _plan(chain, level).problem.suits == (frozenset({0}),)


@pytest.mark.parametrize("level", OptLevel)
def test_what_chooses_a_host_beside_a_lone_server_chain_runs_on_the_clients_side(level: OptLevel) -> None:
    programs = {"quota": program("n = n + 1", state="n: int"), "chooser": CHOOSER, "late": program(), "own": program()}
    stops = {"quota": None, "chooser": None, "late": None, "own": Side.SERVER}
    found = _plan(_loaded(programs, stops, Side.SERVER, SECOND), level)
    assert {name: _sides(found)[name] for name in ("quota", "chooser")} == {"quota": "client", "chooser": "client"}
    assert found.problem.written == (0, 0, 1, 1), "what comes behind it stays where it would be"


def test_any_method_can_tie() -> None:
    reader = program("if get_metadata(rpc, 'user') == 'eve':\n    send(err('no'), Up)")
    streaming = _method("Stream", client_streaming=True)
    unary = _loaded({"reader": reader}, {"reader": None}, Side.CLIENT, SECOND)
    both = _loaded({"reader": reader}, {"reader": None}, Side.CLIENT, SECOND, streaming)
    assert _plan(unary, OptLevel.STRONG).problem.suits == (frozenset({0, 1}),)
    assert _plan(both, OptLevel.STRONG).problem.suits == (frozenset({0}),)


# --- streams ---


@pytest.mark.parametrize(
    ("part", "up", "down"),
    [
        ("refuses", True, False),
        ("stamps", True, False),
        ("hands over", True, False),
        ("remembers", True, False),
        ("good answers", False, True),
        ("writes", False, False),
        ("notes", False, False),
    ],
)
def test_what_ties_on_streams(part: str, up: bool, down: bool) -> None:
    client, server = _method("Up", client_streaming=True), _method("Down", server_streaming=True)
    assert kinds(part, STRONG, client) == ({Tied.STREAM} if up else set())
    assert kinds(part, STRONG, server) == ({Tied.STREAM} if down else set())


@pytest.mark.parametrize(
    ("before", "part", "behind", "method"),
    [
        ("writes", "refuses", "notes", "Up"),
        ("writes", "refuses", "notes", "Both"),
        ("stamps some", "hands over", "notes", "Up"),
        ("writes", "stamps some", "hands over", "Both"),
        ("writes", "remembers", "notes", "Both"),
        ("writes", "checks answers", "notes answers", "Down"),
    ],
)
def test_what_is_tied_on_streams_would_be_told_on_the_other_side(
    before: str, part: str, behind: str, method: str
) -> None:
    stream = next(it for it in STREAMS if it.full_name.endswith(method))
    elements = [element_of(name, it, method=stream) for name, it in zip("abc", (before, part, behind), strict=True)]
    chain = Chain(tuple(elements), (Side.CLIENT, None, Side.SERVER), method=stream)
    assert [it.kind for it in chain.problem(STRONG).bound[1].ties] == [Tied.STREAM]
    moved, source, free = Arrangement((0, 1, 2), (0, 1, 1)), random.Random(3), chain.problem(STRONG, tied=False)
    worlds = (make_streams(source, stream, calls=8, quiet=False, still=False) for _ in range(300))
    assert any(difference(chain, free, moved, STRONG, it) for it in worlds)


# --- what people are told ---


def _explained(req: str, level: OptLevel, **parts: str) -> list[str]:
    chain = _loaded({"it": program(req, **parts)}, {"it": None}, Side.CLIENT, KV)
    lines = list(told(explain(_plan(chain, level))))
    return lines[lines.index("sides") + 1 :] if "sides" in lines else []


def test_explain_says_why_an_element_stays_and_what_follows_one_that_moves() -> None:
    count = {"req": "n = n + 1\nset_metadata(rpc, 'x-n', to_string(n))", "state": "n: int"}
    assert _explained(**count, level=OptLevel.STRONG) == [
        "  it stays on the client's side: each instance has its own `n`, and the sides have different instances"
    ]
    assert _explained(**count, level=OptLevel.WEAK) == [
        "  it may run on either side; each instance there has its own `n`"
    ]
    assert _explained("set(rpc, 'dst', '1')", OptLevel.IGNORE) == [
        "  it stays on the client's side: it looks at hosts or picks one, and only the client's side has several"
    ]
    assert _explained("pass", OptLevel.STRONG) == ["  it may run on either side"]
    assert _explained("pass", OptLevel.NO) == []


def test_state_that_follows_is_told_with_the_move() -> None:
    chain = _loaded(
        {"it": program("n = n + 1", state="n: int"), "own": program("set(rpc, 'key', lower(get(rpc, 'key')))")},
        {"it": None, "own": Side.SERVER},
        Side.CLIENT,
        KV,
    )
    found = explain(_plan(chain, OptLevel.WEAK))
    assert next(iter(told_changes(found))) == (
        "it runs on the server's side, not the client's; each instance there has its own `n`"
    )
    assert explanation_json(found)["standing"] == (
        {"element": "it", "sides": ("client", "server"), "reasons": (), "follows": ("n",)},
    )
    assert not list(told_changes(explain(_plan(chain, OptLevel.STRONG))))
