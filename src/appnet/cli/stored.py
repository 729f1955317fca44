"""Values of shared state as commands read and print them: as in behaviour files, with two differences.

An Instant is a date and time in RFC 3339, since no run's clock is there to count from. Bytes that are not UTF-8 are
`!!binary` and base64, so that none are lost.
"""

from __future__ import annotations

import base64
import binascii
import math
import os
import re
from datetime import UTC, datetime
from typing import Any

import yaml

from appnet.behaviour.values import WrongValue, from_yaml, scalar_from_yaml
from appnet.interpret.shown import shown, shown_scalar
from appnet.interpret.values import Value
from appnet.language.types import BOOL, BYTES, FLOAT, INSTANT, INT, STRING, UINT, MapType, PairType, Type, VecType

_TEXTS = {STRING, BYTES}
_BINARY = "!!binary"
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)
_NS = 10**9
_EXAMPLES = {
    BOOL: "true", INT: "-5", UINT: "5", FLOAT: "0.5", STRING: '"text"', BYTES: '"text"',
    INSTANT: "2026-01-31T23:59:59.5Z",
}  # fmt: skip


def stored_text(value: Value, type_: Type) -> str:
    """The value as text that `read_stored` reads."""
    return shown(value, type_, _scalar_text)


def stored_data(value: Value, type_: Type) -> Any:
    """The value as JSON has it: Instants, floats that are not finite, and keys of Maps are texts."""
    match type_:
        case PairType(first=first, second=second):
            return [stored_data(value[0], first), stored_data(value[1], second)]
        case VecType(item=item):
            return [stored_data(it, item) for it in value]
        case MapType(key=key, value=kept):
            return {_data_key(k, key): stored_data(v, kept) for k, v in value.items()}
    if type_ in _TEXTS:
        text = _utf8(value)
        return {"base64": base64.b64encode(value).decode()} if text is None else text
    is_special = type_ == FLOAT and not math.isfinite(value)
    return _scalar_text(value, type_) if type_ == INSTANT or is_special else value


def read_stored(text: str, type_: Type) -> Value:
    """The value that the text writes; a text may be without quotes. Raises `ValueError`, with what to write."""
    if type_ in _TEXTS and not text.startswith(('"', _BINARY)):
        return os.fsencode(text)
    try:
        refers = any(isinstance(it, yaml.AliasEvent) for it in yaml.parse(text, yaml.SafeLoader))
        node = None if refers else yaml.compose(text, yaml.SafeLoader)
        return from_yaml(node or yaml.ScalarNode("tag:yaml.org,2002:null", ""), type_, _scalar)
    except (yaml.YAMLError, WrongValue, ValueError, RecursionError):
        raise ValueError(f"{text!r} is not of type {type_}: write it like {_example(type_)}") from None


def _scalar_text(value: Value, type_: Type) -> str:
    if type_ == INSTANT:
        seconds, rest = divmod(value, _NS)
        text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{text}.{rest:09}".rstrip("0").rstrip(".") + "Z"
    if type_ in _TEXTS and _utf8(value) is None:
        return f'{_BINARY} "{base64.b64encode(value).decode()}"'
    return shown_scalar(value, type_)


def _scalar(node: yaml.Node, type_: Type) -> Value | None:
    text = node.value if isinstance(node, yaml.ScalarNode) else ""
    if type_ == INSTANT:
        found = _TIME.fullmatch(text)
        if found is None:
            return None
        moment = datetime.fromisoformat(f"{found[1]}+00:00")
        return int(moment.timestamp()) * _NS + int((found[2] or "").ljust(9, "0"))
    if type_ in _TEXTS and node.tag == "tag:yaml.org,2002:binary":
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error:
            return None
    return scalar_from_yaml(node, type_)


def _data_key(value: Value, type_: Type) -> str:
    text = _utf8(value) if type_ in _TEXTS else None
    return stored_text(value, type_) if text is None else text


def _utf8(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _example(type_: Type) -> str:
    match type_:
        case PairType(first=first, second=second):
            return f"[{_example(first)}, {_example(second)}]"
        case VecType(item=item):
            return f"[{_example(item)}]"
        case MapType(key=key, value=kept):
            return f"{{{_example(key)}: {_example(kept)}}}"
    return _EXAMPLES[type_]
