import math
from pathlib import Path

import pytest

from appnet.analysis import (
    Counterexample,
    Decision,
    DecisionCache,
    Event,
    Proved,
    Refuted,
    Strength,
    Unknown,
    decide,
    prove,
    search,
)
from appnet.analysis.cache import decision_key
from tests.analysis.support import COUNTER, STAMP, element
from tests.support.signatures import ECHO, KV

EVENTS = (
    Event("request", 1, 5, {"key": b"\xff", "ratio": -0.0, "hot": True}, {"user": b"ann"}),
    Event("response", 1, 0, {}, {}, 14),
)
START = {"limit": {"seen": {b"a": (1, 2.5)}, "items": [math.inf], "best": {2: [b""]}}}


@pytest.mark.parametrize(
    "decision",
    [
        Proved("because", status_may_differ=True),
        Unknown("too hard"),
        Refuted(Counterexample(EVENTS, "forwarded", "refused", START, 7)),
    ],
)
def test_what_is_kept_comes_back(tmp_path: Path, decision: Decision):
    cache = DecisionCache(tmp_path / "new")
    assert cache.get("key") is None
    cache.put("key", decision)
    assert cache.get("key") == decision


def test_what_cannot_be_read_is_decided_again(tmp_path: Path):
    cache = DecisionCache(tmp_path)
    (tmp_path / decision_key(COUNTER, STAMP, KV, Strength.STRONG)).write_text('{"answer": "refuted"}')
    decision = decide(COUNTER, STAMP, KV, Strength.STRONG, cache=cache)
    assert isinstance(decision, Proved)
    assert cache.get(decision_key(COUNTER, STAMP, KV, Strength.STRONG)) == decision


HARD = [
    element(name, f"s = get(rpc, 'score')\nset(rpc, 'score', ({' * '.join(['s'] * 20)}) {op} 1000003)")
    for name, op in (("one", "%"), ("other", "/"))
]


@pytest.mark.parametrize("strength", list(Strength))
def test_what_the_solver_had_no_time_for_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strength: Strength
):
    cache = DecisionCache(tmp_path)
    one, other = HARD
    key = decision_key(one, other, KV, strength)
    monkeypatch.setattr(search, "FROM_INIT", 0)
    monkeypatch.setattr(search, "FROM_STATES", 0)
    monkeypatch.setattr(prove, "BUDGET_MS", 1)
    decision = decide(one, other, KV, strength, cache=cache)
    assert isinstance(decision, Unknown)
    assert not decision.settled
    assert cache.get(key) is None
    monkeypatch.setattr(prove, "BUDGET_MS", 30_000)
    open_ = (
        element("one", "set(rpc, 'key', upper(get(rpc, 'key')))"),
        element("other", "set(rpc, 'key', trim(get(rpc, 'key')))"),
    )
    decision = decide(*open_, KV, strength, cache=cache)  # no run is looked for, so nothing can be shown
    assert isinstance(decision, Unknown)
    assert cache.get(decision_key(*open_, KV, strength)) == decision


def test_keys_are_of_the_content():
    key = decision_key(COUNTER, STAMP, KV, Strength.STRONG)
    again = element("counter", "calls = calls + 1  # a comment", state="calls: int")
    assert decision_key(again, STAMP, KV, Strength.STRONG) == key
    changed = element("counter", "calls = calls + 2", state="calls: int")
    assert decision_key(changed, STAMP, KV, Strength.STRONG) != key
    assert decision_key(STAMP, COUNTER, KV, Strength.STRONG) != key
    assert decision_key(COUNTER, STAMP, ECHO, Strength.STRONG) != key
    assert decision_key(COUNTER, STAMP, KV, Strength.WEAK) != key


def test_the_directory_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    decide(COUNTER, STAMP, KV, Strength.STRONG, cache=DecisionCache())
    assert len(list((tmp_path / "appnet" / "decisions").iterdir())) == 1
