"""Prices as a file: what `appnetctl calibrate` writes and plans are made by."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.place import Source, Span
from appnet.diagnostics.source import base_name
from appnet.diagnostics.yaml_reader import Problems, Section, read_documents
from appnet.optimize.cost import KINDS, CostModel, TargetCosts
from appnet.system.files import write_whole

_PARTS = ("module", "request_message", "response_message")
_HEAD = "# Microseconds of CPU. Written by `appnetctl calibrate`; read by `--prices`.\n"


def write_prices(model: CostModel, file: Path) -> None:
    """Writes the file. Raises OSError."""
    text = yaml.safe_dump(plain_prices(model), sort_keys=False, width=120)
    write_whole(file, (_HEAD + text).encode())


def plain_prices(model: CostModel) -> dict[str, Any]:
    """The prices as data, as in the file."""
    return {
        "measured": model.measured,
        "crossing": model.crossing,
        "proxy": model.proxy,
        "targets": {name: dataclasses.asdict(it) for name, it in model.targets.items()},
    }


def load_prices(source: Source, needed: Iterable[str]) -> CostModel:
    """Reads what `write_prices` wrote: every price of the targets that it has, among them those ``needed``.

    Raises `DiagnosticError` with all that is wrong with the file.
    """
    documents = read_documents(source)
    problems = Problems(source)
    if len(documents) != 1 or not isinstance(documents[0], yaml.MappingNode):
        title, help_ = f"{base_name(source)} is not a file of prices", "write one with `appnetctl calibrate FILE`"
        raise DiagnosticError([Diagnostic("C083", Severity.ERROR, title, Span.whole(source), "", help_)])
    top = Section(documents[0], problems)
    top.only(["measured", "crossing", "proxy", "targets"])
    measured = top.text("measured", needed="a description of the machine on which they were measured")
    crossing, proxy = _price(top, "crossing"), _price(top, "proxy")
    section = top.section("targets", needed="the prices of each target")
    targets: dict[str, TargetCosts] = {}
    if section is not None:
        for name in dict.fromkeys((*needed, *(name for name, _ in section.values()))):
            found = section.section(name, needed="the cost of its modules")
            if found is not None:
                targets[name] = _target(found)
    problems.raise_any()
    assert measured is not None
    return CostModel(measured.value, targets, crossing, proxy)


def _target(section: Section) -> TargetCosts:
    section.only([*_PARTS, "operations"])
    module, request, response = (_price(section, it) for it in _PARTS)
    operations = section.section("operations", needed="the cost of operations by kind")
    if operations is None:
        return TargetCosts(module, request, response, {})
    operations.only(KINDS)
    return TargetCosts(module, request, response, {kind: _price(operations, kind) for kind in KINDS})


def _price(section: Section, key: str) -> float:
    """The price, or 0 after an error."""
    if key not in section:
        section.text(key, needed="microseconds")  # tells that it is missing
        return 0.0
    found = section.scalar(key)
    if found is None:
        return 0.0
    value, span = found
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        help_ = "write microseconds, a number of at least 0; `appnetctl calibrate FILE` measures all prices"
        section.problems.add("C084", f"`{key}` is not a price", span, f"this is {value}", help_)
        return 0.0
    return float(value)
