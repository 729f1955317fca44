"""What frames tell hosts of each event, used directly: no gRPC around them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from appnet.codegen.c import ChainSource, print_chain
from appnet.diagnostics.source import TextSource
from appnet.grpc.chain import Chain, Instance
from appnet.grpc.container import MACHINE
from appnet.grpc.frame import FORWARD, Call
from appnet.ir import compile_element
from appnet.processors.grpc.build import build_for
from appnet.processors.grpc.sharing import DrivenCarrier
from appnet.processors.processor import Sharer
from tests.support.programs import program
from tests.support.sample import SAMPLE

STREAM = replace(SAMPLE, client_streaming=True, server_streaming=True)


@pytest.mark.parametrize("status", [0, 14])
def test_the_end_of_a_stream_has_no_message(status: int) -> None:
    """Hosts would read the last one's fields, whose memory has gone by then."""
    writes = program(
        "set(rpc, 'text', 'sent')", resp="set(rpc, 'counts', get(rpc, 'counts'))\nset(rpc, 'text', 'back')"
    )
    element = compile_element(TextSource(Path("e.appnet"), writes), STREAM, name="e").element
    chain = Chain(build_for(print_chain(ChainSource("chain", "1", [(STREAM, [element])])), MACHINE))
    call = Call(Instance(chain, seed=1, now_ns=1, wall_ns=1, hosts=0, scope=""), chain.methods[0])
    assert (call.open(), call.touched) == (FORWARD, False)
    for judge, side in ((call.request, call.method.request), (call.response, call.method.response)):
        call.next()
        call.fields(len(side.fields))
        assert (judge(), call.touched) == (FORWARD, True)
    assert (call.end_response(status), call.touched) == (FORWARD, False)
    call.end()


def test_a_chain_that_shares_nothing_takes_no_store() -> None:
    """What sharing needs is not in its code."""
    element = compile_element(TextSource(Path("e.appnet"), program("set(rpc, 'text', 'sent')")), SAMPLE).element
    chain = Chain(build_for(print_chain(ChainSource("chain", "1", [(SAMPLE, [element])])), MACHINE))
    carrier = DrivenCarrier(Sharer(b"1", lambda *_: None), lambda: (1, 1))
    with pytest.raises(ValueError, match="shares no state"):
        Instance(chain, seed=1, now_ns=1, wall_ns=1, carrier=carrier)
