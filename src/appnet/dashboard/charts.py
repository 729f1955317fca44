"""Lines over time, as SVG: what is drawn of them changes with each step, and the rest of the picture stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from appnet.dashboard.texts import text_of

WIDTH, HEIGHT = 560, 110


@dataclass(frozen=True)
class Chart:
    """``id``: unique on the page. ``names``: of its lines. ``paths``: what is drawn of each. ``top``: the value at its
    upper edge, in words; at the lower one is 0. ``since``: how far back it goes."""

    id: str
    caption: str
    names: tuple[str, ...]
    paths: tuple[str, ...]
    top: str
    since: str

    @property
    def news(self) -> dict[str, object]:
        """What changes of it."""
        return {"paths": self.paths, "top": self.top}

    @property
    def html(self) -> str:
        """The figure."""
        lines = "".join(f'<path class="line-{number}" d="{it}"/>' for number, it in enumerate(self.paths))
        keys = "".join(f'<li class="line-{number}">{text_of(it)}</li>' for number, it in enumerate(self.names))
        return (
            f'<figure class="chart" id="{text_of(self.id)}"><figcaption>{text_of(self.caption)} <ul>{keys}</ul>'
            f'</figcaption><p class="top">{text_of(self.top)}</p><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'preserveAspectRatio="none" aria-label="{text_of(self.caption)}; the table has the latest values">{lines}'
            f'</svg><p class="times"><span>{text_of(self.since)}</span><span>now</span></p></figure>'
        )


def chart(
    id_: str,
    caption: str,
    lines: Mapping[str, Sequence[float | None]],
    shown: Callable[[float], str],
    since: str,
) -> Chart:
    """Of values at equal times, as many of each line; None where there is none. ``shown``: a value in words."""
    most = max((it for values in lines.values() for it in values if it is not None), default=0.0)
    paths = tuple(_path(values, most) for values in lines.values())
    return Chart(id_, caption, tuple(lines), paths, shown(most) if most else "", since)


def _path(values: Sequence[float | None], most: float) -> str:
    """A line from each value to the next; where one is missing, it breaks off."""
    found, draws = [], False
    for number, it in enumerate(values):
        if it is not None:
            x = number * WIDTH / max(len(values) - 1, 1)
            y = HEIGHT - 1 - (HEIGHT - 2) * (it / most if most else 0.0)
            found.append(f"{'L' if draws else 'M'}{x:.0f} {y:.1f}")
        draws = it is not None
    return "".join(found)
