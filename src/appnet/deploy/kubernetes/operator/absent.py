"""What an AppNetConfig names and its namespace does not have: told as a cluster has it, not as files have it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence

import yaml

from appnet.application.appnet_config import CHAINS
from appnet.deploy.kubernetes.operator.sources import ClusterText
from appnet.deploy.kubernetes.rollouts import CONFIG_MAPS
from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.diagnostics.near import did_you_mean, near_names, suggestion
from appnet.diagnostics.yaml_reader import node_span
from appnet.system.store_address import has_password

_SERVICES = ("clientService", "serverService")


def absent(
    name: str, texts: Mapping[str, str], services: str, namespace: str, lacking: Mapping[str, str], *, files: bool
) -> list[Diagnostic]:
    """An error for each Service, ConfigMap, text and password that the AppNetConfig ``name`` names and that is not
    there.

    ``texts`` are its own, ``services`` those of the namespace; ``lacking``: why Secrets have no password; ``files``:
    the controller reads those of its host.
    """
    source = ClusterText(f"{name}.yaml", texts, namespace, None)
    spec = _fields(_fields(yaml.compose(source.text(), Loader=yaml.SafeLoader)).get("spec"))
    there = sorted(it["metadata"]["name"] for it in yaml.safe_load_all(services))
    found = [
        _no_service(node, source, there, namespace)
        for node in (spec.get(it) for it in _SERVICES)
        if isinstance(node, yaml.ScalarNode) and node.value not in there
    ]
    for node in _paths(spec):
        if posixpath.normpath(node.value).lstrip("/") not in texts:
            told = _no_text(node, name, source, texts, namespace, files=files)
            found += [told] if told is not None else []
    return [*found, *_no_password(_fields(spec.get("state")), source, lacking)]


def _no_password(
    state: Mapping[str, yaml.Node], source: ClusterText, lacking: Mapping[str, str]
) -> Iterator[Diagnostic]:
    secret, store = state.get("secret"), state.get("store")
    if isinstance(secret, yaml.ScalarNode) and secret.value in lacking:
        title, _, help_ = lacking[secret.value].partition(": ")
        yield Diagnostic("C110", Severity.ERROR, title, node_span(source, secret), "", help_)
    if isinstance(store, yaml.ScalarNode) and has_password(store.value):
        title, help_ = (
            "a password in an AppNetConfig, which many may read",
            "put it into a Secret, and name that: `secret`",
        )
        yield Diagnostic("C110", Severity.ERROR, title, node_span(source, store), "", help_)


def _no_service(node: yaml.ScalarNode, source: ClusterText, there: Sequence[str], namespace: str) -> Diagnostic:
    help_ = did_you_mean(near_names(node.value, there)) or (
        "an AppNetConfig names Services of its own namespace: apply the application there, or the AppNetConfig to the "
        "namespace of the application"
    )
    title = f"no Service `{node.value}` in namespace {namespace}"
    return Diagnostic("C040", Severity.ERROR, title, node_span(source, node), "", help_)


def _no_text(
    node: yaml.ScalarNode, name: str, source: ClusterText, texts: Mapping[str, str], namespace: str, *, files: bool
) -> Diagnostic | None:
    """Why a text is not there; None for a file, which the compiler looks for."""
    folder = f"{name}/{CONFIG_MAPS}/"
    if node.value.startswith(folder):
        config_map, _, key = node.value.removeprefix(folder).partition("/")
        prefix = f"{folder}{config_map}/"
        keys = [it.removeprefix(prefix) for it in texts if it.startswith(prefix)]
        title = f"no text `{key}` in a ConfigMap `{config_map}` of namespace {namespace}"
        made = f"make it: `kubectl create configmap {config_map} -n {namespace} --from-file={key}`"
        help_ = suggestion(key, keys, what="keys of the ConfigMap") if keys else made
    elif files:
        return None
    else:
        title = f"{node.value} is a file, and a controller in a cluster reads none"
        help_ = "use `appnetctl apply`, which puts the text into the object, or write it there, or name a ConfigMap"
    return Diagnostic("C033", Severity.ERROR, title, node_span(source, node), "", help_)


def _paths(spec: Mapping[str, yaml.Node]) -> Iterator[yaml.ScalarNode]:
    """Where a ``spec`` names a text: the .proto, and the program of each element."""
    elements = [
        it
        for chain in (spec.get(key) for key in CHAINS)
        for it in (chain.value if isinstance(chain, yaml.SequenceNode) else ())
    ]
    for node in (spec.get("proto"), *(_fields(it).get("file") for it in elements)):
        if isinstance(node, yaml.ScalarNode):
            yield node


def _fields(node: yaml.Node | None) -> Mapping[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {str(key.value): value for key, value in node.value}
