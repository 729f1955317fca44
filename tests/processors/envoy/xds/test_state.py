"""The xDS conversation, without a network: a model proxy that follows the protocol ends up with what it should have."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import Node
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse
from hypothesis import given
from hypothesis import strategies as st

from appnet.processors.envoy.filters import wasm_filter
from appnet.processors.envoy.xds.snapshot import (
    CLUSTERS,
    ENDPOINTS,
    EXTENSIONS,
    LISTENERS,
    RESOURCE_TYPES,
    WILDCARD_TYPES,
    Resource,
    Snapshot,
)
from appnet.processors.envoy.xds.state import NodeState, StreamState
from appnet.processors.processor import Acceptance
from tests.support.proxies import options


def extensions(contents: Mapping[str, str]) -> dict[str, Resource]:
    def config(name: str, content: str) -> TypedExtensionConfig:
        made = TypedExtensionConfig(name=name)
        made.typed_config.type_url = f"type.googleapis.com/{content}"
        return made

    return {name: Resource.of(config(name, content)) for name, content in contents.items()}


def clusters(*names: str) -> dict[str, Resource]:
    return {name: Resource.of(Cluster(name=name)) for name in names}


def endpoints(*names: str) -> dict[str, Resource]:
    return {name: Resource.of(ClusterLoadAssignment(cluster_name=name)) for name in names}


def ask(type_url: str, *names: str, nonce: str = "", error: str = "") -> DiscoveryRequest:
    request = DiscoveryRequest(type_url=type_url, resource_names=names, response_nonce=nonce, node=Node(id="n"))
    if error:
        request.error_detail.message = error
    return request


def names_of(response: DiscoveryResponse) -> list[str]:
    return [TypedExtensionConfig.FromString(it.value).name for it in response.resources]


@pytest.fixture
def node() -> NodeState:
    return NodeState("n")


def test_responses_go_out_in_the_order_of_their_references(node: NodeState) -> None:
    stream = StreamState(node)
    for type_url in reversed(RESOURCE_TYPES):
        stream.receive(ask(type_url, *([] if type_url in WILDCARD_TYPES else ["a"])))
    assert stream.due() == []  # nothing was ever set: say nothing
    node.set_type(EXTENSIONS, extensions({"a": "1"}), "v1")
    node.set_type(LISTENERS, {}, "v1")
    node.set_type(CLUSTERS, clusters("a"), "v1")
    node.set_type(ENDPOINTS, endpoints("a"), "v1")
    assert [it.type_url for it in stream.due()] == [CLUSTERS, ENDPOINTS, LISTENERS, EXTENSIONS]
    assert stream.due() == []


def test_a_version_is_accepted_when_every_type_of_it_is(node: NodeState) -> None:
    node.set_type(CLUSTERS, clusters("a"), "v1")
    node.set_type(EXTENSIONS, extensions({"a": "1", "b": "1"}), "v1")
    stream = StreamState(node)
    stream.receive(ask(CLUSTERS))
    (response,) = stream.due()
    stream.receive(ask(CLUSTERS, nonce=response.nonce))
    assert node.answer("v1").acceptance is Acceptance.PENDING
    stream.receive(ask(EXTENSIONS, "a"))
    (response,) = stream.due()
    assert names_of(response) == ["a"]
    stream.receive(ask(EXTENSIONS, "a", nonce=response.nonce))
    assert node.answer("v1").acceptance is Acceptance.PENDING  # nobody has asked for `b` yet
    stream.receive(ask(EXTENSIONS, "a", "b", nonce=response.nonce))
    (response,) = stream.due()
    assert names_of(response) == ["b"]
    stream.receive(ask(EXTENSIONS, "a", "b", nonce=response.nonce))
    assert node.answer("v1").acceptance is Acceptance.ACKED
    assert stream.due() == []


def test_a_refusal_is_told_with_its_reason_and_not_sent_again(node: NodeState) -> None:
    node.set_type(EXTENSIONS, extensions({"a": "1"}), "v1")
    stream = StreamState(node)
    stream.receive(ask(EXTENSIONS, "a"))
    (response,) = stream.due()
    answer = stream.receive(ask(EXTENSIONS, "a", nonce=response.nonce, error="bad code"))
    assert answer is not None
    assert (answer.version, answer.acceptance, answer.error) == ("v1", Acceptance.NACKED, "bad code")
    delivery = node.answer("v1")
    assert (delivery.acceptance, delivery.error) == (Acceptance.NACKED, "bad code")
    assert stream.due() == []
    assert node.set_type(EXTENSIONS, extensions({"a": "1"}), "v2")  # told to try the same again, it does
    (again,) = stream.due()
    assert again.version_info.startswith("v2 ")


def test_a_proxy_that_comes_back_gets_the_bytes_that_it_runs_and_others_where_it_may_have_refused_them() -> None:
    def served(version: str, told: str) -> DiscoveryResponse:
        node = NodeState("node-1")
        node.set_type(EXTENSIONS, {"a": Resource.of(wasm_filter("a", b"code", options("1")))}, version)
        stream = StreamState(node)
        request = ask(EXTENSIONS, "a")
        request.version_info = told
        stream.receive(request)
        (response,) = stream.due()
        return response

    first = served("v1", "")
    assert served("v1", first.version_info) == first
    for told in ("", "v0 0", first.version_info.replace("v1", "v2")):
        assert served("v1", told).resources[0].value != first.resources[0].value


def test_what_was_sent_and_overtaken_is_never_taken_for_accepted(node: NodeState) -> None:
    """Back to the first version while the second is on its way: the proxy will have applied the second."""
    stream = StreamState(node)
    node.set_type(EXTENSIONS, extensions({"a": "1"}), "v1")
    stream.receive(ask(EXTENSIONS, "a"))
    (first,) = stream.due()
    stream.receive(ask(EXTENSIONS, "a", nonce=first.nonce))
    node.set_type(EXTENSIONS, extensions({"a": "2"}), "v2")
    (second,) = stream.due()
    node.set_type(EXTENSIONS, extensions({"a": "1"}), "v3")
    (third,) = stream.due()
    assert names_of(third) == ["a"]
    assert stream.receive(ask(EXTENSIONS, "a", nonce=second.nonce)) is None  # stale
    assert node.answer("v3").acceptance is Acceptance.PENDING
    assert node.answer("v2").acceptance is Acceptance.SUPERSEDED
    stream.receive(ask(EXTENSIONS, "a", nonce=third.nonce))
    assert node.answer("v3").acceptance is Acceptance.ACKED


@pytest.mark.parametrize("error", ["", "bad code"])
def test_an_answer_to_an_older_version_says_nothing_of_one_that_waits_to_be_sent(node: NodeState, error: str) -> None:
    stream = StreamState(node)
    node.set_type(EXTENSIONS, extensions({"a": "1"}), "v1")
    stream.receive(ask(EXTENSIONS, "a"))
    (first,) = stream.due()
    node.set_type(EXTENSIONS, extensions({"a": "1", "b": "1"}), "v2")
    answer = stream.receive(ask(EXTENSIONS, "a", nonce=first.nonce, error=error))
    assert answer is not None
    assert answer.version == "v1"
    assert node.answer("v2").acceptance is Acceptance.PENDING
    node.set_type(EXTENSIONS, extensions({"a": "1"}), "v3")  # as v1, but not known to be so before it is sent
    assert node.answer("v3").acceptance is Acceptance.PENDING


def test_a_removal_is_not_accepted_before_it_was_sent(node: NodeState) -> None:
    stream = StreamState(node)
    node.set_type(CLUSTERS, clusters("a", "b"), "v1")
    stream.receive(ask(CLUSTERS))
    (first,) = stream.due()
    node.set_type(CLUSTERS, clusters("a"), "v2")
    stream.receive(ask(CLUSTERS, nonce=first.nonce))
    assert node.answer("v2").acceptance is Acceptance.PENDING
    (second,) = stream.due()
    stream.receive(ask(CLUSTERS, nonce=second.nonce))
    assert node.answer("v2").acceptance is Acceptance.ACKED


def test_a_removed_resource_leaves_nothing_to_wait_for(node: NodeState) -> None:
    stream = StreamState(node)
    node.set_type(ENDPOINTS, endpoints("a"), "v1")
    stream.receive(ask(ENDPOINTS, "a"))
    (response,) = stream.due()
    stream.receive(ask(ENDPOINTS, "a", nonce=response.nonce))
    node.set_type(ENDPOINTS, {}, "v2")
    assert stream.due() == []
    assert node.answer("v2").acceptance is Acceptance.ACKED


def test_a_proxy_that_warms_a_cluster_gets_its_endpoints_again(node: NodeState) -> None:
    stream = StreamState(node)
    node.set_type(ENDPOINTS, endpoints("a"), "v1")
    stream.receive(ask(ENDPOINTS, "a"))
    (response,) = stream.due()
    stream.receive(ask(ENDPOINTS, "a", nonce=response.nonce))
    assert stream.due() == []
    stream.receive(ask(ENDPOINTS, "a", nonce=response.nonce))
    assert [it.type_url for it in stream.due()] == [ENDPOINTS]


def test_an_unknown_type_and_an_unknown_version_are_no_error(node: NodeState) -> None:
    stream = StreamState(node)
    assert stream.receive(ask("type.googleapis.com/some.Other")) is None
    assert stream.due() == []
    assert node.answer("v9").acceptance is Acceptance.PENDING


class ModelProxy:
    """Subscribes, applies and answers as the protocol asks, in its own time; refuses contents that start with `bad`."""

    def __init__(self, node: NodeState, names: list[str]) -> None:
        self.names = names
        self.runs: dict[str, str] = {}
        self.stream = StreamState(node)
        self.stream.receive(ask(EXTENSIONS, *names))
        self.inbox: list[DiscoveryResponse] = []

    def exchange(self) -> None:
        self.inbox += self.stream.due()

    def work(self) -> None:
        if not self.inbox:
            return
        response = self.inbox.pop(0)
        error = ""
        for packed in response.resources:
            config = TypedExtensionConfig.FromString(packed.value)
            content = config.typed_config.type_url.rpartition("/")[2]
            if content.startswith("bad"):
                error = f"{config.name}: {content}"
            else:
                self.runs[config.name] = content
        self.stream.receive(ask(EXTENSIONS, *self.names, nonce=response.nonce, error=error))
        self.exchange()


NAMES = ["a", "b"]
contents = st.fixed_dictionaries({name: st.sampled_from(["1", "2", "3", "bad"]) for name in NAMES})
steps = st.lists(st.one_of(contents, st.sampled_from(["work", "restart", "reconnect"])), max_size=30)


@given(steps)
def test_whatever_happens_a_proxy_ends_with_the_last_version_or_refuses_it(steps: list[object]) -> None:
    node = NodeState("n")
    proxy = ModelProxy(node, NAMES)
    wanted: Mapping[str, str] = {}
    for number, step in enumerate([*steps, {"a": "1", "b": "last"}]):
        if isinstance(step, dict):
            wanted = step
            node.set_type(EXTENSIONS, extensions(wanted), str(number))
        elif step == "work":
            proxy.work()
        else:
            runs = proxy.runs if step == "reconnect" else {}
            proxy = ModelProxy(node, NAMES)
            proxy.runs = dict(runs)
        proxy.exchange()
        delivery = node.answer(node.types[EXTENSIONS].version)
        if delivery.acceptance is Acceptance.ACKED:
            assert proxy.runs == wanted
    while proxy.inbox:
        proxy.work()
    assert proxy.runs == wanted
    assert node.answer(node.types[EXTENSIONS].version).acceptance is Acceptance.ACKED


def test_a_snapshot_groups_its_resources_by_type() -> None:
    snapshot = Snapshot("v1", (Listener(name="l"), Cluster(name="c"), RouteConfiguration(name="r")))
    by_type = {type_url.rpartition(".")[2]: list(of_type) for type_url, of_type in snapshot.by_type().items()}
    assert by_type == {
        "Cluster": ["c"],
        "ClusterLoadAssignment": [],
        "Listener": ["l"],
        "RouteConfiguration": ["r"],
        "TypedExtensionConfig": [],
    }


def test_what_cannot_be_served_is_refused() -> None:
    with pytest.raises(ValueError, match="Node is not a resource type"):
        Snapshot("v1", (Node(id="n"),)).by_type()
    with pytest.raises(ValueError, match="two resources 'c'"):
        Snapshot("v1", (Cluster(name="c"), Cluster(name="c"))).by_type()
