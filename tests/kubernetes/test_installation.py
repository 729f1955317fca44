"""What installs the controller, by kustomize and by Helm: the same objects, which a real API server takes and lets go."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from appnet.deploy.kubernetes.definition import NAME
from tests.kubernetes.cluster import Cluster, await_
from tests.kubernetes.control import Controlled, echo_folder, with_texts
from tests.kubernetes.programs import helm
from tests.kubernetes.test_definition import configuration

pytestmark = pytest.mark.kubernetes

SYSTEM = "appnet-system"
CONTROLLER = "appnet-controller"
ACCOUNT = f"system:serviceaccount:{SYSTEM}:{CONTROLLER}"
REQUESTS = {"requests": {"cpu": "100m", "memory": "512Mi"}}
RELEASE = ("appnet", "charts/appnet", "--namespace", SYSTEM)
OF_HELM = ("helm.sh/chart", *(f"app.kubernetes.io/{it}" for it in ("instance", "managed-by", "name", "version")))
KINDS = "crd,ns,clusterrole,clusterrolebinding,role,rolebinding,serviceaccount,service,deployment,secret,lease"

Objects = dict[tuple[str, str], dict[str, Any]]


def run(cluster: Cluster, *command: str) -> str:
    """What the program printed; where it fails, so does the test."""
    done = subprocess.run(command, env=cluster.environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(text: str) -> Objects:
    return {(it["kind"], it["metadata"]["name"]): it for it in yaml.safe_load_all(text) if it}


def rendered(cluster: Cluster, *options: str) -> Objects:
    """What Helm makes of the chart."""
    return objects(run(cluster, str(helm()), "template", *RELEASE, "--include-crds", "--kube-version=1.36.1", *options))


def there(cluster: Cluster) -> set[str]:
    """All objects of the kinds that an installation has, but Kubernetes' own."""
    found = cluster.kubectl("get", KINDS, "-A", "-o", "name").splitlines()
    return {it for it in found if "/system:" not in it and "/apiserver-" not in it}


@contextmanager
def namespaces_end(cluster: Cluster) -> Iterator[None]:
    """Does what Kubernetes' controller manager does, which does not run here: empties namespaces that are deleted."""
    done = threading.Event()

    def empty() -> None:
        while not done.wait(0.2):
            for it in json.loads(cluster.kubectl("get", "namespaces", "-o", "json"))["items"]:
                name = it["metadata"]["name"]
                if it["status"]["phase"] == "Terminating":
                    cluster.kubectl("delete", "secret,lease,deployment,service", "--all", "-n", name)
                    it["spec"]["finalizers"] = []
                    path = f"/api/v1/namespaces/{name}/finalize"
                    cluster.kubectl("replace", "--raw", path, "-f", "-", given=json.dumps(it))

    thread = threading.Thread(target=empty)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.fixture(scope="module", autouse=True)
def bare(cluster: Cluster) -> None:
    """The cluster without anything of AppNet: files that ran before left what their controllers needed."""
    with namespaces_end(cluster):
        run(cluster, "make", "undeploy")


@pytest.fixture(scope="module")
def kustomized(cluster: Cluster) -> Objects:
    return objects(cluster.kubectl("kustomize", "config/default"))


@pytest.fixture
def deployed(cluster: Cluster) -> Iterator[Cluster]:
    """After `make deploy`, from a registry of the user's."""
    before = there(cluster)
    run(cluster, "make", "deploy", "IMG=registry.example/appnet:1")
    try:
        yield cluster
    finally:
        with namespaces_end(cluster):
            run(cluster, "make", "undeploy")
    assert there(cluster) == before


def test_helm_and_kustomize_make_the_same(cluster: Cluster, kustomized: Objects) -> None:
    made = rendered(cluster, "--set", "image.tag=latest")
    wanted = {name: it for name, it in kustomized.items() if name != ("Namespace", SYSTEM)}  # Helm has an option for it
    for it in (*made.values(), *wanted.values()):
        labels = it["metadata"].pop("labels", {})
        it["metadata"]["labels"] = {key: value for key, value in labels.items() if key not in OF_HELM}
    assert made.keys() == wanted.keys()
    for name, it in made.items():
        assert it == wanted[name], name


