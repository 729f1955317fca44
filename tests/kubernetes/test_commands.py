"""`appnetctl` for clusters, against a real API server, controller and sidecars."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from appnet.deploy.kubernetes.client.cluster import ClusterError
from appnet.deploy.kubernetes.client.configurations import one
from appnet.deploy.kubernetes.client.configurations import replace as replace_written
from appnet.deploy.kubernetes.client.connection import connected
from appnet.processors.signing import TRUSTED_KEYS, SigningKey
from tests.kubernetes.cluster import Cluster, await_
from tests.kubernetes.conftest import Application, EchoServer, await_filters
from tests.kubernetes.control import STATUS, Controlled, echo_folder, with_texts
from tests.kubernetes.pods import CLIENT_POD, MESH, SERVER_POD, start_sidecar, stop_sidecar
from tests.kubernetes.test_controller import CONFIG, FRONTEND, NAME, calling, loader_metadata
from tests.kubernetes.test_installation import namespaces_end, there
from tests.support.guarded import GUARD, hash_of

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

SUCCESS, FAILURE, WRONG_INPUT = 0, 1, 2


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@dataclass
class Commands:
    """`appnetctl` in the folder of the echo application."""

    controlled: Controlled
    echo: Application

    def __call__(self, *typed: str, kubeconfig: Path | None = None) -> Said:
        environment = {**self.controlled.cluster.environment, "COLUMNS": "200"}
        if kubeconfig is not None:
            environment["KUBECONFIG"] = str(kubeconfig)
        command = [str(Path(sys.executable).parent / "appnetctl"), *typed]
        done = subprocess.run(
            command,
            cwd=self.echo.folder,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    def done(self, *typed: str) -> str:
        """What a command that has to work prints."""
        said = self(*typed)
        assert said.code == SUCCESS, f"{typed}: {said}\n{self.controlled.log()[-2000:]}"
        return said.out

    def data(self, *typed: str) -> Any:
        """What a command that has to work prints, as data."""
        return json.loads(self.done(*typed, "-o", "json"))

    def bring(self, word: str) -> str:
        """Applies the application whose firewall refuses the word; the version that runs then."""
        firewall = self.echo.folder / "firewall.appnet"
        lines = firewall.read_text().splitlines()
        firewall.write_text(
            "".join(f"    set(acl, '{word}', 'No')\n" if "set(acl" in it else f"{it}\n" for it in lines)
        )
        self.done("apply", CONFIG, "--wait")
        return str(self.data("rollout", "status", NAME)["version"])

    def refuses(self, word: str) -> bool:
        """Whether the firewall does."""
        return self.echo.call(word) == "ABORTED"


@pytest.fixture(scope="module")
def controlled(cluster: Cluster) -> Iterator[Controlled]:
    found = Controlled(cluster)
    found.install()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def echo(controlled: Controlled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """The application and its sidecars, without any chain."""
    cluster = controlled.cluster
    server = EchoServer()
    running = server.start()
    folder = echo_folder(tmp_path_factory.mktemp("commands"))
    cluster.kubectl("apply", "-f", "-", given=f"{MESH}---{FRONTEND}")
    cluster.kubectl("apply", "-f", str(folder / "echo.yaml"))
    for it in (SERVER_POD, CLIENT_POD):
        start_sidecar(cluster, it)
    application = Application(cluster, folder, "wasm", server)
    yield application
    application.close()
    for it in (CLIENT_POD, SERVER_POD):
        stop_sidecar(cluster, it)
    running.stop(None).wait()
    cluster.kubectl("delete", "-f", str(folder / "echo.yaml"))
    cluster.kubectl("delete", "--ignore-not-found", "-f", "-", given=f"{MESH}---{FRONTEND}")


@pytest.fixture
def commands(controlled: Controlled, echo: Application) -> Iterator[Commands]:
    """With a controller, and no AppNetConfig before and after."""
    if "controller" not in controlled.cluster.processes:
        controlled.install()
        controlled.start()
    found = Commands(controlled, echo)
    yield found
    if "controller" in controlled.cluster.processes:
        controlled.cluster.kubectl("delete", "appnetconfigs", "--all", "--all-namespaces", "--timeout=100s")
        for it in (CLIENT_POD, SERVER_POD):  # else they seem to run at once what is applied next
            await_filters(it, set())


def kubeconfig(cluster: Cluster, folder: Path, token: str) -> Path:
    """That of an account."""
    found = yaml.safe_load((cluster.folder / "kubeconfig").read_text())
    found["users"][0]["user"] = {"token": token}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(found))
    return path


# --- apply, get, describe, delete ---


def test_from_a_file_to_calls_and_back(commands: Commands) -> None:
    echo = commands.echo
    assert commands.done("apply", CONFIG, "--dry-run") == f"default/{NAME} created (dry run)\n"
    assert commands("get").err == "no AppNetConfigs in namespace default\n"
    assert echo.call("test") == "OK"
    told = commands.done("apply", CONFIG, "--wait").splitlines()
    assert (told[0], told[-1]) == (f"default/{NAME} created", f"default/{NAME} is ready")
    await_("a connection to the new listener", lambda: echo.call("hello") == "OK", 10)
    assert echo.call("test") == "ABORTED"
    assert commands.done("apply", CONFIG) == f"default/{NAME} unchanged\n"
    assert commands.done("delete", NAME) == f"default/{NAME} deleted\n"
    await_("the plain path is back", lambda: echo.call("test") == "OK", 20)


def test_get_shows_the_columns_that_kubectl_does(commands: Commands) -> None:
    commands.bring("test")
    cluster = commands.controlled.cluster
    for options, same in (((), ()), (("--wide",), ("-o", "wide")), (("-A",), ("-A",))):
        ours = [line.split() for line in commands.done("get", *options).splitlines()]
        theirs = [line.split() for line in cluster.kubectl("get", "appnetconfigs", *same).splitlines()]
        assert [it[:-1] for it in ours] == [it[:-1] for it in theirs], "but for the age"
    (item,) = commands.data("get", NAME)["items"]
    assert item["status"]["rolledOut"] == "2/2"


def test_describe_tells_all(commands: Commands) -> None:
    version = commands.bring("test")
    told = commands.done("describe", NAME)
    for it in (
        "frontend -> server, echo",
        "client: fault, logging, metrics | server: firewall",
        f"{version}, on 2/2",
        "Ready      yes  since",
        f"frontend-1.default  {version} accepted  client, sidecar, wasm (AppNet's loader is not in its pod)",
        "first",
    ):
        assert it in told
    assert commands.data("describe", NAME)["metadata"]["name"] == NAME


def test_what_check_refuses_is_not_applied(commands: Commands) -> None:
    firewall = commands.echo.folder / "firewall.appnet"
    before = firewall.read_text()
    firewall.write_text(before.replace("'Body'", "'Bodi'"))
    said = commands("apply", CONFIG)
    firewall.write_text(before)
    assert said.code == WRONG_INPUT
    assert "did you mean `Body`" in said.err or "body" in said.err
    assert commands.data("get")["items"] == []


def test_what_the_controller_refuses_ends_the_wait(commands: Commands) -> None:
    commands.controlled.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "empty"}})
    said = commands("apply", CONFIG, "-n", "empty", "--wait")
    assert said.code == FAILURE
    assert f"{NAME} is not Compiled: " in said.err
    assert "describe" in said.err
    told = commands.done("describe", NAME, "-n", "empty")
    assert "last error[" in told
    assert "help: " in told
    assert (
        commands("get", NAME).err
        == f"error: no AppNetConfig {NAME} in namespace default; it is in namespace empty: add -n empty\n"
    )


def test_fields_that_others_wrote_stay_until_somebody_says_so(commands: Commands) -> None:
    cluster = commands.controlled.cluster
    commands.done("apply", CONFIG)
    changed = with_texts(commands.echo.folder, CONFIG)
    changed["spec"] = {"method": "*"}
    cluster.kubectl(
        "apply", "--server-side", "--force-conflicts", "--field-manager=other", "-f", "-", given=yaml.safe_dump(changed)
    )
    said = commands("apply", CONFIG)
    assert said.code == WRONG_INPUT
    assert "spec.method (other)" in said.err
    assert "--force-conflicts" in said.err
    commands.done("apply", CONFIG, "--force-conflicts")
    assert commands.data("describe", NAME)["spec"]["method"] == "echo"


def test_what_kubectl_has_applied_can_be_applied_with_its_texts(commands: Commands) -> None:
    """The files that it names are in the object then, in place of their names."""
    cluster = commands.controlled.cluster
    cluster.kubectl("apply", "-f", str(commands.echo.folder / CONFIG))
    said = commands("apply", CONFIG)
    assert said.code == WRONG_INPUT
    assert "spec.serverChain (kubectl apply)" in said.err
    for options in (["--dry-run"], ["--wait"]):
        assert f"default/{NAME} configured" in commands.done("apply", CONFIG, "--force-conflicts", *options)
    spec = commands.data("describe", NAME)["spec"]
    assert "proto" not in spec
    assert spec["protoInline"] == (commands.echo.folder / "echo.proto").read_text()


# --- rollout ---


def test_an_earlier_version_comes_back_after_the_controller_was_killed(commands: Commands) -> None:
    first, second = commands.bring("test"), commands.bring("other")
    assert first != second
    assert (commands.refuses("test"), commands.refuses("other")) == (False, True)
    commands.controlled.kill()
    commands.controlled.start()
    history = commands.data("rollout", "history", NAME)["history"]
    assert [it["version"] for it in history] == [second, first]
    assert commands.done("rollout", "undo", NAME, "--wait").splitlines()[0] == (
        f"default/{NAME} is written as in version {first}"
    )
    assert (commands.refuses("test"), commands.refuses("other")) == (True, False)
    commands.done("rollout", "undo", NAME, "--to", second, "--wait")
    assert commands.refuses("other")
    history = commands.data("rollout", "history", NAME)["history"]
    assert [it["version"] for it in history] == [second, first]
    said = commands("rollout", "undo", NAME, "--to", "nothing")
    assert said.code == WRONG_INPUT
    assert f"no version nothing of {NAME} is kept" in said.err


def test_a_status_that_changes_is_in_nobodys_way(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """What people write meanwhile is."""
    commands.bring("test")
    cluster = commands.controlled.cluster
    monkeypatch.setenv("KUBECONFIG", str(cluster.folder / "kubeconfig"))
    with connected("default") as client:
        read = one(client, NAME)
        status = '{"status": {"undone": "before"}}'
        cluster.kubectl("patch", "appnetconfig", NAME, "--subresource=status", "--type=merge", "-p", status)
        written = replace_written(client, read, {"seen": "first"}, read["spec"])
        assert written["metadata"]["annotations"] == {"seen": "first"}
        with pytest.raises(ClusterError, match="somebody else changed"):
            replace_written(client, read, {"seen": "second"}, read["spec"])
        assert one(client, NAME)["metadata"]["annotations"] == {"seen": "first"}


def test_a_text_in_a_config_map_comes_back_though_that_has_changed(commands: Commands) -> None:
    cluster = commands.controlled.cluster
    made = with_texts(commands.echo.folder, CONFIG)
    (firewall,) = made["spec"]["serverChain"]
    text = firewall.pop("inline")
    firewall["fileFrom"] = {"configMapKeyRef": {"name": "programs", "key": "firewall.appnet"}}

    def programs(word: str) -> dict[str, Any]:
        lines = [f"    set(acl, '{word}', 'No')" if "set(acl" in it else it for it in text.splitlines()]
        data = {"firewall.appnet": "\n".join([*lines, ""])}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "programs"}, "data": data}

    cluster.apply(programs("first"), made)
    await_("the first one runs", lambda: commands.refuses("first"), 30)
    cluster.apply(programs("second"))
    await_("the second one runs", lambda: commands.refuses("second"), 30)
    await_("it is kept", lambda: len(commands.data("rollout", "history", NAME)["history"]) == 2, 20)
    told = commands.done("rollout", "undo", NAME, "--wait")
    assert "ConfigMap programs has changed since" in told
    assert (commands.refuses("first"), commands.refuses("second")) == (True, False)
    cluster.kubectl("delete", "configmap", "programs")


def test_what_is_paused_waits(commands: Commands) -> None:
    first = commands.bring("test")
    commands.done("rollout", "pause", NAME)
    firewall = commands.echo.folder / "firewall.appnet"
    firewall.write_text(firewall.read_text().replace("'test'", "'other'"))
    commands.done("apply", CONFIG)
    await_("it is looked at", lambda: commands.data("rollout", "status", NAME)["up_to_date"], 20)
    status = commands.data("rollout", "status", NAME)
    assert (status["version"], status["paused"]) == (first, True)
    assert commands.refuses("test")
    commands.done("rollout", "resume", NAME)
    await_("the new version runs", lambda: commands.refuses("other"), 20)


def test_a_canary_is_promoted_and_taken_back(commands: Commands) -> None:
    first = commands.bring("test")
    rollout = {"spec": {"rollout": {"canary": 1, "wait": "1h"}}}
    commands.controlled.cluster.kubectl("patch", "anc", NAME, "--type=merge", "-p", json.dumps(rollout))
    said = commands("rollout", "promote", NAME)
    assert (said.code, said.err) == (WRONG_INPUT, f"error: no canary of {NAME} runs: there is nothing to promote\n")
    firewall = commands.echo.folder / "firewall.appnet"

    def try_canary(word: str) -> str:
        lines = firewall.read_text().splitlines()
        firewall.write_text(
            "".join(f"    set(acl, '{word}', 'No')\n" if "set(acl" in it else f"{it}\n" for it in lines)
        )
        commands.done("apply", CONFIG)
        return str(await_("a canary runs", lambda: commands.data("rollout", "status", NAME)["canary"], 30))

    try_canary("other")
    assert commands.data("rollout", "status", NAME)["version"] == first
    commands.done("rollout", "undo", NAME)
    await_("the canary is taken back", lambda: not commands.data("rollout", "status", NAME)["canary"], 20)
    second = try_canary("third")
    told = commands.done("rollout", "promote", NAME, "--wait")
    assert told.startswith(f"version {second} goes to all proxies\n")
    assert commands.data("rollout", "status", NAME)["version"] == second
    assert commands.data("rollout", "history", NAME)["history"][0]["reason"] == "promoted"


def guarded_by(commands: Commands, text: str) -> dict[str, Any]:
    """The AppNetConfig with two guards in place of its elements, whose order follows the traffic."""
    made = with_texts(commands.echo.folder, CONFIG)
    spec = {key: it for key, it in made["spec"].items() if not key.endswith("Chain")}
    spec["clientChain"] = [
        {"name": it, "inline": text, "parameters": {"hash": hash_of(it)}} for it in ("ann", "bob")
    ]  # fmt: skip
    spec["replan"] = {"mode": "auto", "interval": "2s", "saving": "20%"}
    return {**made, "spec": spec}


def test_the_order_follows_the_traffic_and_an_undo_lasts(commands: Commands) -> None:
    cluster, controlled = commands.controlled.cluster, commands.controlled
    written, followed = "client: ann, bob", "client: bob, ann"

    def plan_is(plan: str) -> None:
        await_(plan, lambda: controlled.status().get("plan") == plan, 120)

    cluster.apply(guarded_by(commands, GUARD))
    controlled.await_condition(NAME, "Ready", lambda it: it["status"] == "True")
    assert controlled.status()["plan"] == written
    first = controlled.status()["version"]
    with calling(commands.echo, "bob") as codes:
        plan_is(followed)
        assert commands.data("rollout", "history", NAME)["history"][0]["reason"] == "followed traffic"
        commands.done("rollout", "undo", NAME, "--wait")
        assert controlled.status()["plan"] == written
        calls, until = codes["PERMISSION_DENIED"], time.monotonic() + 5
        await_("more calls", lambda: codes["PERMISSION_DENIED"] > calls + 500 and time.monotonic() > until, 120)
        assert (controlled.status()["plan"], controlled.status()["version"]) == (written, first)
        cluster.apply(guarded_by(commands, GUARD.replace("'refused'", "'no'")))
        plan_is(followed)
        second = controlled.status()["version"]
        controlled.kill()
        controlled.start()
        await_("it knows its proxies", lambda: controlled.status().get("rolledOut") == "1/1", 60)
        assert controlled.status()["version"] == second, "the plan is kept, too"
        commands.done("rollout", "undo", NAME, "--to", first, "--wait")
        assert (controlled.status()["plan"], controlled.status()["version"]) == (written, first), "once more"
    assert set(codes) == {"PERMISSION_DENIED"}


def test_a_plan_that_a_proxy_refuses_is_not_gone_on_by(commands: Commands) -> None:
    """A second client's sidecar trusts another key, so that it refuses each module that it is offered."""
    cluster, controlled = commands.controlled.cluster, commands.controlled
    second = replace(CLIENT_POD, name="frontend-2", address="127.0.0.5", ports=(15300, 15320, 15390, 15321))
    made = guarded_by(commands, GUARD)
    cluster.apply({**made, "spec": {**made["spec"], "replan": {**made["spec"]["replan"], "mode": "suggest"}}})
    controlled.await_condition(NAME, "Ready", lambda it: it["status"] == "True")
    first, plan = controlled.status()["version"], "bob, ann saves"
    with calling(commands.echo, "bob"):  # over a connection to the first sidecar: both listen in one place
        await_("a suggestion", lambda: plan in controlled.status().get("suggested", ""), 120)
        given = FRONTEND.replace("frontend-1", "frontend-2").replace("127.0.0.3", "127.0.0.5")
        cluster.kubectl("apply", "-f", "-", given=given)
        metadata = loader_metadata(cluster, commands.echo.folder / "other")
        start_sidecar(cluster, second, {**metadata, TRUSTED_KEYS: SigningKey.generate().public_text})
        try:
            await_("it refuses", lambda: f"refused version {first}" in _message(controlled), 60)
            cluster.apply(made)
            await_("the plan is refused", lambda: "PlanRefused" in cluster.kubectl("get", "events"), 120)
            await_("the way back", lambda: f"refused version {first}" in _message(controlled), 60)
            assert (controlled.status()["version"], len(controlled.status()["history"])) == (first, 1)
            assert plan in controlled.status()["suggested"]
        finally:
            stop_sidecar(cluster, second)
            cluster.kubectl("delete", "workloadentry", "frontend-2")
    controlled.await_condition(NAME, "Ready", lambda it: it["status"] == "True")


