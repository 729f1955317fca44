"""Limits of calls as files and options write them."""

from __future__ import annotations

import pytest

from appnet.application.limits import seconds, share, share_text, size
from appnet.application.model import DEFAULT_MAX_MESSAGE, USUAL_LIMITS, Limits


@pytest.mark.parametrize(
    ("written", "bytes_"),
    [
        ("1", 1),
        ("1000", 1000),
        ("5MiB", 5 << 20),
        ("1.5 KiB", 1536),
        (" 1GiB ", 1 << 30),
        ("12B", 12),
        *((it, None) for it in ("", "0", "-1", "1.5", "2GiB", "5 MB", "5mib", "MiB", "0x10", "1e3", "five", "1" * 40)),
    ],
)
def test_sizes(written: str, bytes_: int | None) -> None:
    assert size(written) == bytes_


@pytest.mark.parametrize(
    ("written", "time"),
    [
        ("90", 90.0),
        ("90s", 90.0),
        ("250ms", 0.25),
        ("1.5m", 90.0),
        ("1h", 3600.0),
        ("365d", 31_536_000.0),
        ("0", 0.0),
        *((it, None) for it in ("", "-1", "366d", "1 year", "s", "1S", "nan", "inf", "1" * 40)),
    ],
)
def test_times(written: str, time: float | None) -> None:
    assert seconds(written) == time


@pytest.mark.parametrize(
    ("written", "part"),
    [
        ("1%", 0.01),
        ("0.5 %", 0.005),
        ("100%", 1.0),
        ("0%", 0.0),
        *((it, None) for it in ("", "1", "0.5", "-1%", "101%", "100.1%", "%", "1e1%", "one%", "1" * 40 + "%")),
    ],
)
def test_shares(written: str, part: float | None) -> None:
    assert share(written) == part


@pytest.mark.parametrize("written", ["0%", "0.000001%", "0.1%", "12.345678%", "100%"])
def test_a_share_is_written_as_it_was(written: str) -> None:
    part = share(written)
    assert part is not None
    assert share_text(part) == written


def test_what_says_nothing_leaves_what_was_said() -> None:
    said = Limits(1000, 90, 0.5)
    assert said.over(Limits(5, 5)) == said
    assert USUAL_LIMITS.over(said) == said
    assert Limits(idle=0).over(said) == Limits(1000, 0, 0.5)
    assert (said.max_message, USUAL_LIMITS.max_message) == (1000, DEFAULT_MAX_MESSAGE)


def test_the_usual_limit_is_above_what_grpc_libraries_take() -> None:
    assert DEFAULT_MAX_MESSAGE > 4 << 20
