"""One filter's stream, and a proxy's several, without a network."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from envoy.config.core.v3.base_pb2 import Node
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse
from hypothesis import given
from hypothesis import strategies as st

from appnet.processors.envoy.cluster.node import Line, ProxyNode
from appnet.processors.envoy.cluster.offers import Offers, Served
from appnet.processors.envoy.cluster.state import FilterStream
from appnet.processors.envoy.filters import wasm_filter
from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.processors.envoy.xds.snapshot import EXTENSIONS
from appnet.processors.processor import Acceptance
from tests.support.asynchronous import asynchronous
from tests.support.cluster import CHAIN, GROUP, IDLE, SERVER, artifacts
from tests.support.proxies import KEY, options


def ask(name: str, version: str = "") -> DiscoveryRequest:
    return DiscoveryRequest(type_url=EXTENSIONS, resource_names=[name], version_info=version, node=Node(id="n"))


def reply(response: DiscoveryResponse, error: str = "") -> DiscoveryRequest:
    request = DiscoveryRequest(type_url=EXTENSIONS, response_nonce=response.nonce)
    if error:
        request.error_detail.message = error
    return request


def served(content: str) -> Served:
    return Served(lambda proxy: wasm_filter("a", f"{content} {proxy}".encode(), options("1")))


def sent(stream: FilterStream, content: str, version: str = "v1") -> DiscoveryResponse:
    response = stream.due(served(content), version, "p")
    assert response is not None
    return response


def test_what_is_accepted_is_not_sent_again_nor_to_one_that_comes_back() -> None:
    stream = FilterStream.begun(ask("a"))
    response = sent(stream, "one")
    assert stream.due(served("two"), "v2", "p") is None  # one at a time
    assert stream.receive(reply(response))
    assert stream.due(served("one"), "v2", "p") is None
    back = FilterStream.begun(ask("a", response.version_info))
    assert back.due(served("one"), "v2", "p") is None
    assert back.due(served("two"), "v2", "p") is not None


def test_what_is_refused_is_sent_again_when_it_is_asked_for_and_in_other_bytes() -> None:
    stream = FilterStream.begun(ask("a"))
    first = sent(stream, "one")
    assert stream.receive(reply(first, "bad"))
    assert stream.error == "bad"
    assert stream.due(served("one"), "v1", "p") is None
    stream.again()
    second = sent(stream, "one")
    assert second.resources != first.resources
    assert second.version_info == first.version_info
    assert sent(FilterStream.begun(ask("a")), "one").resources[0] not in (*first.resources, *second.resources)


def test_what_is_refused_leaves_what_ran() -> None:
    stream = FilterStream.begun(ask("a"))
    stream.receive(reply(sent(stream, "one")))
    stream.receive(reply(sent(stream, "two", "v2"), "bad"))
    assert stream.due(served("one"), "v1", "p") is None
    assert stream.due(served("three"), "v3", "p") is not None


@pytest.mark.parametrize("nonce", ["", "7", "x" * 1000])
def test_an_answer_to_what_was_not_asked_says_nothing(nonce: str) -> None:
    stream = FilterStream.begun(ask("a"))
    assert not stream.receive(DiscoveryRequest(response_nonce=nonce))
    sent(stream, "one")
    assert not stream.receive(DiscoveryRequest(response_nonce=nonce))
    assert not stream.settled


@pytest.mark.parametrize(
    "request_",
    [
        DiscoveryRequest(type_url=EXTENSIONS),
        DiscoveryRequest(type_url=EXTENSIONS, resource_names=["a", "b"]),
        DiscoveryRequest(type_url=EXTENSIONS, resource_names=["a\nb"]),
        DiscoveryRequest(type_url=EXTENSIONS, resource_names=[""]),
        DiscoveryRequest(type_url=EXTENSIONS, resource_names=["a" * 513]),
        DiscoveryRequest(type_url="type.googleapis.com/envoy.config.cluster.v3.Cluster", resource_names=["a"]),
    ],
)
def test_a_stream_asks_for_one_filter(request_: DiscoveryRequest) -> None:
    with pytest.raises(ValueError, match=r"one filter|only filter"):
        FilterStream.begun(request_)


class ModelProxy:
    """Answers as Envoy does: it refuses `bad`, and acknowledges what equals the last that it refused, unapplied."""

    def __init__(self) -> None:
        self.runs, self.version, self.refused = "", "", b""
        self.connect()

    def connect(self) -> None:
        self.stream, self.inbox = FilterStream.begun(ask("a", self.version)), list[DiscoveryResponse]()

    def work(self) -> None:
        if not self.inbox:
            return
        response = self.inbox.pop()
        code = TypedExtensionConfig.FromString(response.resources[0].value).SerializeToString()
        content = next(it for it in ("one", "two", "bad") if it.encode() in code)
        refuses = content == "bad" and code != self.refused
        if refuses:
            self.refused = code
        else:
            self.version = response.version_info
            if content != "bad":
                self.runs = content
        assert self.stream.receive(reply(response, "bad" if refuses else ""))


@given(st.lists(st.sampled_from(["one", "two", "bad", "work", "connect", "again"]), max_size=30))
def test_whatever_happens_what_counts_as_running_runs(steps: list[str]) -> None:
    contents = {it: served(it) for it in ("one", "two", "bad")}
    proxy, wanted = ModelProxy(), "one"
    for step in [*steps, "two", "work", "work", "work", "work"]:
        if step in contents:
            wanted = step
        elif step == "connect":
            proxy.connect()
        elif step == "again":
            proxy.stream.again()
        else:
            proxy.work()
        if (response := proxy.stream.due(contents[wanted], wanted, "p")) is not None:
            proxy.inbox.append(response)
        if proxy.stream.settled and proxy.stream.runs:
            assert proxy.stream.runs == contents[proxy.runs].digest
    assert proxy.runs == "two"


# --- several streams ---


def node(*targets: str) -> ProxyNode:
    return ProxyNode(GROUP, "p", SERVER, "10.0.0.1", targets or (NATIVE, WASM), "", Offers(KEY))


def joined(to: ProxyNode, *names: str) -> list[Line]:
    lines = [Line(FilterStream.begun(ask(it))) for it in names]
    for it in lines:
        to.join(it)
    return lines


def answers(to: ProxyNode, line: Line, error: str = "") -> None:
    response = to.due(line)
    assert response is not None
    assert line.state.receive(reply(response, error))
    to.answered(line)


@asynchronous
async def test_a_version_is_accepted_when_every_filter_is() -> None:
    it = node()
    it.offer("v1", artifacts("one", WASM))
    chain, idle = joined(it, CHAIN, IDLE)
    for line, acceptance in ((chain, Acceptance.PENDING), (idle, Acceptance.ACKED)):
        answers(it, line)
        assert it.stands("v1").acceptance is acceptance
    it.offer("v2", artifacts("two", WASM))
    assert (it.is_due(chain), it.is_due(idle)) == (True, False)
    assert it.stands("v2").acceptance is Acceptance.PENDING
    assert it.stands("v1").acceptance is Acceptance.SUPERSEDED
    answers(it, chain, "no")
    assert (it.stands("v2").acceptance, it.stands("v2").error) == (Acceptance.NACKED, "no")
    it.offer("v1", artifacts("one", WASM))
    assert it.stands("v1").acceptance is Acceptance.ACKED


@asynchronous
async def test_a_filter_that_nobody_asks_for_is_waited_for() -> None:
    it = node()
    it.offer("v1", artifacts("one", WASM))
    (idle,) = joined(it, IDLE)
    answers(it, idle)
    stands = it.stands("v1")
    assert (stands.acceptance, stands.error) == (Acceptance.PENDING, f"it has not asked for {CHAIN}")


@asynchronous
async def test_every_stream_of_a_filter_counts() -> None:
    it = node()
    it.offer("v1", artifacts("one", WASM))
    one, other = joined(it, CHAIN, CHAIN)
    answers(it, one)
    assert it.stands("v1").acceptance is Acceptance.PENDING
    answers(it, other)
    assert it.stands("v1").acceptance is Acceptance.ACKED
    it.leave(one)
    it.leave(other)
    assert (it.running, it.stands("v1").acceptance) == (False, Acceptance.ACKED)  # it keeps what it has
    it.offer("v2", artifacts("two", WASM))
    assert it.stands("v2").acceptance is Acceptance.PENDING


@pytest.mark.parametrize(
    ("targets", "built", "sent_as"),
    [
        ((NATIVE, WASM), (NATIVE, WASM), b"DynamicModuleFilter"),
        ((NATIVE, WASM), (WASM, NATIVE), b"Wasm"),
        ((WASM,), (NATIVE, WASM), b"Wasm"),
        ((WASM,), (NATIVE,), None),
    ],
)
@asynchronous
async def test_a_proxy_gets_what_it_can_load(
    targets: tuple[str, ...], built: tuple[str, ...], sent_as: bytes | None
) -> None:
    it = node(*targets)
    it.offer("v1", artifacts("one", *built))
    (chain,) = joined(it, CHAIN)
    response = it.due(chain)
    if sent_as is None:
        assert response is None
        assert it.stands("v1").error == f"{CHAIN} was built as native, but this proxy loads wasm"
    else:
        assert response is not None
        config = TypedExtensionConfig.FromString(response.resources[0].value)
        assert (config.name, config.typed_config.type_url.rpartition(".")[2].encode()) == (CHAIN, sent_as)


@asynchronous
async def test_proxies_of_a_group_share_what_they_are_offered() -> None:
    offers = Offers(KEY)
    many = [ProxyNode(GROUP, f"p{it}", SERVER, "", (WASM,), "", offers) for it in range(3)]
    made: list[Callable[[], object]] = []
    for it in many:
        it.offer("v1", artifacts("one", WASM))
        (chain,) = joined(it, CHAIN)
        response = it.due(chain)
        assert response is not None
        assert f"{it.proxy}".encode() in response.resources[0].value
        made.append(it._offer)
    assert made[0] is made[1] is made[2]
