"""Whole programs around the part that a test is about."""

from __future__ import annotations

from textwrap import dedent, indent


def program(
    req: str = "",
    *,
    state: str = "pass",
    init: str = "pass",
    head: str = "init()",
    resp: str = "",
    open: str = "",  # noqa: A002 -- the block's name
    end: str = "",
) -> str:
    """A program; handlers that do not end by themselves forward at their end. Without text no `open` and no `end`."""
    blocks = [("state", state), (head, init)]
    blocks += [("open(rpc)", f"{dedent(open)}\nsend(rpc, Down)\n")] if open else []
    blocks += [("req(rpc)", f"{dedent(req)}\nsend(rpc, Down)\n"), ("resp(rpc)", f"{dedent(resp)}\nsend(rpc, Up)\n")]
    blocks += [("end(rpc)", end)] if end else []
    return "\n".join(f"{name}:\n{indent(dedent(body).strip(), '    ')}\n" for name, body in blocks)
