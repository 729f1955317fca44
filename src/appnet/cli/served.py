"""Questions to a running `appnetctl serve`."""

from __future__ import annotations

import http.client
import json
from typing import Any

import typer

from appnet.cli.errors import FAILURE, open_screens
from appnet.cli.live import plain
from appnet.system.address import Address

_TIMEOUT_SECONDS = 30.0  # longer than nodes are waited for


def asked(address: Address, method: str, path: str) -> dict[str, Any]:
    """What it answers. Raises OSError where none can be reached, and ends the command where it refuses."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        found = json.loads(answer.read())
    except OSError as error:
        raise OSError(f"no `appnetctl serve` answers at {address} (--status): {error.strerror or error}") from None
    except (http.client.HTTPException, ValueError):
        raise OSError(f"what answers at {address} (--status) is not `appnetctl serve`") from None
    finally:
        connection.close()
    if answer.status != http.client.OK:
        open_screens().err.print(f"error: {plain(str(found.get('error')))}", markup=False)
        raise typer.Exit(FAILURE)
    return dict(found)
