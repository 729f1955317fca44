"""Whole programs around the part that a test is about."""

from __future__ import annotations

from textwrap import dedent, indent


def program(req: str = "", *, state: str = "pass", init: str = "pass", head: str = "init()", resp: str = "") -> str:
    """A program; handlers that do not end by themselves forward at their end."""
    blocks = (("state", state), (head, init), ("req(rpc)", f"{dedent(req)}\nsend(rpc, Down)\n"))
    blocks += (("resp(rpc)", f"{dedent(resp)}\nsend(rpc, Up)\n"),)
    return "\n".join(f"{name}:\n{indent(dedent(body).strip(), '    ')}\n" for name, body in blocks)
