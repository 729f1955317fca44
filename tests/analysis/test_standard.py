import itertools
import random
import re
from pathlib import Path

from appnet.analysis import Proved, Refuted, Strength, decide
from appnet.analysis.decide import proved_or_unknown
from appnet.analysis.decision import Counterexample, Event
from appnet.analysis.replay import Parting, replay
from tests.analysis.standard import METHOD, standard_elements

DOCS = Path(__file__).parents[2] / "docs" / "analysis.md"


def documented() -> dict[tuple[str, str], str]:
    """The signs of the table in the docs, by the names of two elements."""
    rows = re.findall(r"^    *(\d+) (\w+)((?: +[=~x?]+)*)$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    names = [name for _, name, _ in rows]
    return {(names[column], name): sign for _, name, signs in rows for column, sign in enumerate(signs.split())}


def test_the_docs_say_which_standard_elements_may_swap():
    elements = standard_elements()
    signs = documented()
    assert set(signs) == {(a.name, b.name) for a, b in itertools.combinations(elements, 2)}
    for first, second in itertools.combinations(elements, 2):
        strong, weak = (isinstance(proved_or_unknown(first, second, METHOD, it), Proved) for it in Strength)
        assert (strong, weak) == {"=": (True, True), "~": (False, True)}.get(
            signs[first.name, second.name], (False, False)
        ), (first.name, second.name)


def test_few_answers_about_standard_pairs_are_unknown():
    signs = list(documented().values())
    assert signs.count("?") <= 0.05 * len(signs)  # under weak


def test_what_is_unknown_is_decided_by_hand():
    section = DOCS.read_text(encoding="utf-8").split("decided by hand; ")[1]
    rows = re.findall(r"^\| (\w+), (\w+) \| (?:refuted|unknown) \| may not \|", section, re.MULTILINE)
    assert set(rows) == {pair for pair, sign in documented().items() if sign == "?"}


def test_a_run_that_no_search_finds_tells_the_unknown_pair_apart():
    """A latency of a call that is refused pushes out the one that the next response asks for."""
    by_name = {it.name: it for it in standard_elements()}
    limit, server = by_name["concurrency_limit"], by_name["prequal_server"]
    latency = {51: 5.0, **{1000 + number: 1.0 for number in range(999)}}
    start = {limit.name: {"inside": 99}, server.name: {"inside": 50, "latency": latency}}
    calls = (Event("request", 1), Event("request", 2), Event("response", 1, after_ns=1_000_000_000))
    parting = replay(limit, server, METHOD, Strength.WEAK, Counterexample(calls, "", "", start, 1))
    assert parting is not None
    assert parting.event == 2
    del latency[1000]  # where there is room, nothing is told
    assert replay(limit, server, METHOD, Strength.WEAK, Counterexample(calls, "", "", start, 1)) is None


def test_pairs_that_the_docs_call_refuted_are_refuted_by_a_run():
    by_name = {it.name: it for it in standard_elements()}
    told_apart = sorted(pair for pair, sign in documented().items() if sign == "x")
    for names in random.Random(1).sample(told_apart, 12):
        first, second = (by_name[name] for name in names)
        for strength in Strength:
            decision = decide(first, second, METHOD, strength)
            assert isinstance(decision, Refuted), names
            found = decision.counterexample
            parting = replay(first, second, METHOD, strength, found)
            assert parting == Parting(len(found.events) - 1, found.as_written, found.swapped), names
