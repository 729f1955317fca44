"""Time."""

from __future__ import annotations

from appnet.codegen.c.printer.operations.family import Family

FAMILY = Family(
    {
        "now": "an_scope_now(scope)",
        "wall_time": "an_wall_time({call})",
    }
)
