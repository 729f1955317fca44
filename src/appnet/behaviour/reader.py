"""Reads behaviour files: docs/behaviour.md has their keys."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from appnet.application.kinds import BEHAVIOUR, misnamed
from appnet.application.load import LoadedApplication, LoadedChain, load
from appnet.application.model import ElementSpec
from appnet.application.named import named_roots
from appnet.application.proto import ProtoFile, load_proto
from appnet.behaviour.document import (
    OF_INSTANCES,
    Behaviour,
    Case,
    Fields,
    Passes,
    RecordCheck,
    Refuses,
    Replies,
    StateCheck,
    Step,
    StepOutcome,
)
from appnet.behaviour.given import read_given
from appnet.behaviour.values import WrongValue, from_yaml
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.near import suggestion
from appnet.diagnostics.place import Label, Source, Span
from appnet.diagnostics.remedy import near
from appnet.diagnostics.source import base_name, stem
from appnet.diagnostics.yaml_reader import Located, Problems, Section, node_span, read_documents
from appnet.interpret.random import first_draw_seed
from appnet.interpret.rpc import whole_milliseconds
from appnet.interpret.values import Value
from appnet.ir.compile import compile_element
from appnet.ir.nodes import Element, StateClass, StateVariable
from appnet.language import Given
from appnet.language.messages import MessageSchema, MethodSignature
from appnet.language.statuses import STATUS_CODES
from appnet.language.types import STRING, PairType, Type, VecType


@dataclass(frozen=True)
class _Link:
    """An element of the chain under test, before it is compiled."""

    name: str
    source: Source
    parameters: Mapping[str, Given] = field(default_factory=dict)


_TOP_KEYS = ("config", "proto", "protoRoots", "method", "chain", "parameters", "backends", "instances", "cases")
_CASE_KEYS = ("name", "parameters", "backends", "instances", "seed", "draw", "steps", "state", "records", "given")
_KINDS = ("request", "response", "end", *OF_INSTANCES)
_MOST_INSTANCES = 16
_MOST_BACKENDS = 1_000_000
_MOST = 10**9
"""Of numbers that are no seed: as seconds, decades. Clocks of processors count nanoseconds in 64 bits."""
_STEP_KEYS = (
    *_KINDS,
    "call",
    "instance",
    "after",
    "times",
    "metadata",
    "status",
    "forwards",
    "sets",
    "host",
    "waits",
    "refuses",
    "replies",
    "state",
    "records",
)
_ERRORS = tuple(name for name, code in STATUS_CODES.items() if code)
_HEADER = re.compile(r"[a-z0-9._-]+")
_CASE_HELP = "list cases: `- name: …` with `steps:`"
_STEP_HELP = "list steps: `- request: {…}`, `- response: {…}` or `- end: true`"


@dataclass
class _Calls:
    """Of a case: how many instances it has, and the open calls by name, with where they were opened and in which.

    ``fresh``: no call has begun before the case."""

    instances: int
    opened: dict[str, tuple[Span, int]] = field(default_factory=dict)
    fresh: bool = True

    @property
    def spans(self) -> dict[str, Span]:
        return {name: span for name, (span, _) in self.opened.items()}


def load_behaviour(source: Source) -> Behaviour:
    """Reads a behaviour file and compiles its elements. Raises ``DiagnosticError`` with everything that is wrong."""
    problems = Problems(source)
    documents = read_documents(source)
    if (wrong := misnamed(source)) is not None:
        raise DiagnosticError([wrong])
    if len(documents) != 1 or not isinstance(documents[0], yaml.MappingNode):
        span = Span.whole(source)
        help_ = "begin with `proto: FILE`, `method: NAME` and `cases:`"
        raise DiagnosticError(
            [Diagnostic("C070", Severity.ERROR, f"{base_name(source)} is not a behaviour file", span, "", help_)]
        )
    top = Section(documents[0], problems, Span.whole(source))
    top.only(_TOP_KEYS)
    if "config" in top:
        return _of_application(source, top)
    proto_name = top.text("proto", needed="the .proto that declares the method")
    method = top.text("method", needed="the method in it")
    if proto_name is None or method is None:
        problems.raise_any()
    assert proto_name is not None
    assert method is not None
    roots = named_roots(top, "protoRoots")
    if roots is None:
        problems.raise_any()
    proto = load_proto(source.beside(proto_name.value), roots or ())
    return _Reader(source, top, proto, proto.method(method.value, method.span)).read()


def _of_application(source: Source, top: Section) -> Behaviour:
    """The behaviour of all elements of a chain of an application."""
    for key in ("proto", "protoRoots", "chain", "parameters"):
        if key in top:
            span, help_ = top.key_span(key), "remove it: the configuration has it"
            top.problems.add("C010", f"`{key}` beside `config`", span, "set twice", help_)
    name = top.text("config", needed="the AppNetConfig or specification")
    method = top.text("method") if "method" in top else None
    top.problems.raise_any()
    assert name is not None
    application = load(source.beside(name.value))
    if method is not None and [len(it.methods) for it in application.chains] == [1]:
        help_ = "remove it: the configuration has it"
        top.problems.add("C010", "`method` beside `config`", top.key_span("method"), "set twice", help_)
    loaded, signature = _chain_of(application, name, method)
    elements = [it.spec for it in loaded.chain.stops]
    return _Reader(source, top, loaded.proto, signature, elements).read()


def _chain_of(
    application: LoadedApplication, config: Located, method: Located | None
) -> tuple[LoadedChain, MethodSignature]:
    """The chain that carries ``method``, and the method; without one, the only chain with its first method."""
    if method is None:
        if len(application.chains) == 1:
            return application.chains[0], application.chains[0].method
        every = " or ".join(f"`method: {it.method.full_name}`" for it in application.chains)
        title, label = f"{config} has {len(application.chains)} chains", "which one?"
        raise DiagnosticError([Diagnostic("C011", Severity.ERROR, title, config.span, label, f"add {every}")])
    wanted = method.value.strip("/").replace("/", ".")
    methods = {it.signature.full_name: (chain, it.signature) for chain in application.chains for it in chain.methods}
    found = [it for name, it in methods.items() if f".{name[1:]}".replace("/", ".").endswith(f".{wanted}")]
    if len(found) == 1:
        return found[0]
    title = f"no chain of {config} has the method `{method}`" if not found else f"method `{method}` is ambiguous"
    short = {name.rpartition("/")[2]: name for name in methods}
    help_ = suggestion(method.value, methods if found or len(short) < len(methods) else short, what="methods")
    remedies = near(method.span, method.value, [*methods, *short])
    raise DiagnosticError(
        [Diagnostic("C051", Severity.ERROR, title, method.span, "not found", help_, remedies=remedies)]
    )


class _Reader:
    def __init__(
        self,
        source: Source,
        top: Section,
        proto: ProtoFile,
        method: MethodSignature,
        configured: Sequence[ElementSpec] = (),
    ) -> None:
        self._configured = [_Link(it.name.value, it.source, it.parameters) for it in configured]
        self._source = source
        self._top = top
        self._problems = top.problems
        self._proto = proto
        self._method = method

    def read(self) -> Behaviour:
        chain = self._chain()
        nodes = self._top.items("cases", _CASE_HELP) if "cases" in self._top else None
        if nodes is None and "cases" not in self._top:
            self._problems.add("C011", "`cases` is missing", self._top.span, "no `cases` here", _CASE_HELP)
        sections = [self._mapping(node, "a case", _CASE_HELP) for node in nodes or ()]
        cases = [self._case(section, chain) for section in sections if section]
        self._problems.raise_any()
        return Behaviour(self._source, self._proto, self._method, tuple(cases))

    def _mapping(self, node: yaml.Node, what: str, help_: str) -> Section | None:
        span = node_span(self._source, node)
        if isinstance(node, yaml.MappingNode):
            return Section(node, self._problems, span)
        self._problems.add("C012", f"{what} must be a mapping", span, "not a mapping", help_)
        return None

    # --- the chain ---

    def _chain(self) -> list[_Link]:
        top = self._top
        if self._configured:
            return self._configured
        if "chain" not in top:
            tried = base_name(self._source).removesuffix(BEHAVIOUR)
            return [_Link(tried, self._source.beside(f"{tried}.appnet"), _given(top))]
        if "parameters" in top:
            span = top.key_span("parameters")
            help_ = "give each element of the chain its own `parameters`"
            self._problems.add("C010", "`parameters` beside `chain`", span, "for which element?", help_)
        links = []
        for node in top.items("chain", "list elements: `- file: …`") or ():
            section = self._mapping(node, "an element", "write `- file: NAME.appnet`")
            file = section.text("file", needed="the element's `.appnet` file") if section else None
            if section is None or file is None:
                continue
            section.only(("name", "file", "parameters"))
            name = section.text("name") if "name" in section else None
            source = self._source.beside(file.value)
            links.append(_Link(name.value if name else stem(source), source, _given(section)))
        return links

    def _compiled(self, section: Section, chain: list[_Link]) -> tuple[Element, ...]:
        given = _given(section)
        if given and len(chain) > 1:
            span = section.key_span("parameters")
            self._problems.add(
                "C010", "`parameters` of a case with a chain", span, "for which element?", "move them up"
            )
        return tuple(
            compile_element(it.source, self._method, name=it.name, parameters={**it.parameters, **given}).element
            for it in chain
        )

    # --- a case ---

    def _case(self, section: Section, chain: list[_Link]) -> Case:
        section.only(_CASE_KEYS)
        name = section.text("name", needed="what the case shows")
        elements = self._compiled(section, chain)
        instances = self._instances(section, self._instances(self._top, 1))
        given = section.section("given") if "given" in section else None
        calls = _Calls(instances, fresh=given is None)
        steps = []
        for node in section.items("steps", _STEP_HELP) or () if "steps" in section else ():
            step = self._mapping(node, "a step", _STEP_HELP)
            read = self._step(step, elements, calls) if step else None
            steps += [read] if read else []
        if "steps" not in section:
            self._problems.add("C011", "`steps` is missing", section.span, "no `steps` here", _STEP_HELP)
        top_backends = self._number(self._top, "backends", 0, high=_MOST_BACKENDS)
        return Case(
            name.value if name else "",
            section.span,
            elements,
            self._seed(section, elements),
            int(self._number(section, "backends", top_backends, high=_MOST_BACKENDS)),
            tuple(steps),
            self._checks(section, elements),
            instances,
            read_given(given, elements, self._value) if given is not None else None,
        )

    def _instances(self, section: Section, default: int) -> int:
        found = int(self._number(section, "instances", default, low=1))
        if found > _MOST_INSTANCES:
            span, help_ = section.key_span("instances"), f"write a number up to {_MOST_INSTANCES}"
            self._problems.add("C012", f"a case has up to {_MOST_INSTANCES} instances", span, "too many", help_)
            return default
        return found

    def _seed(self, section: Section, elements: Sequence[Element]) -> int:
        """The seed as given, or the one with which the chain's first element first draws ``draw``."""
        if "draw" in section and elements:
            share = self._number(section, "draw", 0.0, real=True)
            if 0.0 <= share < 1.0:
                return first_draw_seed(elements[0].name, share)
            span = section.key_span("draw")
            self._problems.add(
                "C012", "`draw` must be a number in [0, 1)", span, "out of range", "write a number such as 0.25"
            )
        return int(self._number(section, "seed", 1, high=2**64 - 1))

    # --- a step ---

    def _step(self, section: Section, elements: Sequence[Element], calls: _Calls) -> Step | None:
        section.only(_STEP_KEYS)
        kinds = [it for it in _KINDS if it in section]
        if len(kinds) != 1:
            title = f"a step is one event, not {len(kinds)}"
            self._problems.add("C071", title, section.span, " and ".join(kinds), _STEP_HELP)
            return None
        kind = kinds[0]
        if kind in OF_INSTANCES:
            return self._step_of_instances(section, kind, elements, calls)
        call, instance = self._call(section, kind, calls)
        schema = self._method.request if kind == "request" else self._method.response
        outcome = self._outcome(section, schema) if kind != "end" else None
        if kind != "request" or isinstance(outcome, Refuses | Replies):
            calls.opened.pop(call, None)
        return Step(
            section.span,
            kind,
            call,
            *self._passing(section),
            self._fields(section, kind, schema) if kind != "end" else {},
            self._headers(section, "metadata"),
            self._status(section, kind),
            outcome,
            self._checks(section, elements),
            instance,
        )

    def _step_of_instances(self, section: Section, kind: str, elements: Sequence[Element], calls: _Calls) -> Step:
        """A step at which instances merge their state or begin anew, or the store leaves or comes back."""
        for key, _ in section.values():
            if key not in {kind, "instance", "after", "times", "state", "records"}:
                span, help_ = section.key_span(key), "give it a step of its own"
                self._problems.add("C071", f"`{key}` of a `{kind}`", span, "it is no call's", help_)
        of, away = tuple(range(calls.instances)), False
        if kind == "store":
            said = section.text(kind)
            away = said is not None and said.value == "away"
            if said is not None and said.value not in {"away", "back"}:
                help_ = "write `store: away` or `store: back`"
                self._problems.add("C012", "the store is `away` or `back`", said.span, "neither", help_)
        elif (entry := section.scalar(kind)) is not None and entry[0] is not True:
            of = (self._instance(section, kind, calls.instances),)
        if kind == "restart":
            calls.opened = {name: it for name, it in calls.opened.items() if it[1] not in of}
        after_ns, times = self._passing(section)
        checks = self._checks(section, elements)
        instance = self._instance(section, "instance", calls.instances)
        return Step(section.span, kind, "", after_ns, times, {}, {}, 0, None, checks, instance, of, away)

    def _instance(self, section: Section, key: str, instances: int) -> int:
        """The number of an instance; the first, 0, by default."""
        found = int(self._number(section, key, 0))
        if found < instances:
            return found
        title = f"there is no instance {found}"
        label = f"the case has {instances}, numbered from 0"
        self._problems.add("C012", title, section.key_span(key), label, "add `instances: N` to the case")
        return 0

    def _passing(self, section: Section) -> tuple[int, int]:
        """What time passes before the step, in nanoseconds, and how often it happens."""
        after = round(self._number(section, "after", 0.0, real=True) * 1e9)
        return after, int(self._number(section, "times", 1, low=1))

    def _call(self, section: Section, kind: str, calls: _Calls) -> tuple[str, int]:
        """The call that the step is of: the one named, a new one, or the one opened last; and the instance it is in."""
        open_calls = calls.spans
        named = section.text("call") if "call" in section else None
        name = (
            named.value if named else f"#{section.span.line}" if kind == "request" else next(reversed(open_calls), "")
        )
        if kind == "request":
            if name in open_calls and named:
                title, first = f"call `{name}` is already open", Label(open_calls[name], "opened here")
                self._problems.add("C072", title, named.span, "a second request", "end it first", first)
            span, instance = named.span if named else section.span, self._instance(section, "instance", calls.instances)
            calls.opened[name] = span, instance
            return name, instance
        if "instance" in section:
            title, span = f"`instance` of a {kind}", section.key_span("instance")
            self._problems.add("C071", title, span, "it is where its request was", "write it at the request")
        if name not in open_calls and calls.fresh:
            title = f"no call `{name}` is open" if name else "no call is open"
            help_ = suggestion(name, open_calls, what="open calls")
            self._problems.add("C072", title, named.span if named else section.span, f"`{kind}` of which call?", help_)
        _, instance = calls.opened.get(name, (None, 0))
        return name, instance

    def _outcome(self, section: Section, schema: MessageSchema) -> StepOutcome:
        if "replies" in section:
            return self._reply(section)
        if "refuses" not in section:
            host = int(self._number(section, "host", 0)) if "host" in section else None
            wait_ms = whole_milliseconds(float(self._number(section, "waits", 0.0, real=True)))
            return Passes(self._fields(section, "forwards", schema), self._headers(section, "sets"), host, wait_ms)
        for key in ("forwards", "sets", "host", "waits"):
            if key in section:
                span = section.key_span(key)
                self._problems.add(
                    "C071", f"`{key}` of a refusal", span, "the message does not go on", f"remove `{key}` or `refuses`"
                )
        text = section.text("refuses", needed="a gRPC code and a text")
        code, _, message = text.value.partition(" ") if text else ("OK", "", "")
        if text and code not in _ERRORS:
            help_ = suggestion(code, _ERRORS, what="codes")
            title, first = f"there is no gRPC code `{code}`", text.span.of_first(len(code), text.value)
            remedies = near(first, code, _ERRORS) if first else ()
            self._problems.add("C073", title, text.span, "not a code", help_, remedies=remedies)
            return Refuses(0, b"")
        return Refuses(STATUS_CODES[code], message.encode())

    def _reply(self, section: Section) -> StepOutcome:
        for key in ("forwards", "sets", "host", "waits", "refuses", "response"):
            if key in section:
                span = section.key_span(key)
                help_ = f"remove `{key}` or `replies`"
                self._problems.add("C071", f"`{key}` beside a reply", span, "the element replies", help_)
        return Replies(self._fields(section, "replies", self._method.response))

    def _status(self, section: Section, kind: str) -> int:
        text = section.text("status") if "status" in section else None
        if text is None:
            return 0
        if kind != "response":
            help_ = "only a response has a status"
            self._problems.add("C071", f"`status` of a {kind}", section.key_span("status"), "not a response", help_)
        if text.value not in STATUS_CODES:
            help_ = suggestion(text.value, STATUS_CODES, what="codes")
            title, remedies = f"there is no gRPC code `{text}`", near(text.span, text.value, STATUS_CODES)
            self._problems.add("C073", title, text.span, "not a code", help_, remedies=remedies)
            return 0
        return STATUS_CODES[text.value]

    def _fields(self, section: Section, key: str, schema: MessageSchema) -> Fields:
        inner = section.section(key) if key in section else None
        return dict(self._values(inner, schema)) if inner else {}

    def _values(self, section: Section, schema: MessageSchema, prefix: str = "") -> list[tuple[str, Value]]:
        found: list[tuple[str, Value]] = []
        by_folded = {path.casefold(): it for path, it in schema.fields.items()}
        for name, node in section.values():
            path = prefix + name
            known = schema.fields.get(path) or by_folded.get(path.casefold())
            if known is not None:
                rival = next((it for it, _ in found if it in schema.rivals(known.path)), None)
                if rival is not None:
                    title = f"no {schema.full_name} has both `{rival}` and `{path}`"
                    help_ = "remove one of them"
                    self._problems.add("C074", title, section.key_span(name), "another member of the oneof", help_)
                value = self._value(node, known.type)
                found += [(known.path, value)] if value is not None else []
            elif isinstance(node, yaml.MappingNode):
                found += self._values(Section(node, self._problems), schema, f"{path}.")
            else:
                help_ = suggestion(path, schema.fields, what=f"fields of {schema.full_name}")
                title, span = f"{schema.full_name} has no field `{path}`", section.key_span(name)
                meant = near(span, path, schema.fields, lambda it: it.removeprefix(prefix))
                self._problems.add("C074", title, span, "no such field", help_, remedies=meant)
        return found

    def _headers(self, section: Section, key: str) -> dict[str, bytes]:
        inner = section.section(key) if key in section else None
        found: dict[str, bytes] = {}
        for name, node in inner.values() if inner else ():
            value = self._value(node, STRING)
            if value is not None and _HEADER.fullmatch(name):
                found[name] = value
            elif value is not None and inner:
                help_ = "gRPC metadata keys consist of a-z, 0-9, `.`, `_` and `-`"
                self._problems.add("C074", f"`{name}` is not a metadata key", inner.key_span(name), "not a key", help_)
        return found

    # --- what must hold ---

    def _checks(self, section: Section, elements: Sequence[Element]) -> list[StateCheck | RecordCheck]:
        checks: list[StateCheck | RecordCheck] = []
        for key in ("state", "records"):
            inner = section.section(key) if key in section else None
            for name, node in inner.values() if inner else ():
                assert inner is not None
                found = self._variable(name, key, elements, inner.key_span(name))
                if found is None:
                    continue
                value = self._value(node, found[1].type)
                make = StateCheck if key == "state" else RecordCheck
                checks += [make(*found, value, inner.key_span(name))] if value is not None else []
        return checks

    def _variable(
        self, name: str, key: str, elements: Sequence[Element], span: Span
    ) -> tuple[str, StateVariable] | None:
        """The variable ``ELEMENT.NAME``, or ``NAME`` where there is one element."""
        wanted = {StateClass.RECORD} if key == "records" else {*StateClass} - {StateClass.RECORD, StateClass.RPC_SCOPED}
        known = {
            variable.name if len(elements) == 1 else f"{element.name}.{variable.name}": (element.name, variable)
            for element in elements
            for variable in element.state
        }
        if name not in known:
            help_ = suggestion(name, known, what="state variables")
            title, remedies = f"there is no state variable `{name}`", near(span, name, known)
            self._problems.add("C075", title, span, "not in the element", help_, remedies=remedies)
            return None
        element, variable = known[name]
        if variable.state_class not in wanted:
            title = f"`{name}` is {variable.state_class.value}, so it does not belong under `{key}`"
            help_ = (
                "record streams belong under `records`, other state under `state`; state of a call ends with the call"
            )
            self._problems.add("C075", title, span, "not here", help_)
            return None
        return element, variable

    # --- values ---

    def _value(self, node: yaml.Node, type_: Type) -> Value | None:
        try:
            return from_yaml(node, type_)
        except WrongValue as error:
            span = node_span(self._source, error.node)
            help_ = "write pairs and Vecs as lists, Maps as mappings" if isinstance(type_, PairType | VecType) else ""
            title = f"expected a value of type {error.wanted}"
            self._problems.add("C012", title, span, "wrong type", help_ or "write a value of that type")
            return None

    def _number(
        self, section: Section, key: str, default: float, *, real: bool = False, low: int = 0, high: int = _MOST
    ) -> float:
        if key not in section:
            return default
        entry = section.scalar(key)
        if entry is None:
            return default
        value, span = entry
        if isinstance(value, bool | str) or not low <= value <= high or (not real and not isinstance(value, int)):
            wanted = f"a number of at least {low}" if real else f"a whole number of at least {low}"
            if not isinstance(value, bool | str) and value > high:
                wanted += f", and at most {high}"
            self._problems.add("C012", f"`{key}` must be {wanted}", span, "wrong type", f"write {wanted}")
            return default
        return value


def _given(section: Section) -> dict[str, Given]:
    entries = section.scalars("parameters") if "parameters" in section else {}
    return {key: Given(value, span) for key, (value, span) in entries.items()}
