"""AppNetConfigs in files of this machine as objects for a cluster: with all that they name inside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from appnet.application.appnet_config import CHAINS
from appnet.application.load import form_of, read_applications
from appnet.application.model import Chain, Form
from appnet.application.proto import load_proto
from appnet.deploy.kubernetes.client.cluster import ClusterError, Object
from appnet.diagnostics.place import Source
from appnet.diagnostics.source import base_name

_KEPT = ("name", "namespace", "labels", "annotations")
_ONLY_HERE = ("appManifestFile", "appManifestInline", "proto", "protoRoots")
"""Keys of a ``spec`` that name files of this machine; a cluster has its Services itself."""


def objects_in(source: Source) -> Iterator[Object]:
    """The objects of a file that `check` finds right, one for each AppNetConfig in it.

    Raises `ClusterError` for what cannot be one, and `DiagnosticError`.
    """
    if form_of(source) is Form.SPECIFICATION:
        told = f"{source.name} is a specification; `appnetctl convert {source.name}` makes AppNetConfigs of it"
        raise ClusterError(told, wrong_input=True)
    documents = [it for it in yaml.safe_load_all(source.text()) if it is not None]
    for document, application in zip(documents, read_applications(source), strict=True):
        (chain,) = application.chains
        yield _object(document, chain)


def _object(document: dict[str, Any], chain: Chain) -> Object:
    texts = {it.spec.name.value: it.spec.source.text() for it in chain.stops}
    spec = {key: it for key, it in document["spec"].items() if key not in _ONLY_HERE}
    for key in CHAINS:
        if key in spec:
            spec[key] = [_element(it, texts) for it in spec[key] or ()]
    spec["protoInline"] = _proto(chain)
    metadata = {key: it for key, it in document["metadata"].items() if key in _KEPT}
    return {"apiVersion": document["apiVersion"], "kind": document["kind"], "metadata": metadata, "spec": spec}


def _element(written: dict[str, Any], texts: dict[str, str]) -> dict[str, Any]:
    return {key: it for key, it in written.items() if key != "file"} | {"inline": texts[written["name"]]}


def _proto(chain: Chain) -> str:
    """Its text. Raises `ClusterError` for one that imports others: there is room for one."""
    imported = [base_name(it) for it in load_proto(chain.proto, chain.proto_roots).sources if it != chain.proto]
    if imported:
        told = f"{chain.proto.name} imports {', '.join(imported)}, and an AppNetConfig has room for one .proto"
        remedy = "write them into a ConfigMap (kubectl create configmap NAME --from-file …) and name it in `protoFrom`"
        raise ClusterError(f"{told}: {remedy}", wrong_input=True)
    return chain.proto.text()
