"""The versions that an end has taken last: nothing older follows them, and nothing of another application.

A signature does not expire, and the control plane's key may sign for several applications: so what was signed once may
be sent again, or to another program.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

_FILE = "it was made as a file for a program, and no control plane sends these"


class Latest:
    """``application``: what names of applications are or begin with; empty as long as nothing says so."""

    def __init__(self, application: str) -> None:
        self._application = application
        self._made: dict[str, int] = {}

    def check(self, told: Any, signed: Any) -> None:
        """Raises `ValueError` where a version may not run, whoever signed it."""
        ours, its = self._application, told.application
        if not signed.made:
            raise ValueError(_FILE)
        if ours and its != ours and not its.startswith(f"{ours}/"):
            raise ValueError(
                f'it is for the application "{its}", and this program is part of "{ours}": start it with '
                f"APPNET_APPLICATION={its} if that is wrong"
            )
        last = self._made.get(told.node, 0)
        if signed.made < last:
            raise ValueError(
                f"it was made at {_at(signed.made)}, before the version that ran here last, which was made at "
                f"{_at(last)}: somebody sends it again, or the clock of the control plane is behind"
            )

    def note(self, told: Any, signed: Any) -> None:
        """Takes it as the last one of its node. In a cluster, a program may be part of several applications, of one
        namespace."""
        self._made[told.node] = signed.made
        self._application = self._application or told.application.partition("/")[0]


def _at(made: int) -> str:
    return f"{datetime.fromtimestamp(made // 1000 / 1e6, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
