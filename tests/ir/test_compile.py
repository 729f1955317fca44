"""What is told of an element once it is compiled."""

from dataclasses import replace
from pathlib import Path

import pytest

from appnet.diagnostics.source import TextSource
from appnet.ir.compile import compile_element
from tests.support.programs import program
from tests.support.sample import SAMPLE

REFUSES = "if get_metadata(rpc, 'user') != 'ann':\n    send(err('no'), Up)"
LOOKS = "if get(rpc, 'text') != 'ann':\n    send(err('no'), Up)"


@pytest.mark.parametrize(
    ("req", "streams", "noted"),
    [
        (REFUSES, True, True),
        (REFUSES, False, False),
        (LOOKS, True, False),
        ("set_metadata(rpc, 'a', 'b')", True, False),
    ],
)
def test_what_is_decided_at_each_message_without_a_look_at_it(req: str, streams: bool, noted: bool):
    method = replace(SAMPLE, client_streaming=streams)
    warnings = compile_element(TextSource(Path("acl.appnet"), program(req)), method).warnings
    assert [it.code for it in warnings] == (["N004"] if noted else [])
