"""A chain of elements as one C file, behind which the runtime and a host are included."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from appnet.codegen.c.printer.context import ElementContext
from appnet.codegen.c.printer.element import ElementPrinter
from appnet.codegen.c.printer.method import MethodPrinter
from appnet.codegen.c.printer.tallies import Tallies
from appnet.codegen.c.printer.text import Names, comment, indent, literal
from appnet.codegen.c.printer.types import Types
from appnet.diagnostics.diagnostic import InternalError
from appnet.ir.nodes import Element, HandlerEffects, StateClass
from appnet.ir.numbering import Numbering, numbering
from appnet.ir.secrets import ChainSecrets
from appnet.ir.sharing import (
    Sharing,
    as_merged,
    shared_variables,
    shares,
    shares_of,
    steps_in_store,
    tried_by_steps,
    unavailable_of,
)
from appnet.ir.walk import call_of, statements
from appnet.language.messages import MethodSignature

_INCLUDES = (
    "program.h",
    "instance.h",
    "telemetry.h",
    "metrics.h",
    "value.h",
    "vec.h",
    "map.h",
    "lists.h",
    "text.h",
    "string_ops.h",
    "metadata.h",
    "deadline.h",
    "response.h",
    "steps.h",
    "merging.h",
    "base64.h",
    "crypto.h",
    "compress.h",
    "wire.h",
    "why.h",
)


@dataclass(frozen=True)
class ChainSource:
    """What a module is made of.

    ``methods``: each with its elements in order from client to server. Names of elements are unique on a method;
    one that stands on several is one element, with one state, compiled for each of them. ``ahead``: names of methods
    whose headers may come while the message is still to pass elements in modules before this one. ``numbering``: whence
    calls have their numbers; by default the module is the only one of its proxy. ``beside``: what else calls of these
    methods pass, whose secrets may come here.
    """

    name: str
    version: str
    methods: Sequence[tuple[MethodSignature, Sequence[Element]]]
    ahead: frozenset[str] = frozenset()
    numbering: Numbering | None = None
    beside: Sequence[tuple[MethodSignature, Sequence[Element]]] = ()


@dataclass(frozen=True)
class Code:
    """A chain and its C text; ``version`` follows from the text. ``by_hand``: it was not printed, but written."""

    chain: ChainSource
    text: str
    version: str
    by_hand: bool = False


def print_chain(chain: ChainSource) -> str:
    """The chain as C11, for `appnet.codegen.c.build.build`.

    Raises `InternalError` where two elements of a method, or two methods, have the same name, or an element has
    another state on another method.
    """
    printer = _ChainPrinter(chain)
    body = printer.body()
    return "\n".join([*printer.head(chain.version), *body])


def print_by_content(chain: ChainSource, salt: str) -> Code:
    """The chain with a version that follows from the text and ``salt``, instead of its own."""
    printer = _ChainPrinter(chain)
    body = printer.body()
    content = "\n".join([salt, *printer.head(""), *body])
    version = hashlib.sha256(content.encode()).hexdigest()[:12]
    return Code(chain, "\n".join([*printer.head(version), *body]), version)


class _ChainPrinter:
    def __init__(self, chain: ChainSource) -> None:
        _verify(chain)
        self._chain = chain
        self._types = Types()
        self._tallies = Tallies([method.full_name for method, _ in chain.methods])
        self._secrets = ChainSecrets([*chain.methods, *chain.beside])
        self._streams: list[tuple[str, str]] = []
        self._sharers: list[str] = []
        self._elements: dict[str, ElementPrinter] = {}
        self._methods: list[MethodPrinter] = []
        names = Names("e_")
        self._numbering = chain.numbering or numbering((), (it for _, all_ in chain.methods for it in all_), ())
        self._has_init = any(element.init.statements for _, elements in chain.methods for element in elements)
        for number, (method, elements) in enumerate(chain.methods):
            printers = [self._element(element, method, number, names) for element in elements]
            ahead = method.full_name in chain.ahead
            self._methods.append(MethodPrinter(method, number, printers, broken=self._has_init, ahead=ahead))

    def _element(self, element: Element, method: MethodSignature, number: int, names: Names) -> ElementPrinter:
        if element.name in self._elements:
            there = self._elements[element.name].context
            functions = names[f"{element.name} on {number}"]
            return ElementPrinter(replace(there, element=as_merged(element), method=method, functions=functions))
        members = Names("s_")
        records = {}
        for variable in element.state:
            if variable.state_class is StateClass.RECORD:
                records[variable.name] = len(self._streams)
                self._streams.append((element.name, variable.name))
        given = {variable.name: members[variable.name] for variable in element.state}
        index, name = len(self._elements), names[element.name]
        sharer = len(self._sharers) if steps_in_store(element) else None
        tried = frozenset[str]()
        compiled = [it for _, all_ in self._chain.methods for it in all_ if it.name == element.name]
        if sharer is not None:
            tried = tried_by_steps(compiled)
            self._sharers.append(_sharer(element, index, tried))
        context = ElementContext(
            *(as_merged(element), method, index, name, name, given, records, self._types, self._tallies, self._secrets),
            *(shares_of(compiled), sharer, tried),
        )
        printer = ElementPrinter(context)
        self._elements[element.name] = printer
        return printer

    def body(self) -> list[str]:
        """The file from the types on; to be called once, and before `head`."""
        # Functions and structs are printed first: what they use of the types is known then.
        functions = [line for element in self._elements.values() for line in _spaced(element.init())]
        for method in self._methods:
            functions += [*method.handlers(), *method.dispatch()]
        structs = self._structs()
        instance = [*self._init(), *self._destroy(), *self._dump()]
        tables = self._tables()
        types = [*self._types.lines, ""] if self._types.lines else []
        return [*types, *structs, *functions, *instance, *tables]

    def head(self, version: str) -> list[str]:
        """The first lines: what the chain is, and what the host has to do for it."""
        responses = [method.response for method in self._methods]
        wants = {
            "REQUEST_BODY": any(method.request.needs_body for method in self._methods),
            "LATE_REQUEST_HEADERS": any(method.request.reads_late for method in self._methods),
            "RESPONSE": any(not side.empty for side in responses),
            "RESPONSE_END": any(side.needs_body or side.needs_status for side in responses),
            "STATE": bool(self._variables()) or self._numbering.counts,
            "DEADLINES": any(method.sets_deadlines for method in self._methods),
            "REPLY": any(method.replies for method in self._methods),
            "STORE": any(shared_variables(element) for _, all_ in self._chain.methods for element in all_),
            "STEPS": bool(self._sharers),
            **self._asked_for(),
        }
        lines = [
            comment(f"The chain {self._chain.name}, version {version}, as `appnet` printed it."),
            f"#define APPNET_NAME {_text(self._chain.name)}",
            f"#define APPNET_VERSION {_text(version)}",
            f"#define APPNET_METHODS {'appnet_methods' if self._methods else 'NULL'}",
            f"#define APPNET_METHOD_COUNT {len(self._methods)}",
            *(f"#define APPNET_WANTS_{name} {int(value)}" for name, value in wants.items()),
            "",
            *(f'#include "{name}"' for name in _INCLUDES),
        ]
        return [*lines, ""]

    def _asked_for(self) -> dict[str, bool]:
        """What handlers ask the host for: one that cannot be called back has it ready before."""
        elements = [it for _, all_ in self._chain.methods for it in all_]
        early = [handler.effects for it in elements for handler in (it.open, it.req) if handler is not None]
        late = [handler.effects for it in elements for handler in (it.resp, it.end) if handler is not None]
        used = {call.op for it in elements for body in it.bodies for one in statements(body) if (call := call_of(one))}
        deadline = any(method.asks_for_deadlines for method in self._methods)
        clock = any(it.uses_time or it.reads_backends for it in [*early, *late])
        return {
            "REQUEST_METADATA": self._numbering.takes or any(it.metadata_read for it in early),
            "RESPONSE_METADATA": any(_uses_metadata(it) for it in late),
            "AUTHORITY": "authority" in used,
            "PEER": "peer" in used,
            "DEADLINE": deadline,
            "SIZE": any(it.reads_size for it in [*early, *late]),
            "CLOCK": deadline or clock or bool(self._streams),
        }

    def _structs(self) -> list[str]:
        lines: list[str] = []
        kinds = [("appnet_state", "", [(e, e.state_struct()) for e in self._elements.values()])]
        kinds.append(("appnet_call_state", "_call", [(e, e.call_struct()) for e in self._elements.values()]))
        for name, suffix, structs in kinds:
            members = ["bool broken; /* init ran out of memory */"] if name == "appnet_state" and self._has_init else []
            for element, struct in structs:
                lines += _spaced(struct)
                c_name = element.context.name
                members += [f"struct {c_name}{suffix} {c_name};"] if struct else []
            if members:
                lines += [f"struct {name} {{", *indent(members), "};", ""]
        return lines

    def _init(self) -> list[str]:
        head = "static void appnet_init(an_instance *instance) {"
        if not self._has_init:
            return [head, "  (void)instance;", "}", ""]
        runs = [f"{element.context.name}_init(&scope);" for element in self._elements.values() if element.has_init]
        return [
            head,
            "  struct appnet_state *const state = instance->state;",
            "  an_call *const call = an_call_new(instance, NULL); /* lends its arena */",
            "  an_scope scope = {.call = call};",
            "  if (call != NULL) {",
            *(f"    {run}" for run in runs),
            "  }",
            "  state->broken = call == NULL || scope.failed;",
            *(f"  {line}" for element in self._elements.values() if element.has_init for line in element.flush()),
            "  an_call_free(call);",
            "}",
            "",
        ]

    def _destroy(self) -> list[str]:
        body = [line for element in self._elements.values() for line in element.destroy()]
        return ["static void appnet_destroy(an_instance *instance) {", *indent(body or ["(void)instance;"]), "}", ""]

    def _dump(self) -> list[str]:
        body = [line for element in self._elements.values() for line in element.dump()] or [
            "(void)instance;",
            "(void)out;",
        ]
        return ["static void appnet_dump(an_instance *instance, an_text *out) {", *indent(body), "}", ""]

    def _tables(self) -> list[str]:
        lines = [line for method in self._methods for line in method.fields()]
        entries = [line for method in self._methods for line in method.entry()]
        lines += _table("static const an_method appnet_methods[]", entries)
        names = [f"{_text(name)}," for name in self._elements]
        lines += _table("static const char *const appnet_elements[]", names)
        streams = [f"{{{_text(element)}, {_text(variable)}}}," for element, variable in self._streams]
        lines += _table("static const an_record_stream appnet_records[]", streams)
        lines += _table("static const uint32_t appnet_evictors[]", self._evictors())
        lines += _table("static const an_tally_entry appnet_tallies[]", self._tallies.entries())
        lines += _table("static const an_variable appnet_variables[]", self._variables())
        lines += _table("static const an_sharer appnet_sharers[]", self._sharers)
        return [*lines, "", *self._program_table()]

    def _evictors(self) -> list[str]:
        return [f"{element.context.index}," for element in self._elements.values() if element.evicts]

    def _variables(self) -> list[str]:
        return [entry for element in self._elements.values() for entry in element.variables()]

    def _program_table(self) -> list[str]:
        has_state = self._has_init or any(element.state_struct() for element in self._elements.values())
        has_call_state = any(element.call_struct() for element in self._elements.values())
        values = {
            "name": "APPNET_NAME",
            "state_size": "sizeof(struct appnet_state)" if has_state else "0",
            "call_state_size": "sizeof(struct appnet_call_state)" if has_call_state else "0",
            "elements": "appnet_elements" if self._elements else "NULL",
            "element_count": str(len(self._elements)),
            "variables": "appnet_variables" if self._variables() else "NULL",
            "variable_count": str(len(self._variables())),
            "sharers": "appnet_sharers" if self._sharers else "NULL",
            "sharer_count": str(len(self._sharers)),
            "methods": "APPNET_METHODS",
            "method_count": "APPNET_METHOD_COUNT",
            "records": "appnet_records" if self._streams else "NULL",
            "record_count": str(len(self._streams)),
            "deadlines": str(any(method.asks_for_deadlines for method in self._methods)).lower(),
            **{f"numbers.{name}": str(it).lower() for name, it in vars(self._numbering).items()},
            "clocks": "APPNET_WANTS_CLOCK",
            "evictors": "appnet_evictors" if self._evictors() else "NULL",
            "evictor_count": str(len(self._evictors())),
            "tallies": "appnet_tallies" if self._tallies.entries() else "NULL",
            "tally_count": str(len(self._tallies.entries())),
            "tally_cells": str(self._tallies.cells),
            "init": "appnet_init",
            "destroy": "appnet_destroy",
            "dump": "appnet_dump",
        }
        entries = [f".{name} = {value}," for name, value in values.items()]
        return [*_table("const an_program appnet_program", entries), ""]


def _sharer(element: Element, index: int, tried: frozenset[str]) -> str:
    """The entry of an element in the table of those that have state in the store."""
    found = shares(element)
    meets = any(found[it].sharing is not Sharing.SHARED for it in tried)
    goes_on = unavailable_of(element) == "local"
    return f"{{{index}, {str(goes_on).lower()}, {str(meets).lower()}}},"


def _uses_metadata(effects: HandlerEffects) -> bool:
    return any((effects.metadata_read, effects.metadata_written, effects.trailers_read, effects.trailers_written))


def _verify(chain: ChainSource) -> None:
    methods = [method.full_name for method, _ in chain.methods]
    _verify_once("methods are there once", methods)
    names: dict[str, Element] = {}
    for _, elements in chain.methods:
        _verify_once("elements of a method have names of their own", [element.name for element in elements])
        for element in elements:
            if names.setdefault(element.name, element).state != element.state:
                raise InternalError("an element has the same state on all methods", element.name)
    for text in (chain.name, chain.version, *names, *methods):
        if "\0" in text:
            raise InternalError("names have no byte 0", text)


def _verify_once(rule: str, texts: list[str]) -> None:
    twice = [text for text, count in Counter(texts).items() if count > 1]
    if twice:
        raise InternalError(rule, twice[0])


def _text(text: str) -> str:
    return literal(text.encode())


def _spaced(lines: list[str]) -> list[str]:
    return [*lines, ""] if lines else []


def _table(head: str, entries: list[str]) -> list[str]:
    return [f"{head} = {{", *indent(entries), "};"] if entries else []
