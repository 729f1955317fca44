"""AppNetConfigs in a cluster as sources that compilers read: texts by name, and files of the controller's own host."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from appnet.application.appnet_config import CHAINS, ONLY_IN_CLUSTERS
from appnet.deploy.kubernetes.operator.world import SERVICES, Object, World
from appnet.deploy.kubernetes.rollouts import CONFIG_MAPS
from appnet.diagnostics.diagnostic import Diagnostic, Severity, UnreadableError
from appnet.diagnostics.place import Source, Span
from appnet.diagnostics.source import FileSource, MemorySource

SERVICES_FILE = "services.yaml"


@dataclass(frozen=True)
class Reference:
    """A text in a ConfigMap of the same namespace."""

    name: str
    key: str

    @property
    def folder(self) -> str:
        """Where its ConfigMap's texts are, among those of an AppNetConfig."""
        return f"{CONFIG_MAPS}/{self.name}"


Fetched = Mapping[str, Mapping[str, str]]
"""The texts of ConfigMaps, by their names; those that there are."""


class HostFile(FileSource):
    """A file below ``root``, wherever links lead."""

    def __init__(self, path: Path, root: Path) -> None:
        super().__init__(path)
        self._root = root

    def text(self) -> str:
        """What it holds. Raises `UnreadableError`, also for what lies elsewhere."""
        real = Path(os.path.realpath(self.path))
        if not real.is_relative_to(self._root):
            raise _unreadable(self, f"{self.path} is outside the controller's folder", "name a file inside it")
        return super().text()

    def beside(self, name: str) -> HostFile:
        """The file at ``name``, from the folder of this one."""
        return HostFile(self.path.parent / name, self._root)


class ClusterText(MemorySource):
    """One of the texts of an application in a cluster; what it names is another of them, or a file below ``root``."""

    def __init__(self, entry: str, texts: Mapping[str, str], origin: str, root: Path | None) -> None:
        super().__init__(entry, texts, origin)
        self._root = root

    def text(self) -> str:
        """The text of this name. Raises `UnreadableError` where there is none."""
        found = self._texts.get(self._entry)
        if found is None:
            help_ = "write it into the object (`inline`, `protoInline`), name a ConfigMap, or use `appnetctl apply`"
            raise _unreadable(self, f"the controller reads no files: it cannot read {self._entry}", help_)
        return found

    def beside(self, name: str) -> Source:
        """What this one names."""
        entry = posixpath.normpath(posixpath.join(posixpath.dirname(self._entry), name)).lstrip("/")
        if entry in self._texts or self._root is None:
            return ClusterText(entry, self._texts, self._origin, self._root)
        return HostFile(self._root / entry, self._root)


def references(spec: Object) -> Iterator[Reference]:
    """The texts in ConfigMaps that a ``spec`` names."""
    for _, it in _named(spec):
        reference = _reference(it)
        if reference is not None:
            yield reference


def own_texts(name: str, body: Object, fetched: Fetched) -> dict[str, str]:
    """The texts of an AppNetConfig: itself as a file would have it, by its own name and ``.yaml``, and in a folder of
    its name those that it has inside it or in ConfigMaps. What is not there is found to be missing when it is read."""
    texts = {
        f"{name}/{it.folder}/{key}": text
        for it in references(body.get("spec", {}))
        for key, text in _beside(it, fetched)
    }
    spec = _copied({key: it for key, it in body.get("spec", {}).items() if key not in ONLY_IN_CLUSTERS})
    for (holder, key, stem), it in _named(spec):
        reference, inline = _reference(it), it.get("inline")
        for used in ("inline", "fileFrom") if key == "file" else (f"{key}Inline", f"{key}From"):
            holder.pop(used, None)
        if isinstance(inline, str):
            holder[key] = f"{name}/{stem}"
            texts[f"{name}/{stem}"] = inline
        elif reference is not None:
            holder[key] = f"{name}/{reference.folder}/{reference.key}"
    for key in ("appManifestInline", "appManifestFrom"):
        spec.pop(key, None)
    spec["appManifestFile"] = SERVICES_FILE
    plain = {"apiVersion": body.get("apiVersion"), "kind": body.get("kind"), "metadata": {"name": name}, "spec": spec}
    return {**texts, f"{name}.yaml": yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=2**31)}


def _beside(reference: Reference, fetched: Fetched) -> Iterable[tuple[str, str]]:
    """All of a ConfigMap: a .proto imports others."""
    return fetched.get(reference.name, {}).items()


_Place = tuple[dict[str, Any], str, str]
"""What holds a name, the key of a file's path in it, and what a text in place of the file is called."""


def _named(spec: Object) -> Iterator[tuple[_Place, Object]]:
    """Every place of a ``spec`` that names a text, and how: ``inline``, ``fileFrom`` or neither."""
    holder: Any = spec
    proto = {"inline": spec.get("protoInline"), "fileFrom": spec.get("protoFrom")}
    yield (holder, "proto", "service.proto"), proto
    for chain in CHAINS:
        for element in spec.get(chain) or ():
            if isinstance(element, dict):
                yield (element, "file", f"{element.get('name')}.appnet"), element


def _reference(named: Object) -> Reference | None:
    found = (named.get("fileFrom") or {}).get("configMapKeyRef")
    return Reference(str(found.get("name")), str(found.get("key"))) if isinstance(found, dict) else None


def files_of(sources: Iterable[Source], root: Path) -> Iterator[tuple[str, str]]:
    """The texts of those that are files below ``root``, by their paths from there."""
    for it in sources:
        if it.path is not None:
            yield os.path.relpath(it.path, root), it.text()


def services_text(world: World, namespace: str) -> str:
    """The Services of the namespace as a manifest, which all applications in it have."""
    written = []
    for name, body in world.inside(SERVICES, namespace):
        spec = body.get("spec", {})
        ports = [
            {key: it[key] for key in ("name", "port", "appProtocol") if it.get(key)} for it in spec.get("ports") or ()
        ]
        kept = {"selector": spec.get("selector") or {}, "ports": ports}
        metadata = {"name": name, "namespace": namespace}
        written.append({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": kept})
    return yaml.safe_dump_all(written, sort_keys=False)


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(it) for key, it in value.items()}
    return [_copied(it) for it in value] if isinstance(value, list | tuple) else value


def _unreadable(source: Source, title: str, help_: str) -> UnreadableError:
    return UnreadableError(Diagnostic("C001", Severity.ERROR, title, Span.whole(source), "", help_), title)
