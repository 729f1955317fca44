"""h2spec, which tries a listener with frames that HTTP/2 allows and with such as it forbids."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.judges.suite import PASSED, Outcomes, output_of
from tests.judges.tools import H2SPEC, Tools

_SECONDS = "2"
"""How long it waits for a frame."""

_NO_XML = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD]|&#x[0-9A-Fa-f]+;")
"""Bytes of frames that the report quotes and that no XML may have."""


async def tried(tools: Tools, port: int, report: Path, parts: Sequence[str] = ()) -> Outcomes:
    """How each case of the parts, by default of all, ends at the listener; h2spec writes the file ``report``."""
    options = ("--port", str(port), "--timeout", _SECONDS, "--junit-report", report)
    _, said = await output_of([tools.program(H2SPEC, "h2spec"), *options, *parts])
    assert report.exists(), said
    outcomes: dict[str, str] = {}
    seen: Counter[str] = Counter()
    text = _NO_XML.sub("", report.read_text(encoding="utf-8", errors="replace"))
    for case in ElementTree.fromstring(text).iter("testcase"):
        name = f"{case.get('package')} {case.get('classname')}"
        seen[name] += 1
        against = [it for it in case if it.tag in {"error", "failure"}]
        outcomes[f"{name} ({seen[name]})"] = " ".join((against[0].text or "").split()) if against else PASSED
    return outcomes


def part_of(case: str) -> str:
    """The part of the specification that a case belongs to."""
    return case.split(" ", 1)[0]
