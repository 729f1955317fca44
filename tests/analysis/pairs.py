"""Pairs of elements on which cheaper analyses are wrong, one way or the other; docs/analysis.md has a row for each."""

from __future__ import annotations

from dataclasses import dataclass

from appnet.analysis import Strength
from appnet.ir.nodes import Element
from tests.analysis.support import FAULT, FIREWALL, LOG, element

STRONG, WEAK = Strength.STRONG, Strength.WEAK


@dataclass(frozen=True)
class Pair:
    """``name``: in the docs."""

    name: str
    first: Element
    second: Element
    strength: Strength


def _refuse(condition: str, text: str = "no", code: str = "PERMISSION_DENIED") -> str:
    return f"if {condition}:\n    send(err('{text}', {code}), Up)"


GATE = element(
    "gate",
    """
    if to_int(size(inside)) >= 100:
        send(err('too many', RESOURCE_EXHAUSTED), Up)
    set(inside, rpc_id(), true)
    """,
    state="inside: Map<uint, bool>",
    resp="delete(inside, rpc_id())",
)
TIMEOUT = element(
    "timeout",
    "set(began, rpc_id(), current_time())",
    state="began: Map<uint, Instant>",
    resp=_refuse("time_diff(current_time(), get(began, rpc_id(), current_time())) > 1.0", "late", "DEADLINE_EXCEEDED"),
)
BREAKER = element(
    "breaker",
    _refuse("failures > 3", "open", "UNAVAILABLE"),
    state="failures: int",
    resp="if status(rpc) != 0:\n    failures = failures + 1",
)
LIMITER = element(
    "limiter",
    _refuse("used >= 3", "limit", "RESOURCE_EXHAUSTED") + "\nused = used + 1",
    state="used: int",
)

TOO_STRICT = (
    Pair("gate and firewall", GATE, FIREWALL, WEAK),
    Pair(
        "two additions",
        element("one", "set(rpc, 'score', get(rpc, 'score') + 1)"),
        element("two", "set(rpc, 'score', get(rpc, 'score') + 2)"),
        STRONG,
    ),
    Pair(
        "two floors",
        element("low", "set(rpc, 'score', max(get(rpc, 'score'), 0))"),
        element("high", "set(rpc, 'score', max(get(rpc, 'score'), 3))"),
        STRONG,
    ),
    Pair(
        "two negations",
        element("flip", "set(rpc, 'hot', not get(rpc, 'hot'))"),
        element("flop", "set(rpc, 'hot', get(rpc, 'hot') == false)"),
        STRONG,
    ),
    Pair(
        "one header, one value",
        element("one", "set_metadata(rpc, 'via', 'appnet')"),
        element("two", "set_metadata(rpc, 'Via', concat('app', 'net'))"),
        STRONG,
    ),
    Pair(
        "two that delay",
        element("one", "delay(rpc, to_float(get(rpc, 'score')))\nset_metadata(rpc, 'via', 'x')"),
        element("two", "delay(rpc, 0.5)\nset_metadata(rpc, 'via', 'x')"),
        STRONG,
    ),
    Pair(
        "no header of theirs",
        element("sets", "set_metadata(rpc, 'x-envoy-fault-delay-request', '9000')"),
        element("reads", "set(rpc, 'score', size(get_metadata(rpc, 'x-envoy-fault-delay-request')))"),
        STRONG,
    ),
    Pair(
        "computed keys",
        element("one", "set_metadata(rpc, concat('x-', 'a'), get(rpc, 'key'))"),
        element("two", "set_metadata(rpc, concat('x-', 'b'), get(rpc, 'key'))"),
        STRONG,
    ),
    Pair(
        "other cases",
        element("hot_only", "if get(rpc, 'hot'):\n    set(rpc, 'key', 'hot')"),
        element("cold_only", "if not get(rpc, 'hot'):\n    set(rpc, 'rpcid', get(rpc, 'key'))"),
        STRONG,
    ),
    Pair(
        "nothing missed",
        FIREWALL,
        element("counts_good", "if get(rpc, 'key') == 'good':\n    good = good + 1", state="good: int"),
        STRONG,
    ),
    Pair(
        "one answer",
        element("no_bad", _refuse("get(rpc, 'key') == 'bad'")),
        element("no_worse", _refuse("get(rpc, 'key') == 'worse'")),
        STRONG,
    ),
    Pair("timeout and firewall", TIMEOUT, FIREWALL, STRONG),
    Pair(
        "a prefix and a word",
        element("prefix", "set(rpc, 'key', concat('v2/', get(rpc, 'key')))"),
        element("word", _refuse("contains(get(rpc, 'key'), 'test')")),
        STRONG,
    ),
    Pair(
        "switched off",
        element(
            "maintenance", _refuse("closed", "closed", "UNAVAILABLE"), state="closed: bool", head="init(closed = false)"
        ),
        LOG,
        STRONG,
    ),
    Pair(
        "no effect in errors",
        element("masks", resp="if status(rpc) != 0:\n    set(rpc, 'key', 'failed')"),
        element("echoes", resp="set(rpc, 'rpcid', get(rpc, 'key'))"),
        STRONG,
    ),
    Pair(
        "the same again",
        element("touch", "set(rpc, 'key', get(rpc, 'key'))"),
        element("read", "set_metadata(rpc, 'key', get(rpc, 'key'))"),
        STRONG,
    ),
)
"""Proved, where the rule on what is read and written keeps the order."""

TOO_LAX = (
    Pair(
        "a delay by a field",
        element("delays", "delay(rpc, to_float(get(rpc, 'score')))"),
        element("writes", "set(rpc, 'score', 3)"),
        WEAK,
    ),
    Pair("two that only refuse", FIREWALL, FAULT, STRONG),
    Pair("limiter and fault", LIMITER, FAULT, WEAK),
    Pair("breaker and firewall", BREAKER, FIREWALL, WEAK),
    Pair(
        "a log that fills up",
        element("logging", _refuse("lines >= 3", "log full") + "\nlines = lines + 1", state="lines: int"),
        FIREWALL,
        WEAK,
    ),
    Pair(
        "metrics in a header",
        element("metrics", "set_metadata(rpc, 'load', to_string(get(rpc, 'score')))"),
        element("shed", _refuse("to_int(get_metadata(rpc, 'load')) > 5", "busy", "UNAVAILABLE")),
        WEAK,
    ),
    Pair(
        "add and double",
        element("add", "set(rpc, 'score', get(rpc, 'score') + 1)"),
        element("double", "set(rpc, 'score', get(rpc, 'score') * 2)"),
        WEAK,
    ),
    Pair(
        "a prefix that completes a word",
        element("prefix", "set(rpc, 'key', concat('te', get(rpc, 'key')))"),
        element("word", _refuse("contains(get(rpc, 'key'), 'test')")),
        WEAK,
    ),
)
"""Refuted, where names, or sets that leave out refusals and their way back, let them swap."""
