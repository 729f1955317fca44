"""What the benchmark of re-plans runs, and what it makes of what it measured."""

from __future__ import annotations

from pathlib import Path

from appnet.application.load import load
from appnet.compile.fit import Where
from appnet.compile.pipeline import plan_application
from appnet.diagnostics.source import FileSource
from appnet.optimize import Profile, Settings
from benchmarks.replan import AFTER, BEFORE, FOLLOWED, PREDICTED, SAVED, Samples, application, rows


def test_whichever_element_refuses_more_comes_first(tmp_path: Path) -> None:
    loaded = load(FileSource(application(tmp_path / "sample", "signatures", 2.5)))

    def order(**refused: float) -> list[str]:
        (plan,) = plan_application(loaded, Settings(), Where(), profiles=[Profile(refused)])
        return [it.name.value for one in plan.plan.segments for it in one.elements]

    assert order(first=0.6, second=0.05) == ["first", "second"]
    assert order(first=0.05, second=0.6) == ["second", "first"]
    (chain,) = loaded.chains
    assert chain.chain.replan is not None
    assert chain.chain.replan.interval == 2.5


def test_what_was_saved_is_told_relative_to_what_was_predicted_in_the_same_round() -> None:
    # The second round was twice as slow for all.
    found = {"one": Samples([20.0, 40.0, 20.0], [15.0, 30.0, 16.0], [5.0, 10.0, 5.0], [4.0, 5.0, 4.5])}
    told = {it.metric: it for it in rows(found)}
    assert list(told) == [BEFORE, AFTER, PREDICTED, SAVED, FOLLOWED]
    assert (told[AFTER].value, told[AFTER].ratio, told[AFTER].ratio_to) == (16.0, 0.75, BEFORE)
    assert (told[SAVED].value, told[SAVED].ratio, told[SAVED].ratio_low) == (5.0, 1.0, 0.9)
    assert (told[FOLLOWED].value, told[FOLLOWED].unit) == (4.5, "s")
