"""A refusal as a behaviour file of one case."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import yaml

from appnet.application.model import ElementSpec
from appnet.behaviour.document import Case, Given
from appnet.behaviour.run import status_name
from appnet.behaviour.subject import REQUEST_HEADERS, RESPONSE_HEADERS
from appnet.interpret.rpc import Repeated
from appnet.interpret.shown import CLOCK_START_NS
from appnet.interpret.values import Value
from appnet.ir.nodes import Element
from appnet.language.messages import MethodSignature
from appnet.language.types import BYTES, INSTANT, STRING, MapType, PairType, Type, VecType


class NotWritableError(Exception):
    """What of the case a file cannot say, as a clause that follows "because"."""


def case_file(case: Case, method: MethodSignature, element: ElementSpec, proto: str) -> dict[str, Any]:
    """The file as data; files are as ``element`` and ``proto`` have them. Raises `NotWritableError`."""
    compiled = case.elements[0]
    (step,) = case.steps
    outcome: Any = step.outcome
    schema = method.response if step.kind == "response" else method.request
    usual = RESPONSE_HEADERS if step.kind == "response" else REQUEST_HEADERS
    fields = {path: _value(it, schema.field(path).type) for path, it in step.fields.items()}
    if any(path not in schema.fields for path in fields):
        raise NotWritableError("a field that holds messages is read as a whole")
    event: dict[str, Any] = {step.kind: fields}
    metadata = {key: _header(it) for key, it in step.metadata.items() if usual.get(key) != it}
    event |= {"metadata": metadata} if metadata else {}
    event |= {"status": status_name(step.status)} if step.status else {}
    event["refuses"] = f"{status_name(outcome.code)} {_text(outcome.text)}".rstrip()
    parameters = {key: it.value for key, it in element.parameters.items()}
    link = {"file": str(element.source.path), "name": compiled.name} | (
        {"parameters": parameters} if parameters else {}
    )
    one: dict[str, Any] = {"name": case.name}
    one |= {"backends": case.backends} if case.backends else {}
    assert case.given is not None
    one["given"] = _given(case.given, compiled)
    one["steps"] = [event]
    return {"proto": proto, "method": method.full_name.removeprefix("/"), "chain": [link], "cases": [one]}


def case_text(document: Mapping[str, Any], comment: str) -> str:
    """The text of the file, which begins with the comment."""
    lines = "".join(f"# {it}\n" for it in comment.splitlines())
    return lines + yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=120)


def _given(given: Given, element: Element) -> dict[str, Any]:
    types = {it.name: it.type for it in element.state}
    state = {name: _value(value, types[name]) for (_, name), value in given.state.items()}
    found: dict[str, Any] = {"state": state} if state else {}
    found |= {"call": given.call} if given.call != 1 else {}
    found |= {"began": True} if given.began else {}
    found |= {"draws": list(given.draws)} if given.draws else {}
    found |= {"wall": given.wall_ns} if given.wall_ns is not None else {}
    found |= {"deadline": given.deadline_ns} if given.deadline_ns is not None else {}
    asks = any(it.effects.reads_size for it in element.handlers.values())
    found |= {"size": given.size} if asks and given.size is not None else {}
    found |= {"authority": _text(given.authority)} if given.authority else {}
    found |= {"peer": _text(given.peer)} if given.peer else {}
    found |= {"trailers": {key: _header(it) for key, it in given.trailers.items()}} if given.trailers else {}
    return found | ({"loads": dict(given.loads)} if given.loads else {})


def _header(value: bytes) -> str:
    if isinstance(value, Repeated):
        raise NotWritableError("a key of metadata came several times")
    return _text(value)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise NotWritableError("a text is no UTF-8") from None


def _value(value: Value, type_: Type) -> Any:
    match type_:
        case PairType(first=first, second=second):
            return [_value(value[0], first), _value(value[1], second)]
        case VecType(item=item):
            return [_value(it, item) for it in value]
        case MapType(key=key, value=kept):
            if isinstance(key, PairType):
                raise NotWritableError("a Map has pairs for keys")
            return {_value(k, key): _value(v, kept) for k, v in value.items()}
    if type_ in {STRING, BYTES}:
        return _text(value)
    if type_ == INSTANT:
        return (value - CLOCK_START_NS) / 1e9
    if isinstance(value, float) and math.isnan(value):
        return math.nan
    return value
