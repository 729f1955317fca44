"""What controllers break by: their end, the loss of what they hold, and AppNetConfigs that mean harm."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from lightkube import ApiError

from appnet.deploy.kubernetes.operator.api import Api
from appnet.deploy.kubernetes.operator.controller import cluster_client
from tests.kubernetes.cluster import Cluster, answers, await_
from tests.kubernetes.control import CONTROL, NAMESPACE, STATUS, Controlled
from tests.kubernetes.test_many import PROTO, service

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

LEASE = ("lease", "appnet-controller", "-n", NAMESPACE)


@pytest.fixture
def controlled(cluster: Cluster) -> Iterator[Controlled]:
    found = Controlled(cluster)
    found.install()
    found.start()
    yield found
    cluster.kubectl("delete", "appnetconfigs", "--all", "--timeout=100s")
    found.stop()


def holder(cluster: Cluster) -> str:
    return cluster.kubectl("get", *LEASE, "-o", "jsonpath={.spec.holderIdentity}")


def test_it_ends_in_order(cluster: Cluster) -> None:
    controlled = Controlled(cluster)
    controlled.install()
    controlled.start()
    process = cluster.processes["controller"]
    process.terminate()
    try:
        assert process.wait(20) == 0
    finally:
        controlled.stop()
    assert holder(cluster) == ""


def test_it_ends_when_another_has_the_lease(cluster: Cluster) -> None:
    controlled = Controlled(cluster)
    controlled.install()
    controlled.start()
    process = cluster.processes["controller"]
    try:
        cluster.kubectl("patch", *LEASE, "--type=merge", "-p", json.dumps({"spec": {"holderIdentity": "another"}}))
        assert process.wait(30) == 1
    finally:
        controlled.stop()
        cluster.kubectl("delete", *LEASE)
    assert "the Lease is lost" in controlled.log()


def test_it_stops_before_its_lease_ends_where_the_api_server_is_silent(cluster: Cluster) -> None:
    """Proxies' port is closed by then: the next controller may have it."""
    controlled = Controlled(cluster)
    controlled.install()
    controlled.start()
    server = cluster.processes["apiserver"]
    server.send_signal(signal.SIGSTOP)
    try:
        lost = 15.0  # seconds, as the Lease has it
        await_("nobody serves proxies", lambda: not listens(CONTROL), lost)
    finally:
        server.send_signal(signal.SIGCONT)
        controlled.stop()


def listens(port: int) -> bool:
    """Whether somebody takes connections at a port of loopback."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


WALL = """
state:
    words: Map<string, string>

init():
    set(words, 'WORD', 'no')

req(rpc):
    match get(words, get(rpc, 'body')):
        Some(word) => send(err('no'), Up)
        None => send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""


def configuration(name: str, application: str, client: str, server: str, word: str = "a") -> dict[str, Any]:
    """One that judges what the client calls at the server, at the client's end."""
    spec = {
        "processors": ["sidecar"],
        "appName": application,
        "clientService": client,
        "serverService": server,
        "method": "go",
        "protoInline": PROTO,
        "clientChain": [{"name": "wall", "inline": WALL.replace("WORD", word)}],
    }
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "api.core.appnet.io/v1", "kind": "AppNetConfig", "metadata": metadata, "spec": spec}


@pytest.fixture
def services(cluster: Cluster) -> Iterator[None]:
    made = [service(it, "default") for it in ("a", "b", "c", "a-b", "b-c")]
    cluster.apply(*made)
    yield
    cluster.kubectl("delete", "service", *(it["metadata"]["name"] for it in made))


def filters(cluster: Cluster) -> set[str]:
    """The EnvoyFilters of chains, without what all of their names have."""
    names = cluster.kubectl("get", "envoyfilters", "-n", "default", "-o", "jsonpath={.items[*].metadata.name}")
    return {it.removeprefix("appnet.").removesuffix(".go.client") for it in names.split() if it != "appnet-telemetry"}


def await_filters(controlled: Controlled, *names: str) -> None:
    cluster = controlled.cluster
    try:
        await_(f"{names}", lambda: filters(cluster) == set(names), 30)
    except AssertionError as error:
        raise AssertionError(f"{error}: {filters(cluster)}\n{controlled.log()}") from None


@pytest.mark.usefixtures("services")
def test_an_api_server_that_refuses_what_proxies_need_is_told(controlled: Controlled) -> None:
    """Such as one without Istio, or with a policy against EnvoyFilters."""
    cluster = controlled.cluster
    name = {"metadata": {"name": "no-filters"}, "apiVersion": "admissionregistration.k8s.io/v1"}
    rule = {"apiGroups": ["networking.istio.io"], "apiVersions": ["*"], "resources": ["envoyfilters"]}
    policy = {
        "matchConstraints": {"resourceRules": [{**rule, "operations": ["CREATE"]}]},
        "validations": [{"expression": "false", "message": "no EnvoyFilters here"}],
    }
    binding = {"policyName": "no-filters", "validationActions": ["Deny"]}
    made = [
        {**name, "kind": "ValidatingAdmissionPolicy", "spec": policy},
        {**name, "kind": "ValidatingAdmissionPolicyBinding", "spec": binding},
    ]
    cluster.apply(*made)
    try:
        await_("the policy works", lambda: _refused(cluster), 30)
        cluster.apply(configuration("one", "refused", "a", "b"))
        told = controlled.await_condition("one", "Delivered", lambda it: it["reason"] == "NotTaken")
        assert "no EnvoyFilters here" in told["message"]
        assert controlled.condition("one", "Compiled")["status"] == "True"
    finally:
        cluster.kubectl("delete", "-f", "-", given=yaml.safe_dump_all(made))
    await_filters(controlled, "a.b")
    controlled.await_condition("one", "Delivered", lambda it: it["reason"] == "NoProxies")


