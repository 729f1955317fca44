"""Searching a text: wasm modules bring their own search, whose words of bytes and whose slow way must not show."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appnet.codegen.c import ChainSource, print_chain
from appnet.diagnostics.source import TextSource
from appnet.ir import compile_element
from appnet.processors.envoy.build import build
from appnet.processors.envoy.harness import wasm as wasm_harness
from appnet.processors.envoy.harness.calls import Action, DeliveredBody
from appnet.processors.envoy.targets import WASM
from tests.support.raw_grpc import frame, string_field
from tests.support.signatures import ECHO

SEARCH = """state:
    pass

init():
    pass

req(rpc):
    found = contains(get(rpc, 'Body'), get_metadata(rpc, 'part'))
    match found:
        true => send(rpc, Down)
        false => send(err('not in it', NOT_FOUND), Up)

resp(rpc):
    send(rpc, Up)
"""
LETTERS = st.sampled_from(("a", "ab", "ab\x7f", "aé\u0080"))
TEXTS = LETTERS.flatmap(lambda letters: st.text(letters, max_size=60)).map(str.encode)


@pytest.fixture(scope="module")
def search() -> wasm_harness.ModuleUnderTest:
    element = compile_element(TextSource(Path("search.appnet"), SEARCH), ECHO).element
    source = print_chain(ChainSource("search", "1", [(ECHO, [element])]))
    return wasm_harness.ModuleUnderTest(build(source, WASM))


@settings(max_examples=400)
@example(text=b"aaaaaaa\x80", part=b"\x80")
@example(text=b"\x01" * 8 + b"\x00", part=b"\x00")
@example(text=b"a" * 5000 + b"b", part=b"a" * 2000 + b"ba")
@given(text=TEXTS, part=TEXTS | st.text("ab", min_size=1, max_size=3).map(str.encode))
def test_a_part_is_found_where_there_is_one(search: wasm_harness.ModuleUnderTest, text: bytes, part: bytes):
    for wanted in (part, text[len(text) // 3 :], text[: len(text) // 2 + 1], text[2:-2]):
        call = search.call()
        call.request_headers({":path": b"/echo.EchoService/echo", "content-type": b"application/grpc", "part": wanted})
        action = call.request_body(frame(string_field(1, text)), end=True)
        call.end()
        assert (action is Action.CONTINUE) == (wanted in text)


SPLICE = """state:
    pass

init():
    pass

req(rpc):
    body = get(rpc, 'Body')
    part = get_metadata(rpc, 'part')
    set(rpc, 'Body', concat(replace(body, part, '<>'), join(split(body, part), '|')))
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""


@pytest.fixture(scope="module")
def splice() -> wasm_harness.ModuleUnderTest:
    element = compile_element(TextSource(Path("splice.appnet"), SPLICE), ECHO).element
    source = print_chain(ChainSource("splice", "1", [(ECHO, [element])]))
    return wasm_harness.ModuleUnderTest(build(source, WASM))


@settings(max_examples=300)
@example(text=b"aab" * 3000, part=b"a" * 40)
@example(text=(b"a" * 2000 + b"ba") * 3, part=b"a" * 2000 + b"ba")
@example(text=b"a" * 9000, part=b"a" * 1500)
@given(text=TEXTS, part=TEXTS | st.text("ab", min_size=1, max_size=3).map(str.encode))
def test_every_place_of_a_part_is_found(splice: wasm_harness.ModuleUnderTest, text: bytes, part: bytes):
    passed = splice.call().run_request("/echo.EchoService/echo", {"part": part}, [frame(string_field(1, text))])
    replaced, parts = (text.replace(part, b"<>"), text.split(part)) if part else (text, [text])
    assert isinstance(passed, DeliveredBody)
    assert passed.body == frame(string_field(1, replaced + b"|".join(parts)))
