"""A refusal explained, in words: what `appnetctl why` and the dashboard tell of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WHO_TELLS = "Envoys and programs with a gRPC library tell why they refuse, and that is kept for a while"
_ORIGINS = (("version", "version"), ("at", "processor"))


def told(refusal: dict[str, Any]) -> Iterator[str]:
    """The refusal as lines."""
    at = clock(refusal["time_ns"])
    yield f"{refusal['element']} refused a call of {refusal['method']} at {at}: {verdict(refusal)}"
    edge = f"{refusal['client']} → {refusal['server']} ({refusal['side']})" if refusal["client"] else ""
    origins = [edge, *(f"{word} {refusal[key]}" for word, key in _ORIGINS if refusal[key])]
    yield f"  {', '.join(it for it in origins if it)}"
    if refusal["request_id"]:
        yield f"  x-request-id {refusal['request_id']}"
    yield ""
    yield from told_row(refusal)
    reads = refusal["reads"]
    yield ""
    yield "It had read:" if reads else "It had read nothing."
    width = max((len(what_read(it)) for it in reads), default=0)
    yield from (f"  {what_read(it):{width}}  {value_read(it)}" for it in reads)
    if refusal["cut"]:
        yield "  and more, for which there was no room"
    yield ""
    yield told_replay(refusal["replay"])
    if refusal["left_out"]:
        yield f"{refusal['left_out']} earlier refusals of {refusal['element']} came too fast to be told of."


def clock(time_ns: int) -> str:
    """The time of day, to the millisecond."""
    seconds, rest = divmod(int(time_ns), 10**9)
    return f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{rest // 10**6:03}"


def moment(seconds: float) -> str:
    """Day and time, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def verdict(of: dict[str, Any]) -> str:
    """The status with its text."""
    return f"{of['code']} {_shown(of['text'])}"


def told_row(refusal: dict[str, Any]) -> Iterator[str]:
    """In which row it refused, and what stands there."""
    row, place = refusal["row"], refusal["replay"].get("place")
    if row is None:
        yield "It ran out of memory, in no row of its table."
        return
    number = f"row {row['number']}" if row["number"] else "a row that always runs"
    line = f" ({Path(place['file']).name}:{place['line']})" if place else ""
    yield f"It refused in {number} of `{refusal['handler']}`{line}:"
    if row.get("actions"):
        yield f"  {row['match']}  =>  {'; '.join(row['actions'])}"


def what_read(read: dict[str, Any]) -> str:
    """What it was that was read."""
    key = f"({_shown(read['key'])})" if "key" in read and read["kind"] == "asked" else ""
    at = f" at {_shown(read['key'])}" if "key" in read and read["kind"] == "entry" else ""
    return f"{read['what']}{key}{at}"


def value_read(read: dict[str, Any]) -> str:
    """What was found there, as far as that is told."""
    if read.get("secret"):
        return "(secret)"
    if read["kind"] == "entry" and read["value"] is None:
        return "none"
    return f"{_shown(read['value'])}{' … (cut)' if read.get('cut') else ''}"


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def told_replay(of: dict[str, Any]) -> str:
    """What the interpreter came to."""
    if of["agrees"] is None:
        return f"It cannot be run again, because {of['because']}."
    if of["agrees"]:
        return "Run again on the interpreter, it refuses in the same row."
    got = f"it refuses in row {of['row']}: {verdict(of['verdict'])}" if of["verdict"] else "the call passes"
    return f"Run again on the interpreter, {got}. That is a bug of AppNet: please report it."
