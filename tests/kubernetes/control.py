"""`appnetctl controller` beside a cluster, as `make run` starts it, and applications that it is told of."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.kubernetes.cluster import Cluster, answers, await_

DEFINITION = Path("config/crd/bases/api.core.appnet.io_appnetconfigs.yaml")
CONTROL, RECORDS, STATUS = 18000, 4318, 8081
NAMESPACE = "appnet-system"


@dataclass
class Controlled:
    """A cluster with the custom resource, whose controller may be started, killed and started again."""

    cluster: Cluster
    files: Path | None = None

    def __post_init__(self) -> None:
        self._told_before = len(self.cluster.log("controller"))

    def install(self) -> None:
        """What `make install` does, and the controller's own namespace."""
        self.cluster.kubectl("apply", "--server-side", "-f", str(DEFINITION))
        self.cluster.kubectl("wait", "--for=condition=established", "crd", "appnetconfigs.api.core.appnet.io")
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})

    def start(self, *options: str, environment: dict[str, str] | None = None) -> None:
        """Starts the controller; it is there when it is ready."""
        command = [Path(sys.executable).parent / "appnetctl", "controller", *options]
        if self.files is not None:
            command += ["--files", self.files]
        self.cluster.run("controller", command, environment)
        await_("the controller", lambda: answers(f"http://127.0.0.1:{STATUS}/readyz").startswith("ok"), 60)

    def kill(self) -> None:
        """Ends it as the kernel does when memory is short."""
        process = self.cluster.processes.pop("controller")
        process.kill()
        process.wait()

    def keep_up(self) -> None:
        """Starts it again if it has ended, as its Deployment does: it ends where the API server is away for longer than
        its Lease lasts."""
        if self.cluster.processes["controller"].poll() is not None:
            self.start()

    def stop(self) -> None:
        """Ends it in order."""
        if "controller" in self.cluster.processes:
            self.cluster.stop("controller")

    def log(self) -> str:
        """What it has told; what other tests' controllers told before is left out."""
        return self.cluster.log("controller")[self._told_before :]

    def configuration(self, name: str, namespace: str = "default") -> dict[str, Any]:
        """An AppNetConfig as the API server has it now."""
        found: dict[str, Any] = yaml.safe_load(
            self.cluster.kubectl("get", "appnetconfig", name, "-n", namespace, "-o", "yaml")
        )
        return found

    def status(self, name: str = "sample-echo-sidecar") -> dict[str, Any]:
        """The status of one in the usual namespace; empty while there is none."""
        found: dict[str, Any] = self.configuration(name).get("status", {})
        return found

    def condition(self, name: str, type_: str, namespace: str = "default") -> dict[str, Any]:
        """One of its conditions, of what it is now; empty while there is none."""
        found = self.configuration(name, namespace)
        conditions = found.get("status", {}).get("conditions", ())
        known = [it for it in conditions if it["observedGeneration"] == found["metadata"]["generation"]]
        return next((it for it in known if it["type"] == type_), {})

    def await_condition(self, name: str, type_: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Waits until a condition is as it should be."""

        def found() -> dict[str, Any] | None:
            it = self.condition(name, type_)
            return it if it and holds(it) else None

        try:
            found_: dict[str, Any] = await_(f"{name} is {type_}", found, 120)  # chains are compiled meanwhile
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.configuration(name).get('status')}\n{self.log()}") from None
        return found_


def with_texts(folder: Path, file: str) -> dict[str, Any]:
    """The AppNetConfig in a file, with the elements and the .proto that it names inside it."""
    config: dict[str, Any] = yaml.safe_load((folder / file).read_text())
    spec = config["spec"]
    spec.pop("appManifestFile")
    spec["protoInline"] = (folder / spec.pop("proto")).read_text()
    for chain in ("clientChain", "anyChain", "serverChain", "pairChain"):
        for it in spec.get(chain, ()):
            it["inline"] = (folder / it.pop("file")).read_text()
    return config


def echo_folder(where: Path) -> Path:
    """The echo application's sources, in which nothing depends on chance."""
    folder = where / "echo"
    shutil.copytree("config/samples/echo", folder)
    fault = folder / "fault.appnet"
    fault.write_text(fault.read_text().replace("prob = 0.99", "prob = 2.0"))
    return folder
