"""The hosts of the upstream cluster."""

from __future__ import annotations

from appnet.codegen.c.printer.operations.family import Body, Family
from appnet.ir.nodes import Call

FAMILY = Family(
    {
        "get_backends": "an_backends({scope})",
        "estimate_rif": "an_backends_load({scope}, {0})",
    }
)


@FAMILY.value
def _get_load(body: Body, call: Call) -> str:
    load = f"(int64_t)an_backend_load({body.call()}->instance, {body.atom(call.args[0])})"
    return f"({body.types.name(call.type)}){{{load}, an_scope_now(scope)}}"
