"""What was tampered with is refused, or does no harm: code, bundles, requests, and messages of applications."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from appnet.grpc.container import MACHINE
from appnet.processors.grpc.container import Container
from appnet.processors.mrpc import requests
from appnet.processors.mrpc.bincode import Writer
from appnet.processors.mrpc.bundle import function_id
from tests.processors.mrpc.chains import LAYOUTS, Module, compile_chains
from tests.processors.mrpc.compare import SEED, Host, fill
from tests.processors.mrpc.crate import METHODS, NEEDS_CARGO, HostError, Process, decode, encode, index_of
from tests.support.programs import program

pytestmark = NEEDS_CARGO

CASES = int(os.environ.get("APPNET_HOSTILE", "1500"))
_EDGES = (0, 1, 1 << 16, (1 << 16) - 8, 1 << 31, 1 << 32, (1 << 64) - 1, (1 << 64) - 8)
_READS = """
set(kept, 'text', get(rpc, 'text'))
set(kept, 'name', get(rpc, 'inner.name'))
total = total + size(get(rpc, 'larges')) + size(get(rpc, 'inners.deeps.word')) + get(rpc, 'numbers.two')
if has(rpc, 'maybe_text'):
    set(rpc, 'texts', ['some', 'more'])
set(rpc, 'inner.deep.word', 'written')
"""


@pytest.fixture(scope="module")
def module() -> Module:
    text = program(
        _READS.replace(" + size(get(rpc, 'inners.deeps.word'))", ""), state="kept: Map<string, string>\ntotal: int"
    )
    return compile_chains(LAYOUTS, {"Call": [text]})


def _mutated(data: bytes, source: random.Random, first: int = 0, last: int | None = None) -> bytes:
    """With a few of its bits, bytes or words changed, between these places."""
    changed = bytearray(data)
    for _ in range(source.randint(1, 3)):
        at = source.randrange(first, last or len(data))
        kind = source.randrange(4)
        if kind == 0:
            changed[at] ^= 1 << source.randrange(8)
        elif kind == 1:
            changed[at] = source.randrange(256)
        else:
            word = source.choice(_EDGES) if kind == 2 else source.getrandbits(64)
            changed[at & ~7 : (at & ~7) + 8] = struct.pack("<Q", word)
    return bytes(changed[: len(data)])


def _outcomes(cases: Iterator[Callable[[], object]]) -> tuple[int, int]:
    """How many were taken, and refused."""
    taken = refused = 0
    for case in cases:
        try:
            case()
            taken += 1
        except HostError:
            refused += 1
    return taken, refused


def test_code(module: Module):
    """The parts of a file that lead somewhere: headers and tables. A host runs nothing of it: it asks whether it could."""
    process, source = Process(), random.Random(SEED)
    code = Container.unpack(module.code).code[MACHINE]
    count = int.from_bytes(code[56:58], "little")
    parts = [(0, 64 + 56 * count)]
    for number in range(count):
        kind, flags, offset, _, _, in_file = struct.unpack_from("<IIQQQQ", code, 64 + 56 * number)
        if kind == 1 and not flags & 1 and in_file:
            parts.append((offset, offset + in_file))

    def case() -> None:
        container = Container({MACHINE: _mutated(code, source, *source.choice(parts))}).pack()
        process.ask(b"x", Writer().bytes(container))

    taken, refused = _outcomes(case for _ in range(CASES))
    assert taken > CASES // 20
    assert refused > CASES // 20


def test_code_that_was_cut_short(module: Module):
    process = Process()
    code = Container.unpack(module.code).code[MACHINE]
    for size in range(0, len(code) * 9 // 10, 97):
        with pytest.raises(HostError):
            process.ask(b"x", Writer().bytes(Container({MACHINE: code[:size]}).pack()))
    for size in range(0, len(module.code), 997):
        with pytest.raises(HostError):
            process.ask(b"x", Writer().bytes(module.code[:size]))


def test_code_that_is_not_what_its_hash_says(module: Module):
    changed = bytearray(module.code)
    changed[-1] ^= 1
    with pytest.raises(HostError, match="not what its hash says"):
        Process().ask(b"x", Writer().bytes(bytes(changed)))
    other = Container({"riscv64": b"code"}).pack()
    with pytest.raises(HostError, match=f"no code for {MACHINE}, only for riscv64"):
        Process().ask(b"x", Writer().bytes(other))


@pytest.mark.parametrize("server", [False, True], ids=["client", "server"])
def test_layouts(module: Module, server: bool):
    """Whatever tables say, engines that take them read and write within messages."""
    host, source = Host(module, server=server), random.Random(SEED)
    packed = module.bundle(server=server)
    tables = len(packed) - len(module.code) - 8
    message = METHODS[LAYOUTS].bytes_class("lay.Ask")()
    kind = index_of(message.DESCRIPTOR)
    judged = 0

    def case() -> None:
        nonlocal judged
        host.process.ask(b"o", Writer().u64(SEED).bytes(_mutated(packed, source, 60, tables)))
        for call in range(3):
            message.Clear()
            fill(message, source, 0.7)
            told, function = encode(message), function_id(LAYOUTS)
            host.process.message((1, call), function, kind, told, goes_out=not server, blind=True)
            judged += 1

    taken, refused = _outcomes(case for _ in range(CASES // 5))
    assert min(taken, refused) > CASES // 100
    assert judged > taken


def test_bundles_and_requests(module: Module):
    """No bytes end the process."""
    host, source = Host(module, server=False), random.Random(SEED)
    packed = module.bundle(server=False)
    asked = [
        requests.load("/nowhere/it.mrpc", bytes(32)), requests.report(""), requests.dump(""), requests.records(""),
    ]  # fmt: skip

    def bundle() -> None:
        host.process.ask(b"b", Writer().bytes(_mutated(packed, source)[: source.choice((len(packed), 200, 40, 7))]))

    def request() -> None:
        mutated = _mutated(source.choice(asked), source)
        if b"/" not in mutated[4:]:  # nothing is written anywhere
            host.process.ask(b"h", Writer().bytes(mutated[: source.choice((len(mutated), 5, 3))]))

    for kind in (bundle, request):
        taken, refused = _outcomes(kind for _ in range(CASES // 3))
        assert refused > CASES // 50
        assert taken > 0
    assert host.state_dump()


def test_the_messages_of_an_application_that_lead_nowhere(module: Module):
    """Pointers and sizes are the application's: what cannot be read is refused."""
    host, source = Host(module, server=False), random.Random(SEED)
    message = METHODS[LAYOUTS].bytes_class("lay.Ask")()
    refused = 0
    for call in range(CASES // 5):
        message.Clear()
        fill(message, source, 0.7)
        event = Writer().u64(source.getrandbits(64)).u64(1).u64(call).u32(function_id(LAYOUTS))
        event.u32(index_of(message.DESCRIPTOR)).raw(encode(message))
        refused += not host.process.ask(b"w", event).bool()
    assert refused > CASES // 50
    assert host.state_dump()


def _ask(**fields: object) -> Any:
    return METHODS[LAYOUTS].bytes_class("lay.Ask")(**fields)


@pytest.mark.parametrize(
    ("fields", "goes_on"),
    [
        ({"texts": [b"x"] * 50_000}, True),
        ({"texts": [b""] * 50_000, "text": b"", "maybe_text": b""}, True),
        ({"larges": range(200_000)}, True),
        ({"inners": [{"deeps": [{"on": True, "word": b"w"}] * 100}] * 100, "inner": {"deep": {}}}, True),
        ({"text": b"x" * (4 << 20)}, False),
        ({"texts": [b""] * 150_000}, False),
        ({"inners": [{"deeps": [{}] * 1000}] * 120}, False),
    ],
    ids=["texts", "empty texts", "numbers", "deep", "a long text", "many empty texts", "many deep messages"],
)
def test_large_messages(module: Module, fields: dict[str, Any], goes_on: bool):
    """They are copied whole, or refused where they take more memory than a message may."""
    host, message = Host(module, server=False), _ask(**fields)
    event = ((1, 1), function_id(LAYOUTS), index_of(message.DESCRIPTOR), encode(message))
    found = host.process.message(*event, goes_out=True)
    assert (found is not None) == goes_on
    reader = host.process.ask(b"h", Writer().bytes(requests.report("")))
    report = requests.read_answer(reader.raw(len(reader)))
    assert isinstance(report, requests.Report)
    assert (report.failed, report.refused) == (not goes_on, 0)
    if found is not None:
        assert found.u64() == 0, "it does not wait"
        assert found.bool(), "it is a copy"
        wanted = _ask(**fields)
        wanted.inner.deep.word = b"written"
        if wanted.HasField("maybe_text"):
            wanted.texts[:] = [b"some", b"more"]
        assert encode(decode(found, _ask())) == encode(wanted)
