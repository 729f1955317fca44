"""A specification with everything that it names, read and checked: what the chain compiler starts from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appnet.application.appnet_config import ElementSpec
from appnet.application.edge import BoundMethod, LoadedChain
from appnet.application.manifest import Manifest, load_manifest
from appnet.application.methods import methods_of
from appnet.application.proto import ProtoFile, load_proto
from appnet.application.specification import ApplicationSpec, SpecChain, load_spec
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Label, Severity
from appnet.diagnostics.yaml_reader import Located
from appnet.ir.compile import CompiledElement, compile_element
from appnet.language.messages import MethodSignature


@dataclass(frozen=True)
class ApplicationChain:
    """A chain of an application: what was written, and its elements compiled."""

    spec: SpecChain
    loaded: LoadedChain


@dataclass(frozen=True)
class Application:
    """An application's chains, edge by edge; ``warnings`` are those of all elements."""

    spec: ApplicationSpec
    manifest: Manifest
    chains: tuple[ApplicationChain, ...]
    warnings: tuple[Diagnostic, ...] = ()


def load_application(path: Path) -> Application:
    """Reads the specification at ``path`` and all files that it names.

    Raises ``DiagnosticError`` with what is wrong in any of them; elements are looked at once their method is known.
    """
    spec = load_spec(path)
    return _Loader(spec).load()


class _Loader:
    """Reads each file once, and compiles each element once for each method that it stands on under that name."""

    def __init__(self, spec: ApplicationSpec) -> None:
        self._spec = spec
        self._wrong: list[Diagnostic] = []
        self._methods: dict[tuple[Path, str], MethodSignature] = {}
        self._protos: dict[Path, ProtoFile | None] = {}
        self._elements: dict[tuple[object, ...], CompiledElement | None] = {}

    def load(self) -> Application:
        manifest = self._manifest()
        chains = [chain for it in self._spec.chains if (chain := self._chain(it)) is not None]
        self._check_methods(chains)
        if self._wrong:
            raise DiagnosticError(list(dict.fromkeys(self._wrong)))  # of a file that two elements share, once
        assert manifest is not None
        compiled = (it for it in self._elements.values() if it is not None)
        warnings = dict.fromkeys(warning for it in compiled for warning in it.warnings)
        return Application(self._spec, manifest, tuple(chains), tuple(warnings))

    def _manifest(self) -> Manifest | None:
        try:
            manifest = load_manifest(self._spec.manifest)
        except DiagnosticError as error:
            self._wrong += error.diagnostics
            return None
        for name in {it.value: it for edge in self._spec.edges for it in reversed(edge)}.values():
            try:
                manifest.service(name)
            except DiagnosticError as error:
                self._wrong += error.diagnostics
        return manifest

    def _chain(self, spec: SpecChain) -> ApplicationChain | None:
        proto = self._proto(spec.proto)
        if proto is None:
            return None
        try:
            methods = methods_of([spec.method], proto)
        except DiagnosticError as error:
            self._wrong += error.diagnostics
            return None
        methods = tuple(self._methods.setdefault((spec.proto, it.full_name), it) for it in methods)
        return ApplicationChain(spec, LoadedChain(spec.chain, tuple(self._bound(spec, it) for it in methods)))

    def _bound(self, spec: SpecChain, method: MethodSignature) -> BoundMethod:
        compiled = {it.spec.name.value: self._element(it.spec, spec.proto, method) for it in spec.chain.stops}
        return BoundMethod(method, {name: it.element for name, it in compiled.items() if it is not None})

    def _proto(self, path: Path) -> ProtoFile | None:
        if path not in self._protos:
            try:
                self._protos[path] = load_proto(path)
            except DiagnosticError as error:
                self._protos[path] = None
                self._wrong += error.diagnostics
        return self._protos[path]

    def _element(self, spec: ElementSpec, proto: Path, method: MethodSignature) -> CompiledElement | None:
        given = tuple((name, type(it.value), it.value) for name, it in spec.parameters.items())
        key = (spec.file, spec.name.value, given, proto, method.full_name)
        if key not in self._elements:
            try:
                self._elements[key] = compile_element(
                    spec.file, method, name=spec.name.value, parameters=spec.parameters
                )
            except DiagnosticError as error:
                self._elements[key] = None
                self._wrong += error.diagnostics
        return self._elements[key]

    def _check_methods(self, chains: list[ApplicationChain]) -> None:
        """A method of an edge has one chain, however it is written."""
        seen: dict[tuple[str, str, str], Located] = {}
        for it in chains:
            edge, name = it.spec.chain.edge, it.spec.method
            for method in it.loaded.methods:
                full = method.signature.full_name
                before = seen.setdefault((edge.client, edge.server, full), name)
                if before.value != name.value:
                    title = f"`{full}` is named in two ways on `{edge}`"
                    help_ = "write it in one way in all elements of the edge"
                    places = (Label(before.span, "named so before"),)
                    label = "and otherwise here"
                    self._wrong.append(Diagnostic("C022", Severity.ERROR, title, name.span, label, help_, places))
