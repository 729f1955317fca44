"""The chain compiler's specification: an application's edges, and the elements on each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import yaml

from appnet.application.limits import read_limits
from appnet.application.model import USUAL_PROCESSOR, Application, Chain, Edge, ElementSpec, Side, Stop
from appnet.application.named import check_element_name, named_roots, named_source
from appnet.application.replan import read_replan
from appnet.application.secret_fields import read_secret_fields
from appnet.application.state_store import read_state_store
from appnet.diagnostics.near import suggestion
from appnet.diagnostics.place import Label, Source, Span
from appnet.diagnostics.remedy import instead, near
from appnet.diagnostics.source import base_name
from appnet.diagnostics.yaml_reader import Located, Problems, Section, node_span
from appnet.language import Given

_TOP_KEYS = (
    *("app_name", "app_manifest", "app_structure", "edge", "link", "transport"),
    *("proto_roots", "max_message", "idle_timeout", "traces", "secret_fields", "state", "replan"),
)
_TOP_REFUSED = dict.fromkeys(("ingress", "egress"), "list the elements under `edge`, on each of their edges")
_SHARED_KEYS = ("method", "proto", "proto_mod_name", "proto_mod_location", "processor", "upgrade", "envoy_native")
_ELEMENT_KEYS = ("name", "path", "parameters", "position", *_SHARED_KEYS)
_PAIR_KEYS = ("name1", "path1", "parameters1", "name2", "path2", "parameters2", *_SHARED_KEYS)
_ELEMENT_REFUSED = {"config": "set the parameters of its `init`: `parameters: {limit: 10}`"}
_POSITIONS = {
    "client": Side.CLIENT,
    "C": Side.CLIENT,
    "server": Side.SERVER,
    "S": Side.SERVER,
    "any": None,
    "C/S": None,
}
_TRANSPORT = "reliable"


@dataclass(frozen=True)
class _Entry:
    """An element as it is listed. ``side``: the one it is bound to."""

    spec: ElementSpec
    side: Side | None
    method: Located
    proto: Source
    native: bool
    module: tuple[Located | None, Located | None]
    """The name and the folder of code made of the .proto."""


def read_specification(documents: Sequence[yaml.Node], problems: Problems) -> Application | None:
    """What the specification in ``documents`` says; paths in it are relative to its source, as in an AppNetConfig.

    Adds what is wrong to ``problems``. None for one without what every one needs.
    """
    (document,) = documents[:1] or (None,)
    if len(documents) != 1 or not isinstance(document, yaml.MappingNode):
        source = problems.source
        span = node_span(source, documents[-1]) if documents else Span.whole(source)
        help_ = "begin with `app_name: …`, and write one application in a file"
        title = f"{base_name(source)} is not a specification of an application"
        problems.add("C018", title, span, "not one mapping", help_)
        return None
    return _SpecificationReader(Section(document, problems, Span.whole(problems.source))).read()


def is_specification(documents: Sequence[yaml.Node]) -> bool:
    """Whether they say that they are one: the first is a mapping with some of its keys, of no Kubernetes ``kind``."""
    if not documents or not isinstance(documents[0], yaml.MappingNode):
        return False
    keys = {key.value for key, _ in documents[0].value if isinstance(key, yaml.ScalarNode)}
    return "kind" not in keys and not keys.isdisjoint(_TOP_KEYS)


class _SpecificationReader:
    """Reads the file. A value that is wrong is told and left out."""

    def __init__(self, top: Section) -> None:
        self._top = top
        self._problems = top.problems
        self._source = top.problems.source

    def read(self) -> Application | None:
        top = self._top
        top.only(_TOP_KEYS, _TOP_REFUSED)
        name = top.text("app_name", needed="the application's name")
        manifest = named_source(top, "app_manifest", "the application's Kubernetes manifest")
        edges = {f"{client}->{server}": (client, server) for client, server in self._structure()}
        listed = self._on_edges("edge", edges, self._element)
        pairs = self._on_edges("link", edges, self._pair)
        for _, section in self._entries("transport", edges):
            self._check_transport(section)
        limits = read_limits(top, "max_message", "idle_timeout")
        store = read_state_store(top, "state", "merge_every")
        replan = read_replan(top)
        secret = read_secret_fields(top, "secret_fields")
        roots = named_roots(top, "proto_roots")
        chains: list[Chain] = []
        for edge, ends in edges.items() if roots is not None else ():
            found = self._chains(ends, listed.get(edge, []), pairs.get(edge, []))
            said = partial(replace, limits=limits, state=store, replan=replan, secret_fields=secret)
            chains += (said(it, proto_roots=roots or ()) for it in found)
        if not any(isinstance(it, yaml.MappingNode) and it.value for it in (top.get("edge"), top.get("link"))):
            help_ = "list elements of an edge: `edge:` and under it `client->server:`"
            self._problems.add("C030", "no elements", top.span, "no elements on any edge", help_)
        if name is None or manifest is None:
            return None
        return Application(name.value, self._source, manifest, tuple(edges.values()), tuple(chains))

    # --- edges ---

    def _structure(self) -> Iterator[tuple[Located, Located]]:
        if "app_structure" not in self._top:
            self._top.text("app_structure", needed="the application's edges: `- client->server`")
            return
        seen: dict[str, Label] = {}
        for node in self._top.items("app_structure", "list edges: `- client->server`") or ():
            ends = self._ends(node)
            if ends is None:
                continue
            edge = f"{ends[0]}->{ends[1]}"
            if edge in seen:
                title = f"`{edge}` appears twice"
                self._problems.add("C022", title, ends[0].span, "once is enough", "remove it", seen[edge])
            elif ends[0].value == ends[1].value:
                title = f"`{ends[0]}` cannot be both client and server"
                self._problems.add("C041", title, ends[1].span, "the client's name", "name two different services")
            else:
                seen[edge] = Label(ends[0].span, "the first is here")
                yield ends

    def _ends(self, node: yaml.Node) -> tuple[Located, Located] | None:
        span = node_span(self._source, node)
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        client, _, server = (it.strip() for it in text.partition("->"))
        if client and server and "->" not in server:
            return Located(client, span), Located(server, span)
        self._problems.add("C044", "not an edge", span, "two services with `->` between", "write `client->server`")
        return None

    def _on_edges(
        self, key: str, edges: dict[str, tuple[Located, Located]], read: Callable[[Section], list[_Entry]]
    ) -> dict[str, list[_Entry]]:
        found: dict[str, list[_Entry]] = {}
        for edge, section in self._entries(key, edges):
            found.setdefault(edge, []).extend(read(section))
        return found

    def _entries(self, key: str, edges: dict[str, tuple[Located, Located]]) -> Iterator[tuple[str, Section]]:
        """The mappings listed under ``key``, each with its edge."""
        section = self._top.section(key) if key in self._top else None
        for written, _ in section.values() if section else ():
            assert section is not None
            edge = "->".join(it.strip() for it in written.split("->"))
            if edge not in edges:
                help_ = suggestion(edge, edges, what="edges of `app_structure`")
                title = f"no edge `{written}`"
                edges_here = Label(self._top.key_span("app_structure"), "the edges are listed here")
                span, label, meant = section.key_span(written), "not in `app_structure`", [edges_here] if edges else []
                self._problems.add("C045", title, span, label, help_, *meant, remedies=near(span, edge, edges))
                continue
            for node in section.items(written, f"list elements of the edge, or remove `{written}`") or ():
                if isinstance(node, yaml.MappingNode):
                    yield edge, Section(node, self._problems)
                else:
                    span = node_span(self._source, node)
                    help_ = "list mappings under it: `- method: …`"
                    self._problems.add("C012", f"an entry of `{key}` must be a mapping", span, "not a mapping", help_)

    # --- what is on them ---

    def _element(self, section: Section) -> list[_Entry]:
        section.only(_ELEMENT_KEYS, _ELEMENT_REFUSED)
        return self._entry(section, "", self._position(section))

    def _pair(self, section: Section) -> list[_Entry]:
        """Two elements, of which the server's undoes what the client's does."""
        section.only(_PAIR_KEYS)
        both = [*self._entry(section, "1", Side.CLIENT), *self._entry(section, "2", Side.SERVER)]
        return both if len(both) == 2 else []

    def _entry(self, section: Section, suffix: str, side: Side | None) -> list[_Entry]:
        before = len(self._problems.found)
        name = section.text(f"name{suffix}", needed="the element's name")
        file = named_source(section, f"path{suffix}", "the path of its `.appnet` file")
        given = section.scalars(f"parameters{suffix}") if f"parameters{suffix}" in section else {}
        method = section.text("method", needed="the RPC method, as in the .proto")
        proto = named_source(section, "proto", "the .proto that declares the method")
        if name is not None:
            check_element_name(name, self._problems)
        module, folder = (section.text_or_empty(it) for it in ("proto_mod_name", "proto_mod_location"))
        processors = self._processors(section)
        section.flag("upgrade")  # true of every element, whatever it says
        native = section.flag("envoy_native")
        if name is None or file is None or method is None or proto is None or len(self._problems.found) > before:
            return []
        parameters = {key: Given(value, span) for key, (value, span) in given.items()}
        return [_Entry(ElementSpec(name, file, parameters, processors), side, method, proto, native, (module, folder))]

    def _position(self, section: Section) -> Side | None:
        found = section.text("position") if "position" in section else None
        if found is not None and found.value not in _POSITIONS:
            known, title = ("client", "server", "any"), f"unknown position `{found}`"
            help_, remedies = suggestion(found.value, known, what="positions"), near(found.span, found.value, known)
            self._problems.add("C023", title, found.span, "not a position", help_, remedies=remedies)
        return _POSITIONS.get(found.value) if found is not None else None

    def _processors(self, section: Section) -> tuple[Located, ...]:
        if "processor" not in section:
            return ()
        names: list[Located] = []
        for node in section.items("processor", f"list at least one: `- {USUAL_PROCESSOR}`") or ():
            span = node_span(self._source, node)
            if isinstance(node, yaml.ScalarNode):
                names.append(Located(node.value, span))
            else:
                help_ = f"write `- {USUAL_PROCESSOR}`"
                self._problems.add("C012", "a processor must be a name", span, "not a name", help_)
        return tuple(names)

    def _check_transport(self, section: Section) -> None:
        section.only(("method", "name"))
        section.text("method", needed="the RPC method")
        name = section.text("name", needed=f"the transport: `{_TRANSPORT}`")
        if name is not None and name.value != _TRANSPORT:
            help_ = f"write `{_TRANSPORT}`: HTTP/2 over TCP, as in gRPC"
            title, remedies = f"unknown transport `{name}`", instead(name.span, _TRANSPORT)
            self._problems.add("C024", title, name.span, "not a transport", help_, remedies=remedies)

    # --- chains ---

    def _chains(self, ends: tuple[Located, Located], listed: list[_Entry], pairs: list[_Entry]) -> Iterator[Chain]:
        """A chain for each method, in the order in which the methods are first named."""
        for method in dict.fromkeys(it.method.value for it in (*listed, *pairs)):
            own = [it for it in listed if it.method.value == method]
            linked = [it for it in pairs if it.method.value == method]
            every = [*own, *linked]
            self._check_together(every)
            edge = Edge(ends[0].value, ends[1].value, (method,))
            processors = _common([it.spec.processors for it in every if it.spec.processors])
            native = any(it.native for it in every)
            stops = self._stops(own, linked)
            name, folder = (_first(it.module[number] for it in every) for number in (0, 1))
            yield Chain(edge, (every[0].method,), every[0].proto, stops, processors, native, name, folder)

    def _check_together(self, entries: list[_Entry]) -> None:
        first = entries[0]
        seen: dict[str, Span] = {}
        for it in entries:
            name = it.spec.name
            before = seen.setdefault(name.value, name.span)
            if before is not name.span:
                help_ = "give each its own name: it identifies records and errors"
                title = f"two elements have the name `{name}`"
                self._problems.add("C031", title, name.span, "the second", help_, Label(before, "the first is here"))
            if it.proto != first.proto:
                title = f"`{it.method}` is declared in two files"
                label, help_ = f"from {base_name(it.proto)} here", "name one .proto in all elements on a method"
                other = Label(first.method.span, f"`{first.spec.name}` takes it from {base_name(first.proto)}")
                self._problems.add("C046", title, it.method.span, label, help_, other)

    def _stops(self, listed: list[_Entry], pairs: list[_Entry]) -> tuple[Stop, ...]:
        """In request order: what is on the client's side, the firsts of pairs, their seconds mirrored, the rest."""
        at_client = [number for number, it in enumerate(listed) if it.side is Side.CLIENT]
        at_server = [number for number, it in enumerate(listed) if it.side is Side.SERVER]
        if at_client and at_server and at_client[-1] > at_server[0]:
            late, early = listed[at_client[-1]].spec.name, listed[at_server[0]].spec.name
            title = f"`{late}` is on the client's side, but comes after `{early}` on the server's side"
            help_ = "list elements in the order in which a request passes them"
            place = Label(early.span, "here, the request is at the server")
            self._problems.add("C036", title, late.span, "here, it would be back at the client", help_, place)
        split = at_server[0] if at_server else len(listed)
        if at_server and not at_client and not pairs:
            split = 0  # what is bound to no side joins the only one that has elements of its own
        return (
            *(Stop(it.spec, it.side, Side.CLIENT) for it in listed[:split]),
            *(Stop(it.spec, Side.CLIENT, Side.CLIENT) for it in pairs[::2]),
            *(Stop(it.spec, Side.SERVER, Side.SERVER) for it in pairs[1::2][::-1]),
            *(Stop(it.spec, it.side, Side.SERVER) for it in listed[split:]),
        )


def _first(names: Iterable[Located | None]) -> str:
    return next((it.value for it in names if it is not None), "")


def _common(lists: Sequence[tuple[Located, ...]]) -> tuple[Located, ...]:
    """What all lists have, in the order of the first; nothing where there are none."""
    if not lists:
        return ()
    names = [{it.value for it in one} for one in lists]
    return tuple(it for it in lists[0] if all(it.value in others for others in names))
