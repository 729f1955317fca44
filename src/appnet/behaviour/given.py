"""Reads what a case begins with: the key ``given`` of behaviour files."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import yaml

from appnet.behaviour.document import Given
from appnet.diagnostics.near import suggestion
from appnet.diagnostics.yaml_reader import Section
from appnet.interpret.values import Value
from appnet.ir.nodes import Element, StateClass, StateVariable
from appnet.language.types import BOOL, BYTES, STRING, UINT, MapType, Type, VecType

_KEYS = ("state", "call", "began", "draws", "wall", "deadline", "size", "authority", "peer", "trailers", "loads")
_HEADERS = MapType(STRING, STRING)
_TYPES: dict[str, Type] = {
    "call": UINT, "began": BOOL, "draws": VecType(UINT), "wall": UINT, "deadline": UINT, "size": UINT,
    "authority": BYTES, "peer": BYTES, "trailers": _HEADERS, "loads": MapType(UINT, UINT),
}  # fmt: skip


def read_given(
    section: Section, elements: Sequence[Element], value: Callable[[yaml.Node, Type], Value | None]
) -> Given:
    """What the section says. ``value`` reads a value of a type, and tells where it is none."""
    section.only(_KEYS)
    found = {name: value(node, _TYPES[name]) for name, node in section.values() if name in _TYPES}
    state = dict(_state(section.section("state"), elements, value)) if "state" in section else {}
    return Given(
        state,
        found.get("call") or 1,
        bool(found.get("began")),
        tuple(found.get("draws") or ()),
        found.get("wall"),
        found.get("deadline"),
        found.get("size"),
        found.get("authority") or b"",
        found.get("peer") or b"",
        {key.decode(): it for key, it in (found.get("trailers") or {}).items()},
        found.get("loads") or {},
    )


def _state(
    section: Section | None, elements: Sequence[Element], value: Callable[[yaml.Node, Type], Value | None]
) -> list[tuple[tuple[str, str], Value]]:
    known: dict[str, tuple[str, StateVariable]] = {
        variable.name if len(elements) == 1 else f"{element.name}.{variable.name}": (element.name, variable)
        for element in elements
        for variable in element.state
        if variable.state_class is not StateClass.RECORD
    }
    found = []
    for name, node in section.values() if section is not None else ():
        assert section is not None
        if name not in known:
            help_ = suggestion(name, known, what="state variables")
            title = f"there is no state variable `{name}`"
            section.problems.add("C075", title, section.key_span(name), "not in the element", help_)
            continue
        element, variable = known[name]
        read = value(node, variable.type)
        found += [((element, variable.name), read)] if read is not None else []
    return found
