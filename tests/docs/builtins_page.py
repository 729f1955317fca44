"""docs/builtins.md, made from the declarations of the operations; an example each, whose last line holds."""

from __future__ import annotations

from appnet.language.operations import OPERATIONS, Effect, Operation

STATE = ("seen: Map<string, int>", "items: Vec<int>", "loads: Vec<float>")

CHAPTERS = {
    "Numbers": ("add", "sub", "mul", "div", "rem", "neg", "min", "max", "abs"),
    "Comparison and logic": ("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not"),
    "Conversion": (
        "to_float", "to_int", "to_uint", "parse_int", "parse_float", "int_to_string", "uint_to_string", "float_to_string",
        "bool_to_string", "instant_to_float", "string_to_bytes", "bytes_to_string",
    ),
    "Text": ("concat", "contains", "starts_with", "matches", "string_size", "hash"),
    "Maps": ("map_new", "map_get", "map_get_or", "map_set", "map_delete", "map_size", "map_entries"),
    "Vecs": ("vec_new", "vec_get", "vec_get_or", "vec_set", "vec_append", "vec_size", "quantile"),
    "Pairs": ("pair", "first", "second"),
    "Chance": ("random_float", "random_int", "random_choices"),
    "Time": ("now", "time_diff"),
    "The call": ("rpc_id", "method", "status", "get_metadata", "set_metadata"),
    "Hosts": ("get_backends", "get_load", "estimate_rif"),
    "Secrets and size": ("encrypt", "decrypt", "hmac", "compress", "decompress"),
}  # fmt: skip

EXAMPLES = {
    "add": "2 + 3 == 5",
    "sub": "2 - 3 == -1",
    "mul": "2 * 3 == 6",
    "div": "-7 / 2 == -3",
    "rem": "-7 % 3 == -1",
    "neg": "n = 7\n-n + 7 == 0",
    "min": "min(2, 3) == 2",
    "max": "max(2.5, 3) == 3.0",
    "abs": "abs(-2) == 2",
    "eq": "'a' == 'a'",
    "ne": "'a' != 'A'",
    "lt": "'B' < 'a'",
    "le": "2 <= 2",
    "gt": "2.5 > 2",
    "ge": "3 >= 2",
    "and": "1 < 2 and 2 < 3",
    "or": "1 > 2 or 2 < 3",
    "not": "not 1 > 2",
    "to_float": "n = 3\nto_float(n) / 2 == 1.5",
    "to_int": "to_int(-2.9) == -2",
    "to_uint": "to_uint(2.9) == 2",
    "parse_int": "to_int('42') + to_int('forty-two') == 42",
    "parse_float": "to_float('2.5') == 2.5",
    "int_to_string": "to_string(-7) == '-7'",
    "uint_to_string": "to_string(size('abc')) == '3'",
    "float_to_string": "to_string(0.5) == '0.500000'",
    "bool_to_string": "to_string(1 < 2) == 'true'",
    "instant_to_float": "to_float(current_time()) == 5.0",
    "string_to_bytes": "s = 'abc'\nset(rpc, 'blob', s)\nsize(get(rpc, 'blob')) == 3",
    "bytes_to_string": "set(rpc, 'blob', 'abc')\nto_string(get(rpc, 'blob')) == 'abc'",
    "concat": "concat('ab', 'c') == 'abc' and 'ab' + 'c' == 'abc'",
    "contains": "contains('abc', 'bc')",
    "starts_with": "starts_with('abc', 'ab')",
    "matches": "matches('user-7', '^user-[0-9]+$')",
    "string_size": "size('é') == 2",
    "hash": "to_string(hash('')) == '14695981039346656037'",
    "map_get": "set(seen, 'a', 7)\nn = 0\nmatch get(seen, 'a'):\n    Some(x) => n = x\n    None => n = -1\nn == 7",
    "map_get_or": "get(seen, 'a', 5) == 5",
    "map_set": "set(seen, 'a', 7)\nget(seen, 'a', 0) == 7",
    "map_delete": "set(seen, 'a', 7)\ndelete(seen, 'a')\nsize(seen) == 0",
    "map_size": "set(seen, 'a', 7)\nsize(seen) == 1",
    "map_new": "ports = {'http': 80, 'https': 443}\nget(ports, 'https', 0) == 443",
    "map_entries": "total = 0\nforeach({'a': 1, 'b': 2}, lambda(k, v): total = total + v)\ntotal == 3",
    "vec_new": "primes = [2, 3, 5]\nget(primes, 2, 0) == 5",
    "vec_get": "n = 0\nmatch get(items, 0):\n    Some(x) => n = x\n    None => n = -1\nn == -1",
    "vec_get_or": "get(items, 3, 5) == 5",
    "vec_set": "set(items, 0, 7)\nset(items, 0, 8)\nget(items, 0, 0) == 8",
    "vec_append": "set(items, size(items), 7)\nset(items, size(items), 8)\nget(items, 1, 0) == 8",
    "vec_size": "set(items, size(items), 7)\nsize(items) == 1",
    "quantile": "set(loads, 0, 0.5)\nset(loads, 1, 2.5)\nset(loads, 2, 1.5)\nquantile(loads, 0.5) == 1.5",
    "pair": "p = (7, 'a')\n(n, s) = p\ns == 'a'",
    "first": "p = (7, 'a')\n(n, s) = p\nn == 7",
    "second": "p = (7, 'a')\n(n, s) = p\ns == 'a'",
    "random_float": "x = randomf(1, 2)\nx >= 1.0 and x < 2.0",
    "random_int": "n = randomi(1, 7)\nn >= 1 and n < 7",
    "random_choices": "hosts = random_choices(get_backends(), 2)\nsize(hosts) == 2",
    "now": "current_time() >= current_time()",
    "time_diff": "time_diff(current_time(), current_time()) == 0.0",
    "rpc_id": "rpc_id() == 1",
    "method": "method() == '/sample.Probe/Call'",
    "status": "status(rpc) == 0",
    "get_metadata": "get_metadata(rpc, 'user') == 'ann'",
    "set_metadata": "set_metadata(rpc, 'user', 'bob')\nget_metadata(rpc, 'user') == 'bob'",
    "get_backends": "hosts = get_backends()\nget(hosts, 2, -1) == 2",
    "get_load": "(load, at) = get_load(0)\nload == 0",
    "estimate_rif": "hosts = get_backends()\nrif = estimate_RIF_distribution(hosts)\nquantile(rif, 0.5) == 0.0",
    "encrypt": "encrypt('secret', 'key') != 'secret'",
    "decrypt": "decrypt(encrypt('secret', 'key'), 'key') == 'secret'",
    "hmac": "starts_with(hmac('', 'key'), '5d5d139563c95b5967b9bd9a8c9b233a')",
    "compress": "starts_with(compress('a'), 'BCJNGGxA')",
    "decompress": "decompress(compress('aaaaaaaaaaaaaaaa')) == 'aaaaaaaaaaaaaaaa'",
}

