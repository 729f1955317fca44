"""Random traffic for sample.proto: calls in flight together, answered in any order, with errors and cut-off calls.

Made by a seeded generator, because tens of thousands of messages are too many choices for Hypothesis.
"""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from appnet.interpret.rpc import Repeated
from appnet.language.messages import Field
from appnet.language.operations.metadata import DELAY
from appnet.language.types import MapType, VecType
from tests.support.expressions import METADATA, NUMBERS, WORDS
from tests.support.sample import SAMPLE

Fields = dict[str, Any]

_WORDS = [word.encode() for word in WORDS] * 3 + [
    b"\xff\xfe",
    b"x" * 300,
    b"y" * 5000,
    b"967900366.031428120979",
    b"9" * 30,
]
_REALS = [2**-7, -3 * 2**-7, 0.0, -0.0, 0.5, 1.0, 3.25, -2.0, 1e30, math.inf, -math.inf, math.nan]
_STATUSES = (0, 0, 0, 0, 1, 2, 7, 14, 16)
_SHORT = ("int32", "sint32", "sfixed32", "enum", "uint32", "fixed32")
_SIGNED = ("int32", "int64", "sint32", "sint64", "sfixed32", "sfixed64", "enum")
_TIMES = (0, 1, 999, 1_000_000, 1_500_000_000)
_HEADERS = [key.lower() for key in METADATA if " " not in key and not key.startswith(("grpc-", "te"))]
_NO_TRAILERS = ("dst", DELAY)
_TIMEOUTS = (b"1S", b"1500m", b"99999999H", b"5u", b"3n", b"7", b"1X", b"123456789S", b"2M")
_HEADER_VALUES = (b"", b"0", b"1", b"7", b"ann", b"a b", b"-3.5")


@dataclass(frozen=True)
class Exchange:
    """What a client asks and a server would answer: fields by dotted path, headers, status.

    Absent fields are left out. A message that is there has true, of many there is their number.
    """

    request: Fields
    metadata: dict[str, bytes]
    response: Fields
    response_metadata: dict[str, bytes]
    status: int
    trailers: dict[str, bytes]
    authority: bytes
    peer: bytes


@dataclass(frozen=True)
class Step:
    """What happens next: the exchange of this number begins ("open"), its "request" or "response" comes, or it is cut off
    half-way ("end").
    """

    kind: str
    exchange: int
    after_ns: int


@dataclass(frozen=True)
class Traffic:
    exchanges: list[Exchange]
    steps: list[Step]


def traffic(most: int) -> st.SearchStrategy[Traffic]:
    """Traffic of up to ``most`` calls, as a strategy."""
    return st.builds(make_traffic, st.integers(0, 2**32), st.integers(1, most))


def make_traffic(seed: int, calls: int, *, whole: bool = False) -> Traffic:
    """The traffic of this seed; ``whole``: some calls begin before their message comes, and may end before that."""
    source = random.Random(seed)
    exchanges = [_exchange(source) for _ in range(calls)]
    steps: list[Step] = []
    waiting, flying = list(range(calls)), []
    begun: set[int] = set()
    while waiting or flying:
        after = source.choice(_TIMES)
        if waiting and (not flying or (len(flying) < 6 and source.random() < 0.5)):
            flying.append(waiting.pop(0))
            if whole and source.random() < 0.4:
                begun.add(flying[-1])
            steps.append(Step("open" if flying[-1] in begun else "request", flying[-1], after))
            continue
        exchange = flying.pop(source.randrange(len(flying)))
        cut_off = source.random() < (0.3 if exchange in begun else 0.1)
        if exchange in begun and not cut_off:
            begun.remove(exchange)
            flying.append(exchange)
            steps.append(Step("request", exchange, after))
        else:
            steps.append(Step("end" if cut_off else "response", exchange, after))
    return Traffic(exchanges, steps)


def _exchange(source: random.Random) -> Exchange:
    status = source.choice(_STATUSES)
    answer = {} if status else make_fields(source)
    trailers = {} if status else {key: it for key, it in _headers(source).items() if key not in _NO_TRAILERS}
    request = _headers(source)
    if source.random() < 0.3:
        request["grpc-timeout"] = source.choice(_TIMEOUTS)
    named = source.choice((b"", b"shop.example:80")), source.choice((b"", b"spiffe://cluster.local/ns/a/sa/b"))
    return Exchange(make_fields(source), request, answer, _headers(source), status, trailers, *named)


def _headers(source: random.Random) -> dict[str, bytes]:
    keys = source.sample(_HEADERS, source.randint(0, 2))
    return {key: _header_value(source) for key in keys}


def _header_value(source: random.Random) -> bytes:
    values = [source.choice(_HEADER_VALUES) for _ in range(source.choice((1, 1, 1, 2, 3, 20)))]
    return Repeated(*values) if len(values) > 1 else values[0]


def make_fields(source: random.Random) -> Fields:
    """Fields of an `Ask` or an `Answer`; of those within many messages, as many as there are of these."""
    known = {it.path: it for it in SAMPLE.request.all_fields()}
    paths = source.sample(list(known), source.choice((0, 1, 2, 4, 8, len(known))))
    counts: dict[str, int] = {}
    return {path: _value(source, known[path], counts) for path in paths} | counts


def _value(source: random.Random, used: Field, counts: dict[str, int]) -> Any:
    if used.is_message:
        return _count(source, used.path, counts) if used.many else True
    if not used.within:
        return make_field(source, used)
    count = _count(source, used.within, counts)
    if used.many:
        count = source.randint(0, 4) if count else 0
    return [make_value(source, used.kind, used.names) for _ in range(count)]


def _count(source: random.Random, path: str, counts: dict[str, int]) -> int:
    """How many messages the field has, the same whenever it is asked; none where there are none around them."""
    around = SAMPLE.request.messages[path].within
    if around and not _count(source, around, counts):
        counts[path] = 0
    return counts.setdefault(path, source.choice((0, 1, 2, 3)))


def make_field(source: random.Random, used: Field) -> Any:
    """A value that the field can have on the wire."""
    count = source.choice((0, 1, 2, 5))
    match used.type:
        case VecType():
            return [make_value(source, used.kind, used.names) for _ in range(count)]
        case MapType():
            return {make_value(source, used.key_kind): make_value(source, used.kind) for _ in range(count)}
        case _:
            return make_value(source, used.kind, used.names)


def make_value(source: random.Random, kind: str, names: Sequence[int] = ()) -> Any:
    """A value that a field of this kind can have on the wire; strings need not be UTF-8. ``names``: of a closed enum."""
    if names:
        return source.choice(names)
    if kind in ("string", "bytes"):
        return source.choice(_WORDS) if source.random() < 0.8 else source.randbytes(source.randint(0, 20))
    if kind == "bool":
        return source.random() < 0.5
    if kind in ("float", "double"):
        value = source.choice(_REALS) if source.random() < 0.5 else source.uniform(-1000, 1000)
        return struct.unpack("<f", struct.pack("<f", value))[0] if kind == "float" else value
    bits = 32 if kind in _SHORT else 64
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if kind in _SIGNED else (0, 2**bits - 1)
    common = [number for number in NUMBERS if number <= high] + [low, high, max(low, -3)]
    return source.choice(common) if source.random() < 0.8 else source.randint(low, high)
