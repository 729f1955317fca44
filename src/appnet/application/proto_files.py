"""The files that a .proto is compiled from: itself, and what it imports, each by its name in import statements."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import yaml
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity, UnreadableError
from appnet.diagnostics.place import Label, Source, Span
from appnet.diagnostics.source import FileSource, base_name

_IMPORT = re.compile(
    r"""//[^\n]*|/\*.*?\*/|\bimport\s+(?:(?:public|weak)\s+)?(?:"(?P<double>[^"\n]*)"|'(?P<single>[^'\n]*)')""",
    re.DOTALL,
)
_PACKAGE = re.compile(r"//[^\n]*|/\*.*?\*/|\bpackage\s+(?P<name>[\w.]+)\s*;", re.DOTALL)
_MOST_LEVELS = 20
_LONGEST_NAME = 1_000
_COME_ALONG = re.compile(r"(?:google/(?:api|rpc|type|longrunning)|validate|xds)/[\w/]+\.proto")
"""What other files import without having it, and a wheel brings: googleapis, validation rules."""


@dataclass(frozen=True)
class ProtoRoot:
    """A folder where the names in import statements begin. ``inside``: some source in it, which need not be there."""

    inside: Source

    @staticmethod
    def of(folder: Path) -> ProtoRoot:
        """A folder of this machine."""
        return ProtoRoot(FileSource(folder / "_"))

    @property
    def folder(self) -> Path | None:
        """None of texts in memory."""
        return self.inside.path.parent if self.inside.path is not None else None

    def file(self, name: str) -> Source:
        """What an import statement means by the name, there or not."""
        return self.inside.beside(name)


_FIRST: ContextVar[tuple[ProtoRoot, ...]] = ContextVar("_FIRST", default=())


@contextlib.contextmanager
def searched_first(roots: Iterable[ProtoRoot]) -> Iterator[None]:
    """Looks for imports of every .proto in these before all other roots, as a compiler's ``-I`` says."""
    token = _FIRST.set(tuple(roots))
    try:
        yield
    finally:
        _FIRST.reset(token)


@dataclass(frozen=True)
class ProtoFiles:
    """``own``: the .proto's name as import statements have it. ``found``: all files by such names, itself first, with
    their ``texts``; ``along``: what it imports of what comes along."""

    own: str
    found: Mapping[str, Source]
    texts: Mapping[str, str]
    along: tuple[FileDescriptor, ...]

    def known(self) -> FileDescriptorSet:
        """What comes along, with all that it imports."""
        return _set_of(self.along)

    def write(self, folder: Path) -> None:
        """Puts the files into the folder, as the compiler wants them."""
        for name, text in self.texts.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")


def content(source: Source) -> str | None:
    """What stands there; None where that cannot be read."""
    try:
        return source.text()
    except (UnreadableError, OSError, ValueError):  # as of a name that no file system takes
        return None


def files_of(source: Source, given: Iterable[ProtoRoot] = ()) -> ProtoFiles:
    """The .proto with what it imports: from the ``given`` roots, from the folder above its package's path, from the
    roots that buf's files around it name, and from its own folder. What is nowhere is left to the compiler.

    Raises `UnreadableError` where the .proto itself cannot be read, `DiagnosticError` where given roots disagree.
    """
    first = tuple(dict.fromkeys((*_FIRST.get(), *given)))
    text = source.text()
    package = _package_root(source, text)
    roots = list(dict.fromkeys((*([package[0]] if package else []), *_buf_roots(source), "")))
    own = _below_given(source, first) or (package[1] if package else _below(source, roots)) or base_name(source)
    found, texts = {own: source}, {own: text}
    along: dict[str, FileDescriptor] = {}
    waiting = [own]
    while waiting:
        importing = waiting.pop()
        for name, place in _imports(texts[importing]):
            if name in found or name in along:
                continue
            tried = (source.beside(f"{root}{name}") for root in roots)
            imported = _agreed(name, first, found[importing], place) or next(_readable(tried), None)
            if imported is not None:
                found[name], texts[name] = imported
                waiting.append(name)
            elif (brought := _comes_along(name)) is not None:
                along[name] = brought
    return ProtoFiles(own, found, texts, tuple(along.values()))


def _readable(sources: Iterable[Source]) -> Iterator[tuple[Source, str]]:
    """Those that can be read, with what stands there."""
    for it in sources:
        text = content(it)
        if text is not None:
            yield it, text


