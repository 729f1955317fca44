"""Chains for mRPC in tests: compiled for this machine alone, as bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from appnet.application.proto import ProtoFile
from appnet.codegen.c.printer import ChainSource, print_by_content
from appnet.diagnostics.source import TextSource
from appnet.grpc.container import MACHINE
from appnet.ir.compile import compile_element
from appnet.ir.nodes import Element
from appnet.language.messages import MethodSignature
from appnet.processors.grpc.build import build_for
from appnet.processors.grpc.container import Container
from appnet.processors.mrpc.bundle import Bundle
from appnet.processors.mrpc.layouts import Layouts, layouts_of
from tests.processors.mrpc.crate import METHODS, sides
from tests.support.programs import program

LAYOUTS, ECHO = METHODS


def layouts(proto: ProtoFile, *methods: MethodSignature) -> Layouts:
    """Those of methods."""
    return layouts_of({it.full_name: sides(proto, it) for it in methods})


@dataclass(frozen=True)
class Chain:
    """Elements in order, each with the text it was compiled from, on a method of its own."""

    signature: MethodSignature
    elements: Sequence[Element]
    sources: Sequence[str]


@dataclass(frozen=True)
class Module:
    """Chains, what they were compiled to together, and the layouts of their messages."""

    proto: ProtoFile
    chains: Sequence[Chain]
    version: str
    code: bytes

    @property
    def layouts(self) -> Layouts:
        """Those of all chains."""
        return layouts(self.proto, *(it.signature for it in self.chains))

    def bundle(self, *, server: bool, name: str = "chain", most: int = 4 << 20) -> bytes:
        """What an engine loads."""
        return Bundle(name, self.version, server, most, b"", "", self.layouts, self.code).pack()


def compile_chains(method: str, texts: Mapping[str, Sequence[str]]) -> Module:
    """The elements of these texts as chains, each for a method like the one of ``METHODS``, which is called as the
    chain."""
    proto = METHODS[method]
    signature = proto.method(method)
    service = signature.full_name.rpartition("/")[0]
    chains = []
    for name, sources in texts.items():
        own = replace(signature, full_name=f"{service}/{name}")
        elements = [
            compile_element(TextSource(Path(f"{name}.appnet"), text), own, name=f"{name}_{number}").element
            for number, text in enumerate(sources)
        ]
        chains.append(Chain(own, elements, sources))
    code = print_by_content(ChainSource("chain", "", [(it.signature, it.elements) for it in chains]), "mrpc")
    return Module(proto, chains, code.version, Container({MACHINE: build_for(code.text, MACHINE)}).pack())


def counting(refused: str, counts_back: int = 1) -> Module:
    """Counts words and calls, refuses one word, and counts each response so many times."""
    state = "counts: Map<string, int>\nall: int\nseen: Vec<int>\nback: int"
    body = f"""
word = get(rpc, 'body')
set(counts, word, get(counts, word, 0) + 1)
all = all + 1
set(seen, size(seen), all)
if word == '{refused}':
    send(err('no'), Up)
"""
    back = f"back = back + {counts_back}\nsend(rpc, Up)"
    return compile_chains(ECHO, {"echo": [program(body, state=state, resp=back)]})
