"""What files say of plans that follow traffic: `replan: auto`, or a mapping of `mode`, `interval` and `saving`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from appnet.application.limits import read_amount, seconds, share, share_text
from appnet.application.model import Replan, ReplanMode
from appnet.diagnostics.remedy import near
from appnet.diagnostics.yaml_reader import Section

_SHORTEST, _LONGEST = 1.0, 30 * 86400.0
_LEAST, _MOST = 0.01, 0.9
_MODES = [it.value for it in ReplanMode]


def read_replan(section: Section) -> Replan | None:
    """What the section says under ``replan``; None where plans stay. What is wrong is told and left out."""
    if "replan" not in section:
        return None
    if not isinstance(section.get("replan"), yaml.MappingNode):
        mode = _mode(section, "replan")
        return None if mode is None else Replan(mode)
    inner = section.section("replan")
    assert inner is not None
    inner.only(("mode", "interval", "saving"))
    if "mode" not in inner:
        inner.text("mode", needed="`suggest` or `auto`")
        return None
    mode = _mode(inner, "mode")
    usual = Replan(ReplanMode.AUTO)
    interval = read_amount(inner, "interval", _interval, "a time from `1s` to `30d`, such as `10m`")
    saving = read_amount(inner, "saving", _saving, "a share from `1%` to `90%`, such as `10%`")
    if mode is None:
        return None
    return Replan(mode, usual.interval if interval is None else interval, usual.saving if saving is None else saving)


def plain_replan(replan: Replan | None) -> Any:
    """As a file says it; None where plans stay."""
    if replan is None:
        return None
    usual = Replan(replan.mode)
    if replan == usual:
        return replan.mode.value
    found: Mapping[str, Any] = {
        "mode": replan.mode.value,
        "interval": replan.interval if replan.interval != usual.interval else None,
        "saving": share_text(replan.saving) if replan.saving != usual.saving else None,
    }
    return {key: it for key, it in found.items() if it is not None}


def _mode(section: Section, key: str) -> ReplanMode | None:
    found = section.scalar(key)
    if found is None:
        return None
    value, span = found
    if value not in _MODES:
        title, help_ = f"`{key}` must be `suggest` or `auto`", "write one of them, or remove `replan`: plans then stay"
        remedies = near(span, str(value), _MODES)
        section.problems.add("C012", title, span, "invalid value", help_, remedies=remedies)
        return None
    return ReplanMode(value)


def _interval(text: str) -> float | None:
    found = seconds(text)
    return found if found is not None and _SHORTEST <= found <= _LONGEST else None


def _saving(text: str) -> float | None:
    found = share(text)
    return found if found is not None and _LEAST <= found <= _MOST else None