def test_the_guides_words_are_taken(cluster: Cluster) -> None:
    page = Path("docs/kubernetes.md").read_text(encoding="utf-8")
    (words,) = re.findall(r"helm install ((?:.*\\\n)*.*)", page)
    options = (*shlex.split(words.replace("\\\n", " ")), "--kube-version=1.36.1")
    made = objects(run(cluster, str(helm()), "template", *options))
    (container,) = made["Deployment", CONTROLLER]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/appnet:v1"


def test_the_chart_is_sound(cluster: Cluster) -> None:
    assert "1 chart(s) linted, 0 chart(s) failed" in run(cluster, str(helm()), "lint", "--strict", "charts/appnet")


def test_what_can_be_set_is_set(cluster: Cluster, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "image": {"repository": "registry.example/appnet", "tag": "1", "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "registry"}],
        "replicas": 2,
        "storeClaim": "telemetry",
        "dashboardTokenSecret": "dashboard",
        "resources": {"limits": {"memory": "4Gi"}},
        "nodeSelector": {"zone": "a"},
        "tolerations": [{"key": "own", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
    }
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(given))
    usual = yaml.safe_load(Path("charts/appnet/values.yaml").read_text())
    assert usual.keys() == given.keys()
    spec = rendered(cluster, "--values", str(file))["Deployment", "appnet-controller"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("registry.example/appnet:1", "Always")
    assert (spec["replicas"], container["resources"]) == (2, {"limits": {"memory": "4Gi"}, **REQUESTS})
    claims = [it["persistentVolumeClaim"]["claimName"] for it in pod["volumes"] if "persistentVolumeClaim" in it]
    assert claims == ["telemetry"]
    assert [it["secret"]["secretName"] for it in pod["volumes"] if "secret" in it] == ["dashboard"]
    (mount,) = [it["mountPath"] for it in container["volumeMounts"] if it["name"] == "dashboard-token"]
    assert f"--dashboard-token-file={mount}/token" in container["args"]
    for it in ("imagePullSecrets", "nodeSelector", "tolerations", "affinity"):
        assert pod[it] == given[it]


def test_what_cannot_be_set_is_refused(cluster: Cluster) -> None:
    command = [helm(), "template", *RELEASE, "--kube-version=1.36.1", "--set", "imgae.tag=1"]
    done = subprocess.run(command, env=cluster.environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "additional properties 'imgae' not allowed" in done.stderr


def test_helm_installs_and_uninstalls(cluster: Cluster) -> None:
    before = there(cluster)
    run(cluster, str(helm()), "install", *RELEASE, "--create-namespace")
    assert f"deployment.apps/{CONTROLLER}" in there(cluster) - before
    run(cluster, str(helm()), "uninstall", "appnet", "--namespace", SYSTEM)
    left = there(cluster) - before  # Helm never deletes definitions, and with them everything that they define
    assert left == {f"customresourcedefinition.apiextensions.k8s.io/{NAME}", f"namespace/{SYSTEM}"}
    with namespaces_end(cluster):
        run(cluster, "make", "uninstall")
    assert there(cluster) == before


def test_what_is_installed_goes_again(cluster: Cluster) -> None:
    before = there(cluster)
    run(cluster, "make", "install")
    run(cluster, "make", "install")
    added = there(cluster) - before
    assert added == {f"customresourcedefinition.apiextensions.k8s.io/{NAME}", f"namespace/{SYSTEM}"}
    cluster.kubectl("apply", "-f", "-", given=configuration())
    with namespaces_end(cluster):
        run(cluster, "make", "uninstall")
        run(cluster, "make", "uninstall")
    assert there(cluster) == before


def test_the_pod_may_run_where_little_is_allowed(deployed: Cluster) -> None:
    (deployment,) = json.loads(deployed.kubectl("get", "deployments", "-n", SYSTEM, "-o", "json"))["items"]
    template = deployment["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "registry.example/appnet:1"
    metadata = template["metadata"] | {"name": "it", "namespace": SYSTEM}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    create = ("create", "--dry-run=server", "-f", "-")
    deployed.kubectl(*create, given=json.dumps(pod))
    template["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(AssertionError, match='violates PodSecurity "restricted:latest": allowPrivilegeEscalation'):
        deployed.kubectl(*create, given=json.dumps(pod))


ALLOWED = [
    *(("default", f"{verb} appnetconfigs") for verb in ("get", "list", "watch", "patch")),
    ("default", "patch appnetconfigs --subresource=status"),
    *(
        ("default", f"{verb} {resource}")
        for verb in ("get", "list", "watch")
        for resource in ("configmaps", "services", "pods", "workloadentries.networking.istio.io")
    ),
    *(
        ("default", f"{it} envoyfilters.networking.istio.io")
        for it in ("get", "list", "watch", "create", "patch", "delete")
    ),
    ("default", "list gateways.gateway.networking.k8s.io"),
    ("default", "create events"),
    *(("default", f"{it} controllerrevisions.apps") for it in ("get", "list", "create", "patch", "delete")),
    ("", "create tokenreviews.authentication.k8s.io"),
    ("", "watch customresourcedefinitions.apiextensions.k8s.io"),
    *((SYSTEM, f"{it}/{CONTROLLER}") for it in ("get secrets", "update leases.coordination.k8s.io")),
    *((SYSTEM, f"create {it}") for it in ("secrets", "leases.coordination.k8s.io")),
]
FORBIDDEN = [
    *(("default", f"{verb} appnetconfigs") for verb in ("create", "update", "delete", "deletecollection")),
    *(("default", f"{verb} secrets") for verb in ("get", "list", "create")),
    *(("default", f"{verb} configmaps") for verb in ("create", "update", "patch", "delete")),
    *(("default", f"{verb} pods") for verb in ("create", "patch", "delete")),
    *(("default", f"{verb} deployments.apps") for verb in ("list", "create", "update", "patch")),
    ("default", "create pods --subresource=exec"),
    ("default", "create serviceaccounts --subresource=token"),
    ("default", "deletecollection envoyfilters.networking.istio.io"),
    ("default", "create leases.coordination.k8s.io"),
    ("istio-system", "get secrets"),
    *((SYSTEM, f"{it} secrets") for it in ("list", "delete")),
    (SYSTEM, f"update secrets/{CONTROLLER}"),
    (SYSTEM, "get secrets/other"),
    ("", "patch customresourcedefinitions.apiextensions.k8s.io"),
    ("", "create clusterrolebindings.rbac.authorization.k8s.io"),
    ("", "impersonate serviceaccounts"),
]


def test_the_controller_may_do_what_it_has_to_and_no_more(deployed: Cluster) -> None:
    def may(namespace: str, what: str) -> bool:
        where = ["-n", namespace] if namespace else []
        command = ["kubectl", "auth", "can-i", *what.split(), *where, f"--as={ACCOUNT}"]
        done = subprocess.run(command, env=deployed.environment, capture_output=True, text=True, check=False)
        assert done.stdout.strip() in {"yes", "no"}, done.stderr
        return done.stdout.strip() == "yes"

    assert [it for it in ALLOWED if not may(*it)] == []
    assert [it for it in FORBIDDEN if may(*it)] == []


@pytest.mark.parametrize(("role", "writes"), [("view", False), ("edit", True), ("admin", True)])
def test_whoever_may_edit_a_namespace_may_write_appnetconfigs(kustomized: Objects, role: str, writes: bool) -> None:
    """Kubernetes adds up roles by these labels."""
    label = f"rbac.authorization.k8s.io/aggregate-to-{role}"
    (found,) = (it for it in kustomized.values() if label in it["metadata"].get("labels", {}))
    verbs = {verb for rule in found["rules"] for verb in rule["verbs"]}
    assert {"get", "list", "watch"} <= verbs
    assert ("create" in verbs) == writes


def test_it_may_have_its_own_secret_and_lease_and_no_other(kustomized: Objects) -> None:
    for role, resource in ((CONTROLLER, "secrets"), ("appnet-leader-election", "leases")):
        rules = kustomized["Role", role]["rules"]
        named = [it for it in rules if "resourceNames" in it]
        assert [(it["resources"], it["resourceNames"]) for it in named] == [([resource], [CONTROLLER])]
        assert [it["verbs"] for it in rules if "resourceNames" not in it] == [["create"]]


def test_the_controller_works_with_these_rights_and_no_others(deployed: Cluster, tmp_path: Path) -> None:
    token = deployed.kubectl("create", "token", CONTROLLER, "-n", SYSTEM).strip()
    settings = yaml.safe_load((deployed.folder / "kubeconfig").read_text())
    settings["users"] = [{"name": "u", "user": {"token": token}}]
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(settings))
    folder = echo_folder(tmp_path)
    controlled = Controlled(deployed)
    deployed.kubectl("apply", "-f", str(folder / "echo.yaml"))
    controlled.start(environment={"KUBECONFIG": str(tmp_path / "kubeconfig")})
    try:
        deployed.apply(with_texts(folder, "sample_echo_sidecar.yaml"))
        controlled.await_condition("sample-echo-sidecar", "Compiled", lambda it: it["status"] == "True")
        await_("both ends, and where records go", lambda: filters_of_ours(deployed) == MADE, 20)
        deployed.kubectl("delete", "envoyfilter", MADE[0])
        await_("what somebody deleted is back", lambda: filters_of_ours(deployed) == MADE, 60)
        assert "sample-echo-sidecar" in deployed.kubectl("get", "events", "-o", "wide")
        deployed.kubectl("delete", "appnetconfig", "--all", "--timeout=100s")
        assert filters_of_ours(deployed) == []
    finally:
        controlled.stop()
        deployed.kubectl("delete", "-f", str(folder / "echo.yaml"))
    assert not [it for it in controlled.log().splitlines() if "forbidden" in it or " ERROR " in it]


MADE = [
    "appnet-telemetry",
    "appnet.frontend.server.echo.client",
    "appnet.frontend.server.echo.server",
]
"""What the controller makes of the echo sample."""


def filters_of_ours(cluster: Cluster) -> list[str]:
    label = "app.kubernetes.io/managed-by=appnet-controller"
    return cluster.kubectl("get", "envoyfilters", "-l", label, "-o", "jsonpath={.items[*].metadata.name}").split()


def test_the_controller_beside_a_cluster_reads_files(cluster: Cluster, tmp_path: Path) -> None:
    """`make install`, `make run`, and the sample applied as it is."""
    before = there(cluster)
    folder = echo_folder(tmp_path)
    run(cluster, "make", "install")
    cluster.kubectl("apply", "-f", str(folder / "echo.yaml"))
    recipe = run(cluster, "make", "--dry-run", "run", f"FILES={folder}", "ADDRESS=127.0.0.1").splitlines()[-1]
    program, command, *options = shlex.split(recipe)
    assert (program, command) == (".venv/bin/appnetctl", "controller")
    controlled = Controlled(cluster)
    controlled.start(*options)
    try:
        cluster.kubectl("apply", "-f", str(folder / "sample_echo_sidecar.yaml"))
        name = "sample-echo-sidecar"
        controlled.await_condition(name, "Compiled", lambda it: it["status"] == "True")
        first = controlled.configuration(name)["status"]["version"]
        firewall = folder / "firewall.appnet"
        firewall.write_text(firewall.read_text().replace("'test'", "'other'"))
        await_("the saved file", lambda: controlled.configuration(name)["status"]["version"] != first, 30)
        version = controlled.configuration(name)["status"]["version"]
        firewall.write_text("nothing that can be read")
        told = controlled.await_condition(name, "Compiled", lambda it: it["status"] == "False")
        assert told["message"].endswith("; the version before runs on")
        assert filters_of_ours(cluster) == MADE
        status = controlled.configuration(name)["status"]
        assert status["version"] == version
        assert status["lastError"]["place"].endswith("firewall.appnet:1:1")
        with namespaces_end(cluster):
            run(cluster, "make", "uninstall")
        assert filters_of_ours(cluster) == []
    finally:
        controlled.stop()
        cluster.kubectl("delete", "-f", str(folder / "echo.yaml"))
    assert there(cluster) == before
