"""Properties written by hand (``--pseudo_property``): docs/analysis.md has the keys of the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import yaml

from appnet.analysis.properties import HandlerProperties, Properties
from appnet.language.diagnostics import Diagnostic, DiagnosticError, Severity, Span
from appnet.network.yaml_reader import Problems, Section, node_span, read_documents, scalar_value

_DIRECTIONS = ("request", "response")
_FLAGS = {it.name for it in dataclasses.fields(HandlerProperties) if it.type == "bool"}
_NAMES = {it.name for it in dataclasses.fields(HandlerProperties)} - _FLAGS


def read_overrides(path: Path, inferred: Iterable[Properties]) -> dict[str, Properties]:
    """The properties of the elements that the file names: what it says, and for the rest what was inferred.

    Raises ``DiagnosticError`` with everything that is wrong with the file.
    """
    known = {it.element: it for it in inferred}
    documents = read_documents(path)
    if len(documents) != 1 or not isinstance(documents[0], yaml.MappingNode):
        help_ = "write `ELEMENT:` and under it `request:` or `response:`"
        title = f"{path.name} holds no properties"
        raise DiagnosticError([Diagnostic("C003", Severity.ERROR, title, Span(path, 1, 1, 1, 2), "", help_)])
    problems = Problems(path)
    file = Section(documents[0], problems)
    file.only(known)
    found: dict[str, Properties] = {}
    for name, _ in file.values():
        section = file.section(name)
        if section is not None and name in known:
            found[name] = _overridden(section, known[name])
    problems.raise_any()
    return found


def _overridden(section: Section, inferred: Properties) -> Properties:
    section.only((*_DIRECTIONS, "influencing"))
    changed = {
        direction: _direction(part, getattr(inferred, direction))
        for direction in _DIRECTIONS
        if (part := section.section(direction)) is not None
    }
    influencing = _names(section, "influencing", inferred.influencing)
    return dataclasses.replace(
        inferred,
        request=changed.get("request", inferred.request),
        response=changed.get("response", inferred.response),
        influencing=influencing,
        by_hand=True,
    )


def _direction(section: Section, inferred: HandlerProperties) -> HandlerProperties:
    section.only(sorted(_FLAGS | _NAMES))
    flags = {name: _flag(section, name, getattr(inferred, name)) for name in _FLAGS}
    names = {name: _names(section, name, getattr(inferred, name)) for name in _NAMES}
    return HandlerProperties(**names, **flags)  # type: ignore[arg-type]


def _flag(section: Section, key: str, inferred: bool) -> bool:
    found = section.scalar(key)
    if found is None:
        return inferred
    value, span = found
    if not isinstance(value, bool):
        section.problems.add("C012", f"`{key}` takes true or false", span, "this is neither", "write true or false")
    return value is True


def _names(section: Section, key: str, inferred: frozenset[str]) -> frozenset[str]:
    node = section.get(key)
    if node is None:
        return inferred
    help_ = "write a list of names, such as [body]; [] for none"
    if not isinstance(node, yaml.SequenceNode):
        span = node_span(section.problems.file, node)
        section.problems.add("C012", f"`{key}` takes a list", span, "this is none", help_)
        return inferred
    names: set[str] = set()
    for item in node.value:
        value = scalar_value(item)
        if isinstance(value, str):
            names.add(value)
        else:
            span = node_span(section.problems.file, item)
            section.problems.add("C012", f"`{key}` takes names", span, "this is no text", help_)
    return frozenset(names)