def _message(controlled: Controlled) -> str:
    return str(next(it["message"] for it in controlled.status()["conditions"] if it["type"] == "Delivered"))


# --- logs, top ---


def test_records_of_elements(commands: Commands) -> None:
    commands.bring("test")
    commands.echo.call("hello")

    def recorded() -> list[tuple[str, str, str]]:
        lines = commands.done("logs", NAME, "--element", "logging", "-o", "json").splitlines()
        return [(it["element"], it["variable"], it["value"]) for it in map(json.loads, lines)]

    # Calls that tried whether all was up are recorded before it.
    await_("its record has come", lambda: ("logging", "record_req", "hello") in recorded(), 20)
    assert {it[0] for it in recorded()} == {"logging"}
    assert 'logging.record_req  "hello"  frontend-1.default' in commands.done("logs")
    found = commands.data("top", "--interval", "0.2")
    top = {(it["element"], it["variable"]): it for it in found["records"]}
    assert top["logging", "record_req"]["count"] >= 1
    assert top["metrics", "latency"]["median"] > 0
    assert "metrics.latency" in commands.done("top", "--interval", "0.2")
    await_("its calls are counted", lambda: _counted(commands) >= {"client", "server"}, 20)
    said = commands("logs", NAME, "--element", "loging")
    assert (said.code, said.err) == (WRONG_INPUT, f"error: {NAME} has no element loging; did you mean `logging`?\n")
    _follow(commands)


