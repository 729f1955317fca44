"""Places in objects of a cluster, by their fields: nobody has the lines of what a controller reads."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from appnet.deploy.kubernetes.operator.sources import ClusterText
from appnet.deploy.kubernetes.rollouts import CONFIG_MAPS
from appnet.diagnostics.place import Span


def place_of(span: Span) -> str:
    """``AppNetConfig shop/echo, spec.method`` for a place in an object; ``SOURCE:LINE:COLUMN`` for one in a text."""
    source = span.source
    namespace, _, entry = source.name.partition("/")
    if isinstance(source, ClusterText) and "/" not in entry and entry.endswith(".yaml"):
        for document in yaml.compose_all(source.text(), Loader=yaml.SafeLoader):
            for field, node in _nodes(document, ""):
                if (node.start_mark.line + 1, node.start_mark.column + 1) == (span.line, span.column):
                    return ", ".join(filter(None, (_object(document, namespace), _as_written(field, node, entry))))
    return f"{source.name}:{span.line}:{span.column}"


def _object(document: yaml.Node, namespace: str) -> str:
    found: dict[str, str] = {}
    for field, node in _nodes(document, ""):
        if isinstance(node, yaml.ScalarNode):
            found.setdefault(field, node.value)
    return f"{found.get('kind')} {namespace}/{found.get('metadata.name')}"


def _as_written(field: str, node: yaml.Node, entry: str) -> str:
    """The field that a person wrote: ``fileFrom`` has become a path."""
    folder = f"{entry.removesuffix('.yaml')}/{CONFIG_MAPS}/"
    return f"{field}From" if isinstance(node, yaml.ScalarNode) and node.value.startswith(folder) else field


def _nodes(node: yaml.Node, field: str) -> Iterator[tuple[str, yaml.Node]]:
    """Every value with its field, those that hold others first; also each key, with the field of its value."""
    yield field, node
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = f"{field}.{key.value}" if field else str(key.value)
            yield from _nodes(value, name)
            yield name, key
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _nodes(value, f"{field}[{number}]")
