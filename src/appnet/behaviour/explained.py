"""A refusal explained, as data: what `appnetctl why` asks a control plane for."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from appnet.application.model import ElementSpec
from appnet.application.proto import ProtoFile
from appnet.behaviour.run import status_name
from appnet.behaviour.saved import NotWritableError, case_file
from appnet.behaviour.why import NoReplayError, Replay, described, replay, typed
from appnet.interpret.shown import plain
from appnet.ir.nodes import Element
from appnet.ir.rows import match_action_rows
from appnet.language.messages import MethodSignature
from appnet.language.types import MapType, Type
from appnet.observe.records import RecordValue
from appnet.observe.refusals import Kind, Read, Refusal, RefusalStore, Told

_ORIGINS = {
    "version": "appnet.version",
    "processor": "appnet.processor",
    "client": "appnet.client",
    "server": "appnet.server",
    "side": "appnet.side",
}


@dataclass(frozen=True)
class Program:
    """What an element of a version was made of, for one method. ``spec``: as the application names it."""

    element: Element
    method: MethodSignature
    proto: ProtoFile
    spec: ElementSpec


Programs = Callable[[Refusal], Program | None]
"""The program of the very version that refused; None where it is not known any more."""


class RefusalsPage:
    """Serves ``/refusals`` of ``refusals``: the one of ``?call=ID``, or the last one of ``?element=NAME``."""

    def __init__(self, refusals: RefusalStore, programs: Programs) -> None:
        self._refusals, self._programs = refusals, programs

    def add_to(self, application: web.Application) -> None:
        """Adds its route."""
        application.router.add_get("/refusals", self._page)

    async def _page(self, request: web.Request) -> web.Response:
        call, element = request.query.get("call", ""), request.query.get("element", "")
        if element:
            last = self._refusals.last_of(element)
            found = [last] if last is not None else []
            missing = f"no refusal of {element} is known; {self._known()}"
        else:
            found = self._refusals.of_call(call)
            missing = f"no refusal of a call with the x-request-id or trace id {call} is known; {self._known()}"
        if not found:
            return web.json_response({"refusals": [], "missing": missing})
        return web.json_response({"refusals": [explained(it, self._programs(it)) for it in found]})

    def _known(self) -> str:
        names = self._refusals.elements()
        return f"elements that have refused calls: {', '.join(names)}" if names else "no element has told of any"


def explained(refusal: Refusal, program: Program | None) -> dict[str, Any]:
    """All that is known of the refusal, with its replay."""
    element = program.element if program is not None else None
    found: dict[str, Any] = {
        "time_ns": refusal.time_ns,
        "element": refusal.element,
        "handler": refusal.handler,
        "method": refusal.method,
        "row": _row(refusal, element),
        "code": status_name(refusal.code),
        "text": _plain(refusal.text),
        "request_id": refusal.request_id,
        "trace_id": refusal.trace_id,
        **{name: _plain(refusal.resource.get(key, "")) for name, key in _ORIGINS.items()},
        "left_out": refusal.left_out,
        "cut": refusal.cut,
        "reads": [_read(it, program, refusal.handler) for it in refusal.reads if it.kind is not Kind.ADDED],
    }
    return found | _replayed(refusal, program)


def _replayed(refusal: Refusal, program: Program | None) -> dict[str, Any]:
    if program is None:
        return {"replay": {"agrees": None, "because": "its version is not known here any more"}, "case": None}
    try:
        again = replay(refusal, program.element, program.method, program.proto, program.spec.source)
    except NoReplayError as error:
        return {"replay": {"agrees": None, "because": str(error)}, "case": None}
    got = None if again.got is None else {"code": status_name(again.got.code), "text": _plain(again.got.text)}
    where = again.trace.refused.span if again.trace is not None and again.trace.refused is not None else None
    line = (
        {
            "file": where.source.name,
            "line": where.line,
            "text": where.source.text().splitlines()[where.line - 1].strip(),
        }
        if where is not None
        else None
    )
    told = {"agrees": again.agrees, "row": again.row, "verdict": got, "place": line}
    return {"replay": told, "case": _case(again, program)}


def _case(again: Replay, program: Program) -> Any:
    """The file of the case; a text says why there is none."""
    source, proto = program.spec.source.path, program.proto.source.path
    if source is None or proto is None:
        return "its files are in the cluster"
    try:
        return case_file(again.case, program.method, program.spec, str(proto))
    except NotWritableError as error:
        return str(error)


def _row(refusal: Refusal, element: Element | None) -> dict[str, Any] | None:
    if refusal.row is None:
        return None
    handler = element.handlers.get(refusal.handler) if element is not None else None
    rows = match_action_rows(handler.body) if handler is not None else []
    same = [it for it in rows if it.number == refusal.row]
    row = next((it for it in same if any(one.startswith("refuse") for one in it.actions)), None)
    row = row or (same[0] if same and refusal.row else None)
    told = {"match": row.match, "actions": list(row.actions)} if row is not None else {}
    return {"number": refusal.row, **told}


def _read(read: Read, program: Program | None, handler: str) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": read.kind.name.lower(), "name": read.name, "what": described(read)}
    found |= {"key": _plain(read.key)} if read.key is not None else {}
    if read.told is Told.SECRET:
        return found | {"secret": True}
    value = _plain(read.value)
    if read.kind is Kind.DRAW and isinstance(read.value, int):
        value = read.value % 2**64 / 2**64
    type_ = _type_of(read, program, handler)
    if type_ is not None:
        try:
            if read.kind is Kind.ENTRY:
                value = [plain(typed(it, type_), type_) for it in read.value]  # type: ignore[union-attr]
            else:
                value = plain(typed(read.value, type_), type_)
        except (NoReplayError, TypeError):
            pass
    if read.kind is Kind.ENTRY and isinstance(value, list):
        value = value[0] if value else None
    return found | {"value": value} | ({"cut": True} if read.told is Told.CUT else {})


def _type_of(read: Read, program: Program | None, handler: str) -> Type | None:
    if program is None:
        return None
    schema = program.method.response if handler == "resp" else program.method.request
    if read.kind is Kind.FIELD and (read.name in schema.fields or read.name in schema.messages):
        return schema.field(read.name).type
    variable = next((it for it in program.element.state if it.name == read.name), None)
    if variable is None or read.kind not in {Kind.STATE, Kind.WHOLE, Kind.ENTRY}:
        return None
    return variable.type.value if read.kind is Kind.ENTRY and isinstance(variable.type, MapType) else variable.type


def _plain(value: RecordValue) -> Any:
    """As JSON has it; bytes that are no UTF-8 in base64."""
    if isinstance(value, tuple):
        return [_plain(it) for it in value]
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}
