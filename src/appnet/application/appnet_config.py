"""AppNetConfig: what a user writes to put chains of elements on one edge of an application."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from appnet.application.named import named_file
from appnet.application.processors import PROCESSORS, ready
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Label, Severity, Span
from appnet.diagnostics.near import suggestion
from appnet.diagnostics.yaml_reader import Located, Problems, Section, node_span, read_documents
from appnet.language import Given

API_VERSION = "api.core.appnet.io/v1"
KIND = "AppNetConfig"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")

ALL_METHODS = "*"
"""Stands for every method of the .proto."""

CHAINS = ("clientChain", "anyChain", "pairChain", "serverChain")
_TOP_KEYS = ("apiVersion", "kind", "metadata", "spec", "status")
_SPEC_KEYS = (
    *("processors", "backend", "appName", "clientService", "serverService", "method", "appManifestFile"),
    *(*CHAINS, "proto", "protoModName", "protoModLocation"),
)
_SPEC_REFUSED = {"safe": "remove it: AppNet never changes what a chain means"}
_ELEMENT_REFUSED = {"upgrade": "remove it: every element can be upgraded while it runs"}
_ELEMENT_HELP = "leave it out, or list elements under it: `- name: …` with a `file: …`"


@dataclass(frozen=True)
class ElementSpec:
    """An element as a chain names it; ``parameters`` are given to its ``init``."""

    name: Located
    file: Path
    parameters: Mapping[str, Given] = field(default_factory=dict)


@dataclass(frozen=True)
class AppNetConfig:
    """A valid configuration; every file that it names was there. Chains are in the order of the file.

    ``methods`` are as they were written; one of them may be `ALL_METHODS`.
    """

    path: Path
    name: str
    processors: tuple[str, ...]
    app_name: str
    client_service: Located
    server_service: Located
    methods: tuple[Located, ...]
    manifest: Path
    proto: Path
    client_chain: tuple[ElementSpec, ...] = ()
    any_chain: tuple[ElementSpec, ...] = ()
    pair_chain: tuple[ElementSpec, ...] = ()
    server_chain: tuple[ElementSpec, ...] = ()
    proto_module: str = ""
    proto_module_folder: str = ""

    @property
    def elements(self) -> tuple[ElementSpec, ...]:
        """All of them, in request order."""
        return self.client_chain + self.any_chain + self.pair_chain + self.server_chain

    @property
    def files(self) -> tuple[Path, ...]:
        """The files it is made of: itself, manifest, .proto and elements."""
        return tuple(dict.fromkeys((self.path, self.manifest, self.proto, *(it.file for it in self.elements))))


def load_config(path: Path) -> AppNetConfig:
    """Reads and checks the AppNetConfig at ``path``.

    Paths in it are relative to it; ``<APPNET_DIR_PATH>`` is the nearest folder above it that has ``config/samples``.
    Raises ``DiagnosticError`` with everything that is wrong, in the order of the file.
    """
    problems = Problems(path)
    top = Section(_only_document(path), problems, Span(path, 1, 1, 1, 1))
    top.only(_TOP_KEYS)
    _check_header(top)
    metadata = top.section("metadata", needed="a `metadata` with the configuration's `name`")
    name = metadata.text("name", needed="the configuration's name") if metadata else None
    spec = top.section("spec", needed="a `spec` with the application and its chains")
    draft = _SpecReader(spec, path).read(name) if spec else None
    problems.raise_any()
    assert draft is not None
    return draft


def _only_document(path: Path) -> yaml.MappingNode:
    documents = read_documents(path)
    if len(documents) != 1:
        span = node_span(path, documents[1]) if documents else Span(path, 1, 1, 1, 1)
        label = "the second starts here" if documents else "nothing in it"
        raise config_error("C003", f"{path.name} has {len(documents)} documents", span, label, "write one AppNetConfig")
    found = documents[0]
    if not isinstance(found, yaml.MappingNode):
        help_ = f"begin with `apiVersion: {API_VERSION}`"
        raise config_error("C014", f"{path.name} is no {KIND}", node_span(path, found), "no mapping", help_)
    return found


def _check_header(top: Section) -> None:
    for key, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        found = top.text(key, needed=f"`{key}: {wanted}`")
        if found is not None and found.value != wanted:
            title = f"not the {key} of an AppNetConfig"
            top.problems.add("C014", title, found.span, f"`{wanted}` is expected", f"write `{key}: {wanted}`")


class _SpecReader:
    """Reads ``spec``. A value that is wrong is told and left out; the result counts only if nothing was."""

    def __init__(self, spec: Section, path: Path) -> None:
        self._spec = spec
        self._problems = spec.problems
        self._path = path
        self._seen: dict[str, Span] = {}

    def read(self, name: Located | None) -> AppNetConfig | None:
        spec = self._spec
        spec.only(_SPEC_KEYS, _SPEC_REFUSED)
        processors = self._processors()
        app_name = spec.text("appName", needed="the application's name")
        client = spec.text("clientService", needed="the name of the service that calls")
        server = spec.text("serverService", needed="the name of the service that is called")
        if client and server and client.value == server.value:
            title = f"`{client}` cannot be both client and server"
            help_, first = "name the two ends of an edge", Label(client.span, "the client is here")
            self._problems.add("C041", title, server.span, "the client's name", help_, first)
        methods = self._methods()
        manifest = named_file(spec, "appManifestFile", "the application's Kubernetes manifest")
        chains = {key: self._chain(key) for key in CHAINS}
        if not any(key in spec for key in CHAINS):
            help_ = "add a `clientChain`, `serverChain`, `anyChain` or `pairChain`"
            self._problems.add("C030", "no elements", spec.span, "no chain in it", help_)
        self._check_pairs(chains["pairChain"])
        proto = named_file(spec, "proto", "the .proto that declares the method")
        module = spec.text("protoModName") if "protoModName" in spec else None
        folder = spec.text("protoModLocation") if "protoModLocation" in spec else None
        if not (name and app_name and client and server and methods and manifest and proto):
            return None
        return AppNetConfig(
            *(self._path, name.value, processors, app_name.value, client, server, methods, manifest, proto),
            client_chain=chains["clientChain"],
            any_chain=chains["anyChain"],
            pair_chain=chains["pairChain"],
            server_chain=chains["serverChain"],
            proto_module=module.value if module else "",
            proto_module_folder=folder.value if folder else "",
        )

    def _processors(self) -> tuple[str, ...]:
        spec = self._spec
        if "backend" in spec:
            if "processors" in spec:
                span = spec.key_span("backend")
                title = "`backend` and `processors` say the same thing"
                other = Label(spec.key_span("processors"), "the other one is here")
                self._problems.add("C015", title, span, "one of them", "keep `processors`", other)
            one = spec.text("backend", needed="a processor")
            return self._known([one] if one else [])
        if "processors" not in spec:
            self._problems.add(
                *("C011", "`processors` is missing", spec.span, "no `processors` here"),
                f"add `processors:` with `- {ready()[0]}` under it",
            )
            return ()
        nodes = spec.items("processors", f"list at least one: `- {ready()[0]}`") or []
        return self._known(self._names(nodes, "a processor", ready()[0]))

    def _methods(self) -> tuple[Located, ...]:
        spec, needed = self._spec, "the RPC method, as in the .proto"
        if not isinstance(spec.get("method"), yaml.SequenceNode):
            one = spec.text("method", needed=needed)
            return (one,) if one else ()
        nodes = spec.items("method", f"give {needed}, several of them as a list, or `'{ALL_METHODS}'` for all")
        return tuple(self._names(nodes or (), "a method", "echo"))

    def _names(self, nodes: Iterable[yaml.Node], what: str, example: str) -> list[Located]:
        names = []
        for node in nodes:
            span = node_span(self._path, node)
            if isinstance(node, yaml.ScalarNode):
                names.append(Located(str(node.value), span))
            else:
                self._problems.add("C012", f"{what} is a name", span, "no name", f"write `- {example}`")
        return names

    def _known(self, names: list[Located]) -> tuple[str, ...]:
        taken: dict[str, Label] = {}
        for it in names:
            processor = PROCESSORS.get(it.value)
            if processor is None:
                help_ = suggestion(it.value, PROCESSORS, what="processors")
                self._problems.add("C020", f"unknown processor `{it}`", it.span, "not a processor", help_)
            elif not processor.runs:
                help_ = "use " + " or ".join(f"`{name}`" for name in ready())
                title = f"processor `{it}` is not there yet"
                self._problems.add("C021", title, it.span, f"{processor.summary}: not yet", help_)
            elif it.value in taken:
                title, first = f"`{it}` stands here twice", taken[it.value]
                self._problems.add("C022", title, it.span, "once is enough", "remove it", first)
            else:
                taken[it.value] = Label(it.span, "the first is here")
        return tuple(taken)

    def _chain(self, key: str) -> tuple[ElementSpec, ...]:
        elements = []
        for node in (self._spec.items(key, _ELEMENT_HELP) if key in self._spec else None) or ():
            if isinstance(node, yaml.MappingNode):
                element = self._element(Section(node, self._problems))
                elements += [element] if element else []
            else:
                span = node_span(self._path, node)
                self._problems.add("C012", "an element is a mapping", span, "no mapping", _ELEMENT_HELP)
        return tuple(elements)

    def _element(self, section: Section) -> ElementSpec | None:
        section.only(("name", "file", "parameters"), _ELEMENT_REFUSED)
        name = section.text("name", needed="the element's name")
        file = named_file(section, "file", "the path of its `.appnet` file")
        parameters = section.scalars("parameters") if "parameters" in section else {}
        if name is not None:
            self._check_name(name)
        if name is None or file is None:
            return None
        return ElementSpec(name, file, {key: Given(value, span) for key, (value, span) in parameters.items()})

    def _check_name(self, name: Located) -> None:
        first = self._seen.setdefault(name.value, name.span)
        if first is not name.span:
            help_ = "give each its own name: records and errors are told apart by it"
            title = f"two elements are called `{name}`"
            self._problems.add("C031", title, name.span, "the second", help_, Label(first, "the first is here"))
        check_element_name(name, self._problems)

    def _check_pairs(self, chain: tuple[ElementSpec, ...]) -> None:
        if len(chain) % 2:
            last = chain[-1].name
            help_ = "list elements two by two: the client's, then the server's that undoes it"
            self._problems.add("C035", f"`{last}` has no partner", last.span, "the last of an odd number", help_)


def check_element_name(name: Located, problems: Problems) -> None:
    """Adds an error where ``name`` cannot be an element's."""
    if not _NAME.fullmatch(name.value):
        help_ = "letters, digits, `_` and `-`, beginning with a letter, at most 63"
        problems.add("C016", f"`{name}` cannot be an element's name", name.span, "not a name", help_)


def config_error(code: str, title: str, span: Span, label: str, help_: str) -> DiagnosticError:
    """One error as an exception."""
    return DiagnosticError([Diagnostic(code, Severity.ERROR, title, span, label, help_)])
