import pytest

from appnet.analysis import Proved, Strength, Unknown, infer
from appnet.analysis.syntactic import decide_by_properties
from appnet.ir.nodes import Element
from tests.analysis.support import COUNTER, FAULT, FIREWALL, LOG, STAMP, element

STRONG, WEAK = Strength.STRONG, Strength.WEAK
REWRITE = element("rewrite", "set(rpc, 'key', 'x')")
ANY_HEADER = element("any", "set_metadata(rpc, get(rpc, 'key'), 'x')")
READ_HEADER = element("read", "set(rpc, 'score', to_int(get_metadata(rpc, 'user')))")


@pytest.mark.parametrize(
    ("first", "second", "strength", "swaps"),
    [
        (COUNTER, STAMP, STRONG, True),
        (COUNTER, LOG, STRONG, True),
        (FIREWALL, STAMP, STRONG, True),
        (FIREWALL, COUNTER, STRONG, False),  # the counter misses what the firewall refuses
        (FIREWALL, COUNTER, WEAK, True),  # and nobody asks it
        (FIREWALL, FAULT, STRONG, False),
        (FIREWALL, REWRITE, WEAK, False),
        (ANY_HEADER, READ_HEADER, STRONG, False),
        (ANY_HEADER, COUNTER, STRONG, True),
        (element("one", "delay(rpc, 0.5)"), element("other", "delay(rpc, 1.5)"), STRONG, True),
    ],
)
def test_the_cheap_rule(first: Element, second: Element, strength: Strength, swaps: bool):
    for one, other in ((first, second), (second, first)):
        decision = decide_by_properties(infer(one), infer(other), strength)
        assert isinstance(decision, Proved if swaps else Unknown)


def test_where_both_refuse_the_caller_may_be_told_another_status():
    assert decide_by_properties(infer(FIREWALL), infer(FAULT), WEAK) == Proved(
        "they touch nothing in common", status_may_differ=True
    )
