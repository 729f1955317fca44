"""Steps of several instances that are under way at once: whatever the store takes is as if they had run one after another."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from appnet.codegen.c import ChainSource, print_chain
from appnet.codegen.c.printer.body import BodyPrinter
from appnet.codegen.c.printer.element import ElementPrinter
from appnet.interpret import ChainInstance, Environment, Refused, Rpc, Store
from appnet.ir import sharing
from appnet.ir.nodes import Element
from appnet.language.types import STRING
from appnet.processors.envoy.build import build
from appnet.processors.envoy.harness.calls import CallUnderTest
from appnet.processors.envoy.harness.native import ModuleUnderTest
from appnet.processors.envoy.targets import NATIVE
from appnet.processors.processor import Denied
from appnet.state.layout import ChangeKind, decode, decode_changes, state_keys
from tests.support.raw_grpc import frame, string_field
from tests.support.shared_instances import PATH, compiled
from tests.support.shared_store import StoreUnderTest, store_under_test
from tests.support.signatures import ECHO


@pytest.fixture(scope="module")
def store() -> Iterator[StoreUnderTest]:
    with store_under_test() as it:
        yield it


MARK = "set(x, get_metadata(rpc, 'k'), get(rpc, 'body'))"
"""Each call leaves its own name, so that the store's log has the order of the calls."""
REQS = {
    "entries": f"""seen = ''
match get_metadata(rpc, 'do'):
    'read' => seen = get(x, get_metadata(rpc, 'r'), 'none')
    'own' => seen = get(x, get_metadata(rpc, 'k'), 'none')
    'delete' => delete(x, get_metadata(rpc, 'r'))
    'both' =>
        seen = get(x, get_metadata(rpc, 'r'), 'none')
        delete(x, get_metadata(rpc, 'r'))
    _ => pass
{MARK}""",
    "variables": f"""seen = concat(to_string(size(x)), to_string(n))
if get_metadata(rpc, 'do') == 'both':
    n = n + 1
{MARK}""",
    "local state": f"mine = mine + 1\nseen = get(x, get_metadata(rpc, 'r'), to_string(mine))\n{MARK}",
}
STATE = "@consistency(strong) @capacity({capacity})\nx: Map<string, string>\n@consistency(strong)\nn: int\nmine: int"
SEEDS = int(os.environ.get("APPNET_INTERLEAVINGS", "3"))
DOES = [b"read", b"own", b"delete", b"both", b"set"]
KEYS = [b"a", b"b", b"c", b"d", b"e", b"f"]


class UnderWay:
    """Instances whose requests and answers travel when the test says so."""

    def __init__(self, store: StoreUnderTest, element: Element, count: int) -> None:
        self._store, self._scope, self._element = store, store.scope(), element
        self._code = build(print_chain(ChainSource("chain", "1", [(ECHO, [element])])), NATIVE)
        self._them = [self._begun(it) for it in range(count)]
        self._carriers = [it.carrier for it in self._them if it.carrier is not None]
        self._calls: dict[bytes, tuple[int, dict[str, bytes]]] = {}
        self.told: dict[bytes, str] = {}
        self._over: list[CallUnderTest] = []
        for it in self._carriers:
            it.slow = True

    def _begun(self, number: int) -> ModuleUnderTest:
        ask = lambda element, variable, parts: self._store.ask(self._scope, element, variable, parts)  # noqa: E731
        return ModuleUnderTest(self._code, name=str(number).encode(), ask=ask)

    def run(self, draw: random.Random, calls: int) -> None:
        """So many calls at random instances, at random keys, until all are answered."""
        while len(self._calls) < calls:
            number = draw.randrange(len(self._them))
            match draw.choices(["call", "send", "receive"], [4, 2, 2])[0]:
                case "call":
                    self._call(number, {"k": draw.choice(KEYS), "r": draw.choice(KEYS), "do": draw.choice(DOES)})
                case "send":
                    self._carriers[number].send()
                case _:
                    self._carriers[number].receive()
        while len(self.told) < calls:
            for it in self._carriers:
                it.receive()
                it.send()
        for call in self._over:
            call.end()
        assert self.told.keys() == self._calls.keys()
        assert not any(it.flaws for it in self._carriers)

    def _call(self, number: int, metadata: dict[str, bytes]) -> None:
        name, module = str(len(self._calls)).encode(), self._them[number]
        self._calls[name] = number, metadata

        def work() -> None:
            call = module.call()
            found = call.run_request(PATH, metadata, [frame(string_field(1, name))])
            self._over.append(call)
            assert isinstance(found, Denied), found
            self.told[name] = found.text.decode()

        self._carriers[number].run(work)

    def one_after_another(self) -> dict[bytes, str]:
        """What the calls are told where they run in the order in which the store took them."""
        model, told = Store(), {}
        chains = [
            ChainInstance([self._element], Environment(lambda: 10**9, seed=1), store=model, number=it)
            for it in range(len(self._them))
        ]
        log = self._store.client.lrange(state_keys(self._scope, "it")[1], 0, -1)
        assert isinstance(log, list)
        marks = [it for batch in log for it in decode_changes(batch) if it.kind is ChangeKind.SET]
        for name in [decode(it.value, STRING) for it in marks]:
            number, metadata = self._calls[name]
            outcome = chains[number].request(Rpc(ECHO, {"Body": name}, dict(metadata)))
            assert isinstance(outcome, Refused)
            told[name] = outcome.text.decode()
        return told

    def copies(self) -> Iterator[tuple[list[str], list[str]]]:
        """What each instance has of the store's state, once it has heard of all; and one that begins then."""
        for number, it in enumerate(self._them):
            self._carriers[number].slow = False
            self._call(number, {"k": b"a", "r": b"f", "do": b"read"})
            yield _shared(it), _shared(self._begun(len(self._them)))


def _shared(instance: ModuleUnderTest) -> list[str]:
    return [it for it in instance.state_dump().splitlines() if "mine" not in it]


def compiled_case(name: str, capacity: int) -> Element:
    return compiled(STATE.format(capacity=capacity), f"{REQS[name]}\nsend(err(seen), Up)")


@pytest.mark.parametrize(
    ("name", "capacity"), [("entries", 3), ("entries", 65_536), ("variables", 65_536), ("local state", 65_536)]
)
def test_calls_are_told_what_they_would_be_one_after_another(store: StoreUnderTest, name: str, capacity: int) -> None:
    element = compiled_case(name, capacity)
    for seed in range(SEEDS):
        them = UnderWay(store, element, 3)
        them.run(random.Random(seed), 60)
        assert them.told == them.one_after_another()
        assert all(copy == joined for copy, joined in them.copies())


@pytest.mark.parametrize("part", [1, 3])
def test_instances_that_know_a_map_in_part_tell_calls_the_same(
    store: StoreUnderTest, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "PART", part)
    element = compiled_case("entries", 65_536)
    assert sharing.shares(element)["x"].part == part
    for seed in range(SEEDS):
        them = UnderWay(store, element, 3)
        them.run(random.Random(seed), 60)
        assert them.told == them.one_after_another()


@pytest.mark.parametrize("name", ["entries", "variables"])
def test_a_step_that_forgets_what_it_read_is_found(
    store: StoreUnderTest, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BodyPrinter, "reads_for_store", lambda *_: False)
    monkeypatch.setattr(ElementPrinter, "_read_as_a_whole", lambda *_: [])
    them = UnderWay(store, compiled_case(name, 65_536), 3)
    them.run(random.Random(1), 60)
    assert them.told != them.one_after_another()
