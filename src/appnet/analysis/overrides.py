"""Properties written by hand (``--pseudo-property``): docs/analysis.md has the keys of the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import yaml

from appnet.analysis.properties import HandlerProperties, Properties
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.near import suggestion
from appnet.diagnostics.place import Source, Span
from appnet.diagnostics.source import base_name
from appnet.diagnostics.yaml_reader import Problems, Section, node_span, read_documents, scalar_value
from appnet.ir.nodes import Element
from appnet.language.messages import MethodSignature

_DIRECTIONS = ("request", "response")
_FLAGS = {it.name for it in dataclasses.fields(HandlerProperties) if it.type == "bool"}
_NAMES = {it.name for it in dataclasses.fields(HandlerProperties)} - _FLAGS


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """What properties of an element may name: fields of its methods' messages, and its state variables."""

    request: frozenset[str]
    response: frozenset[str]
    state: frozenset[str]

    @staticmethod
    def of(element: Element, methods: Iterable[MethodSignature]) -> Vocabulary:
        """The words of the element on these methods."""
        listed = list(methods)
        return Vocabulary(
            frozenset(path for it in listed for path in it.request.fields),
            frozenset(path for it in listed for path in it.response.fields),
            frozenset(it.name for it in element.state),
        )

    def __or__(self, other: Vocabulary) -> Vocabulary:
        return Vocabulary(self.request | other.request, self.response | other.response, self.state | other.state)


class Overrides:
    """What a file says of elements, by their names."""

    def __init__(self, sections: Mapping[str, Section]) -> None:
        self._sections = sections

    def of(self, inferred: Properties) -> Properties | None:
        """The element's properties: what the file says, and for the rest what was inferred; None if it says nothing."""
        section = self._sections.get(inferred.element)
        return None if section is None else _overridden(section, inferred)


def load_overrides(source: Source, elements: Mapping[str, Vocabulary]) -> Overrides:
    """Reads and checks the file, whose elements, and the names under them, have to be among ``elements``.

    Raises ``DiagnosticError`` with everything that is wrong with it.
    """
    documents = read_documents(source)
    if len(documents) != 1 or not isinstance(documents[0], yaml.MappingNode):
        help_ = "write `ELEMENT:` and under it `request:` or `response:`"
        title = f"{base_name(source)} contains no properties"
        raise DiagnosticError([Diagnostic("C003", Severity.ERROR, title, Span.whole(source), "", help_)])
    problems = Problems(source)
    file = Section(documents[0], problems)
    file.only(elements)
    sections = {name: section for name, _ in file.values() if (section := file.section(name)) is not None}
    for name, section in sections.items():
        _overridden(section, Properties(name, HandlerProperties(), HandlerProperties()))
        if name in elements:
            _check_names(section, elements[name])
    problems.raise_any()
    return Overrides(sections)


def _check_names(section: Section, known: Vocabulary) -> None:
    """Adds an error for every field and state variable that the element does not have."""
    _check_list(section, "influencing", known.state, "state variables of the element")
    for direction in _DIRECTIONS:
        part = section.get(direction)
        if not isinstance(part, yaml.MappingNode):
            continue
        own = Section(part, Problems(section.problems.source))  # what is wrong with its keys has been told
        own.problems = section.problems
        for key in ("reads", "writes"):
            _check_list(own, key, getattr(known, direction), f"fields of the {direction}")
        for key in ("state_read", "state_written"):
            _check_list(own, key, known.state, "state variables of the element")


def _check_list(section: Section, key: str, known: frozenset[str], what: str) -> None:
    node = section.get(key) if key in section else None
    for item in node.value if isinstance(node, yaml.SequenceNode) else ():
        value = scalar_value(item)
        if isinstance(value, str) and value not in known:
            help_ = suggestion(value, sorted(known), what=what)
            span = node_span(section.problems.source, item)
            section.problems.add("C069", f"`{value}` is not one of the {what}", span, f"named in `{key}`", help_)


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
    flags = {name: section.flag(name, otherwise=getattr(inferred, name)) for name in _FLAGS}
    names = {name: _names(section, name, getattr(inferred, name)) for name in _NAMES}
    return HandlerProperties(**names, **flags)  # type: ignore[arg-type]


def _names(section: Section, key: str, inferred: frozenset[str]) -> frozenset[str]:
    node = section.get(key)
    if node is None:
        return inferred
    help_ = "write a list of names, such as [body]; [] for none"
    if not isinstance(node, yaml.SequenceNode):
        span = node_span(section.problems.source, node)
        section.problems.add("C012", f"`{key}` must be a list", span, "not a list", help_)
        return inferred
    names: set[str] = set()
    for item in node.value:
        value = scalar_value(item)
        if isinstance(value, str):
            names.add(value)
        else:
            span = node_span(section.problems.source, item)
            section.problems.add("C012", f"`{key}` must list names", span, "not a string", help_)
    return frozenset(names)
