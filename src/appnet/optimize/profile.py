"""Observed traffic, as a file gives it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from appnet.language.diagnostics import Diagnostic, DiagnosticError, Severity, Span
from appnet.network.near import suggestion
from appnet.network.yaml_reader import Problems, Section, read_documents
from appnet.optimize.cost import Profile


def load_profile(file: Path, elements: Iterable[str]) -> Profile:
    """Reads ``elements: {NAME: {refused: SHARE}}``: of the RPCs that reached the element, the share that it ended.

    Raises `DiagnosticError` for what is wrong with the file, or names no element of the chain.
    """
    documents = read_documents(file)
    problems = Problems(file)
    if len(documents) != 1 or not isinstance(documents[0], yaml.MappingNode):
        title, help_ = f"{file.name} is no profile", "write `elements:` and under it `NAME: {refused: 0.1}`"
        raise DiagnosticError([Diagnostic("C080", Severity.ERROR, title, Span(file, 1, 1, 1, 2), "", help_)])
    top = Section(documents[0], problems)
    top.only(["elements"])
    section = top.section("elements", needed="the elements that were observed")
    known = list(elements)
    refused: dict[str, float] = {}
    for name, _ in section.values() if section is not None else ():
        assert section is not None
        if name not in known:
            advice = suggestion(name, known, what="elements here")
            problems.add("C081", f"no element `{name}`", section.key_span(name), "not in this chain", advice)
            continue
        share = _share(section.section(name), problems)
        if share is not None:
            refused[name] = share
    problems.raise_any()
    return Profile(refused)


def _share(section: Section | None, problems: Problems) -> float | None:
    if section is None:
        return None
    section.only(["refused"])
    found = section.scalar("refused")
    if found is None:
        return None
    value, span = found
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        problems.add("C082", "`refused` is no share", span, f"this is {value}", "give a number from 0 to 1")
        return None
    return float(value)
