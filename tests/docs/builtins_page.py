"""docs/builtins.md, made from the declarations of the operations."""

from __future__ import annotations

from appnet.language.operations.built_in import BuiltIn
from appnet.language.operations.declaration import Effect, Operation
from appnet.language.operations.registry import CHAPTERS

_HEAD = """\
# The built-ins

What each function and operator takes, gives and does. In signatures `T`, `K` and `V` stand for any type, `C` for any type but
a container or a pair, `N` for `int`, `uint` or `float`, `I` for `int` or `uint`, and `S` for `string` or `bytes`. What gives an `Option` is taken apart by `match`, but
for `decrypt` and `decompress`, where None ends the handler. [The language reference](language.md) says more of regular expressions and of compression.

The last line of each example holds: tests run them, in `req` of an element with the state variables `seen: Map<string, int>`,
`items: Vec<int>` and `loads: Vec<float>`, on the first call of `/sample.Probe/Call` from a caller whose metadata says `user: ann`, in a proxy
with three hosts upstream whose clock stands at 5 seconds, its wall clock at 1700000005.
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
