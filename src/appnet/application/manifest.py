"""The application's Kubernetes manifest: which services there are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import yaml

from appnet.application.named import config_error
from appnet.diagnostics.near import suggestion
from appnet.diagnostics.place import Source, Span
from appnet.diagnostics.remedy import near
from appnet.diagnostics.source import base_name
from appnet.diagnostics.yaml_reader import Located, Problems, Scalar, Section, node_span, read_documents, unreadable
from appnet.system.address import MAX_PORT

_KINDS = ("Service", "Deployment", "Namespace")
_MAX_REPLICAS = 1_000
_PORT = re.compile("[0-9]{1,5}")
_LONGEST_NAME = 253  # of an object in Kubernetes
_LONGEST_LABEL = 63


@dataclass(frozen=True)
class Port:
    """A port of a Service. ``protocol``: what it speaks, in lower case, by its `appProtocol`, or else by the first part
    of its name (`grpc` of `grpc-api`), where meshes look for it; empty where neither says. ``span``: of who says it.
    """

    number: int
    protocol: str
    span: Span


@dataclass(frozen=True)
class Service:
    """A Kubernetes Service.

    ``ports`` are the ones it offers, by name (the number's digits where it has none); ``selector`` are the labels of
    the pods behind it. ``labels`` are its own, and those of its namespace where it has none of the name.
    """

    name: str
    namespace: str
    ports: Mapping[str, Port]
    span: Span
    selector: Mapping[str, Scalar] = field(default_factory=dict)
    labels: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class Deployment:
    """A Kubernetes Deployment: ``replicas`` pods with ``labels``. ``span``: of the number, or else of the name."""

    name: str
    replicas: int
    labels: Mapping[str, Scalar]
    span: Span


@dataclass(frozen=True)
class Manifest:
    """The objects of an application that matter to its network; of two services of one name, the first."""

    source: Source
    services: Mapping[str, Service] = field(default_factory=dict)
    deployments: tuple[Deployment, ...] = ()

    def service(self, name: Located) -> Service:
        """The service called ``name``; raises ``DiagnosticError`` pointing at the name where there is none."""
        found = self.services.get(name.value)
        if found is None:
            file = base_name(self.source)
            help_ = suggestion(name.value, self.services, what=f"services of {file}")
            if not self.services:
                help_ = "it has no `kind: Service`: `appManifestFile` must be the application's Kubernetes manifest"
            remedies = near(name.span, name.value, self.services)
            raise config_error("C040", f"no service `{name}`", name.span, f"not in {file}", help_, remedies)
        return found

    def replicas(self, service: str) -> int:
        """How many pods stand behind ``service``: at least one, as it may run where this manifest does not say."""
        return max(1, sum(it.replicas for it in self._behind(service)))

    def replicas_span(self, service: str) -> Span:
        """Where the manifest says how many; the service's name, where it does not."""
        return next((it.span for it in self._behind(service)), self.services[service].span)

    def _behind(self, service: str) -> list[Deployment]:
        selector = self.services[service].selector.items()
        return [it for it in self.deployments if selector and selector <= it.labels.items()]


def load_manifest(source: Source) -> Manifest:
    """Reads the Services and Deployments in ``source``; objects of other kinds are passed over.

    Raises ``DiagnosticError`` for text that is no manifest.
    """
    problems = Problems(source)
    services: dict[str, Service] = {}
    deployments: list[Deployment] = []
    namespaces: dict[str, dict[str, Scalar]] = {}
    documents = read_documents(source)
    for reason, span in (it for document in documents if (it := unreadable(document, source)) is not None):
        problems.add(
            "C042", "a value that Kubernetes does not accept", span, reason, "write a plain value: a string, a number …"
        )
    problems.raise_any()
    for section in _objects(documents, problems):
        kind = section.text("kind", needed="the object's kind")
        metadata = section.section("metadata") if kind and kind.value in _KINDS else None
        name = metadata.text("name", needed="the object's name") if metadata else None
        if kind is None or metadata is None or name is None:
            continue
        if kind.value == "Deployment":
            deployments.append(_deployment(name, section.section("spec")))
        elif kind.value == "Namespace":
            namespaces.setdefault(name.value, _labels(metadata, "labels"))
        else:
            namespace = metadata.text("namespace") if "namespace" in metadata else None
            spec = section.section("spec")
            ports, selector = _ports(spec), _labels(spec, "selector")
            there = namespace.value if namespace else "default"
            labels = _labels(metadata, "labels")
            services.setdefault(name.value, Service(name.value, there, ports, name.span, selector, labels))
    problems.raise_any()
    labelled = {
        name: replace(it, labels={**namespaces.get(it.namespace, {}), **it.labels}) for name, it in services.items()
    }
    return Manifest(source, labelled, tuple(deployments))


def _objects(documents: list[yaml.Node], problems: Problems, *, in_list: bool = False) -> Iterator[Section]:
    """The objects, those in a ``List`` one by one."""
    for node in documents:
        if not isinstance(node, yaml.MappingNode):
            span = node_span(problems.source, node)
            help_ = "each document needs `apiVersion`, `kind` and `metadata`"
            problems.add("C042", "not a Kubernetes object", span, "not a mapping", help_)
            continue
        section = Section(node, problems)
        items = section.get("items")
        if isinstance(items, yaml.SequenceNode) and not in_list:
            yield from _objects(items.value, problems, in_list=True)
        else:
            yield section


def _deployment(name: Located, spec: Section | None) -> Deployment:
    template = spec.section("template") if spec else None
    labels = _labels(template.section("metadata") if template else None, "labels")
    found = spec.scalar("replicas") if spec else None
    if spec is None or found is None:
        return Deployment(name.value, 1, labels, name.span)
    replicas, span = found
    if isinstance(replicas, bool) or not isinstance(replicas, int) or not 0 <= replicas <= _MAX_REPLICAS:
        help_ = f"write a number from 0 to {_MAX_REPLICAS}: `replicas: 3`"
        spec.problems.add("C012", "`replicas` must be a number of pods", span, "out of range", help_)
        return Deployment(name.value, 1, labels, name.span)
    return Deployment(name.value, replicas, labels, span)


def _labels(section: Section | None, key: str) -> dict[str, Scalar]:
    return {name: value for name, (value, _) in section.scalars(key).items()} if section else {}


def _ports(spec: Section | None) -> dict[str, Port]:
    """The ports in a Service's ``spec``."""
    found: dict[str, Port] = {}
    if spec is None or "ports" not in spec:
        return found
    for node in spec.items("ports", "list ports: `- port: 9000`") or ():
        entry = Section(node, spec.problems) if isinstance(node, yaml.MappingNode) else None
        number = entry.get("port") if entry else None
        text = number.value if isinstance(number, yaml.ScalarNode) else ""
        if entry and number and _PORT.fullmatch(text) and 0 < int(text) <= MAX_PORT:
            name = entry.text("name") if "name" in entry else None
            speaks = entry.text("appProtocol") if "appProtocol" in entry else name
            protocol = speaks.value.lower() if speaks else ""
            word = protocol if "appProtocol" in entry else protocol.partition("-")[0]
            span = speaks.span if speaks else node_span(spec.problems.source, number)
            found[name.value if name else text] = Port(int(text), word, span)
        else:
            span = node_span(spec.problems.source, number or node)
            help_ = f"write a number from 1 to {MAX_PORT}: `port: 9000`"
            spec.problems.add("C043", "a port without a usable number", span, "no port number", help_)
    return found


def object_name(text: str, longest: int = _LONGEST_NAME) -> str:
    """``text`` as Kubernetes takes it in names; what does not fit is told apart by a hash."""
    name = re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")
    if name == text and len(name) <= longest:
        return name
    return f"{name[: longest - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def label_value(text: str) -> str:
    """``text`` as Kubernetes takes it in the values of labels."""
    return object_name(text, _LONGEST_LABEL)
