"""An application with everything that its files name, read and checked: what compilers and runners start from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import yaml

from appnet.application.appnet_config import read_config
from appnet.application.kinds import no_application
from appnet.application.manifest import Manifest, load_manifest
from appnet.application.methods import methods_of, told_once
from appnet.application.model import Application, Chain, ElementSpec, Form
from appnet.application.proto import ProtoFile, load_proto
from appnet.application.proto_files import ProtoRoot
from appnet.application.secret_fields import meant, wrong_names
from appnet.application.specification import is_specification, read_specification
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.place import Label, Source, Span
from appnet.diagnostics.yaml_reader import Located, Problems, read_documents
from appnet.ir.compile import CompiledElement, compile_program
from appnet.ir.nodes import Element
from appnet.language import read
from appnet.language.messages import MethodSignature
from appnet.language.syntax import Program

K = TypeVar("K")
T = TypeVar("T")

_Proto = tuple[Source, tuple[ProtoRoot, ...]]
"""A .proto with the roots that are given with it."""

_Messages = tuple[_Proto, frozenset[str]]
"""A .proto with the fields that are secret because a configuration says so."""


@dataclass(frozen=True)
class BoundMethod:
    """A method of an edge, and the elements on it, by name, as compiled for its messages."""

    signature: MethodSignature
    elements: Mapping[str, Element]


@dataclass(frozen=True)
class LoadedChain:
    """A chain with its elements compiled: what plans are made for. An element has one state for all ``methods``."""

    chain: Chain
    methods: tuple[BoundMethod, ...]
    proto: ProtoFile

    @property
    def method(self) -> MethodSignature:
        """The first method."""
        return self.methods[0].signature

    @property
    def elements(self) -> Mapping[str, Element]:
        """The elements as the first method has them; for the others they differ in nothing but the messages."""
        return self.methods[0].elements


@dataclass(frozen=True)
class LoadedApplication:
    """An application with all that it names. ``chains``: those of ``application``, in their order.

    ``warnings`` are those of all elements. ``sources``: everything that it was read from, its own files first.
    """

    application: Application
    manifest: Manifest
    chains: tuple[LoadedChain, ...]
    warnings: tuple[Diagnostic, ...]
    sources: tuple[Source, ...]


Judge = Callable[[Application], Iterable[Diagnostic]]
"""What else is wrong with an application as its files say it, to be told beside what is wrong with them."""


def load(*sources: Source, judge: Judge = lambda _: ()) -> LoadedApplication:
    """Reads one application from a specification, or from one AppNetConfig or several, and everything that they name.

    Each is read once, and each element compiled once for a method that it stands on with the same parameters.
    Raises ``DiagnosticError`` with what is wrong in any of them; elements are looked at once their method is known.
    """
    return _Loader(sources, judge).load()


def read_applications(source: Source) -> list[Application]:
    """What one file says, and nothing that it names: one application; of several AppNetConfigs in it, one of each.

    Raises ``DiagnosticError`` with everything that is wrong with it, in its order.
    """
    found, wrong = _read(source, lambda _: ())
    if wrong:
        raise DiagnosticError(wrong)
    return found


def form_of(source: Source) -> Form:
    """How the file is written, by its own words. Raises ``DiagnosticError`` for one that cannot be read."""
    return Form.SPECIFICATION if is_specification(_documents(source)) else Form.APPNETCONFIG


def _read(source: Source, judge: Judge) -> tuple[list[Application], list[Diagnostic]]:
    """What can be read of the file, and what is wrong with it."""
    problems = Problems(source)
    try:
        documents = _documents(source)
    except DiagnosticError as error:
        return [], error.diagnostics
    if is_specification(documents):
        one = read_specification(documents, problems)
        found = [one] if one is not None else []
    else:
        found = read_config(documents, problems)
    wrong = [*problems.found, *(it for one in found for it in judge(one))]
    return found, sorted(dict.fromkeys(wrong), key=_place)


def _documents(source: Source) -> list[yaml.Node]:
    other = no_application(source)
    if other is None:
        return read_documents(source)
    source.text()  # what is not there is of no kind
    raise DiagnosticError([other])


def _place(diagnostic: Diagnostic) -> tuple[int, int]:
    return diagnostic.span.line, diagnostic.span.column


class _Loader:
    """Reads each source once, and compiles each element once for each method that it stands on under that name."""

    def __init__(self, sources: Sequence[Source], judge: Judge) -> None:
        self._sources, self._judge = sources, judge
        self._wrong: list[Diagnostic] = []
        self._methods: dict[tuple[_Messages, str], MethodSignature] = {}
        self._protos: dict[_Proto, ProtoFile | None] = {}
        self._fields: dict[tuple[Located, ...], frozenset[str]] = {}
        self._programs: dict[Source, Program | None] = {}
        self._elements: dict[tuple[object, ...], tuple[CompiledElement | None, list[Diagnostic]]] = {}

    def load(self) -> LoadedApplication:
        application = self._application()
        if application is None:
            raise DiagnosticError(self._told())
        manifest = self._manifest(application)
        chains = [chain for it in application.chains if (chain := self._chain(it)) is not None]
        self._check_methods(chains)
        if len(chains) == len(application.chains):  # else not all fields are known
            self._check_secret_fields()
        if self._wrong:
            raise DiagnosticError(self._told())
        assert manifest is not None
        compiled = (it for it, _ in self._elements.values() if it is not None)
        warnings = dict.fromkeys(warning for it in compiled for warning in it.warnings)
        return LoadedApplication(application, manifest, tuple(chains), tuple(warnings), self._read_from(application))

    def _told(self) -> list[Diagnostic]:
        return list(dict.fromkeys(self._wrong))  # of a file that two elements share, once

    def _application(self) -> Application | None:
        found: list[Application] = []
        for source in dict.fromkeys(self._sources):
            applications, wrong = _read(source, self._judge)
            self._wrong += wrong
            found += applications
        if not found:
            return None
        application, wrong = _joined(found)
        self._wrong += wrong
        return application

    def _manifest(self, application: Application) -> Manifest | None:
        manifest = self._collected(lambda: load_manifest(application.manifest))
        if manifest is not None:
            first = {it.value: it for edge in reversed(application.edges) for it in reversed(edge)}
            for name in reversed(first.values()):
                self._collected(lambda name=name: manifest.service(name))  # type: ignore[misc]
        return manifest

    def _chain(self, chain: Chain) -> LoadedChain | None:
        named = chain.proto, chain.proto_roots
        written = self._once(self._protos, named, lambda it: load_proto(*it))
        methods = self._collected(lambda: methods_of(chain.methods, written)) if written is not None else None
        if written is None or methods is None:
            return None
        proto, secret = written, self._secret_fields(chain, written, methods)
        if secret:
            proto = written.hiding(secret)
            methods = methods_of(chain.methods, proto)
        methods = tuple(self._methods.setdefault(((named, secret), it.full_name), it) for it in methods)
        bound: dict[str, dict[str, Element]] = {it.full_name: {} for it in methods}
        for spec in (it.spec for it in chain.stops):
            wrong: dict[str, list[Diagnostic]] = {}
            for method in methods:
                compiled, wrong[method.full_name] = self._element(spec, (named, secret), method)
                if compiled is not None:
                    bound[method.full_name][spec.name.value] = compiled.element
            self._wrong += told_once(wrong)
        return LoadedChain(chain, tuple(BoundMethod(it, bound[it.full_name]) for it in methods), proto)

    def _element(
        self, spec: ElementSpec, messages: _Messages, method: MethodSignature
    ) -> tuple[CompiledElement | None, list[Diagnostic]]:
        program = self._once(self._programs, spec.source, read)
        if program is None:
            return None, []
        given = tuple((name, type(it.value), it.value) for name, it in spec.parameters.items())
        key = (spec.source, spec.name.value, given, messages, method.full_name)
        if key not in self._elements:
            try:
                compiled = compile_program(program, method, name=spec.name.value, parameters=spec.parameters)
                self._elements[key] = compiled, []
            except DiagnosticError as error:
                self._elements[key] = None, error.diagnostics
        return self._elements[key]

    def _secret_fields(self, chain: Chain, proto: ProtoFile, methods: Iterable[MethodSignature]) -> frozenset[str]:
        """The full names of the fields that the chain's files call secret."""
        if not chain.secret_fields:
            return frozenset()
        known = proto.fields_in(it.full_name for method in methods for it in method.messages)
        self._fields[chain.secret_fields] = self._fields.get(chain.secret_fields, frozenset()) | known
        return frozenset(it for name in chain.secret_fields for it in meant(name.value, known))

    def _check_secret_fields(self) -> None:
        """Each means a field of some chain that it is said of: a specification says it of all."""
        for names, known in self._fields.items():
            self._wrong += wrong_names(names, known)

    def _check_methods(self, chains: Iterable[LoadedChain]) -> None:
        """A method of an edge has one chain."""
        seen: dict[tuple[str, str, str], Chain] = {}
        for it in chains:
            edge = it.chain.edge
            for method in it.methods:
                full = method.signature.full_name
                before = seen.setdefault((edge.client, edge.server, full), it.chain)
                if before is not it.chain:
                    self._wrong.append(_two_chains(full, before, it.chain))

    def _read_from(self, application: Application) -> tuple[Source, ...]:
        protos = (it.sources for it in self._protos.values() if it is not None)
        named = (*self._sources, application.manifest, *(source for it in protos for source in it), *self._programs)
        return tuple(dict.fromkeys(named))

    def _once(self, known: dict[K, T | None], key: K, read: Callable[[K], T]) -> T | None:
        """What ``read`` makes of the key, which it does once."""
        if key not in known:
            known[key] = self._collected(lambda: read(key))
        return known[key]

    def _collected(self, step: Callable[[], T]) -> T | None:
        """The step's result, or None after keeping what it found to be wrong."""
        try:
            return step()
        except DiagnosticError as error:
            self._wrong += error.diagnostics
            return None


