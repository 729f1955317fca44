"""What native modules count of messages and of their state."""

from __future__ import annotations

from appnet.observe import Point, decode_metrics
from appnet.observe.points import DIRECTION, ELEMENT, ENTRIES, MESSAGE_BYTES, STARTS, VARIABLE
from appnet.processors.envoy.harness.native import ModuleUnderTest
from tests.processors.envoy.test_traces import call, chain

QUOTA = """
state:
    seen: Map<string, int>
    last: Vec<string>
    total: int

init():
    pass

req(rpc):
    set(seen, get(rpc, 'text'), 1)
    set(last, size(last), get(rpc, 'text'))
    total = total + 1
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""


def counted(module: ModuleUnderTest) -> list[Point]:
    return decode_metrics(module._take(module.table.metrics_take))


def test_messages_and_state_have_sizes() -> None:
    module = chain(programs=(QUOTA,))
    for text in ("one", "two", "one"):
        call(module, {}, text=text)
    points = counted(module)
    entries = {(it.attributes[ELEMENT], it.attributes[VARIABLE]): it.value for it in points if it.name == ENTRIES}
    assert list(entries.values()) == [2], "a Map; Vecs of records and numbers have no entries"
    (read,) = [it for it in points if it.name == MESSAGE_BYTES]
    assert (read.attributes[DIRECTION], read.value) == ("request", 3 * 5)
    assert [it.value for it in points if it.name == STARTS] == [1]
