"""Observed traffic, as a file gives it: how often chains are called, and what their elements refuse."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import yaml

from appnet.application.model import Chain
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.near import suggestion
from appnet.diagnostics.place import Source, Span
from appnet.diagnostics.source import base_name
from appnet.diagnostics.yaml_reader import Problems, Section, node_span, read_documents
from appnet.optimize.cost import Profile


def load_profiles(source: Source, chains: Sequence[Chain]) -> list[Profile]:
    """What the file says of each of the chains, in their order.

    ``elements: {NAME: {refused: SHARE}}``: of the RPCs that reached the element, the share that it ended, on whatever
    chain. Under ``edges`` and the edge's name, a list with the ``elements`` of one chain, its ``rate`` in RPCs per
    second and, where the edge has several, its ``method``.

    Raises `DiagnosticError` for what is wrong with the file, or names nothing that is there.
    """
    documents = read_documents(source)
    problems = Problems(source)
    if len(documents) != 1 or not isinstance(documents[0], yaml.MappingNode):
        title, help_ = f"{base_name(source)} is not a profile", "write `elements:` and under it `NAME: {refused: 0.1}`"
        raise DiagnosticError([Diagnostic("C080", Severity.ERROR, title, Span.whole(source), "", help_)])
    top = Section(documents[0], problems)
    top.only(["elements", "edges"])
    everywhere = _elements(top, chains, needed="" if "edges" in top else "the elements that were observed")
    of_chain = {
        number: Profile({**everywhere, **_elements(entry, [chains[number]])}, _rate(entry))
        for number, entry in _entries(top, chains)
    }
    problems.raise_any()
    return [of_chain.get(number, Profile(everywhere)) for number in range(len(chains))]


def _entries(top: Section, chains: Sequence[Chain]) -> Iterator[tuple[int, Section]]:
    """What is listed under ``edges``, each with the number of the chain that it is about."""
    edges = top.section("edges")
    for edge, _ in edges.values() if edges is not None else ():
        assert edges is not None
        numbers = [number for number, it in enumerate(chains) if str(it.edge) == edge]
        if not numbers:
            advice = suggestion(edge, [str(it.edge) for it in chains], what="edges here")
            top.problems.add("C081", f"no edge `{edge}`", edges.key_span(edge), "it has no chain", advice)
            continue
        for node in edges.items(edge, "list observations of its chains: `- rate: 100`") or ():
            if not isinstance(node, yaml.MappingNode):
                span = node_span(top.problems.source, node)
                top.problems.add("C012", "a list of mappings", span, "not a mapping", "write `- rate: 100`")
                continue
            entry = Section(node, top.problems)
            entry.only(["method", "rate", "elements"])
            number = _number(entry, chains, numbers)
            if number is not None:
                yield number, entry


def _number(entry: Section, chains: Sequence[Chain], numbers: list[int]) -> int | None:
    """Which of the edge's chains, those with these ``numbers``, the entry is about."""
    methods = {method: number for number in numbers for method in chains[number].edge.methods}
    if "method" not in entry and len(numbers) == 1:
        return numbers[0]
    method = entry.text("method", needed="the method: the edge has a chain for each")
    if method is None:
        return None
    if method.value not in methods:
        advice = suggestion(method.value, methods, what="methods of this edge")
        entry.problems.add("C081", f"no method `{method}`", method.span, "not on this edge", advice)
    return methods.get(method.value)


def _elements(section: Section, chains: Iterable[Chain], *, needed: str = "") -> dict[str, float]:
    """The shares that elements of the chains refuse, by name."""
    elements = section.section("elements", needed=needed)
    known = {stop.spec.name.value for chain in chains for stop in chain.stops}
    refused: dict[str, float] = {}
    for name, _ in elements.values() if elements is not None else ():
        assert elements is not None
        if name not in known:
            advice = suggestion(name, sorted(known), what="elements here")
            section.problems.add("C081", f"no element `{name}`", elements.key_span(name), "not in this chain", advice)
            continue
        entry = elements.section(name)
        if entry is not None:
            entry.only(["refused"])
            share = _amount(entry, "refused", 1.0, "not a share", "write a number from 0 to 1")
            if share is not None:
                refused[name] = share
    return refused


def _rate(entry: Section) -> float | None:
    return _amount(entry, "rate", math.inf, "not a rate", "write a number of RPCs per second")


def _amount(section: Section, key: str, most: float, wrong: str, help_: str) -> float | None:
    found = section.scalar(key)
    if found is None:
        return None
    value, span = found
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most or math.isinf(value):
        section.problems.add("C082", f"`{key}` is {wrong}", span, f"this is {value}", help_)
        return None
    return float(value)
