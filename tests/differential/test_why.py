"""What native modules tell of refusals is enough to run them again, and nothing of it is secret."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from appnet.behaviour.why import NoReplayError, replay
from appnet.codegen.c.printer import ChainSource, print_chain
from appnet.diagnostics.source import TextSource
from appnet.interpret.chain import ChainInstance
from appnet.interpret.rpc import Environment, Rpc
from appnet.ir.compile import compile_element
from appnet.ir.nodes import Element
from appnet.language.messages import MethodSignature
from appnet.observe.refusals import Kind, Refusal, Told, decode_refusals
from appnet.processors.envoy.harness.native import ModuleUnderTest
from tests.differential import fuzz, why
from tests.differential.compare import NATIVE
from tests.support.sample import SAMPLE
from tests.support.wire import encode

SECRET = b"open-sesame-7781"


def test_written_programs():
    found = why.run(fuzz.written_chains(), 30, 0)
    assert found["agreed"] > 200


@pytest.mark.parametrize("seed", range(2))
def test_random_programs(seed: int):
    found = why.run_batch(seed, 15)
    assert found["agreed"] > 300
    assert found["agreed"] > 0.9 * found.total()


def secretive() -> MethodSignature:
    """The sample's method, whose `text` is secret."""
    text = replace(SAMPLE.request.fields["text"], secret=True)
    request = replace(SAMPLE.request, fields={**SAMPLE.request.fields, "text": text})
    return replace(SAMPLE, request=request)


@dataclass
class Sent:
    """What a module told of a call: the bytes, and the refusals in them."""

    bytes: bytes
    refusals: list[Refusal]
    elements: list[Element]
    signature: MethodSignature


def refused(*programs: str, metadata: dict[str, bytes] | None = None, method: MethodSignature | None = None) -> Sent:
    """What a module of these elements tells of two calls with the secret."""
    signature = method or secretive()
    elements = [
        compile_element(TextSource(Path(f"e{number}.appnet"), it), signature, name=f"e{number}").element
        for number, it in enumerate(programs)
    ]
    binary = NATIVE.compile(print_chain(ChainSource("why", "1", [(signature, elements)])))
    module = ModuleUnderTest(binary, seed=1, backend_count=0, now_ns=1)
    body = encode(random.Random(1), {"text": SECRET})
    for _ in range(2):
        call = module.call()
        call.run_request(signature.full_name, metadata or {}, [b"\0" + struct.pack(">I", len(body)) + body], "host")
        call.end()
    batches = module.take_telemetry()
    return Sent(b"".join(batches), [it for batch in batches for it in decode_refusals(batch)], elements, signature)


def element(req: str, state: str = "unused: int") -> str:
    """An element with this handler."""
    lines = "\n".join(f"    {it}" for it in req.strip().splitlines())
    return f"state:\n    {state}\n\ninit():\n    pass\n\nreq(rpc):\n{lines}\n\nresp(rpc):\n    send(rpc, Up)\n"


COMPARED = element("""
match get(rpc, 'text') == 'open':
    true => send(rpc, Down)
    false => send(err('closed'), Up)
""")
LOOKED_UP = element(
    """
match get(seen, lower(get(rpc, 'text'))):
    Some(_) => send(rpc, Down)
    None => send(err('unseen'), Up)
""",
    "seen: Map<string, int>",
)
KEPT = element(
    """
match last == '':
    true =>
        last = get(rpc, 'text')
        send(rpc, Down)
    false =>
        send(err('again'), Up)
""",
    "last: string",
)
TOLD_TO_CALLER = element("send(err('not ' + get(rpc, 'text')), Up)")
IN_PARTS = element(
    """
strange = 0
foreach(split(get(rpc, 'text'), '-'), lambda(part):
    strange = strange + get(known, part, 1)
)
match strange > 0:
    true => send(err('unknown'), Up)
    false => send(rpc, Down)
""",
    "known: Map<string, int>",
)
RECORDED = element("set(noted, size(noted), get(rpc, 'text'))\nsend(err('noted'), Up)", "noted: Vec<string>")
PASSED_ON = element("set_metadata(rpc, 'x-copy', get(rpc, 'text'))\nsend(rpc, Down)")
READS_COPY = element("""
match get_metadata(rpc, 'x-copy') == '':
    true => send(rpc, Down)
    false => send(err('copied'), Up)
""")


