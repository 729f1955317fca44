"""docs/builtins.md, made from the declarations of the operations."""

from __future__ import annotations

from appnet.language.operations.built_in import BuiltIn
from appnet.language.operations.declaration import Effect, Operation
from appnet.language.operations.registry import CHAPTERS

_HEAD = """\
# The built-ins

All functions and operators. In signatures `T`, `K` and `V` stand for any type, `C` for any type except containers and pairs, `N` for `int`, `uint`
or `float`, `I` for `int` or `uint`, and `S` for `string` or `bytes`. Match an `Option` with `match`; for `decrypt` and `decompress`, None ends the
handler. [The language reference](language.md) says more about regular expressions and compression.

The last line of each example is true, and tests run it: in `req` of an element with the state variables `seen: Map<string, int>`, `items: Vec<int>`
and `loads: Vec<float>`, on the first call of `/sample.Probe/Call`, whose caller's metadata is `user: ann`, in a proxy with three upstream hosts
whose clock is at 5 seconds and whose wall clock is at 1700000005.
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
    for chapter in CHAPTERS:
        text += f"\n## {chapter.title}\n" + "".join(map(_entry, chapter.entries))
    return text


def _entry(entry: Operation | BuiltIn) -> str:
    if isinstance(entry, Operation):
        return _operation(entry)
    forms = (f"\n### `{it.usage}`\n\n{it.meaning}\n{_example(it.example)}" for it in entry.forms)
    return "".join(forms) + "".join(map(_operation, entry.operations))


def _operation(operation: Operation) -> str:
    effects = [text for effect, text in _EFFECTS.items() if effect in operation.effects]
    told = f" It {' and '.join(effects)}." if effects else ""
    meaning = f"`{operation.signature}` · {operation.meaning}{told}"
    return f"\n### `{operation.usage}`\n\n{meaning}\n{_example(operation.example)}"


def _example(example: str) -> str:
    return f"\n```appnet\n{example}\n```\n" if example else ""
