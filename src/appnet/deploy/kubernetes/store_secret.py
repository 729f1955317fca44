"""The Secret that has a store's password, as the controller and the command line read it."""

from __future__ import annotations

import base64
from collections.abc import Mapping

PASSWORD = "password"  # noqa: S105
"""The key of a Secret that has it."""


def password_in(data: Mapping[str, str]) -> str:
    """The password in the ``data`` of a Secret; empty where there is none that is text."""
    try:
        return base64.b64decode(data.get(PASSWORD, "")).decode().rstrip("\r\n")
    except ValueError:
        return ""
