"""Who a proxy is, what it can load, and whether it belongs to a group."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from envoy.config.core.v3.base_pb2 import Node as EnvoyNode
from google.protobuf.struct_pb2 import Struct

from appnet.processors.envoy.targets import NATIVE, WASM
from appnet.processors.processor import Caller, Group

LOADER = "APPNET_LOADER"
"""The key of a proxy's metadata under which it says which loader it has: see `loader_identity`."""

_FIRST_NATIVE = (1, 39)
"""The first Envoy that Istio builds with dynamic modules."""

_MODULES = ".filters.http.dynamic_modules"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:/-]{0,511}")


@dataclass(frozen=True)
class Said:
    """What a proxy says of itself; nobody has checked it.

    ``envoy``: the first two numbers of its version, None where it does not say. ``modules``: whether it has dynamic
    modules, as far as it says.
    """

    name: str
    namespace: str
    account: str
    labels: Mapping[str, str]
    envoy: tuple[int, int] | None = None
    loader: str = ""
    modules: bool = True

    @classmethod
    def of(cls, node: EnvoyNode) -> Said:
        """As Istio's agent fills in a node. Raises ``ValueError`` for one that has no name that people can read."""
        told = node.metadata
        name = _text(told, "NAME") or node.id
        if not _NAME.fullmatch(name):
            raise ValueError("the node has no name")
        labels = {it: _text(told["LABELS"], it) for it in told["LABELS"]} if _is_struct(told, "LABELS") else {}
        version = node.user_agent_build_version.version
        envoy = (version.major_number, version.minor_number)
        loader = _text(told, LOADER)  # without it nobody asks for modules, and the list is long
        return cls(
            name,
            _text(told, "NAMESPACE"),
            _text(told, "SERVICE_ACCOUNT"),
            labels,
            envoy if any(envoy) else None,
            loader,
            not (loader and node.extensions) or any(it.name.endswith(_MODULES) for it in node.extensions),
        )

    def targets(self, loader: str) -> tuple[tuple[str, ...], str]:
        """What it can load, the best first, and why not more; ``loader``: the one that native code needs."""
        why = self._why_not_native(loader)
        return ((WASM,), why) if why else ((NATIVE, WASM), "")

    def _why_not_native(self, loader: str) -> str:
        if self.envoy is None:
            return "it does not say which Envoy it is"
        if self.envoy < _FIRST_NATIVE or not self.modules:
            return f"its Envoy {self.envoy[0]}.{self.envoy[1]} has no dynamic modules"
        if not self.loader:
            return "AppNet's loader is not in its pod"
        if self.loader != loader:
            return f"the pod has the loader {self.loader[:16]!r}, but native code needs {loader!r}"
        return ""

    def why_not(self, caller: Caller) -> str:
        """Why this cannot be who the caller has proved to be; empty where it can."""
        for what, said, proved in (
            ("in the namespace", self.namespace, caller.namespace),
            ("of the service account", self.account, caller.service_account),
            ("the pod", self.name, caller.pod or self.name),
        ):
            if said != proved:
                return f"it says that it is {what} {said[:64]!r}, but has proved {proved!r}"
        return ""


def group_of(said: Said, caller: Caller, chain: str, groups: Iterable[Group]) -> Group | str:
    """The first of the groups with this chain that the proxy belongs to, or why it belongs to none."""
    if why := said.why_not(caller):
        return why
    why = f"nothing in the namespace {caller.namespace} has this filter"
    for group in groups:
        if group.namespace != caller.namespace or chain not in group.chains:
            continue
        if caller.service_account not in group.accounts:
            accounts = ", ".join(sorted(group.accounts))
            why = f"the proxies of {group.name} run as {accounts}, not as {caller.service_account}"
            continue
        missing = [f"{key}={value}" for key, value in group.labels.items() if said.labels.get(key) != value]
        if not missing:
            return group
        why = f"it lacks labels of the proxies of {group.name}: {', '.join(missing)}"
    return why


def _is_struct(struct: Struct, key: str) -> bool:
    return key in struct.fields and struct.fields[key].HasField("struct_value")


def _text(struct: Struct, key: str) -> str:
    """The text under the key; empty where there is none."""
    found: str = struct.fields[key].string_value if key in struct.fields else ""
    return found
