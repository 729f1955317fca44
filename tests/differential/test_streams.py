"""Streams: each message is judged as soon as it is whole, however the bytes come; on both targets as interpreted."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from appnet.codegen.c import ChainSource, print_chain
from appnet.diagnostics.source import TextSource
from appnet.ir import compile_element
from appnet.processors.processor import Denied
from tests.differential.compare import AS_HTTP, BACKENDS, SEED, TARGETS, Subject
from tests.differential.streams import run_streams
from tests.support.elements import make_program
from tests.support.programs import program
from tests.support.raw_grpc import frame
from tests.support.sample import SAMPLE

WRITTEN = [it for it in sorted((Path(__file__).parent / "programs").glob("*.appnet")) if it.stem != "growing"]
GENERATED = 60
CALLS = 12
REQUEST = {":path": SAMPLE.full_name.encode(), "content-type": b"application/grpc"}

each_target = pytest.mark.parametrize("subject", TARGETS, ids=lambda subject: subject.name)


@each_target
def test_written_programs(subject: Subject):
    judged, refused = run_streams([[it.read_text()] for it in WRITTEN], CALLS, subject)
    assert judged > CALLS * len(WRITTEN)
    assert refused > len(WRITTEN) // 4


def make_chains(source: random.Random) -> list[list[str]]:
    texts = [make_program(source, whole=number % 2 == 1) for number in range(GENERATED)]
    return [*([text] for text in texts), *(texts[start : start + 3] for start in range(0, GENERATED, 6))]


@each_target
def test_generated_programs(subject: Subject):
    source = random.Random(7)
    judged, refused = run_streams(make_chains(source), CALLS, subject)
    assert judged > CALLS * GENERATED
    assert refused > GENERATED // 4


@pytest.mark.parametrize("subject", AS_HTTP, ids=lambda subject: subject.name)
@pytest.mark.parametrize(
    ("piece", "code", "text"),
    [
        (frame(b"", flags=1), 13, b"appnet: request message is compressed, and nothing says how"),
        (frame(b"", flags=2), 13, b"appnet: request message has an unknown frame flag"),
        (frame(b"", length=1 << 30), 8, b"appnet: request message is longer than this proxy accepts"),
        (frame(b"\x0a\x7f"), 13, b"appnet: request message is malformed: a length runs past the end"),
        (frame(b"ab")[:-1], 13, b"appnet: request ends within its message"),
        (frame(b"")[:3], 13, b"appnet: request ends within a frame header"),
    ],
)
def test_what_is_no_message_ends_the_call(subject: Subject, piece: bytes, code: int, text: bytes):
    signature = replace(SAMPLE, client_streaming=True)
    element = compile_element(TextSource(Path("s.appnet"), program("set(rpc, 'count', 5)")), signature).element
    module = subject.harness(
        subject.compile(print_chain(ChainSource("streams", "1", [(signature, [element])]))),
        seed=SEED, backend_count=BACKENDS, now_ns=0,
    )  # fmt: skip
    call = module.call()
    call.request_headers(REQUEST)
    call.request_body(frame(b""))
    before = call.request.passed
    assert before
    call.request_body(piece, end=True)
    assert call.reply == Denied(code, text)
    assert call.request.passed == before
    call.end()
