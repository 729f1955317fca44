"""The controller and programs with the gRPC library in them: no proxy anywhere, and pods that prove who they are."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml

from appnet.processors.signing import SigningKey
from tests.kubernetes.cluster import Cluster, await_
from tests.kubernetes.control import Controlled, echo_folder, with_texts
from tests.kubernetes.pods import CLIENT_POD, HOST, MESH, SERVER_POD, filters, start_sidecar, stop_sidecar
from tests.kubernetes.stores import FIRST, SECRET, STORE, Store, give
from tests.kubernetes.stores import SECOND as SECOND_WORD
from tests.kubernetes.test_controller import calling, printed
from tests.support.go import NoToolsError, find_go, run_go

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

GO = Path("config/samples/echo-go")
CONFIG = "sample_echo_grpc.yaml"
NAME = "sample-echo-grpc"
SERVERS, FRONTEND = {"server-1": 19000, "server-2": 19001, "thief": 19002}, 19080
SECRETS = Path("/var/run/secrets/appnet")
"""Where `appnetctl loader` mounts what programs need; each has a folder of its own here."""

PODS = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: frontend-1}
spec: {address: 127.0.0.3, labels: {app: frontend}, serviceAccount: echo-frontend}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: server-1}
spec: {address: 127.0.0.2, labels: {app: server}, serviceAccount: echo-server}
"""
"""What stands for the pods."""
SECOND = PODS.partition("---")[2].replace("server-1", "server-2").replace("127.0.0.2", "127.0.0.4")
"""Another one of the server."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        go = find_go()
    except NoToolsError as missing:
        pytest.skip(str(missing))
    found = tmp_path_factory.mktemp("echo-go") / "echo"
    run_go([go, "build", "-o", str(found), "."], GO)
    return found


@dataclass
class Programs:
    """The echo application in Go, with what pods have of AppNet."""

    controlled: Controlled
    program: Path
    folder: Path
    target: str = f"127.0.0.1:{SERVERS['server-1']}"
    """Where the frontend calls the server."""

    @property
    def cluster(self) -> Cluster:
        return self.controlled.cluster

    def start(self, app: str, account: str = "", name: str = "", process: str = "", **further: str) -> None:
        """Starts a program as a container of a pod: with the variables and files that the patch gives it, and these.
        ``process``: what the cluster knows it as, if not by the pod."""
        name = name or f"{app}-1"
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        objects, template = self._loader
        (container,) = template["containers"]
        (volume,) = template["volumes"]
        sources = volume["projected"]["sources"]
        assert sources[0]["configMap"]["name"] == objects["metadata"]["name"]
        (folder / "ca.crt").write_text(objects["data"]["ca.crt"])
        account = account or f"echo-{app}"
        audience = sources[1]["serviceAccountToken"]["audience"]
        (folder / "token").write_text(self.cluster.kubectl("create", "token", account, f"--audience={audience}"))
        fields = {"metadata.namespace": "default"}
        variables = {
            it["name"]: it["value"].replace(str(SECRETS), str(folder))
            if "value" in it
            else fields[it["valueFrom"]["fieldRef"]["fieldPath"]]
            for it in container["env"]
        }
        if app == "server":
            role = ["server", "--name", name, "--port", SERVERS[name]]
        else:
            role = ["frontend", "--server", self.target, "--port", FRONTEND]
        hosts = folder / "hosts"
        hosts.write_text(f"127.0.0.1 localhost {HOST.partition(':')[0]}\n")
        own = 'mount --bind "$1" /etc/hosts && hostname "$0" && shift && exec "$@"'
        command = ["unshare", "--uts", "--mount", "sh", "-c", own, name, hosts, self.program, *role]
        self.cluster.run(process or name, command, {**variables, **further})

    @cached_property
    def _loader(self) -> tuple[Any, Any]:
        """The ConfigMap that pods need, and what their template has."""
        objects = yaml.safe_load(printed(self.cluster, "loader", "--library", "it"))
        patch = json.loads(printed(self.cluster, "loader", "--library", "it", "--patch"))
        return objects, patch["spec"]["template"]["spec"]

    def start_again(self, app: str) -> None:
        """As it was, where the controller cannot be asked for what pods have."""
        command, environment, where = self.cluster._started[f"{app}-1"]
        self.cluster.run(f"{app}-1", command, environment, where)

    def stop(self, *names: str) -> None:
        for it in names:
            if it in self.cluster.processes:
                self.cluster.stop(it)

    def call(self, body: str) -> str:
        """What became of the frontend's call: OK, REFUSED by the firewall, or why it failed."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{FRONTEND}/?key={body}", timeout=15) as page:
                said = urllib.parse.unquote(page.headers.get("grpc-message", ""))
                return {"": "OK", "firewall": "REFUSED"}.get(said, said)
        except (urllib.error.URLError, OSError) as error:
            return str(error)

    def apply(self, change: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
        """Applies the sample's AppNetConfig, as its files are now."""
        config = with_texts(self.folder, CONFIG)
        change(config)
        self.cluster.apply(config)

    def edit(self, file: str, old: str, new: str) -> None:
        text = (self.folder / file).read_text()
        assert old in text
        (self.folder / file).write_text(text.replace(old, new))


@pytest.fixture
def programs(cluster: Cluster, program: Path, tmp_path: Path) -> Iterator[Programs]:
    controlled = Controlled(cluster)
    controlled.install()
    controlled.start()
    folder = echo_folder(tmp_path)
    config = yaml.safe_load((GO / CONFIG).read_text())
    text = yaml.safe_dump(config).replace("../echo/", "")
    (folder / CONFIG).write_text(text)
    shutil.copy(GO / "echo.yaml", folder)
    cluster.kubectl("apply", "-f", str(folder / "echo.yaml"))
    cluster.kubectl("apply", "-f", "-", given=PODS)
    found = Programs(controlled, program, folder)
    try:
        yield found
    finally:
        found.stop("frontend-1", "server-1", "server-2", "thief")
        cluster.kubectl("delete", "appnetconfigs", "--all", "--timeout=100s")
        cluster.kubectl("delete", "--ignore-not-found", "-f", "-", given=f"{PODS}---{SECOND}")
        cluster.kubectl("delete", "-f", str(folder / "echo.yaml"))
        controlled.stop()


def accepted(programs: Programs, rolled_out: str = "2/2") -> dict[str, Any]:
    """The status once all programs run what was applied last."""
    programs.controlled.await_condition(NAME, "Ready", lambda it: it["status"] == "True")
    status = programs.controlled.status(NAME)
    assert status["rolledOut"] == rolled_out
    return status


def test_the_guides_calls(programs: Programs) -> None:
    programs.apply()
    programs.start("server")
    programs.start("frontend")
    status = accepted(programs)
    assert {(it["name"], it["side"], it["processor"], it["target"]) for it in status["proxies"]} == {
        ("frontend-1.default", "client", "grpc", "library"),
        ("server-1.default", "server", "grpc", "library"),
    }
    assert (programs.call("hello"), programs.call("test")) == ("OK", "REFUSED")
    assert programs.cluster.kubectl("get", "envoyfilters", "-A", "-o", "name") == ""
    with calling(programs) as codes:
        for old, new in (("'test'", "'never'"), ("'never'", "'test'")):
            programs.edit("firewall.appnet", old, new)
            programs.apply()
            await_(f"{new} is refused", lambda new=new: programs.call(new.strip("'")) == "REFUSED", 20)
        accepted(programs)
        # Beside sidecars that have nothing to do, and that need not be there.
        programs.apply(lambda it: it["spec"].update(processors=["grpc", "sidecar"], bypass="allowed"))
        accepted(programs)
        assert programs.cluster.kubectl("get", "envoyfilters", "-A", "-o", "name") == ""
        programs.cluster.kubectl("delete", "appnetconfig", NAME, "--timeout=100s")
        await_("calls pass", lambda: programs.call("test") == "OK", 20)
    assert set(codes) == {"OK"}


@pytest.fixture
def password(programs: Programs, store: Store) -> Iterator[None]:
    """In a Secret of the cluster."""
    del store
    give(programs.cluster, FIRST)
    yield
    programs.cluster.kubectl("delete", "secret", SECRET)


LIMIT = 6
SHARED = Path("config/samples/shared/global_quota.appnet")
TALLY = """
state:
    @consistency(weak) @combiner(sum)
    passed: int

init():
    pass

req(rpc):
    passed = passed + 1
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""


def sharing(config: dict[str, Any]) -> None:
    """Behind the firewall, a quota that all servers share, and a count that they merge."""
    spec = config["spec"]
    spec["state"] = {"store": f"redis://127.0.0.1:{STORE}", "secret": SECRET, "timeout": "3s"}  # on a slow machine
    quota = {"name": "global_quota", "inline": SHARED.read_text(), "parameters": {"limit": LIMIT}}
    spec["serverChain"] += [quota, {"name": "tally", "inline": TALLY}]


@pytest.mark.usefixtures("password")
def test_programs_share_state_in_the_store_that_they_are_told(programs: Programs, store: Store) -> None:
    programs.cluster.kubectl("apply", "-f", "-", given=SECOND)
    programs.apply(sharing)
    for name in ("server-1", "server-2"):
        programs.start("server", name=name)
    programs.start("frontend")
    accepted(programs, "3/3")
    assert programs.controlled.condition(NAME, "Compiled")["reason"] != "Warned"
    assert [programs.call("hello") for _ in range(LIMIT - 2)] == ["OK"] * (LIMIT - 2)
    programs.stop("frontend-1")
    programs.target = f"127.0.0.1:{SERVERS['server-2']}"
    programs.start("frontend")
    await_("the other server is called", lambda: programs.call("test") == "REFUSED", 30)
    assert [programs.call("hello") for _ in range(4)] == ["OK", "OK", "quota exceeded", "quota exceeded"]
    keys = "{appnet:default.echo/frontend/server/tally}:passed:"
    await_("both have merged", lambda: store.says(FIRST, "ZCARD", f"{keys}instances") == 2, 30)
    # A new password comes like a new version, and the old one may go.
    before = store.clients(FIRST)
    store.says(FIRST, "ACL", "SETUSER", "default", f">{SECOND_WORD}")
    give(programs.cluster, SECOND_WORD)
    await_("both connect by it", lambda: len(store.clients(SECOND_WORD) - before) >= 2, 60)
    store.says(SECOND_WORD, "ACL", "SETUSER", "default", f"<{FIRST}")
    store.says(SECOND_WORD, "CLIENT", "KILL", "TYPE", "normal")
    await_("calls go on", lambda: programs.call("hello") == "quota exceeded", 30)


CALLER = """
state:
    caller: string

init(caller = 'nobody'):
    pass

req(rpc):
    if peer(rpc) != caller:
        send(err('stranger', PERMISSION_DENIED), Up)
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""
"""Only a proxy that ends the callers' TLS knows who they are."""


@pytest.fixture
def sidecars(programs: Programs) -> Iterator[Programs]:
    """The same with Istio's sidecars, and mTLS between them."""
    cluster = programs.cluster
    cluster.kubectl("apply", "-f", "-", given=MESH)
    for it in (SERVER_POD, CLIENT_POD):
        start_sidecar(cluster, it)
    programs.target = f"passthrough:///{HOST}"
    try:
        yield programs
    finally:
        programs.stop("frontend", "server")
        for it in (CLIENT_POD, SERVER_POD):
            stop_sidecar(cluster, it)
        cluster.kubectl("delete", "--ignore-not-found", "-f", "-", given=MESH)


def test_what_only_a_proxy_can_run_stays_there(sidecars: Programs) -> None:
    """Of one edge: the client's side in its program, the server's in the sidecar and in the program behind it."""
    (sidecars.folder / "caller.appnet").write_text(CALLER)
    file = sidecars.folder / CONFIG
    config = yaml.safe_load(file.read_text())
    spec = config["spec"]
    spec.update(processors=["grpc", "sidecar"], bypass="allowed")
    account = "spiffe://cluster.local/ns/default/sa/echo-frontend"
    spec["serverChain"].insert(0, {"name": "caller", "file": "caller.appnet", "parameters": {"caller": account}})
    file.write_text(yaml.safe_dump(config))
    sidecars.apply()
    for it in ("server", "frontend"):
        sidecars.start(it, process=it)
    status = accepted(sidecars, "3/3")
    assert {(it["name"], it["side"], it["processor"]) for it in status["proxies"]} == {
        ("frontend-1.default", "client", "grpc"),
        ("server-1.default", "server", "sidecar"),
        ("server-1.default", "server", "grpc"),
    }
    assert (sidecars.call("hello"), sidecars.call("test")) == ("OK", "REFUSED")
    assert (bool(filters(SERVER_POD)), filters(CLIENT_POD)) == (True, set())
    told = printed(sidecars.cluster, "explain", str(file))
    assert "the client's sidecar has no elements: an RPC that bypasses it saves" in told
    with calling(sidecars) as codes:
        sidecars.edit("firewall.appnet", "'test'", "'other'")
        sidecars.apply()
        await_("the program has the change", lambda: sidecars.call("other") == "REFUSED", 20)
    assert set(codes) == {"OK"}
    sidecars.edit(CONFIG, "sa/echo-frontend", "sa/another")
    sidecars.apply()
    await_("the sidecar has the change", lambda: sidecars.call("hello") == "stranger", 20)


def test_a_change_reaches_programs_whoever_dies_meanwhile(programs: Programs) -> None:
    controlled, kept = programs.controlled, str(programs.folder / "kept")
    programs.apply()
    programs.start("server", APPNET_KEEP=kept)
    programs.start("frontend")
    accepted(programs)
    with calling(programs) as codes:
        controlled.kill()
        programs.edit("firewall.appnet", "'test'", "'other'")
        programs.apply()  # nobody is there to see it
        assert (programs.call("hello"), programs.call("test")) == ("OK", "REFUSED")
    assert set(codes) == {"OK"}
    # A program that starts while the controller is away goes on with what was kept.
    programs.stop("server-1")
    programs.start_again("server")
    await_("it judges", lambda: programs.call("test") == "REFUSED", 30)
    with calling(programs) as codes:
        controlled.start()
        await_("the change is there", lambda: programs.call("other") == "REFUSED", 30)
        accepted(programs)
    assert set(codes) == {"OK"}


def test_who_is_somebody_else_gets_nothing(programs: Programs) -> None:
    programs.apply()
    programs.start("frontend")
    # Its pod runs as another account than those behind the Service do.
    programs.start("server", account="echo-frontend")
    told = programs.controlled.await_condition(NAME, "Delivered", lambda it: it["reason"] == "Strangers")
    assert "the processes of server run as echo-server, not as echo-frontend" in told["message"]
    assert programs.call("hello") not in ("OK", "REFUSED"), "it waits for chains, and nothing passes unjudged"
    programs.stop("server-1")
    # One without a valid token is turned away, and told why.
    other = programs.folder / "other"
    other.write_text(programs.cluster.kubectl("create", "token", "echo-server", "--audience=another"))
    programs.start("server", name="thief", APPNET_TOKEN=str(other))
    await_("it is turned away", lambda: "no valid token of a service account" in programs.cluster.log("thief"), 20)
    programs.stop("thief")
    programs.start("server")
    accepted(programs)
    assert (programs.call("hello"), programs.call("test")) == ("OK", "REFUSED")


def test_a_version_that_a_program_refuses_goes_back_everywhere(programs: Programs) -> None:
    """One of two servers trusts another key."""
    programs.cluster.kubectl("apply", "-f", "-", given=SECOND)
    programs.apply()
    for name in ("server-1", "server-2"):
        programs.start("server", name=name)
    programs.start("frontend")
    before = accepted(programs, "3/3")["version"]
    programs.stop("server-2")
    programs.start("server", name="server-2", APPNET_TRUSTED_KEYS=SigningKey.generate().public_text)
    told = programs.controlled.await_condition(NAME, "Delivered", lambda it: it["status"] == "False")
    (wrong,) = [it for it in programs.controlled.status(NAME)["proxies"] if it["name"] == "server-2.default"]
    assert wrong["state"] == "nacked"
    assert "signed by none of the keys in APPNET_TRUSTED_KEYS" in wrong["error"]
    programs.edit("firewall.appnet", "'test'", "'other'")
    programs.apply()
    told = programs.controlled.await_condition(NAME, "Delivered", lambda it: it["reason"] == "Refused")
    assert "server-2.default refused version" in told["message"]
    assert programs.controlled.status(NAME)["version"] == before
    assert (programs.call("other"), programs.call("test")) == ("OK", "REFUSED")


def test_canary_pause_and_the_way_back(programs: Programs) -> None:
    programs.cluster.kubectl("apply", "-f", "-", given=SECOND)
    programs.apply()
    for name in ("server-1", "server-2"):
        programs.start("server", name=name)
    programs.start("frontend")
    before = accepted(programs, "3/3")["version"]

    def with_canary(config: dict[str, Any]) -> None:
        config["spec"]["rollout"] = {"canary": "60%", "wait": "4s"}

    programs.edit("firewall.appnet", "'test'", "'other'")
    programs.apply(with_canary)
    programs.controlled.await_condition(NAME, "Delivered", lambda it: it["reason"] == "Canary")
    programs.controlled.await_condition(NAME, "Delivered", lambda it: it["reason"] == "Accepted")
    after = accepted(programs, "3/3")
    assert after["version"] != before
    assert [it["reason"] for it in after["history"]] == ["canary passed", "first"]
    assert (programs.call("other"), programs.call("test")) == ("REFUSED", "OK")
    programs.apply()  # without canaries
    accepted(programs, "3/3")
    printed(programs.cluster, "rollout", "undo", NAME, "--wait")
    assert programs.controlled.status(NAME)["version"] == before
    assert (programs.call("other"), programs.call("test")) == ("OK", "REFUSED")
    printed(programs.cluster, "rollout", "pause", NAME)
    programs.apply(lambda it: it["spec"].update(rollout={"paused": True}))
    programs.edit("firewall.appnet", "'other'", "'more'")
    programs.apply(lambda it: it["spec"].update(rollout={"paused": True}))
    programs.controlled.await_condition(NAME, "Compiled", lambda it: it["status"] == "True")
    assert programs.controlled.status(NAME)["version"] == before
    assert programs.call("more") == "OK"
    programs.apply()
    await_("it goes on", lambda: programs.call("more") == "REFUSED", 20)