def _agreed(name: str, roots: Iterable[ProtoRoot], source: Source, place: tuple[int, int]) -> tuple[Source, str] | None:
    """The file of this name in the given roots; raises `DiagnosticError` where they have different ones."""
    first, *others = (*_readable(root.file(name) for root in roots), None)
    for it in others:
        if first is not None and it is not None and it[1] != first[1]:
            offset, end = place
            before = source.text()[:offset]
            line, column = before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1
            span = Span(source, line, column, line, column + end - offset)
            title = f"`{name}` is in two of the given roots, with different content"
            help_ = "give only one of the two roots, or remove one of the files"
            places = (Label(Span.whole(first[0]), "the first"), Label(Span.whole(it[0]), "another"))
            raise DiagnosticError([Diagnostic("C054", Severity.ERROR, title, span, "which is meant?", help_, places)])
    return first


def _imports(text: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """The names that a .proto imports, with where each stands, but for those that lead out of every root."""
    for found in _IMPORT.finditer(text):
        quotes = "double" if found["double"] else "single"
        name = found[quotes] or ""
        if name and not {"", ".", ".."} & set(name.split("/")) and "\0" not in name and len(name) <= _LONGEST_NAME:
            yield name, found.span(quotes)


def _package_root(source: Source, text: str) -> tuple[str, str] | None:
    """The way from the .proto's folder to the one above its package's path, and its own name from there; None where
    it does not lie as its package says."""
    package = next((it["name"] for it in _PACKAGE.finditer(text) if it["name"]), "")
    parts = package.split(".") if package else []
    place = Path(os.path.realpath(source.path)) if source.path is not None else PurePosixPath(source.name)
    if not parts or list(place.parent.parts[-len(parts) :]) != parts:
        return None
    return "../" * len(parts), "/".join((*parts, base_name(source)))


def _below_given(source: Source, roots: Iterable[ProtoRoot]) -> str | None:
    """The .proto's own name from the first of the roots that it lies below."""
    if source.path is None:
        return None
    file = Path(os.path.realpath(source.path))
    folders = (Path(os.path.realpath(it.folder)) for it in roots if it.folder is not None)
    return next((file.relative_to(it).as_posix() for it in folders if file.is_relative_to(it)), None)


def _below(source: Source, roots: Iterable[str]) -> str | None:
    """The .proto's own name from the first of the roots that it lies below."""
    if source.path is None:
        return None
    file = Path(os.path.realpath(source.path))
    for root in filter(None, roots):
        name = PurePosixPath(os.path.relpath(file, file.parent / root))
        if ".." not in name.parts:
            return name.as_posix()
    return None


def _buf_roots(source: Source) -> Iterator[str]:
    """The ways from the .proto's folder to the roots that the nearest of buf's files names."""
    if source.path is None:
        return
    folder = Path(os.path.realpath(source.path)).parent
    for level, around in enumerate((folder, *folder.parents)):
        if level == _MOST_LEVELS:
            return
        up = "../" * level
        for file, listed in (("buf.work.yaml", _of_workspace), ("buf.yaml", _of_modules)):
            text = content(FileSource(around / file))
            if text is not None:
                paths = (it for it in listed(text) if it.isprintable())
                yield from (f"{up}{it.rstrip('/')}/".replace("/./", "/").removeprefix("./") for it in paths)
                if file == "buf.work.yaml" or "modules" in text:
                    return


def _of_workspace(text: str) -> list[str]:
    listed = _mapping(text).get("directories")
    return [it for it in listed if isinstance(it, str)] if isinstance(listed, list) else []


def _of_modules(text: str) -> list[str]:
    """The folders of a buf.yaml's modules; its own, where it has none."""
    modules = _mapping(text).get("modules")
    if not isinstance(modules, list):
        return ["."]
    paths = (it.get("path", ".") for it in modules if isinstance(it, dict))
    return [it for it in paths if isinstance(it, str)]


def _mapping(text: str) -> dict[object, object]:
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, OverflowError, LookupError, AttributeError, TypeError, RecursionError):
        return {}  # as PyYAML fails, by its kind
    return found if isinstance(found, dict) else {}


def _comes_along(name: str) -> FileDescriptor | None:
    if not _COME_ALONG.fullmatch(name):
        return None
    try:
        module = importlib.import_module(f"{name.removesuffix('.proto').replace('/', '.')}_pb2")
    except ImportError:
        return None
    found = module.DESCRIPTOR
    return found if isinstance(found, FileDescriptor) else None


def _set_of(files: Iterable[FileDescriptor]) -> FileDescriptorSet:
    """The files with all that they import, each behind its own imports, as a descriptor set has them."""
    found: dict[str, FileDescriptor] = {}

    def add(one: FileDescriptor) -> None:
        if one.name not in found:
            for it in one.dependencies:
                add(it)
            found[one.name] = one

    for one in files:
        add(one)
    made = FileDescriptorSet()
    for one in found.values():
        one.CopyToProto(made.file.add())
    return made
