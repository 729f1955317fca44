"""Decisions kept by content, in ``$XDG_CACHE_HOME/appnet/decisions`` (``~/.cache/appnet/decisions``).

A key is a hash of the two elements, the method, the strength and the code that decides, so entries never go stale,
and any number of processes may share the cache.
"""

from __future__ import annotations

import functools
import hashlib
import json
from importlib.metadata import version
from pathlib import Path

from appnet import analysis
from appnet.analysis.decision import Counterexample, Decision, Event, Proved, Refuted, Strength, Unknown
from appnet.interpret.values import Value, float_bits, float_from_bits
from appnet.ir.nodes import Element
from appnet.language.messages import MethodSignature
from appnet.system.cache import cache_directory
from appnet.system.files import write_whole

_DECIDES = ("analysis", "interpret", "ir", "language")  # packages whose code a decision depends on


class DecisionCache:
    """Decisions in a directory; made when the first one is kept."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory if directory is not None else cache_directory() / "decisions"

    def get(self, key: str) -> Decision | None:
        """The decision kept under the key; None where there is none that can be read."""
        try:
            return _decode(json.loads((self._directory / key).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, decision: Decision) -> None:
        """Keeps the decision. Raises OSError where the directory cannot be written."""
        self._directory.mkdir(parents=True, exist_ok=True)
        write_whole(self._directory / key, json.dumps(_encode(decision)).encode())


def decision_key(first: Element, second: Element, method: MethodSignature, strength: Strength) -> str:
    """The name under which a decision is kept."""
    parts = (_code(), strength.value, method.digest, first.digest, second.digest)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@functools.cache
def _code() -> str:
    """A hash of what decides: the solver's version and our own sources."""
    digest = hashlib.sha256(version("z3-solver").encode())
    root = Path(analysis.__file__).parent.parent
    for package in _DECIDES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


# --- as JSON ---------------------------------------------------------------------------------


def _encode(decision: Decision) -> dict[str, Value]:
    match decision:
        case Proved(reason=reason, status_may_differ=differs):
            return {"answer": "proved", "reason": reason, "status_may_differ": differs}
        case Unknown(reason=reason):
            return {"answer": "unknown", "reason": reason}
        case Refuted(counterexample=found):
            return {
                "answer": "refuted",
                "events": [_plain(tuple(vars(event).values())) for event in found.events],
                "as_written": found.as_written,
                "swapped": found.swapped,
                "start": _plain(dict(found.start)),
                "seed": found.seed,
            }


def _decode(kept: dict[str, Value]) -> Decision:
    if kept["answer"] == "proved":
        return Proved(kept["reason"], kept["status_may_differ"])
    if kept["answer"] == "unknown":
        return Unknown(kept["reason"])
    events = tuple(Event(*_value(event)) for event in kept["events"])
    return Refuted(Counterexample(events, kept["as_written"], kept["swapped"], _value(kept["start"]), kept["seed"]))


def _plain(value: Value) -> Value:
    """A value of the language, or a name, as JSON can hold it: an object of one key says what JSON has no form for."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, float):
        return {"float": float_bits(value)}
    if isinstance(value, dict):
        return {"map": [[_plain(key), _plain(item)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"pair": [_plain(item) for item in value]}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _value(plain: Value) -> Value:
    if isinstance(plain, list):
        return [_value(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    ((kind, held),) = plain.items()
    match kind:
        case "bytes":
            return bytes.fromhex(held)
        case "float":
            return float_from_bits(held)
        case "map":
            return {_value(key): _value(item) for key, item in held}
        case _:
            return tuple(_value(item) for item in held)
