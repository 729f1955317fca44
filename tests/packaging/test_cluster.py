"""What installs the controller agrees with the program: its version, options, ports, user, and what it watches."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import yaml

import appnet
from appnet.cli.commands import controller
from appnet.deploy.kubernetes.operator.world import KINDS

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
CHART = ROOT / "charts" / "appnet"


def object_(file: str, kind: str) -> Any:
    (found,) = (it for it in yaml.safe_load_all((CONFIG / file).read_text()) if it["kind"] == kind)
    return found


def container() -> Any:
    (found,) = object_("manager/manager.yaml", "Deployment")["spec"]["template"]["spec"]["containers"]
    return found


def port(address: str) -> int:
    return int(address.rpartition(":")[2])


def test_the_chart_has_the_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (appnet.__version__, appnet.__version__)


def test_the_chart_has_the_definition() -> None:
    bases = CONFIG / "crd" / "bases"
    (name,) = (it.name for it in bases.iterdir())
    assert (CHART / "crds" / name).read_bytes() == (bases / name).read_bytes(), "run `make generate`"


def test_the_container_is_started_as_the_command_wants() -> None:
    command, *options = container()["args"]
    pairs = (it.removeprefix("--").partition("=") for it in options)
    given = {name.replace("-", "_"): value for name, _, value in pairs}
    assert command == controller.__name__.rpartition(".")[2]
    assert given.keys() <= inspect.signature(controller.command).parameters.keys()
    ports = {it["name"]: it["containerPort"] for it in container()["ports"]}
    assert ports == {
        "grpc-xds": port(given["bind"]),
        "grpc-libraries": port(given["bind"]) + 1,  # protocols have one port after another
        "http-otlp": port(given["records"]),
        "grpc-otlp": port(given["records_grpc"]),
        "http-status": port(given["status"]),
    }
    service = object_("manager/manager.yaml", "Service")
    reached = {it["targetPort"]: it["port"] for it in service["spec"]["ports"]}
    assert given["address"] == f"appnet-{service['metadata']['name']}.appnet-system.svc:{reached['grpc-xds']}"
    annotations = object_("manager/manager.yaml", "Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(ports["http-status"])


def test_the_container_runs_as_the_images_user() -> None:
    text = (ROOT / "Containerfile").read_text()
    user = object_("manager/manager.yaml", "Deployment")["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
    assert re.search(rf"^USER {user}$", text, re.MULTILINE)
    assert {it["mountPath"] for it in container()["volumeMounts"]} == {"/home/appnet/.cache", "/tmp", "/var/lib/appnet"}


def test_it_may_watch_what_it_watches() -> None:
    rules = object_("rbac/role.yaml", "ClusterRole")["rules"]
    for kind in KINDS:
        verbs = {
            verb
            for it in rules
            if kind.group in it["apiGroups"] and kind.plural in it["resources"]
            for verb in it["verbs"]
        }
        assert {"get", "list", "watch"} <= verbs, kind.plural
