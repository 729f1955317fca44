"""Where an element's method is to be found: the applications near it whose chains name its file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from appnet.application.load import read_applications
from appnet.application.methods import methods_of
from appnet.application.model import Application, Chain, ElementSpec
from appnet.application.named import project_root
from appnet.application.proto import load_proto
from appnet.application.proto_files import ProtoRoot
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.place import Source
from appnet.diagnostics.source import FileSource
from appnet.language.messages import MethodSignature


@dataclass(frozen=True)
class Use:
    """An element in a chain. ``source``: the file that says so."""

    source: Source
    chain: Chain
    element: ElementSpec

    def methods(self) -> tuple[MethodSignature, ...]:
        """The methods whose RPCs it sees. Raises `DiagnosticError` for a .proto that is wrong or lacks one."""
        return methods_of(self.chain.methods, load_proto(self.chain.proto, self.chain.proto_roots))


def uses_of(element: Source) -> list[Use]:
    """The chains that ``element`` stands in, in all valid files of applications in the nearest folder that has one.

    Folders are looked at from the element's own upwards: to the one that has ``.git`` or ``config/samples``, else to
    the one above the element's. An element that is no file has none.
    """
    if element.path is None:
        return []
    for folder in _folders(Path(os.path.realpath(element.path))):
        found = [
            Use(application.source, chain, stop.spec)
            for application in _applications(folder)
            for chain in application.chains
            for stop in chain.stops
            if stop.spec.source == element
        ]
        if found:
            return found
    return []


def roots_near(proto: Source) -> tuple[ProtoRoot, ...]:
    """The roots that applications give in the nearest folder that has one: those whose chains name the .proto, or else
    all. Folders are looked at as `uses_of` does."""
    for folder in _folders(Path(os.path.realpath(proto.path))) if proto.path is not None else ():
        chains = [chain for application in _applications(folder) for chain in application.chains]
        if chains:
            own = [it for it in chains if it.proto == proto]
            return tuple(dict.fromkeys(root for it in own or chains for root in it.proto_roots))
    return ()


def _folders(element: Path) -> list[Path]:
    above = list(element.parents)
    root = project_root(element) or next((it for it in above if (it / ".git").exists()), None)
    return above[: above.index(root) + 1 if root in above else 2]


def _applications(folder: Path) -> Iterator[Application]:
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        with suppress(DiagnosticError):  # a manifest, or wrong, which is told when it is checked itself
            yield from _read(FileSource(path))


def _read(source: FileSource) -> Sequence[Application]:
    """What the file says, which is read again when its text has changed; nothing where it is no application."""
    text = source.text()
    before, known = _READ.get(source, ("", None))
    if known is None or before != text:
        try:
            known = read_applications(source)
        except DiagnosticError as error:
            if any(it.code == "C033" for it in error.diagnostics):  # what it names may come to be there
                raise
            known = ()
        _READ[source] = text, known
    return known


_READ: dict[FileSource, tuple[str, Sequence[Application]]] = {}
"""What files said, with their texts then."""
