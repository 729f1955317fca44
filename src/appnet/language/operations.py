"""The operations that programs compute with: one declaration each, read by every stage.

A built-in or an operator of the surface language is resolved by the checker to one of these by its
name and its argument types. The interpreter and each code generator give every operation a meaning
of their own; a test fails while one of them misses an operation that is declared here.

In ``signature`` the letters T, K and V stand for any type, N for int, uint or float, I for int or uint,
and S for string or bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto


class Effect(Flag):
    """What running an operation can depend on or change, besides its arguments."""

    PURE = 0
    RANDOM = auto()
    TIME = auto()
    READS_METADATA = auto()
    WRITES_METADATA = auto()
    READS_STATUS = auto()
    READS_CONTAINER = auto()  # its first argument is a container place
    WRITES_CONTAINER = auto()
    READS_BACKENDS = auto()


@dataclass(frozen=True)
class Operation:
    """One operation.

    ``surface``: how a program writes it. ``meaning``: one sentence for the reference pages.
    """

    name: str
    signature: str
    surface: str
    meaning: str
    effects: Effect = Effect.PURE


_ALL = (
    # arithmetic: operands have one type; integers wrap
    Operation("add", "(N, N) -> N", "a + b", "The sum; integers wrap around."),
    Operation("sub", "(N, N) -> N", "a - b", "The difference; integers wrap around."),
    Operation("mul", "(N, N) -> N", "a * b", "The product; integers wrap around."),
    Operation("div", "(N, N) -> N", "a / b", "The quotient, towards zero for integers; an integer divided by 0 is 0."),
    Operation(
        "rem",
        "(I, I) -> I",
        "a % b",
        "What `a / b` leaves, with the sign of a; the remainder of a division by 0 is 0.",
    ),
    Operation("neg", "(N) -> N", "-a", "The negation; integers wrap around."),
    Operation("min", "(N, N) -> N", "min(a, b)", "The lesser value, a where they are equal; NaN if either is NaN."),
    Operation("max", "(N, N) -> N", "max(a, b)", "The greater value, a where they are equal; NaN if either is NaN."),
    Operation("abs", "(N) -> N", "abs(a)", "The magnitude; the least int stays as it is."),
    # comparison: operands have one type; strings and bytes compare bytewise, unsigned
    Operation("eq", "(T, T) -> bool", "a == b", "Whether two scalars are equal."),
    Operation("ne", "(T, T) -> bool", "a != b", "Whether two scalars differ."),
    Operation("lt", "(T, T) -> bool", "a < b", "Whether the first is less."),
    Operation("le", "(T, T) -> bool", "a <= b", "Whether the first is less or equal."),
    Operation("gt", "(T, T) -> bool", "a > b", "Whether the first is greater."),
    Operation("ge", "(T, T) -> bool", "a >= b", "Whether the first is greater or equal."),
    # logic; the lowering turns a right operand with effects into a match, so these two may evaluate both
    Operation("and", "(bool, bool) -> bool", "a and b", "Whether both hold."),
    Operation("or", "(bool, bool) -> bool", "a or b", "Whether one holds."),
    Operation("not", "(bool) -> bool", "not a", "Whether it does not hold."),
    # conversion
    Operation("to_float", "(int | uint) -> float", "to_float(a)", "The nearest double."),
    Operation(
        "to_int",
        "(float | uint) -> int",
        "to_int(a)",
        "Truncated; saturates for floats out of range, NaN is 0; uint keeps its bits.",
    ),
    Operation(
        "to_uint",
        "(float | int) -> uint",
        "to_uint(a)",
        "Truncated; saturates for floats out of range, NaN is 0; int keeps its bits.",
    ),
    Operation(
        "parse_int",
        "(string) -> int",
        "to_int(s)",
        "The decimal number, [+-]digits, that is the whole text, saturating; else 0.",
    ),
    # d = the first 18 digits after leading zeros, as an integer made double; further digits count as 0. d is then
    # multiplied, or divided, by 10**22 and at last by 10**rest until the point stands where the text has it.
    Operation(
        "parse_float",
        "(string) -> float",
        "to_float(s)",
        "The decimal number [+-]digits[.digits] that is the whole text, by its first 18 significant digits; else 0.0.",
    ),
    Operation("int_to_string", "(int) -> string", "to_string(a)", "Decimal digits."),
    Operation("uint_to_string", "(uint) -> string", "to_string(a)", "Decimal digits."),
    # '-' stands wherever the sign bit is set, zeros included; 1e15 and more reads 1000000000000000.000000.
    Operation(
        "float_to_string",
        "(float) -> string",
        "to_string(a)",
        "Six decimals, the exact value rounded half to even, saturating at 1e15; inf, -inf or nan.",
    ),
    Operation("bool_to_string", "(bool) -> string", "to_string(a)", "true or false."),
    Operation(
        "instant_to_float",
        "(Instant) -> float",
        "t (where a float is expected)",
        "Its nanoseconds made double, divided by 1e9.",
    ),
    Operation("string_to_bytes", "(string) -> bytes", "s (where bytes are expected)", "The same bytes."),
    Operation("bytes_to_string", "(bytes) -> string", "to_string(b)", "The same bytes, whether or not they are UTF-8."),
    # strings
    Operation("concat", "(S, S) -> S", "concat(a, b) or a + b", "The second after the first."),
    Operation("contains", "(S, S) -> bool", "contains(a, b)", "Whether the second occurs in the first."),
    Operation("starts_with", "(S, S) -> bool", "starts_with(a, b)", "Whether the first begins with the second."),
    Operation(
        "matches",
        "(S, string) -> bool",
        "matches(a, 'pattern')",
        "Whether the regular expression, a literal in the syntax of RE2, matches some part of the text.",
    ),
    Operation("string_size", "(S) -> uint", "size(a)", "Its length in bytes."),
    Operation("hash", "(S) -> uint", "hash(a)", "FNV-1a, 64 bits, of its bytes."),
    # containers: the first argument is a place
    Operation(
        "map_get", "(Map<K, V>, K) -> Option<V>", "get(m, k)", "The value last set for the key.", Effect.READS_CONTAINER
    ),
    Operation(
        "map_get_or",
        "(Map<K, V>, K, V) -> V",
        "get(m, k, d)",
        "The value last set for the key, else d.",
        Effect.READS_CONTAINER,
    ),
    Operation(
        "map_set",
        "(Map<K, V>, K, V) -> unit",
        "set(m, k, v)",
        "Sets the key; a full Map first drops the key least recently set.",
        Effect.WRITES_CONTAINER,
    ),
    Operation("map_delete", "(Map<K, V>, K) -> unit", "delete(m, k)", "Removes the key.", Effect.WRITES_CONTAINER),
    Operation("map_size", "(Map<K, V>) -> uint", "size(m)", "How many keys are set.", Effect.READS_CONTAINER),
    Operation("map_new", "() -> Map<K, V>", "{}", "A Map with no keys; {k: v} is one with entries, set in this order."),
    Operation(
        "map_entries",
        "(Map<K, V>) -> Vec<<K, V>>",
        "foreach(m, lambda(k, v): …)",
        "Its keys with their values, that least recently set first.",
        Effect.READS_CONTAINER,
    ),
    Operation("vec_new", "() -> Vec<T>", "[]", "A Vec with no items; [a, b] is one with items."),
    Operation(
        "vec_get",
        "(Vec<T>, int) -> Option<T>",
        "get(v, i)",
        "The item at the index, from 0; else None.",
        Effect.READS_CONTAINER,
    ),
    Operation(
        "vec_get_or", "(Vec<T>, int, T) -> T", "get(v, i, d)", "The item at the index, else d.", Effect.READS_CONTAINER
    ),
    Operation(
        "vec_set",
        "(Vec<T>, int, T) -> unit",
        "set(v, i, x)",
        "Replaces the item at the index; at the size it is vec_append, beyond and below 0 it does nothing.",
        Effect.WRITES_CONTAINER,
    ),
    Operation(
        "vec_append",
        "(Vec<T>, T) -> unit",
        "set(v, size(v), x)",
        "Adds an item at the end; a full Vec first drops its oldest item.",
        Effect.WRITES_CONTAINER,
    ),
    Operation("vec_size", "(Vec<T>) -> uint", "size(v)", "How many items it has.", Effect.READS_CONTAINER),
    Operation("pair", "(K, V) -> <K, V>", "(a, b)", "The pair of two values."),
    Operation("first", "(<K, V>) -> K", "(a, b) = p", "The first of a pair."),
    Operation("second", "(<K, V>) -> V", "(a, b) = p", "The second of a pair."),
    # randomness: draws come from the element's own splitmix64 generator
    Operation(
        "random_float",
        "(float, float) -> float",
        "randomf(a, b)",
        "Uniform in [a, b): a + (((b - a) * (draw >> 11)) / 2**53).",
        Effect.RANDOM,
    ),
    Operation(
        "random_int",
        "(int, int) -> int",
        "randomi(a, b)",
        "Uniform in [a, b): a + draw % (b - a); a where b <= a, which draws too.",
        Effect.RANDOM,
    ),
    Operation(
        "random_choices",
        "(Vec<T>, int) -> Vec<T>",
        "random_choices(v, n)",
        "n items without replacement: for i in 0..n, swap item i with item i + draw % (size - i); "
        "where n >= size all items as they are, without a draw.",
        Effect.RANDOM | Effect.READS_CONTAINER,
    ),
    # time
    Operation("now", "() -> Instant", "current_time()", "The processor's monotonic clock.", Effect.TIME),
    Operation(
        "time_diff",
        "(Instant, Instant) -> float",
        "time_diff(a, b)",
        "Seconds from b to a: the difference in nanoseconds made double, divided by 1e9.",
    ),
    # the RPC
    Operation("rpc_id", "() -> uint", "rpc_id()", "One number for the call, unique in its processor instance."),
    Operation("method", "() -> string", "method()", "The full method name, /package.Service/Method."),
    Operation(
        "status", "() -> int", "status(rpc)", "The gRPC status code of the response; 0 in req.", Effect.READS_STATUS
    ),
    Operation(
        "get_metadata",
        "(string) -> string",
        "get_metadata(rpc, k)",
        "The value in the headers of the message in hand, lower-case key; the empty string where absent.",
        Effect.READS_METADATA,
    ),
    Operation(
        "set_metadata",
        "(string, string) -> unit",
        "set_metadata(rpc, k, v)",
        "Sets the value in the headers of the message in hand, lower-case key. Left alone are reserved keys "
        "(':…', 'grpc-…', 'content-type', 'te'), keys not of [a-z0-9._-], values not of 0x20-0x7e.",
        Effect.WRITES_METADATA,
    ),
    # backends of the upstream cluster
    Operation(
        "get_backends",
        "() -> Vec<int>",
        "get_backends()",
        "The numbers of the hosts of the upstream cluster, from 0.",
        Effect.READS_BACKENDS,
    ),
    Operation(
        "get_load",
        "(int) -> <int, Instant>",
        "get_load(b)",
        "RPCs in flight from here to the host, and the time now.",
        Effect.READS_BACKENDS | Effect.TIME,
    ),
    Operation(
        "estimate_rif",
        "(Vec<int>) -> Vec<float>",
        "estimate_RIF_distribution(bs)",
        "RPCs in flight from here to each of the hosts.",
        Effect.READS_BACKENDS | Effect.READS_CONTAINER,
    ),
    Operation(
        "quantile",
        "(Vec<float>, float) -> float",
        "quantile(v, q)",
        "The item at rank floor(q * (size - 1)) in ascending order (-0.0 before 0.0, NaN last), "
        "q taken into [0, 1] and NaN as 0; 0.0 of an empty Vec.",
        Effect.READS_CONTAINER,
    ),
    # ChaCha20-Poly1305, key = SHA-256 of the pass phrase, 12-byte nonce, base64 text of nonce|ciphertext|tag
    Operation(
        "encrypt",
        "(string, string) -> string",
        "encrypt(s, key)",
        "Authenticated encryption as base64 text.",
        Effect.RANDOM,
    ),
    Operation(
        "decrypt",
        "(string, string) -> Option<string>",
        "decrypt(s, key)",
        "The plain text; None where s was not encrypted with the key.",
    ),
    # LZ4 frames (docs/language.md says which); strings are base64 text of them
    Operation("compress", "(S) -> S", "compress(s)", "The bytes as an LZ4 frame; of a string, its base64 text."),
    Operation(
        "decompress",
        "(S) -> Option<S>",
        "decompress(s)",
        "What was compressed; None where s is no such frame, or holds more than 4 MiB.",
    ),
    Operation("hmac", "(string, string) -> string", "hmac(s, key)", "HMAC-SHA-256 of s, as 64 hexadecimal digits."),
)

FALLIBLE = frozenset({"decrypt", "decompress"})
"""Operations whose None ends a handler: the caller gets INVALID_ARGUMENT, "OPERATION failed in ELEMENT"."""

OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in _ALL}