def _counted(commands: Commands) -> set[str]:
    """The sides that have told of calls over the edge."""
    calls = commands.data("top", "--interval", "0.2")["calls"]
    return {it["side"] for it in calls if it["count"] and (it["client"], it["server"]) == ("frontend", "server")}


def test_records_come_through_the_api_server(commands: Commands) -> None:
    """As where the controller runs in the cluster: here its Service has an address of this host."""
    cluster, address = commands.controlled.cluster, "10.20.0.1"
    subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    commands.controlled.stop()
    commands.controlled.start("--status", f"0.0.0.0:{STATUS}")
    service_at(cluster, address)
    commands.bring("test")
    commands.echo.call("through")
    await_("a record comes", lambda: '"through"' in commands.done("logs", NAME), 20)
    assert commands.data("top", "--interval", "0.1")["records"]
    _follow(commands)
    commands.controlled.kill()
    said = commands("logs")
    assert said.code == FAILURE
    assert "the controller behind the Service does not answer" in said.err
    cluster.kubectl("delete", "service,endpoints,pod", "--all", "--force", "-n", "appnet-system")
    commands.controlled.start()


def service_at(cluster: Cluster, address: str) -> None:
    """The controller's Service, and what stands for its pod: the API server sends requests to pods alone."""
    metadata = {"name": "appnet-controller", "namespace": "appnet-system"}
    port = {"name": "http-status", "port": STATUS, "protocol": "TCP"}
    target = {"kind": "Pod", **metadata}
    subsets = [{"addresses": [{"ip": address, "targetRef": target}], "ports": [port]}]
    cluster.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [port]}},
        {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"containers": [{"name": "controller", "image": "appnet"}]},
        },
    )
    status = json.dumps({"status": {"podIP": address, "podIPs": [{"ip": address}]}})
    where = ("pod", "appnet-controller", "-n", "appnet-system")
    cluster.kubectl("patch", *where, "--subresource=status", "--type=merge", "-p", status)