def _refused(cluster: Cluster) -> bool:
    empty = {"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": {"name": "any"}}
    try:
        cluster.kubectl("create", "--dry-run=server", "-f", "-", given=yaml.safe_dump({**empty, "spec": {}}))
    except AssertionError as error:
        return "no EnvoyFilters here" in str(error)
    return False


@pytest.mark.usefixtures("services")
def test_nothing_stays_of_an_edge_that_is_left(controlled: Controlled) -> None:
    """Whatever the application is called, and whether somebody sees it leave."""
    cluster = controlled.cluster
    cluster.apply(configuration("one", "Book Info", "a", "b"))
    await_filters(controlled, "a.b")
    cluster.apply(configuration("one", "Book Info", "b", "c"))
    await_filters(controlled, "b.c")
    controlled.kill()
    cluster.apply(configuration("one", "other", "c", "a"))
    controlled.start()
    await_filters(controlled, "c.a")


@pytest.mark.usefixtures("services")
def test_another_name_leaves_no_gap(controlled: Controlled) -> None:
    """The EnvoyFilter is the same object before and after."""
    cluster = controlled.cluster
    cluster.apply(configuration("one", "first", "a", "b"))
    await_filters(controlled, "a.b")
    what = ("envoyfilter", "appnet.a.b.go.client", "-o")
    before = cluster.kubectl("get", *what, "jsonpath={.metadata.uid}")
    cluster.apply(configuration("one", "second", "a", "b"))
    label = "jsonpath={.metadata.labels.appnet\\.io/application}"
    await_("it is the other's", lambda: cluster.kubectl("get", *what, label) == "second", 30)
    assert cluster.kubectl("get", *what, "jsonpath={.metadata.uid}") == before


@pytest.mark.usefixtures("services")
def test_what_goes_beside_one_that_is_broken_goes_whole(controlled: Controlled) -> None:
    cluster = controlled.cluster
    broken = configuration("broken", "one", "b", "c")
    broken["spec"]["clientChain"][0]["inline"] = "nothing"
    cluster.apply(configuration("right", "one", "a", "b"), broken)
    await_filters(controlled, "a.b")
    cluster.kubectl("delete", "appnetconfig", "right", "--timeout=100s")
    await_filters(controlled)


@pytest.mark.usefixtures("services")
def test_finalizers_of_others_stay(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """An AppNetConfig that somebody has changed since it was seen is not written over."""
    Controlled(cluster).install()
    cluster.apply(configuration("one", "one", "a", "b"))
    what = ("appnetconfig", "one")
    seen = json.loads(cluster.kubectl("get", *what, "-o", "json"))
    finalizers = json.dumps({"metadata": {"finalizers": ["example.com/theirs"]}})
    cluster.kubectl("patch", *what, "--type=merge", "-p", finalizers)
    monkeypatch.setenv("KUBECONFIG", cluster.environment["KUBECONFIG"])

    async def let_go() -> None:
        async with cluster_client() as client:
            await Api(client).set_finalizers(seen, [])

    with pytest.raises(ApiError, match="the object has been modified"):
        asyncio.run(let_go())
    assert "example.com/theirs" in cluster.kubectl("get", *what, "-o", "json")
    cluster.kubectl("patch", *what, "--type=merge", "-p", json.dumps({"metadata": {"finalizers": []}}))
    cluster.kubectl("delete", *what)


@pytest.mark.usefixtures("services")
def test_two_applications_do_not_fight_for_a_method(controlled: Controlled) -> None:
    """The older one has it; the other one gets it when that is gone."""
    cluster = controlled.cluster
    cluster.apply(configuration("first", "one", "a", "b"))
    await_filters(controlled, "a.b")
    cluster.apply(configuration("second", "two", "a", "b", "other"))
    told = controlled.await_condition("second", "Compiled", lambda it: it["status"] == "False")
    assert told["message"].startswith("the AppNetConfig `first` of another application is for these methods")
    what = ("envoyfilter", "appnet.a.b.go.client", "-o")
    assert "name: first\n" in cluster.kubectl("get", *what, "yaml")
    assert controlled.condition("first", "Compiled")["status"] == "True"
    cluster.kubectl("delete", "appnetconfig", "first", "--timeout=100s")
    controlled.await_condition("second", "Compiled", lambda it: it["status"] == "True")
    await_filters(controlled, "a.b")


@pytest.mark.usefixtures("services")
def test_a_label_that_others_take_is_restored(controlled: Controlled) -> None:
    cluster = controlled.cluster
    cluster.apply(configuration("one", "one", "a", "b"))
    await_filters(controlled, "a.b")
    what = ("envoyfilter", "appnet.a.b.go.client")
    cluster.kubectl("label", *what, "app.kubernetes.io/managed-by=Helm", "--overwrite")
    await_("the label is back", lambda: "appnet-controller" in cluster.kubectl("get", *what, "--show-labels"), 20)
    cluster.kubectl("label", *what, "app.kubernetes.io/managed-by-")
    cluster.kubectl("delete", *what)
    await_filters(controlled, "a.b")


@pytest.mark.usefixtures("services")
def test_applications_that_are_gone_are_forgotten(controlled: Controlled) -> None:
    cluster = controlled.cluster
    page = f"http://127.0.0.1:{STATUS}/metrics"
    cluster.apply(configuration("one", "gone", "a", "b"))
    await_filters(controlled, "a.b")
    assert 'application="gone"' in answers(page)
    cluster.kubectl("delete", "appnetconfig", "one", "--timeout=100s")
    await_("it is forgotten", lambda: 'application="gone"' not in answers(page), 20)
    cluster.apply(configuration("one", "gone", "a", "b"))
    await_filters(controlled, "a.b")
