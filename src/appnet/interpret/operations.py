"""The meaning of each operation of `appnet.language.operations`: one function each, of the same name.

A function gets the `Machine` it runs on, then its operands. A container that it asks or changes is
the container itself; every other operand is a copy, and what it gives is copied by the caller.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import re2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from appnet.interpret.compression import compress, decompress
from appnet.interpret.random import Generator, fnv1a
from appnet.interpret.rpc import Environment, Message, Rpc
from appnet.interpret.values import Value, as_key, copy_value, float_bits, wrap, wrap_int, wrap_uint
from appnet.language.types import FLOAT, STRING, OptionType, Type

_INT_MIN, _INT_MAX, _UINT_MAX = -(2**63), 2**63 - 1, 2**64 - 1
_SATURATED = 10**15
_INTEGER = re.compile(rb"[+-]?[0-9]+")
_DECIMAL = re.compile(rb"([+-]?)([0-9]+)(?:\.([0-9]+))?")
_SIGNIFICANT = 18
_TEN_STEPS = 22  # 10**22 is the greatest power of ten that is a double
_NONCE = 12


class Backends(Protocol):
    """The hosts of the upstream cluster, as seen from the processor instance."""

    def load(self, host: int) -> int:
        """Calls in flight to the host; 0 where there is no such host."""


@dataclass
class Machine:
    """What an operation can reach besides its operands.

    ``type``: of the result. ``capacity``: of the container that is the first operand. ``evicted``: how many entries and
    items it let go.
    ``rpc``, ``message``: those in hand; None in ``init``, where no operation asks for them.
    """

    environment: Environment
    generator: Generator
    backends: Backends
    type: Type
    capacity: int
    rpc: Rpc | None
    message: Message | None
    evicted: int = 0

    def call(self) -> Rpc:
        """The call in hand."""
        assert self.rpc is not None, "init has no call"
        return self.rpc

    def in_hand(self) -> Message:
        """The message in hand."""
        assert self.message is not None, "init has no message"
        return self.message


Meaning = Callable[..., Value]

MEANINGS: dict[str, Meaning] = {}


def _operation(function: Meaning) -> Meaning:
    MEANINGS[function.__name__.strip("_")] = function
    return function


# --- arithmetic ------------------------------------------------------------------------------


@_operation
def _add(machine: Machine, a: Value, b: Value) -> Value:
    return wrap(a + b, machine.type)


@_operation
def _sub(machine: Machine, a: Value, b: Value) -> Value:
    return wrap(a - b, machine.type)


@_operation
def _mul(machine: Machine, a: Value, b: Value) -> Value:
    return wrap(a * b, machine.type)


@_operation
def _div(machine: Machine, a: Value, b: Value) -> Value:
    if machine.type == FLOAT:
        return _divide(a, b)
    if b == 0:
        return 0
    quotient = abs(a) // abs(b)
    return wrap(quotient if (a < 0) == (b < 0) else -quotient, machine.type)


@_operation
def _rem(_machine: Machine, a: int, b: int) -> int:
    if b == 0:
        return 0
    rest = abs(a) % abs(b)
    return -rest if a < 0 else rest


def _divide(a: float, b: float) -> float:
    """IEEE 754 division, which Python refuses for a divisor of zero."""
    if b != 0.0:
        return a / b
    if a == 0.0 or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


@_operation
def _neg(machine: Machine, a: Value) -> Value:
    return wrap(-a, machine.type)


@_operation
def _min(_machine: Machine, a: Value, b: Value) -> Value:
    if a != a or b != b:  # noqa: PLR0124 -- only NaN differs from itself
        return math.nan
    return min(a, b)


@_operation
def _max(_machine: Machine, a: Value, b: Value) -> Value:
    if a != a or b != b:  # noqa: PLR0124
        return math.nan
    return max(a, b)


@_operation
def _abs(machine: Machine, a: Value) -> Value:
    return wrap(abs(a), machine.type)


# --- comparison and logic --------------------------------------------------------------------


@_operation
def _eq(_machine: Machine, a: Value, b: Value) -> bool:
    return bool(a == b)


@_operation
def _ne(_machine: Machine, a: Value, b: Value) -> bool:
    return bool(a != b)


@_operation
def _lt(_machine: Machine, a: Value, b: Value) -> bool:
    return bool(a < b)


@_operation
def _le(_machine: Machine, a: Value, b: Value) -> bool:
    return bool(a <= b)


@_operation
def _gt(_machine: Machine, a: Value, b: Value) -> bool:
    return bool(a > b)


@_operation
def _ge(_machine: Machine, a: Value, b: Value) -> bool:
    return bool(a >= b)


@_operation
def _and(_machine: Machine, a: bool, b: bool) -> bool:
    return a and b


@_operation
def _or(_machine: Machine, a: bool, b: bool) -> bool:
    return a or b


@_operation
def _not(_machine: Machine, a: bool) -> bool:
    return not a


# --- conversion ------------------------------------------------------------------------------


@_operation
def _to_float(_machine: Machine, a: int) -> float:
    return float(a)


@_operation
def _to_int(_machine: Machine, a: float) -> int:
    return _saturate(a, _INT_MIN, _INT_MAX) if isinstance(a, float) else wrap_int(a)


@_operation
def _to_uint(_machine: Machine, a: float) -> int:
    return _saturate(a, 0, _UINT_MAX) if isinstance(a, float) else wrap_uint(a)


def _saturate(a: float, low: int, high: int) -> int:
    if math.isnan(a):
        return 0
    if math.isinf(a):
        return high if a > 0 else low
    return min(max(int(a), low), high)


@_operation
def _parse_int(_machine: Machine, text: bytes) -> int:
    if not _INTEGER.fullmatch(text):
        return 0
    digits = text.lstrip(b"+-").lstrip(b"0")[:20]  # 20 digits saturate already
    value = int(digits or b"0")
    return min(max(-value if text.startswith(b"-") else value, _INT_MIN), _INT_MAX)


@_operation
def _parse_float(_machine: Machine, text: bytes) -> float:
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return 0.0
    sign, whole, fraction = match[1], match[2], match[3] or b""
    digits = (whole + fraction).lstrip(b"0")
    value = float(int(digits[:_SIGNIFICANT] or b"0"))
    exponent = max(len(digits) - _SIGNIFICANT, 0) - len(fraction)
    while exponent != 0:
        step = min(abs(exponent), _TEN_STEPS)
        value = value * float(10**step) if exponent > 0 else value / float(10**step)
        exponent -= step if exponent > 0 else -step
    return -value if sign == b"-" else value


@_operation
def _int_to_string(_machine: Machine, a: int) -> bytes:
    return b"%d" % a


@_operation
def _uint_to_string(_machine: Machine, a: int) -> bytes:
    return b"%d" % a


@_operation
def _float_to_string(_machine: Machine, a: float) -> bytes:
    if math.isnan(a) or math.isinf(a):
        return str(a).encode()
    return b"%.6f" % (math.copysign(min(abs(a), _SATURATED), a))


@_operation
def _bool_to_string(_machine: Machine, a: bool) -> bytes:
    return b"true" if a else b"false"


@_operation
def _instant_to_float(_machine: Machine, a: int) -> float:
    return float(a) / 1e9


@_operation
def _string_to_bytes(_machine: Machine, a: bytes) -> bytes:
    return a


@_operation
def _bytes_to_string(_machine: Machine, a: bytes) -> bytes:
    return a


# --- strings ---------------------------------------------------------------------------------


@_operation
def _concat(_machine: Machine, a: bytes, b: bytes) -> bytes:
    return a + b


@_operation
def _contains(_machine: Machine, a: bytes, b: bytes) -> bool:
    return b in a


@_operation
def _starts_with(_machine: Machine, a: bytes, b: bytes) -> bool:
    return a.startswith(b)


@_operation
def _matches(_machine: Machine, text: bytes, pattern: bytes) -> bool:
    return _compiled(pattern).search(text) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: bytes) -> re2._Regexp:
    return re2.compile(pattern)


@_operation
def _string_size(_machine: Machine, a: bytes) -> int:
    return len(a)


@_operation
def _hash(_machine: Machine, a: bytes) -> int:
    return fnv1a(a)


# --- containers ------------------------------------------------------------------------------


@_operation
def _map_get(_machine: Machine, entries: dict[Value, Value], key: Value) -> Value:
    key = as_key(key)
    return (entries[key],) if key in entries else None


@_operation
def _map_get_or(_machine: Machine, entries: dict[Value, Value], key: Value, default: Value) -> Value:
    return entries.get(as_key(key), default)


@_operation
def _map_set(machine: Machine, entries: dict[Value, Value], key: Value, value: Value) -> None:
    key = as_key(key)
    entries.pop(key, None)
    if len(entries) >= machine.capacity:
        del entries[next(iter(entries))]
        machine.evicted += 1
    entries[key] = value


@_operation
def _map_delete(_machine: Machine, entries: dict[Value, Value], key: Value) -> None:
    entries.pop(as_key(key), None)


@_operation
def _map_size(_machine: Machine, entries: dict[Value, Value]) -> int:
    return len(entries)


@_operation
def _map_new(_machine: Machine) -> dict[Value, Value]:
    return {}


@_operation
def _map_entries(_machine: Machine, entries: dict[Value, Value]) -> list[Value]:
    return list(entries.items())


@_operation
def _vec_new(_machine: Machine) -> list[Value]:
    return []


@_operation
def _vec_get(_machine: Machine, items: list[Value], index: int) -> Value:
    return (items[index],) if 0 <= index < len(items) else None


@_operation
def _vec_get_or(_machine: Machine, items: list[Value], index: int, default: Value) -> Value:
    return items[index] if 0 <= index < len(items) else default


@_operation
def _vec_set(machine: Machine, items: list[Value], index: int, value: Value) -> None:
    if index == len(items):
        _vec_append(machine, items, value)
    elif 0 <= index < len(items):
        items[index] = value


@_operation
def _vec_append(machine: Machine, items: list[Value], value: Value) -> None:
    if len(items) >= machine.capacity:
        del items[0]
        machine.evicted += 1
    items.append(value)


@_operation
def _vec_size(_machine: Machine, items: list[Value]) -> int:
    return len(items)


@_operation
def _pair(_machine: Machine, a: Value, b: Value) -> Value:
    return (a, b)


@_operation
def _first(_machine: Machine, pair: tuple[Value, Value]) -> Value:
    return pair[0]


@_operation
def _second(_machine: Machine, pair: tuple[Value, Value]) -> Value:
    return pair[1]


# --- randomness and time ---------------------------------------------------------------------


@_operation
def _random_float(machine: Machine, a: float, b: float) -> float:
    return a + (b - a) * float(machine.generator.draw() >> 11) / 2.0**53


@_operation
def _random_int(machine: Machine, a: int, b: int) -> int:
    draw = machine.generator.draw()
    return a + draw % (b - a) if a < b else a


@_operation
def _random_choices(machine: Machine, items: list[Value], count: int) -> list[Value]:
    if count >= len(items):
        return items
    chosen = copy_value(items)
    for i in range(max(count, 0)):
        j = i + machine.generator.draw() % (len(chosen) - i)
        chosen[i], chosen[j] = chosen[j], chosen[i]
    return list(chosen[: max(count, 0)])


@_operation
def _now(machine: Machine) -> int:
    return machine.environment.now_ns()


@_operation
def _time_diff(_machine: Machine, a: int, b: int) -> float:
    return float(a - b) / 1e9


# --- the RPC ---------------------------------------------------------------------------------


@_operation
def _rpc_id(machine: Machine) -> int:
    return machine.call().rpc_id


@_operation
def _method(machine: Machine) -> bytes:
    return machine.call().signature.full_name.encode()


@_operation
def _status(machine: Machine) -> int:
    return machine.in_hand().status


@_operation
def _get_metadata(machine: Machine, key: bytes) -> bytes:
    return machine.in_hand().get_metadata(key)


@_operation
def _set_metadata(machine: Machine, key: bytes, value: bytes) -> None:
    machine.in_hand().set_metadata(key, value)


# --- backends --------------------------------------------------------------------------------


@_operation
def _get_backends(machine: Machine) -> list[Value]:
    return list(range(machine.environment.backend_count))


@_operation
def _get_load(machine: Machine, host: int) -> Value:
    return (machine.backends.load(host), machine.environment.now_ns())


@_operation
def _estimate_rif(machine: Machine, hosts: list[Value]) -> list[Value]:
    return [float(machine.backends.load(host)) for host in hosts]


@_operation
def _quantile(_machine: Machine, items: list[Value], q: float) -> float:
    if not items:
        return 0.0
    share = 0.0 if math.isnan(q) else min(max(q, 0.0), 1.0)
    return float(sorted(items, key=_total_order)[math.floor(share * (len(items) - 1))])


def _total_order(value: float) -> int:
    """A key that sorts floats, -0.0 before 0.0 and NaN last."""
    bits = float_bits(value)
    return bits if bits < 2**63 else 2**63 - bits - 1


# --- cryptography ----------------------------------------------------------------------------


@_operation
def _encrypt(machine: Machine, text: bytes, pass_phrase: bytes) -> bytes:
    nonce = machine.generator.draw().to_bytes(8, "little") + machine.generator.draw().to_bytes(8, "little")[:4]
    key = hashlib.sha256(pass_phrase).digest()
    return base64.b64encode(nonce + ChaCha20Poly1305(key).encrypt(nonce, text, None))


@_operation
def _decrypt(_machine: Machine, text: bytes, pass_phrase: bytes) -> Value:
    key = hashlib.sha256(pass_phrase).digest()
    data = _decoded(text)
    if data is None:
        return None
    try:
        return (ChaCha20Poly1305(key).decrypt(data[:_NONCE], data[_NONCE:], None),)
    except (InvalidTag, ValueError):
        return None


def _decoded(text: bytes) -> bytes | None:
    """The bytes of a base64 text; None where unused bits are set, by which a text could be altered unseen."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return data if base64.b64encode(data) == text else None


@_operation
def _compress(machine: Machine, plain: bytes) -> bytes:
    packed = compress(plain)
    return base64.b64encode(packed) if machine.type == STRING else packed


@_operation
def _decompress(machine: Machine, packed: bytes) -> Value:
    frame = _decoded(packed) if machine.type == OptionType(STRING) else packed
    plain = None if frame is None else decompress(frame)
    return None if plain is None else (plain,)


@_operation
def _hmac(_machine: Machine, text: bytes, key: bytes) -> bytes:
    return hmac.digest(key, text, "sha256").hex().encode()