def _joined(found: Sequence[Application]) -> tuple[Application, list[Diagnostic]]:
    """The application that the first of them is a part of, and what is wrong with those that are not."""
    first = found[0]
    own = [it for it in found if (it.name, it.manifest) == (first.name, first.manifest)]
    wrong = [_another(first, it) for it in found if it not in own]
    edges: dict[tuple[str, str], tuple[Located, Located]] = {}
    for client, server in (edge for one in own for edge in one.edges):
        edges.setdefault((client.value, server.value), (client, server))
    chains = tuple(chain for one in own for chain in one.chains)
    return Application(first.name, first.source, first.manifest, tuple(edges.values()), chains), wrong


def _another(first: Application, other: Application) -> Diagnostic:
    if first.name != other.name:
        title, label = f"this is of the application `{other.name}`", f"this one is of `{first.name}`"
    else:
        title = f"this takes its services from {other.manifest.name}"
        label = f"this one takes them from {first.manifest.name}"
    help_ = "pass files of one application: they have the same `appName` and manifest"
    places = (Label(Span.whole(first.source), label),)
    return Diagnostic("C019", Severity.ERROR, title, Span.whole(other.source), "", help_, places)


def _two_chains(method: str, before: Chain, chain: Chain) -> Diagnostic:
    first, here = before.methods[0], chain.methods[0]
    title = f"`{method}` has two chains on `{chain.edge}`"
    help_ = "put their elements into one chain, and write the method the same way in all of it"
    places = (Label(first.span, "the first is here"),)
    return Diagnostic("C022", Severity.ERROR, title, here.span, "the second", help_, places)
