"""C text to modules: equal text is built once; text that someone wrote by hand takes the place of what was printed."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from appnet.application.load import LoadedChain
from appnet.application.model import Edge
from appnet.compile.chains import Code, CompiledApplication
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, InternalError, Severity, Span
from appnet.diagnostics.near import suggestion
from appnet.diagnostics.source import FileSource
from appnet.ir.workers import per_worker
from appnet.optimize.placement import Segment
from appnet.processors.envoy.build import Target
from appnet.processors.envoy.build import build as build_module

_log = logging.getLogger(__name__)
_ERROR = re.compile(r"\.c:(\d+):(\d+): (?:fatal )?error: (.*)")


@dataclass(frozen=True)
class Module:
    """A built segment. ``stem``: where it stands among the generated files, without a suffix."""

    stem: str
    chain: LoadedChain
    segment: Segment
    code: Code
    binary: bytes

    @property
    def name(self) -> str:
        """The filter that carries it."""
        return "appnet." + self.stem.replace("/", ".")

    @property
    def needs_one_worker(self) -> bool:
        """Whether its elements share what each worker thread of a wasm proxy has for itself; code by hand may."""
        elements = self.chain.elements
        alone = any(per_worker(elements[it.name.value]) for it in self.segment.elements)
        return self.code.target is Target.WASM and (alone or self.code.by_hand)

    @property
    def edge(self) -> Edge:
        """The edge whose calls it judges."""
        return self.chain.chain.edge

    @property
    def method(self) -> str:
        """The method whose calls it judges, for names of files and objects."""
        return self.chain.chain.method

    @property
    def service(self) -> str:
        """The service that its proxies stand beside."""
        return self.edge.service(self.segment.place.side)


@dataclass(frozen=True)
class BuiltApplication:
    """``modules``: edge by edge, method by method, in request order."""

    compiled: CompiledApplication
    modules: tuple[Module, ...]


def build(compiled: CompiledApplication, by_hand: Path | None = None) -> BuiltApplication:
    """Builds every module; from C in the folder ``by_hand`` where that has a file of the name that would be written.

    Raises `DiagnosticError` where such a file does not compile, the folder has none for any module, or some for none.
    """
    parts = list(_parts(compiled, by_hand))
    if by_hand is not None and not any(it.code.by_hand for it in parts):
        raise DiagnosticError([_no_code(by_hand, parts)])
    stray = list(_stray(by_hand, parts)) if by_hand is not None else []
    if stray:
        raise DiagnosticError(stray)
    texts = {it.code.text + it.code.target.value: it for it in parts}
    with ThreadPoolExecutor() as pool:  # each waits for a compiler of its own
        built = dict(zip(texts, pool.map(lambda it: _compile(it, by_hand), texts.values()), strict=True))
    modules = (replace(it, binary=built[it.code.text + it.code.target.value]) for it in parts)
    return BuiltApplication(compiled, tuple(modules))


def _parts(compiled: CompiledApplication, by_hand: Path | None) -> Iterator[Module]:
    """The modules before they are built."""
    for chain, made in compiled.chains:
        for segment, printed in made.segments:
            stem = _stem(chain, segment)
            written = by_hand / f"{stem}.c" if by_hand is not None else None
            code = _read(written, printed) if written is not None and written.is_file() else printed
            yield Module(stem, chain, segment, code, b"")


def _stem(chain: LoadedChain, segment: Segment) -> str:
    edge = chain.chain.edge
    return f"{edge.client}_{edge.server}/{chain.chain.method}.{segment.name}"


def _read(path: Path, printed: Code) -> Code:
    text = path.read_text(encoding="utf-8")
    version = hashlib.sha256(f"{printed.target.value}\n{text}".encode()).hexdigest()[:12]
    return Code(text, version, printed.target, by_hand=True)


def _compile(module: Module, by_hand: Path | None) -> bytes:
    began = time.monotonic()
    try:
        binary = build_module(module.code.text, module.code.target)
    except InternalError as error:
        if not module.code.by_hand or by_hand is None:
            raise
        raise DiagnosticError([_does_not_compile(by_hand / f"{module.stem}.c", str(error))]) from error
    _log.debug("%s: %d bytes of %s in %.2f s", *_about(module, binary, began))
    return binary


def _about(module: Module, binary: bytes, began: float) -> tuple[str, int, str, float]:
    kind = "WebAssembly" if module.code.target is Target.WASM else "native code"
    return module.stem, len(binary), kind, time.monotonic() - began


def _does_not_compile(path: Path, text: str) -> Diagnostic:
    found = _ERROR.search(text)
    line, column, label = (int(found[1]), int(found[2]), found[3]) if found else (1, 1, "the compiler refuses it")
    help_ = "begin with what is written without --pseudo_impl, and keep its last table, `appnet_program`"
    span = Span(FileSource(path), line, column, line, column + 1)
    return Diagnostic("C067", Severity.ERROR, f"{path.name} does not compile", span, label, help_)


def _no_code(folder: Path, parts: list[Module]) -> Diagnostic:
    title = f"no code for any module in {folder}"
    help_ = f"name files as they are written: `{parts[0].stem}.c`" if parts else "there are no modules"
    return Diagnostic("C065", Severity.ERROR, title, Span.whole(FileSource(folder)), "", help_)


def _stray(folder: Path, parts: list[Module]) -> Iterator[Diagnostic]:
    """An error for each C file in the folder that belongs to no module: most likely, its name is mistyped."""
    names = [f"{it.stem}.c" for it in parts]
    for path in sorted(folder.rglob("*.c")):
        name = path.relative_to(folder).as_posix()
        if name not in names:
            title, help_ = f"{name} belongs to no module", suggestion(name, names, what="modules' files")
            yield Diagnostic("C085", Severity.ERROR, title, Span.whole(FileSource(path)), "", help_)