_HEAD = """\
# The built-ins

What each function and operator takes, gives and does. In signatures `T`, `K` and `V` stand for any type, `N` for `int`, `uint` or `float`, `I` for `int` or
`uint`, and `S` for `string` or `bytes`; what gives an `Option` is taken apart by `match`, but for `decrypt` and `decompress`, where None ends the handler.
[The language reference](language.md) says more of regular expressions and of compression.

The last line of each example holds: tests run them, in `req` of an element with the state variables `seen: Map<string, int>`,
`items: Vec<int>` and `loads: Vec<float>`, on the first call of `/sample.Probe/Call` from a caller whose metadata says `user: ann`, in a proxy
with three hosts upstream whose clock stands at 5 seconds.
"""
_EFFECTS = {
    Effect.RANDOM: "draws a random number",
    Effect.TIME: "reads the clock",
    Effect.READS_METADATA: "reads metadata",
    Effect.WRITES_METADATA: "writes metadata",
    Effect.READS_STATUS: "reads the status",
    Effect.READS_CONTAINER: "reads its first argument in place",
    Effect.WRITES_CONTAINER: "changes its first argument in place",
    Effect.READS_BACKENDS: "reads the state of the upstream cluster",
}


def page() -> str:
    """The text of docs/builtins.md."""
    text = _HEAD
    for chapter, names in CHAPTERS.items():
        text += f"\n## {chapter}\n" + "".join(_entry(OPERATIONS[name], EXAMPLES[name]) for name in names)
    return text


def _entry(operation: Operation, example: str) -> str:
    effects = [text for effect, text in _EFFECTS.items() if effect in operation.effects]
    told = f" It {' and '.join(effects)}." if effects else ""
    code = "".join(f"    {line}\n" for line in example.splitlines())
    return f"\n### `{operation.surface}`\n\n`{operation.signature}` · {operation.meaning}{told}\n\n{code}"
