"""Rows for people: a table in the terminal, a table in Markdown, a plot."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from rich.table import Table

from appnet.optimize.picture.canvas import DARK, LIGHT
from benchmarks.results import Row

_SERIES = (LIGHT.boxes["service"][1], LIGHT.lines["back"], LIGHT.boxes["moved"][1])
NIGHT = {
    "#000000": DARK.ink,
    LIGHT.ink: DARK.ink,
    LIGHT.quiet: DARK.quiet,
    LIGHT.page: DARK.page,
    **dict(zip(_SERIES, (DARK.boxes["service"][1], DARK.lines["back"], DARK.boxes["moved"][1]), strict=True)),
}
"""By day's colours, those by night."""


def table(rows: Sequence[Row], titles: Mapping[str, str], title: str) -> Table:
    """One line a case, one column a metric: the value, its ratio to the baseline and the quartiles of the ratio."""
    out = Table(title=title)
    metrics = list(dict.fromkeys(row.metric for row in rows))
    out.add_column("case")
    for metric in metrics:
        out.add_column(metric, justify="right")
    for case, cells in _cells(rows, metrics).items():
        out.add_row(titles.get(case, case), *cells)
    return out


def markdown(rows: Sequence[Row], titles: Mapping[str, str]) -> str:
    """The same as Markdown."""
    metrics = list(dict.fromkeys(row.metric for row in rows))
    lines = ["| case | " + " | ".join(metrics) + " |", "|---|" + "---:|" * len(metrics)]
    for case, cells in _cells(rows, metrics).items():
        lines.append(f"| {titles.get(case, case)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cells(rows: Sequence[Row], metrics: Sequence[str]) -> dict[str, list[str]]:
    by_case: dict[str, dict[str, str]] = {}
    for row in rows:
        text = f"{_number(row.value)} {row.unit}".strip().replace("us", "µs")
        if row.ratio is not None and row.case != row.ratio_to:
            text += f" · {row.ratio:.2f}x ({row.ratio_low:.2f}–{row.ratio_high:.2f})"
        by_case.setdefault(row.case, {})[row.metric] = text
    return {case: [cells.get(metric, "") for metric in metrics] for case, cells in by_case.items()}


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def curves(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], labels: tuple[str, str], file: Path) -> None:
    """A line for each series, named, of its places and values, as SVG; ``labels`` of the two axes."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(7, 3.5))
    for name, (places, values) in series.items():
        axes.plot(places, values, label=name, linewidth=1.2)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(labels[0], fontsize=9)
    axes.set_ylabel(labels[1], fontsize=9)
    axes.legend(fontsize=9, frameon=False)
    ends = [f"{name}: {values[-1]:.4g}" for name, (_, values) in series.items()]
    _save(figure, axes, file, f"{labels[1]}, by {labels[0]}", f"At the end, {'; '.join(ends)}.")


def plot(rows: Sequence[Row], titles: Mapping[str, str], file: Path, baseline: str = "router only") -> None:
    """Bars of the ratio of each case's first metric to the ``baseline``, with quartiles, as SVG."""
    pyplot = _pyplot()
    metric = rows[0].metric
    shown = sorted((row for row in rows if row.metric == metric and row.ratio), key=lambda row: row.ratio or 0)
    figure, axes = pyplot.subplots(figsize=(7, 0.5 * len(shown) + 1))
    for place, row in enumerate(shown):
        ratio, low, high = row.ratio or 0, row.ratio_low or 0, row.ratio_high or 0
        spread = [[max(ratio - low, 0)], [max(high - ratio, 0)]]
        axes.barh(place, ratio, xerr=spread, color=_SERIES[0], ecolor=LIGHT.ink, capsize=3, height=0.6)
        axes.text(max(ratio, high) + 0.01, place, f"{ratio:.2f}x  ({row.value:.1f} µs)", va="center", fontsize=9)
    axes.set_yticks(range(len(shown)), [titles.get(row.case, row.case) for row in shown], fontsize=9)
    axes.set_xlim(0, max((row.ratio_high or 0) for row in shown) * 1.3)
    axes.axvline(1, color=LIGHT.quiet, linewidth=0.8)
    axes.set_xlabel(f"{metric}, relative to {baseline}", fontsize=9)
    told = [f"{titles.get(row.case, row.case)}: {row.ratio:.2f}x" for row in shown]
    _save(figure, axes, file, f"{metric}, relative to {baseline}", f"{'; '.join(told)}.")


def growth(points: Mapping[int, Sequence[float]], names: tuple[str, str], file: Path) -> None:
    """What was measured of each size, both axes logarithmic, beside a line that grows as the size does, as SVG."""
    pyplot = _pyplot()
    sizes = sorted(points)
    last = statistics.median(points[sizes[-1]])
    figure, axes = pyplot.subplots(figsize=(6, 3.5))
    axes.plot(sizes, [last * it / sizes[-1] for it in sizes], color=LIGHT.quiet, linewidth=0.8, label="in proportion")
    for size in sizes:
        axes.plot([size] * len(points[size]), points[size], "o", color=_SERIES[0], markersize=5)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(names[0], fontsize=9)
    axes.set_ylabel(names[1], fontsize=9)
    axes.legend(fontsize=9, frameon=False)
    medians = [f"{size:,}: {statistics.median(points[size]):.3g}" for size in sizes]
    _save(figure, axes, file, f"{names[1]}, by {names[0]}", f"Medians: {'; '.join(medians)}.")


def _pyplot() -> Any:
    import matplotlib  # noqa: PLC0415 - takes half a second, which only a full run should pay
    from cycler import cycler  # noqa: PLC0415

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "appnet", "svg.fonttype": "none", "font.family": "sans-serif"})
    matplotlib.rcParams["axes.prop_cycle"] = cycler(color=_SERIES)
    from matplotlib import pyplot  # noqa: PLC0415

    return pyplot


def _save(figure: Any, axes: Any, file: Path, title: str, description: str) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    _pyplot().close(figure)
    file.write_text(_described(file.read_text(), title, description))


def _described(svg: str, title: str, description: str) -> str:
    """The plot for those who do not see it, too, and with colours for dark pages."""
    told = f'<title id="title">{escape(title)}</title>\n<desc id="description">{escape(description)}</desc>'
    dark = "".join(
        f'[style*="{what}: {light}"]{{{what}:{dark}!important}}'
        for light, dark in NIGHT.items()
        for what in ("fill", "stroke")
    )
    style = f"<style>@media(prefers-color-scheme:dark){{text{{fill:{DARK.ink}}}{dark}}}</style>"
    role = 'role="img" aria-labelledby="title description"'
    return re.sub(r"<svg [^>]*>", lambda it: f"{it[0][:-1]} {role}>\n{told}\n{style}", svg, count=1)
