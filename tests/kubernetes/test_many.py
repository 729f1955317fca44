"""Many AppNetConfigs at once, changed at random, while the controller is killed at random."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from tests.kubernetes.cluster import Cluster, await_
from tests.kubernetes.control import Controlled

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(900)]

NAMESPACES, EACH, STEPS, SEED = 10, 5, 16, 16

PROTO = 'syntax = "proto3"; package p; service S { rpc go(M) returns (M); } message M { string body = 1; }'
RIGHT = "state:\n    pass\n\ninit():\n    pass\n\nreq(rpc):\n    match get(rpc, 'body') == '{word}':\n        true => send(err('no'), Up)\n        false => send(rpc, Down)\n\nresp(rpc):\n    send(rpc, Up)\n"
WRONG = "req(rpc):\n    match get(rpc, 'bodi') == '{word}':\n"

Key = tuple[str, str]


def service(name: str, namespace: str) -> dict[str, Any]:
    port = {"name": "grpc", "port": 9000, "appProtocol": "grpc"}
    metadata = {"name": name, "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": {"app": name}, "ports": [port]},
    }


def configuration(key: Key, word: str, *, right: bool, sides: str) -> dict[str, Any]:
    namespace, name = key
    program = (RIGHT if right else WRONG).format(word=word)
    chains = {f"{it}Chain": [{"name": f"{it}_wall", "inline": program}] for it in sides.split("+")}
    spec = {
        "processors": ["sidecar"],
        "appName": name,
        "clientService": f"client-{name}",
        "serverService": f"server-{name}",
        "method": "go",
        "protoInline": PROTO,
        **chains,
    }
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "api.core.appnet.io/v1", "kind": "AppNetConfig", "metadata": metadata, "spec": spec}


@dataclass
class Wish:
    """What is wanted of one AppNetConfig: the last one, and the sides of the last right one."""

    config: Mapping[str, Any]
    right: bool
    sides: str


@dataclass
class Wishes:
    """What is wanted of all."""

    cluster: Cluster
    random: random.Random
    now: dict[Key, Wish] = field(default_factory=dict)

    def step(self, *, seen: bool) -> None:
        """Creates and changes several at once; where somebody sees that, it spoils and deletes some, too."""
        keys = [(f"many-{it}", f"app{number}") for it in range(NAMESPACES) for number in range(EACH)]
        chosen = self.random.sample(keys, 5)
        gone = [it for it in chosen if seen and it in self.now and self.random.random() < 0.25]
        applied = []
        for key in chosen:
            if key in gone:
                continue
            right = not seen or key not in self.now or self.random.random() < 0.8
            if not right:
                await_("what is spoilt was seen before", lambda key=key: self.seen(key), 60)
            sides = self.random.choice(["client", "server", "client+server"])
            config = configuration(key, self.random.choice("abcd"), right=right, sides=sides)
            kept = sides if right or key not in self.now else self.now[key].sides
            self.now[key] = Wish(config, right, kept)
            applied.append(config)
        if applied:
            self.cluster.apply(*applied)
        for namespace, name in gone:
            self.cluster.kubectl("delete", "appnetconfig", name, "-n", namespace, "--wait=false")
            await_("it is gone", lambda at=(namespace, name): not self.there(at), 60)
            del self.now[namespace, name]

    def seen(self, key: Key) -> bool:
        """Whether the controller has made of it what it could."""
        found = yaml.safe_load(self.cluster.kubectl("get", "appnetconfig", key[1], "-n", key[0], "-o", "yaml"))
        return bool(found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"])

    def there(self, key: Key) -> bool:
        found = self.cluster.kubectl("get", "appnetconfig", key[1], "-n", key[0], "--ignore-not-found", "-o", "name")
        return bool(found)

    def filters(self) -> set[Key]:
        """What there should be of EnvoyFilters of ours."""
        return {
            (namespace, f"appnet.client-{name}.server-{name}.go.{side}")
            for (namespace, name), wish in self.now.items()
            for side in wish.sides.split("+")
        } | {(namespace, "appnet-telemetry") for namespace, _ in self.now}


def test_in_the_end_the_cluster_holds_exactly_what_they_say(cluster: Cluster) -> None:
    controlled = Controlled(cluster)
    controlled.install()
    namespaces = [f"many-{it}" for it in range(NAMESPACES)]
    for it in namespaces:
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": it}})
        names = [f"{side}-app{number}" for number in range(EACH) for side in ("client", "server")]
        foreign = {
            "apiVersion": "networking.istio.io/v1alpha3",
            "kind": "EnvoyFilter",
            "metadata": {"name": "foreign", "namespace": it, "labels": {"app.kubernetes.io/managed-by": "somebody"}},
            "spec": {"workloadSelector": {"labels": {"app": "x"}}, "configPatches": []},
        }
        cluster.apply(*(service(name, it) for name in names), foreign)
    controlled.start()
    wishes = Wishes(cluster, random.Random(SEED))
    try:
        for number in range(STEPS):
            wishes.step(seen=True)
            if wishes.random.random() < 0.15 or number == STEPS - 1:
                controlled.kill()
                wishes.step(seen=False)
                controlled.start()
        with contextlib.suppress(AssertionError):
            await_("everything is as it is wanted", lambda: not differences(cluster, wishes), 120)
        found = differences(cluster, wishes)
        assert found == [], "\n".join([*found, *(it for it in controlled.log().splitlines() if " INFO " not in it)])
        cluster.kubectl("delete", "appnetconfigs", "--all", "--all-namespaces", "--timeout=100s")
        left = cluster.kubectl("get", "envoyfilters", "-A", "-o", "name").split()
        assert left == ["envoyfilter.networking.istio.io/foreign"] * NAMESPACES
    finally:
        controlled.stop()
        for it in namespaces:
            cluster.kubectl("delete", "envoyfilter", "foreign", "-n", it)
            cluster.kubectl("delete", "services", "--all", "-n", it)


def differences(cluster: Cluster, wishes: Wishes) -> list[str]:
    every = yaml.safe_load(cluster.kubectl("get", "envoyfilters", "-A", "-o", "yaml"))["items"]
    names = {(it["metadata"]["namespace"], it["metadata"]["name"]) for it in every}
    found = [f"{it} is not there" for it in wishes.filters() - names]
    found += [f"{it} is too much" for it in names - wishes.filters() if it[1] != "foreign"]
    versions = [it["metadata"]["resourceVersion"] for it in every if it["metadata"]["name"] == "foreign"]
    if len(versions) != NAMESPACES:
        found.append("a foreign one is gone")
    configs = yaml.safe_load(cluster.kubectl("get", "appnetconfigs", "-A", "-o", "yaml"))["items"]
    by_key = {(it["metadata"]["namespace"], it["metadata"]["name"]): it for it in configs}
    if by_key.keys() != wishes.now.keys():
        found.append(f"AppNetConfigs: {by_key.keys() ^ wishes.now.keys()}")
    for key in by_key.keys() & wishes.now.keys():
        status = by_key[key].get("status", {})
        conditions = {it["type"]: it for it in status.get("conditions", ())}
        compiled = conditions.get("Compiled", {})
        if status.get("observedGeneration") != by_key[key]["metadata"]["generation"]:
            found.append(f"{key}: the status is of {status.get('observedGeneration')}")
        elif (compiled.get("status") == "True") != wishes.now[key].right:
            found.append(f"{key}: {compiled}")
    return found