@pytest.mark.parametrize(
    "programs",
    [[COMPARED], [LOOKED_UP], [KEPT], [TOLD_TO_CALLER], [IN_PARTS], [RECORDED], [PASSED_ON, READS_COPY]],
    ids=["compared", "looked up", "kept", "told to the caller", "in parts", "recorded", "passed on"],
)
def test_what_is_secret_never_leaves_the_module(programs: list[str]):
    sent = refused(*programs)
    assert sent.refusals
    assert not any(part in sent.bytes for part in (SECRET, *SECRET.split(b"-")))
    for it in sent.refusals:
        read = next((one for one in it.reads if one.told is Told.SECRET), None)
        if read is not None:
            assert read.value == "(secret)"
            number = next(n for n, one in enumerate(sent.elements) if one.name == it.element)
            source = TextSource(Path("e.appnet"), programs[number])
            with pytest.raises(NoReplayError, match="which is secret"):
                replay(it, sent.elements[number], sent.signature, None, source)
    # The same where nothing is secret: so it is the secrecy that kept it in.
    assert any(part in refused(*programs, method=SAMPLE).bytes for part in (SECRET, *SECRET.split(b"-")))


def test_the_interpreter_records_no_secret_either():
    for method, recorded in ((secretive(), b"(secret)"), (SAMPLE, SECRET)):
        it = compile_element(TextSource(Path("e.appnet"), RECORDED), method, name="e").element
        chain = ChainInstance([it], Environment(lambda: 1))
        chain.request(Rpc(method, {"text": SECRET}))
        assert chain.records() == [("e.noted", recorded)]


@pytest.mark.parametrize("key", ["'authorization'", "'Cookie'", "'author' + 'ization'"])
def test_metadata_that_proves_who_somebody_is_is_secret(key: str):
    program = element(f"""
key = {key}
match get_metadata(rpc, key) == '':
    true => send(err('nobody'), Up)
    false => send(err('somebody'), Up)
""")
    sent = refused(program, metadata={"authorization": SECRET, "cookie": SECRET})
    assert [it.text for it in sent.refusals] == ["somebody"] * 2
    assert SECRET not in sent.bytes


def test_a_refusal_says_of_which_call_it_is_and_where():
    metadata = {
        "x-request-id": b"call-17",
        "traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    sent = refused(COMPARED, metadata=metadata, method=SAMPLE)
    it = sent.refusals[0]
    assert (it.element, it.handler, it.row, it.code, it.text) == ("e0", "req", "1b", 10, "closed")
    assert (it.request_id, it.trace_id) == ("call-17", "0af7651916cd43dd8448eb211c80319c")
    assert it.method == SAMPLE.full_name.removeprefix("/")
    assert [(one.kind, one.name, one.value) for one in it.reads] == [(Kind.FIELD, "text", SECRET.decode())]


def test_a_flood_of_refusals_is_bounded_and_counted():
    signature = SAMPLE
    program = compile_element(TextSource(Path("e.appnet"), COMPARED), signature, name="e").element
    binary = NATIVE.compile(print_chain(ChainSource("why", "1", [(signature, [program])])))
    module = ModuleUnderTest(binary, now_ns=1)
    body = encode(random.Random(1), {"text": b"x" * 100_000})
    message = [b"\0" + struct.pack(">I", len(body)) + body]
    told: list[Refusal] = []
    for _ in range(2):
        for _call in range(1_000):
            call = module.call()
            call.run_request(signature.full_name, {}, message, "host")
            call.end()
        batches = module.take_telemetry()
        assert sum(map(len, batches)) < 32 * 4096 + 100
        told += [it for batch in batches for it in decode_refusals(batch)]
        module.now_ns += 2_000_000_000
    assert len(told) == 64
    assert [it.left_out for it in told] == [0] * 32 + [968] * 32
    assert all(it.reads[0].told is Told.CUT for it in told)
