import itertools
import re
from pathlib import Path

from appnet.analysis import Proved, Strength
from appnet.analysis.decide import proved_or_unknown
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
    assert signs.count("?") <= 0.05 * len(signs) * len(Strength)
