"""The results tables of docs/benchmarks.md, made from the files in ``results``.

python -m benchmarks.docs     writes the tables anew; a test holds the document to them
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from benchmarks import report, results

DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"

_SECTION = re.compile(r"(<!-- results: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def section(name: str) -> str:
    """The text between the marks of one benchmark: what it ran on, and its table."""
    rows, context = results.load(name)
    omitted = [f"* {context['titles'][case]}: {text}" for case, text in context.get("omits", {}).items()]
    return "\n".join(
        [
            "",
            _machine(context),
            "",
            *(report.markdown(it, context["titles"]) for it in _tables(rows, context)),
            *(["What the cases leave out:", "", *omitted, ""] if omitted else []),
        ]
    )


def _tables(rows: list[results.Row], context: dict[str, Any]) -> list[list[results.Row]]:
    """One table, or those that the context names the metrics of."""
    metrics = context.get("tables")
    return [rows] if metrics is None else [[it for it in rows if it.metric in some] for some in metrics]


def _machine(context: dict[str, object]) -> str:
    return (
        f"{context['processor']}, {context['cores']} cores, Linux {context['kernel']}, Envoy {context['envoy']}; "
        + (f"{context['calls']:,} calls." if "calls" in context else f"{context['rounds']} rounds.")
    )


def updated(text: str) -> str:
    """The document's text with every results section made anew."""
    return _SECTION.sub(lambda match: match[1] + section(match[2]) + match[3], text)


def shown(text: str) -> list[str]:
    """The benchmarks that the document has a section for."""
    return [match[2] for match in _SECTION.finditer(text)]


if __name__ == "__main__":
    DOCUMENT.write_text(updated(DOCUMENT.read_text()))
