"""What the guide's calls should bring, by the interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.application.load import LoadedApplication, LoadedChain, load
from appnet.deploy.local.foreseen import CallerAnswer, Expectation, Foreseen
from appnet.deploy.local.services import read_local_application
from appnet.diagnostics.source import FileSource, TextSource
from appnet.ir import compile_element
from appnet.ir.nodes import Element

ECHO = Path(__file__).parents[2] / "config" / "samples" / "echo"
FAULT = CallerAnswer("Echo server returns an error.", 10, "fault_injected")


def loaded(folder: Path) -> LoadedApplication:
    return load(FileSource(folder / "sample_echo_sidecar.yaml"))


@pytest.fixture(scope="module")
def edge() -> LoadedChain:
    return loaded(ECHO).chains[0]


HIT, LATER = CallerAnswer("You've hit server-1"), CallerAnswer("Echo server returns an error.", 8, "limit")
LIMIT = """
state:
    used: int
init():
    pass
req(rpc):
    if used >= 1:
        send(err('limit', RESOURCE_EXHAUSTED), Up)
    used = used + 1
    send(rpc, Down)
resp(rpc):
    send(rpc, Up)
"""


def limit(edge: LoadedChain, text: str = LIMIT) -> Element:
    return compile_element(TextSource(Path("limit.appnet"), text), edge.method).element


CALLS = {
    it.get.rpartition("=")[2]: it
    for it in read_local_application(FileSource(ECHO / "local.yaml"), {"server": 0, "frontend": 0}).calls
}


class Calls:
    """Calls of the sample's application file, by their keys."""

    def __init__(self, foreseen: Foreseen) -> None:
        self._foreseen = foreseen
        self.answered = foreseen.answered

    def next(self, key: str) -> Expectation:
        return self._foreseen.next(CALLS[key])


def foreseen(edge: LoadedChain, client: list[Element], server: list[Element], replicas: int = 1) -> Calls:
    names = ["server-1"] if replicas == 1 else [f"server-1-{number}" for number in range(replicas)]
    return Calls(Foreseen(names, client, server, edge.method))


def hit(replica: int) -> CallerAnswer:
    return CallerAnswer(f"You've hit server-1-{replica}")


def test_the_sample_usually_answers_and_by_chance_injects_a_fault(edge: LoadedChain) -> None:
    expected = foreseen(edge, list(edge.elements.values()), []).next("hello")
    assert expected.usual == HIT
    assert expected.by_chance == {FAULT}
    assert expected.streams == {"logging.record_req", "logging.record_resp", "metrics.latency"}


def test_the_firewall_refuses_and_says_so(edge: LoadedChain) -> None:
    expected = foreseen(edge, [], [edge.elements["firewall"]]).next("test")
    assert expected.usual == CallerAnswer("Echo server returns an error.", 10, "firewall")
    assert expected.by_chance == frozenset()
    assert expected.streams == frozenset()


@pytest.mark.parametrize("at_server", [False, True])
def test_a_chain_remembers_the_calls_before(edge: LoadedChain, *, at_server: bool) -> None:
    elements: tuple[list[Element], list[Element]] = ([], [limit(edge)]) if at_server else ([limit(edge)], [])
    calls = foreseen(edge, *elements)
    assert calls.next("hello").usual == HIT
    calls.answered(HIT)
    second = calls.next("test")
    assert (second.usual, second.alike, second.by_chance) == (LATER, frozenset(), frozenset())


def test_each_replica_has_its_own_state(edge: LoadedChain) -> None:
    calls = foreseen(edge, [], [limit(edge)], replicas=3)
    first = calls.next("hello")
    assert {first.usual, *first.alike} == {hit(0), hit(1), hit(2)}
    calls.answered(hit(1))
    second = calls.next("hello")
    assert {second.usual, *second.alike} == {hit(0), hit(2), LATER}, "server-1 has used up its own"
    calls.answered(LATER)
    third = calls.next("hello")
    assert {third.usual, *third.alike} == {hit(0), hit(2), LATER}
    calls.answered(hit(0))
    calls.next("hello")
    calls.answered(hit(2))
    fourth = calls.next("hello")
    assert (fourth.usual, fourth.alike) == (LATER, frozenset())


def test_on_the_clients_side_one_state_counts_calls_to_all_replicas(edge: LoadedChain) -> None:
    calls = foreseen(edge, [limit(edge)], [], replicas=3)
    calls.next("hello")
    calls.answered(hit(2))
    second = calls.next("hello")
    assert (second.usual, second.alike) == (LATER, frozenset())


def test_what_was_answered_by_chance_tells_what_elements_have_seen(edge: LoadedChain) -> None:
    """What the fault refuses has used up the limit before it, and none of that behind it."""
    for client, second in (
        ([limit(edge), edge.elements["fault"]], LATER),
        ([edge.elements["fault"], limit(edge)], HIT),
    ):
        calls = foreseen(edge, client, [])
        assert FAULT in calls.next("hello").by_chance
        calls.answered(FAULT)
        assert calls.next("hello").usual == second


def test_a_host_that_an_element_chooses_is_the_one_that_answers(edge: LoadedChain) -> None:
    text = LIMIT.replace("    used = used + 1\n", "    set(rpc, 'dst', 2)\n")
    expected = foreseen(edge, [limit(edge, text)], [], replicas=3).next("hello")
    assert (expected.usual, expected.alike) == (hit(2), frozenset())
