"""AppNetConfig: what a user writes to put chains of elements on one edge of an application."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import yaml

from appnet.application.kinds import API_VERSION, KIND, no_config
from appnet.application.limits import read_limits
from appnet.application.model import ALL_METHODS, USUAL_PROCESSOR, Application, Chain, Edge, ElementSpec, Side, Stop
from appnet.application.named import Ways, check_element_name, given_source, named_roots
from appnet.application.replan import read_replan
from appnet.application.secret_fields import read_secret_fields
from appnet.application.state_store import read_state_store
from appnet.diagnostics.place import Label, Span
from appnet.diagnostics.remedy import instead
from appnet.diagnostics.source import base_name
from appnet.diagnostics.yaml_reader import Located, Problems, Section, node_span
from appnet.language import Given

CHAINS = ("clientChain", "anyChain", "pairChain", "serverChain")
ONLY_IN_CLUSTERS = ("delivery", "beforeFirstVersion", "bypass", "rollout")
"""Keys of a ``spec`` that say how a cluster runs it, and nothing of what its chains do."""

_TOP_KEYS = ("apiVersion", "kind", "metadata", "spec", "status")
_SPEC_KEYS = (
    *("processors", "backend", "appName", "clientService", "serverService", "method", "appManifestFile"),
    *(*CHAINS, "proto", "protoRoots", "protoModName", "protoModLocation"),
    *("maxMessage", "idleTimeout", "traces", "secretFields", "state", "replan"),
    *("appManifestInline", "appManifestFrom", "protoInline", "protoFrom"),
    *ONLY_IN_CLUSTERS,
)
_MANIFEST = Ways("appManifestFile", "appManifestInline", "appManifestFrom")
_PROTO = Ways("proto", "protoInline", "protoFrom")
_PROGRAM = Ways("file", "inline", "fileFrom")
_SPEC_REFUSED = {"safe": "remove it: AppNet never changes what a chain means"}
_ELEMENT_REFUSED = {"upgrade": "remove it: every element can be upgraded while it runs"}
_ELEMENT_HELP = "remove it, or list elements under it: `- name: …` with a `file: …`"


def read_config(documents: Sequence[yaml.Node], problems: Problems) -> list[Application]:
    """What the AppNetConfigs in ``documents`` say: an application of one edge each.

    Paths in them are relative to their source; ``<APPNET_DIR_PATH>`` is the nearest folder above it that has
    ``config/samples``. Adds what is wrong to ``problems``; a configuration without what every one needs is left out.
    """
    if not documents:
        title, span = f"{base_name(problems.source)} has 0 documents", Span.whole(problems.source)
        problems.add("C003", title, span, "nothing in it", "write one AppNetConfig")
    foreign = no_config(problems.source, documents)
    if foreign is not None:
        problems.found.append(foreign)
        return []
    place = Span.whole(problems.source)
    found: list[Application | None] = []
    for it in documents:
        found.append(_read(it, problems, place if not found else node_span(problems.source, it)))
    return [it for it in found if it is not None]


def _read(document: yaml.Node, problems: Problems, place: Span) -> Application | None:
    source = problems.source
    top = Section(document, problems, place) if isinstance(document, yaml.MappingNode) else None
    if top is None or not any(it in top for it in _TOP_KEYS):
        title = f"{base_name(source)} is not an {KIND}"
        label = "not a mapping" if top is None else "none of its keys"
        help_ = f"begin with `apiVersion: {API_VERSION}`, or a specification of an application with `app_name: …`"
        problems.add("C014", title, node_span(source, document), label, help_)
        return None
    top.only(_TOP_KEYS)
    _check_header(top)
    metadata = top.section("metadata", needed="a `metadata` with the configuration's `name`")
    if metadata is not None:
        metadata.text("name", needed="the configuration's name")
    spec = top.section("spec", needed="a `spec` with the application and its chains")
    return _ConfigReader(spec).read() if spec else None


def _check_header(top: Section) -> None:
    for key, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        found = top.text(key, needed=f"`{key}: {wanted}`")
        if found is not None and found.value != wanted:
            title, help_ = f"not the {key} of an AppNetConfig", f"write `{key}: {wanted}`"
            remedies = instead(found.span, wanted)
            top.problems.add("C014", title, found.span, f"expected `{wanted}`", help_, remedies=remedies)


class _ConfigReader:
    """Reads ``spec``. A value that is wrong is told and left out."""

    def __init__(self, spec: Section) -> None:
        self._spec = spec
        self._problems = spec.problems
        self._source = spec.problems.source
        self._seen: dict[str, Span] = {}

    def read(self) -> Application | None:
        spec = self._spec
        spec.only(_SPEC_KEYS, _SPEC_REFUSED)
        processors = self._processors()
        app_name = spec.text("appName", needed="the application's name")
        client = spec.text("clientService", needed="the name of the service that calls")
        server = spec.text("serverService", needed="the name of the service that is called")
        if client and server and client.value == server.value:
            title = f"`{client}` cannot be both client and server"
            help_, first = "name two different services", Label(client.span, "the client is here")
            self._problems.add("C041", title, server.span, "the client's name", help_, first)
        methods = self._methods()
        manifest = given_source(spec, _MANIFEST, "the application's Kubernetes manifest", "manifest.yaml")
        stops = self._stops()
        proto = given_source(spec, _PROTO, "the .proto that declares the method", "service.proto")
        roots = named_roots(spec, "protoRoots")
        module, folder = (spec.text_or_empty(it) for it in ("protoModName", "protoModLocation"))
        limits = read_limits(spec, "maxMessage", "idleTimeout")
        store = read_state_store(spec, "state", "mergeEvery")
        replan = read_replan(spec)
        secret = read_secret_fields(spec, "secretFields")
        if not (app_name and client and server and methods and manifest and proto) or roots is None:
            return None
        edge = Edge(client.value, server.value, tuple(it.value for it in methods))
        chain = Chain(
            *(edge, methods, proto, stops, processors),
            proto_module=module.value if module else "",
            proto_module_folder=folder.value if folder else "",
            limits=limits,
            proto_roots=roots,
            state=store,
            replan=replan,
            secret_fields=secret,
        )
        return Application(app_name.value, self._source, manifest, ((client, server),), (chain,))

    def _stops(self) -> tuple[Stop, ...]:
        """All elements in request order, as written (docs/configuration.md, "Where elements run").

        A request passes the client chain, the any chain, the first of each pair, then the second of each pair in
        mirrored order, and the server chain. What lies before the middle of the pairs runs on the client's side. The
        any chain is bound to neither side: it joins the client's unless only the server's side has elements of its own,
        so that an edge never needs a second module for it.
        """
        client, any_, pairs, server = (self._chain(key) for key in CHAINS)
        if not any(key in self._spec for key in CHAINS):
            help_ = "add a `clientChain`, `serverChain`, `anyChain` or `pairChain`"
            self._problems.add("C030", "no elements", self._spec.span, "no chain in it", help_)
        self._check_pairs(pairs)
        home = Side.SERVER if server and not client and not pairs else Side.CLIENT
        return (
            *(Stop(it, Side.CLIENT, Side.CLIENT) for it in client),
            *(Stop(it, None, home) for it in any_),
            *(Stop(it, Side.CLIENT, Side.CLIENT) for it in pairs[::2]),
            *(Stop(it, Side.SERVER, Side.SERVER) for it in (*pairs[1::2][::-1], *server)),
        )

    def _processors(self) -> tuple[Located, ...]:
        spec = self._spec
        if "backend" in spec:
            if "processors" in spec:
                span = spec.key_span("backend")
                title = "`backend` and `processors` are the same setting"
                other = Label(spec.key_span("processors"), "the other one is here")
                remedies = spec.without("backend")
                self._problems.add("C015", title, span, "one of them", "keep `processors`", other, remedies=remedies)
            one = spec.text("backend", needed="a processor")
            return (one,) if one else ()
        if "processors" not in spec:
            self._problems.add(
                *("C011", "`processors` is missing", spec.span, "no `processors` here"),
                f"add `processors:` with `- {USUAL_PROCESSOR}` under it",
            )
            return ()
        nodes = spec.items("processors", f"list at least one: `- {USUAL_PROCESSOR}`") or []
        taken: dict[str, Located] = {}
        for it in self._names(nodes, "a processor", USUAL_PROCESSOR):
            if it.value in taken:
                title, first = f"`{it}` appears twice", Label(taken[it.value].span, "the first is here")
                self._problems.add("C022", title, it.span, "once is enough", "remove it", first)
            taken.setdefault(it.value, it)
        return tuple(taken.values())

    def _methods(self) -> tuple[Located, ...]:
        spec, needed = self._spec, "the RPC method, as in the .proto"
        if not isinstance(spec.get("method"), yaml.SequenceNode):
            one = spec.text("method", needed=needed)
            return (one,) if one else ()
        nodes = spec.items("method", f"write {needed}, a list of several, or `'{ALL_METHODS}'` for all")
        return tuple(self._names(nodes or (), "a method", "echo"))

    def _names(self, nodes: Iterable[yaml.Node], what: str, example: str) -> list[Located]:
        names = []
        for node in nodes:
            span = node_span(self._source, node)
            if isinstance(node, yaml.ScalarNode):
                names.append(Located(str(node.value), span))
            else:
                self._problems.add("C012", f"{what} must be a name", span, "not a name", f"write `- {example}`")
        return names

    def _chain(self, key: str) -> tuple[ElementSpec, ...]:
        elements = []
        for node in (self._spec.items(key, _ELEMENT_HELP) if key in self._spec else None) or ():
            if isinstance(node, yaml.MappingNode):
                element = self._element(Section(node, self._problems))
                elements += [element] if element else []
            else:
                span = node_span(self._source, node)
                self._problems.add("C012", "an element must be a mapping", span, "not a mapping", _ELEMENT_HELP)
        return tuple(elements)

    def _element(self, section: Section) -> ElementSpec | None:
        before = len(self._problems.found)
        section.only(("name", "file", "inline", "fileFrom", "parameters"), _ELEMENT_REFUSED)
        name = section.text("name", needed="the element's name")
        file = given_source(section, _PROGRAM, "the path of its `.appnet` file", f"{name or 'element'}.appnet")
        parameters = section.scalars("parameters") if "parameters" in section else {}
        if name is not None:
            self._check_name(name)
        if name is None or file is None or len(self._problems.found) > before:
            return None
        return ElementSpec(name, file, {key: Given(value, span) for key, (value, span) in parameters.items()})

    def _check_name(self, name: Located) -> None:
        first = self._seen.setdefault(name.value, name.span)
        if first is not name.span:
            help_ = "give each its own name: it identifies records and errors"
            title = f"two elements have the name `{name}`"
            self._problems.add("C031", title, name.span, "the second", help_, Label(first, "the first is here"))
        check_element_name(name, self._problems)

    def _check_pairs(self, chain: tuple[ElementSpec, ...]) -> None:
        if len(chain) % 2:
            last = chain[-1].name
            help_ = "list elements in pairs: the client's, then the server's that undoes it"
            self._problems.add("C035", f"`{last}` has no partner", last.span, "the last of an odd number", help_)
