"""Records of one stream as they are kept: many together, by columns, compressed."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import sub
from typing import Any

from appnet.observe.records import Record, Records, RecordValue

_MOST = 1_024  # records in a chunk; so many are read where one of them is asked for
_AS_JSON = {bool, int, float, str, type(None)}
_LEVEL = 1  # three times as fast as 6, and a tenth larger


class DamagedChunkError(ValueError):
    """What was kept is not what was written."""


@dataclass(frozen=True)
class Chunk:
    """``count`` records, the latest of them at ``latest_ns``."""

    count: int
    latest_ns: int
    body: bytes


def encode_chunks(records: Sequence[Records]) -> Iterator[Chunk]:
    """What came of one stream, in this order; its element and variable are not among what is kept here."""
    times = list(chain.from_iterable(it.times_ns for it in records))
    values = list(chain.from_iterable(it.values for it in records))
    resources = [it.resource for it in records]
    of = list(chain.from_iterable([place] * len(it) for place, it in enumerate(records)))
    for first in range(0, len(values), _MOST):
        some = slice(first, first + _MOST)
        yield _chunk(times[some], values[some], of[some], resources)


def _chunk(times: list[int], values: list[RecordValue], of: list[int], resources: list[Mapping[str, Any]]) -> Chunk:
    """``of``: for each record, the place of its resource."""
    told: dict[tuple[tuple[str, Any], ...], int] = {}  # each post has its own, mostly like others
    places = {it: told.setdefault(tuple(resources[it].items()), len(told)) for it in dict.fromkeys(of)}
    columns = {
        "resources": [{key: plain(it) for key, it in one} for one in told],
        "of": [places[it] for it in of] if len(told) > 1 else [],
        "times": list(map(sub, times, [0, *times])),
        "values": values if set(map(type, values)) <= _AS_JSON else [plain(it) for it in values],
    }
    body = zlib.compress(json.dumps(columns, separators=(",", ":")).encode(), _LEVEL)
    return Chunk(len(values), max(times), body)


def decode_chunk(body: bytes, element: str, variable: str) -> list[Record]:
    """What `encode_chunks` was given for it. Raises `DamagedChunkError`."""
    try:
        columns = json.loads(zlib.decompress(body))
        told = [{key: value(it) for key, it in one.items()} for one in columns["resources"]]
        return list(_records(columns, told, element, variable))
    except (zlib.error, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DamagedChunkError(f"a chunk of {element}.{variable}: {error}") from error


def _records(columns: dict[str, Any], told: list[Any], element: str, variable: str) -> Iterator[Record]:
    values = columns["values"]
    time = 0
    for later, kept, place in zip(columns["times"], values, columns["of"] or [0] * len(values), strict=True):
        time += later
        yield Record(time, element, variable, value(kept), told[place])


def plain(found: RecordValue) -> Any:
    """As JSON has it; bytes in base64."""
    if isinstance(found, tuple):
        return [plain(it) for it in found]
    return {"base64": base64.b64encode(found).decode()} if isinstance(found, bytes) else found


def value(kept: Any) -> RecordValue:
    """What `plain` was given."""
    if isinstance(kept, list):
        return tuple(value(it) for it in kept)
    if isinstance(kept, dict):
        return base64.b64decode(kept["base64"], validate=True)
    found: RecordValue = kept
    return found
