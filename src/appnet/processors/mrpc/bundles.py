"""Chains as engines load them: the code of one end of an edge, with the layouts of its messages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from appnet.application.model import EdgeEnd, Side
from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.diagnostics.place import Label
from appnet.grpc.container import code_for
from appnet.processors.artifact import Artifact
from appnet.processors.mrpc.bincode import Reader
from appnet.processors.mrpc.bundle import Bundle
from appnet.processors.mrpc.layouts import Layouts, UnsupportedError, layouts_of
from appnet.processors.options import ChainOptions
from appnet.system.address import Address

_MAGIC = b"appnetm\1"
_NUMBERS_OF_METHOD = 4


@dataclass(frozen=True)
class Heading:
    """What a bundle says of itself. ``sha256``: of all its bytes."""

    name: str
    version: str
    side: Side
    sha256: bytes


def heading(data: bytes) -> Heading:
    """That of a bundle. Raises `ValueError` where it is none, cut short, damaged, or for other machines."""
    reader = Reader(data)
    if reader.raw(len(_MAGIC)) != _MAGIC:
        raise ValueError("it begins with something else")
    name, version = reader.text(), reader.text()
    side = Side.SERVER if reader.bool() else Side.CLIENT
    _pass_tables(reader)
    code_for(reader.bytes())
    reader.end()
    return Heading(name, version, side, hashlib.sha256(data).digest())


def _pass_tables(reader: Reader) -> None:
    """Reads on to the code. What the tables say, engines look at."""
    reader.u32()  # the longest message
    reader.bytes()  # whose records these are
    reader.text()  # where they go
    Layouts.pass_over(reader)
    reader.list(lambda it: (it.text(), it.raw(4 * _NUMBERS_OF_METHOD)))


def by_end(artifacts: Sequence[Artifact]) -> dict[EdgeEnd, list[Artifact]]:
    """The artifacts of each end, in request order."""
    found: dict[EdgeEnd, list[Artifact]] = {}
    for it in artifacts:
        found.setdefault(it.end, []).append(it)
    return found


def layouts(artifact: Artifact) -> Layouts:
    """Those of its methods' messages. Raises `UnsupportedError` where mRPC has none."""
    of = artifact.chain.proto.message_class
    methods = [it.signature for it in artifact.chain.methods]
    pairs: list[tuple[Any, Any]] = [
        (of(it.request.full_name).DESCRIPTOR, of(it.response.full_name).DESCRIPTOR) for it in methods
    ]
    return layouts_of({it.full_name: pair for it, pair in zip(methods, pairs, strict=True)})


def bundle(artifact: Artifact, records: Address | None) -> bytes:
    """What the engine at the artifact's end loads."""
    end = artifact.end
    options = ChainOptions(end.service, f"{end.service}-mrpc", artifact.version, end=end)
    return Bundle(
        name=artifact.name,
        version=artifact.version,
        server=end.side is Side.SERVER,
        max_message=artifact.limits.max_message,
        resource=options.resource(),
        records=str(records) if records is not None else "",
        layouts=layouts(artifact),
        code=artifact.binary,
    ).pack()


def problems(artifacts: Sequence[Artifact]) -> Iterator[Diagnostic]:
    """An end of an edge with several modules, and messages that mRPC's structs cannot hold."""
    for end, here in by_end(artifacts).items():
        if len(here) > 1:
            edge = f"`{end.client}->{end.server}`"
            title = f"an engine runs one module, and {edge} has {len(here)} on the {end.side.value}'s side"
            first, *others = (it.segment.elements[0].name for it in here)
            help_ = "give all methods of the edge one chain (`method: '*'`), and leave out `--opt-level no`"
            labels = tuple(Label(it.span, "in another") for it in others)
            yield Diagnostic("C096", Severity.ERROR, title, first.span, "in one module", help_, labels)
    for it in {id(one.chain): one for one in artifacts}.values():
        try:
            layouts(it)
        except UnsupportedError as error:
            title = f"mRPC has no place for `{error.path}`: {error.why}"
            place, help_ = it.segment.elements[0].name.span, "take it out of the message, or use `sidecar`"
            yield Diagnostic("C095", Severity.ERROR, title, place, f"on `{it.edge}`", help_)
