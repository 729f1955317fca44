"""The C of each operation of `appnet.language.operations`, one file a family."""

from __future__ import annotations

from appnet.codegen.c.printer.operations import (
    chance,
    containers,
    conversion,
    hosts,
    metadata,
    numbers,
    rpc,
    secrets,
    text,
    time,
)
from appnet.codegen.c.printer.operations.family import Body, Effect, Value
from appnet.ir.nodes import Call
from appnet.language.operations import declaration
from appnet.language.operations.registry import OPERATIONS

_FAMILIES = tuple(
    it.FAMILY for it in (numbers, conversion, text, containers, chance, time, rpc, metadata, hosts, secrets)
)

TEMPLATES: dict[str, str] = {name: it for family in _FAMILIES for name, it in family.templates.items()}
VALUES: dict[str, Value] = {name: it for family in _FAMILIES for name, it in family.values.items()}
EFFECTS: dict[str, Effect] = {name: it for family in _FAMILIES for name, it in family.effects.items()}

LASTING = frozenset(name for family in _FAMILIES for name in family.lasting)
"""Operations whose text lasts as long as the call."""


def computation(body: Body, call: Call) -> str:
    """The C expression of an operation that gives a value."""
    if call.op in VALUES:
        return VALUES[call.op](body, call)
    operands = ", ".join(f"{{{index}}}" for index in range(len(call.args)))
    return _fill(body, TEMPLATES.get(call.op, f"an_{call.op}({operands})"), call)


def run(body: Body, call: Call) -> None:
    """Adds the statements of an operation that is done for its effect."""
    EFFECTS[call.op](body, call)


def _fill(body: Body, template: str, call: Call) -> str:
    on_place = declaration.Effect.READS_CONTAINER in OPERATIONS[call.op].effects
    operands = [
        body.place(atom) if on_place and index == 0 else body.atom(atom) for index, atom in enumerate(call.args)
    ]
    given = {"element": str(body.element.index)}
    if "{scope}" in template:
        given["scope"] = body.scope()
    if "{instance}" in template or "{call}" in template:
        given["call"] = body.call()
        given["instance"] = f"{body.call()}->instance"
    return template.format(*operands, **given)
