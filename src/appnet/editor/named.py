"""The names that a YAML file can give: of files beside it, and of what stands in the files that it names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import PurePath

from appnet.application.appnet_config import CHAINS
from appnet.application.kinds import is_behaviour
from appnet.application.manifest import load_manifest
from appnet.application.model import ALL_METHODS
from appnet.application.proto import DESCRIPTOR_SETS, load_proto
from appnet.application.secret_fields import short_names
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.place import Source
from appnet.diagnostics.source import FileSource
from appnet.editor.schema import kind_of
from appnet.editor.yaml_place import YamlPlace, lines_of
from appnet.language import read
from appnet.language.statuses import STATUS_CODES
from appnet.processors import registry

_ELEMENT_FILES = ("file", "path", "path1", "path2")
_MANIFESTS = ("appManifestFile", "app_manifest")
_LISTS_OF_ELEMENTS = frozenset({*CHAINS, "chain", "edge", "link"})
_EDGE = re.compile(r"[^\s>]+->[^\s>]+")
_MOST_FILES = 1_000  # of a folder


class Surroundings:
    """What there is around a YAML file."""

    def __init__(self, source: FileSource) -> None:
        self._source = source
        self._lines = lines_of(source.text().split("\n"))

    def keys(self, place: YamlPlace) -> list[str]:
        """The names that can be keys of the mapping at the place."""
        last = str(place.path[-1]) if place.path else ""
        if last in {"edge", "link", "transport"} and len(place.path) == 1:
            return [it.value for it in self._lines if it.dash is not None and _EDGE.fullmatch(it.value)]
        if place.path == ("services",) or last == "upstreams":
            return self._services()
        if last.rstrip("12") == "parameters":
            return self._parameters(place.around, last.removeprefix("parameters"))
        return []

    def values(self, key: str, place: YamlPlace) -> list[str]:
        """The names that can stand behind the key."""
        named: dict[tuple[str, ...], Callable[[], Iterable[str]]] = {
            _ELEMENT_FILES: lambda: self._files(place.begun, (".appnet",)),
            ("proto",): lambda: self._files(place.begun, (".proto", *DESCRIPTOR_SETS)),
            (*_MANIFESTS, "config"): lambda: self._files(place.begun, (".yaml", ".yml")),
            ("method",): lambda: self._methods(place),
            ("secretFields", "secret_fields"): self._fields,
            ("clientService", "serverService", "service"): self._services,
            ("processors", "processor", "backend"): lambda: list(registry.ENTRIES),
            ("name", "name1", "name2"): lambda: self._elements(place),
            ("status", "refuses"): lambda: STATUS_CODES,
        }
        return [it for keys, names in named.items() if key in keys for it in names()]

    def _files(self, begun: str, suffixes: tuple[str, ...]) -> list[str]:
        """Paths that begin as what is written: files with one of the suffixes, and folders."""
        above = begun.strip("'\"").rpartition("/")
        folder, start = self._source.path.parent / f"{above[0]}{above[1]}", f"{above[0]}{above[1]}"
        found: list[str] = []
        with suppress(OSError, ValueError):
            for it in sorted(folder.iterdir())[:_MOST_FILES]:
                if it.name.startswith(".") or is_behaviour(it.name):
                    continue
                if it.is_dir():
                    found.append(f"{start}{it.name}/")
                elif it.suffix in suffixes:
                    found.append(f"{start}{it.name}")
        return found

    def _elements(self, place: YamlPlace) -> list[str]:
        """Names for elements, as their files have them."""
        if not any(it in _LISTS_OF_ELEMENTS for it in place.path):
            return []
        named = [it for key, it in place.beside.items() if key in _ELEMENT_FILES]
        return [PurePath(it).stem for it in named or self._files("", (".appnet",)) if it.endswith(".appnet")]

    def _methods(self, place: YamlPlace) -> list[str]:
        named = place.beside.get("proto") or self._first("proto")
        with suppress(DiagnosticError):
            if named:
                methods = load_proto(self._beside(named)).methods()
                return [*(it.rpartition("/")[2] for it in methods), f"'{ALL_METHODS}'"]
        return []

    def _fields(self) -> list[str]:
        """Those of the messages of all methods."""
        with suppress(DiagnosticError):
            if named := self._first("proto"):
                proto = load_proto(self._beside(named))
                methods = map(proto.method, proto.methods())
                return short_names(proto.fields_in(it.full_name for one in methods for it in one.messages))
        return []

    def _services(self) -> list[str]:
        with suppress(DiagnosticError):
            manifest = self._manifest()
            return list(load_manifest(manifest).services) if manifest is not None else []
        return []

    def _manifest(self) -> Source | None:
        """The one that this file names, or that a file of an application beside it does."""
        own = next(filter(None, map(self._first, _MANIFESTS)), "")
        if own:
            return self._beside(own)
        for path in sorted(self._source.path.parent.glob("*.y*ml")):
            other = FileSource(path)
            with suppress(DiagnosticError):
                if kind_of(path.name, other.text()) in {"appnetconfig", "specification"}:
                    found = Surroundings(other)
                    if any(map(found._first, _MANIFESTS)):
                        return found._manifest()
        return None

    def _parameters(self, around: Mapping[str, str], number: str) -> list[str]:
        """Those of the `init` of the element whose file is named beside them."""
        named = around.get("file") or around.get(f"path{number}")
        with suppress(DiagnosticError):
            if named:
                return [it.name.name for it in read(self._beside(named)).parameters]
        return []

    def _first(self, key: str) -> str:
        return next((it.value.strip("'\"") for it in self._lines if it.key == key and it.value), "")

    def _beside(self, name: str) -> Source:
        return self._source.beside(name.strip("'\""))