def _follow(commands: Commands) -> None:
    """`logs --follow` shows a record soon after it is made, and goes on."""
    command = [str(Path(sys.executable).parent / "appnetctl"), "logs", "--follow", "--tail", "0", "-o", "json"]
    with subprocess.Popen(command, env=commands.controlled.cluster.environment, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        done = threading.Event()

        def call() -> None:
            while not done.wait(0.3):
                commands.echo.call("again")

        caller = threading.Thread(target=call)
        caller.start()
        found = [json.loads(running.stdout.readline()) for _ in range(5)]
        done.set()
        caller.join()
        running.terminate()
    assert {it["element"] for it in found} <= {"logging", "metrics"}


# --- verify ---


def test_verify_tells_what_a_cluster_has(commands: Commands) -> None:
    commands.bring("test")
    found = commands.data("verify", "--cluster")
    parts = {it["name"]: it["found"] for it in found["parts"]}
    assert found["ready"]
    assert parts["Kubernetes"].startswith("v1.36")
    assert parts["definition appnetconfigs.api.core.appnet.io"] == "v1, served"
    assert parts["Istio"] == "EnvoyFilters, no Deployment istiod in istio-system"
    assert parts["proxies"] == "2 sidecar, wasm (AppNet's loader is not in its pod)"
    assert parts["right to write AppNetConfigs"] == "in default"
    told = commands.done("verify", "--cluster")
    assert "nothing is missing" in told
    assert "processors: [ambient]" in " ".join(told.split())


def test_verify_tells_what_is_missing(commands: Commands, tmp_path: Path) -> None:
    cluster = commands.controlled.cluster
    cluster.kubectl("create", "serviceaccount", "nobody")
    nobody = kubeconfig(cluster, tmp_path, cluster.kubectl("create", "token", "nobody").strip())
    said = commands("verify", "--cluster", kubeconfig=nobody)
    cluster.kubectl("delete", "serviceaccount", "nobody")
    assert said.code == FAILURE
    assert "ask for the right to create, patch, update, delete appnetconfigs in default" in said.out
    assert (
        "missing: right to see AppNetConfigs, right to write AppNetConfigs, right to see earlier versions" in said.out
    )


# --- what can be wrong ---


def test_no_cluster(commands: Commands, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    said = commands("get", kubeconfig=nowhere)
    assert (said.code, said.err) == (
        FAILURE,
        f"error: no cluster: KUBECONFIG names {nowhere}, and there is no such file\n",
    )
    nowhere.write_text("clusters: [")
    said = commands("get", kubeconfig=nowhere)
    assert said.code == FAILURE
    assert said.err.startswith("error: no cluster: ")
    text = (commands.controlled.cluster.folder / "kubeconfig").read_text()
    nowhere.write_text(text.replace(":6443", ":6444"))
    said = commands("describe", "it", kubeconfig=nowhere)
    assert said.code == FAILURE
    assert said.err.startswith("error: the cluster at https://127.0.0.1:6444 cannot be reached: ")


def test_no_rights(commands: Commands, tmp_path: Path) -> None:
    cluster = commands.controlled.cluster
    cluster.kubectl("create", "serviceaccount", "nobody")
    token = cluster.kubectl("create", "token", "nobody").strip()
    nobody = kubeconfig(cluster, tmp_path, token)
    for typed in (["get"], ["apply", CONFIG], ["delete", NAME], ["rollout", "undo", NAME], ["uninstall", "--yes"]):
        said = commands(*typed, kubeconfig=nobody)
        assert said.code == FAILURE, typed
        assert 'User "system:serviceaccount:default:nobody" cannot ' in said.err
        assert "ask the administrator of the cluster" in said.err
    stranger = kubeconfig(cluster, tmp_path, "no-token")
    said = commands("get", kubeconfig=stranger)
    assert said.code == FAILURE
    assert "does not know who you are" in said.err
    cluster.kubectl("delete", "serviceaccount", "nobody")


def test_no_controller(commands: Commands) -> None:
    cluster = commands.controlled.cluster
    commands.bring("test")
    commands.controlled.kill()
    cluster.kubectl("delete", "lease", "appnet-controller", "-n", "appnet-system")
    for typed in (["logs"], ["top"]):
        said = commands(*typed)
        assert said.code == FAILURE
        assert f"no controller answers at 127.0.0.1:{STATUS}" in said.err
    firewall = commands.echo.folder / "firewall.appnet"
    firewall.write_text(firewall.read_text() + "# changed\n")
    for typed in (["apply", CONFIG, "--wait", "--timeout", "1s"], ["delete", NAME, "--timeout", "1s"]):
        said = commands(*typed)
        assert said.code == FAILURE
        assert "a controller, and none runs in this cluster: `make run` or `make deploy` starts one" in said.err
    assert "being deleted since" in commands.done("describe", NAME)
    assert "the latest change waits for a controller, and none runs" in commands.done("rollout", "status", NAME)
    commands.controlled.start()


def test_names_that_nobody_has(commands: Commands) -> None:
    commands.done("apply", CONFIG)
    for typed in (
        ["get", "sample-echo-sidcar"],
        ["describe", "sample-echo-sidcar"],
        ["rollout", "undo", "sample-echo-sidcar"],
    ):
        said = commands(*typed)
        assert said.code == WRONG_INPUT
        assert said.err == (f"error: no AppNetConfig sample-echo-sidcar in namespace default; did you mean `{NAME}`?\n")
    said = commands("delete", NAME, "nothing")
    assert said.code == WRONG_INPUT
    assert commands.data("get", NAME)["items"], "none is deleted where one of the names is wrong"


# --- uninstall, the last of all ---


@pytest.mark.parametrize("works", [True, False], ids=["with its controller", "without"])
def test_uninstall_leaves_no_trace_and_touches_nothing_else(commands: Commands, works: bool) -> None:
    cluster = commands.controlled.cluster
    foreign = {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "own"},
        "spec": {"configPatches": []},
    }
    cluster.apply(foreign)
    commands.bring("test")
    said = commands("uninstall")
    assert said.code == WRONG_INPUT
    assert f"AppNetConfig default/{NAME}" in said.err
    assert "--yes" in said.err
    if not works:
        commands.controlled.kill()
        cluster.kubectl("delete", "lease", "appnet-controller", "-n", "appnet-system")
    mine = ("configmap", "mine", "-n", "appnet-system")
    cluster.kubectl("create", *mine)
    with namespaces_end(cluster):
        told = commands.done("uninstall", "--yes")
        assert "the namespace appnet-system stays: others have configmap mine in it\n" in told
        cluster.kubectl("delete", *mine)
        told += commands.done("uninstall", "--yes")
        await_("the namespace is gone", lambda: "namespace/appnet-system" not in there(cluster), 20)
    for it in (
        f"AppNetConfig default/{NAME}",
        "CustomResourceDefinition appnetconfigs.api.core.appnet.io",
        "Namespace appnet-system",
    ):
        assert f"{it} removed\n" in told
    assert cluster.kubectl("get", "envoyfilters", "-A", "-o", "name") == "envoyfilter.networking.istio.io/own\n"
    assert cluster.kubectl("get", "controllerrevisions", "-A", "-o", "name") == ""
    assert commands.echo.call("test") == "OK"
    assert "AppNet is not installed in this cluster" in commands.done("uninstall", "--yes")
    said = commands("get")
    assert said.code == FAILURE
    assert said.err.startswith("error: the cluster does not know AppNetConfigs: install AppNet there first")
    cluster.kubectl("delete", "envoyfilter", "own")
    if works:
        assert "runs outside the cluster: stop it there" in told
        commands.controlled.kill()
