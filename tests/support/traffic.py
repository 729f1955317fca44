"""Random traffic for sample.proto: calls in flight together, answered in any order, with errors and cut-off calls."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tests.support.expressions import METADATA, NUMBERS, WORDS, Draw
from tests.support.sample import SAMPLE

Fields = dict[str, Any]

_WORDS = [word.encode() for word in WORDS] + [b"\xff\xfe", b"x" * 300]
_STATUSES = (0, 0, 0, 0, 1, 2, 7, 14, 16)
_BITS = {"int32": 32, "sint32": 32, "sfixed32": 32, "enum": 32, "uint32": 32, "fixed32": 32}
_SIGNED = ("int32", "int64", "sint32", "sint64", "sfixed32", "sfixed64", "enum")
_TIMES = (0, 1, 999, 1_000_000, 1_500_000_000)


@dataclass(frozen=True)
class Exchange:
    """What a client asks and a server would answer: fields by dotted path (absent ones left out), headers, status."""

    request: Fields = field(default_factory=dict)
    metadata: dict[str, bytes] = field(default_factory=dict)
    response: Fields = field(default_factory=dict)
    response_metadata: dict[str, bytes] = field(default_factory=dict)
    status: int = 0


@dataclass(frozen=True)
class Step:
    """What happens next: "request" or "response" of the exchange of this number, or its "end" half-way."""

    kind: str
    exchange: int
    after_ns: int


@dataclass(frozen=True)
class Traffic:
    exchanges: list[Exchange]
    steps: list[Step]


@st.composite
def traffic(draw: Draw, most: int = 12) -> Traffic:
    """Up to ``most`` calls."""
    exchanges = draw(st.lists(exchanges_of_sample(), min_size=1, max_size=most))
    steps: list[Step] = []
    waiting, flying = list(range(len(exchanges))), []
    while waiting or flying:
        after = draw(st.sampled_from(_TIMES))
        if waiting and (not flying or draw(st.booleans())):
            flying.append(waiting.pop(0))
            steps.append(Step("request", flying[-1], after))
        else:
            exchange = flying.pop(draw(st.integers(0, len(flying) - 1)))
            kind = "end" if draw(st.integers(1, 10)) == 10 else "response"
            steps.append(Step(kind, exchange, after))
    return Traffic(exchanges, steps)


@st.composite
def exchanges_of_sample(draw: Draw) -> Exchange:
    """One exchange."""
    status = draw(st.sampled_from(_STATUSES))
    return Exchange(
        draw(messages()), draw(headers()), {} if status else draw(messages()), draw(headers()), status
    )  # fmt: skip


def headers() -> st.SearchStrategy[dict[str, bytes]]:
    """A few headers, mostly those that programs look for."""
    keys = [key.lower() for key in METADATA if " " not in key and not key.startswith(("grpc-", "te"))]
    return st.dictionaries(st.sampled_from(keys), st.sampled_from([b"", b"0", b"1", b"7", b"ann", b"a b"]), max_size=2)


def messages() -> st.SearchStrategy[Fields]:
    """Fields of an `Ask` or an `Answer`; none has its default."""
    kinds = {path: used.kind for path, used in SAMPLE.request.fields.items()}
    chosen = st.lists(st.sampled_from(list(kinds)), max_size=8, unique=True)
    return chosen.flatmap(lambda paths: st.fixed_dictionaries({path: values(kinds[path]) for path in paths})).map(
        lambda fields: {path: value for path, value in fields.items() if not _is_default(value)}
    )


def values(kind: str) -> st.SearchStrategy[Any]:
    """Values that a field of this kind can have on the wire; strings need not be UTF-8."""
    if kind in ("string", "bytes"):
        return st.one_of(st.sampled_from(_WORDS), st.binary(max_size=20))
    if kind == "bool":
        return st.booleans()
    if kind in ("float", "double"):
        return st.one_of(st.sampled_from([0.5, 1.0, 3.25, -2.0]), st.floats(width=32 if kind == "float" else 64))
    bits = _BITS.get(kind, 64)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if kind in _SIGNED else (0, 2**bits - 1)
    return st.one_of(st.sampled_from([number for number in NUMBERS if number <= high]), st.integers(low, high))


def _is_default(value: Any) -> bool:
    if isinstance(value, float):
        return struct.pack("<d", value) == bytes(8)  # -0.0 stands on the wire
    return not value
