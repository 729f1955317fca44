"""Questions to a running Envoy's admin interface."""

from __future__ import annotations

import asyncio
import http.client
import json
from urllib.parse import quote

from appnet.system.address import Address

_TIMEOUT_SECONDS = 5.0


class AdminError(Exception):
    """The admin interface could not be reached or answered with an error."""


class Admin:
    """The admin interface at ``address``. Every question is one short HTTP request; errors are ``AdminError``."""

    def __init__(self, address: Address) -> None:
        self.address = address

    async def get(self, path: str) -> str:
        """The body of the answer to GET ``path``."""
        return await asyncio.to_thread(self._get_blocking, path)

    async def is_live(self) -> bool:
        """Whether the proxy has finished its initialisation and serves."""
        try:
            return (await self.get("/ready")).strip() == "LIVE"
        except AdminError:
            return False

    async def stats(self, pattern: str = "") -> dict[str, int]:
        """Counters and gauges whose names match the regular expression ``pattern`` (all without one)."""
        answer = await self.get(f"/stats?format=json&filter={quote(pattern)}")
        return {entry["name"]: entry["value"] for entry in json.loads(answer)["stats"] if "value" in entry}

    async def listeners(self) -> dict[str, Address]:
        """Where each active listener is bound, by name. Listeners that still warm are not in it."""
        found: dict[str, Address] = {}
        for status in json.loads(await self.get("/listeners?format=json")).get("listener_statuses", []):
            socket = status["local_address"].get("socket_address")
            if socket is not None:
                found[status["name"]] = Address(socket["address"], socket["port_value"])
        return found

    def _get_blocking(self, path: str) -> str:
        connection = http.client.HTTPConnection(self.address.host, self.address.port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise AdminError(f"GET {path} at {self.address}: {error}") from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise AdminError(f"GET {path} at {self.address}: {response.status} {body.strip()[:200]}")
        return body
