from pathlib import Path

import pytest

from appnet.analysis import Proved, Refuted, Strength, Vocabulary, decide, infer, load_overrides
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import FileSource
from tests.analysis.support import COUNTER, FIREWALL
from tests.support import snapshots
from tests.support.signatures import KV

NAMES = {it.name: Vocabulary.of(it, [KV]) for it in (COUNTER, FIREWALL)}
BAD = Path(__file__).parent / "bad"


def test_what_a_file_says_takes_the_place_of_what_was_inferred(tmp_path: Path):
    file = tmp_path / "properties.yaml"
    file.write_text("firewall:\n  request:\n    refuses: false\n    writes: [score]\n  influencing: []\n")
    overrides = load_overrides(FileSource(file), NAMES)
    found = overrides.of(infer(FIREWALL))
    assert found is not None
    assert overrides.of(infer(COUNTER)) is None
    assert found.by_hand
    assert not found.request.refuses
    assert found.request.writes == {"score"}
    assert found.request.reads == infer(FIREWALL).request.reads
    assert found.response == infer(FIREWALL).response


def test_the_file_decides_for_its_elements(tmp_path: Path):
    file = tmp_path / "properties.yaml"
    file.write_text("firewall: {request: {refuses: false}}\n")
    assert isinstance(decide(FIREWALL, COUNTER, KV, Strength.STRONG), Refuted)
    found = load_overrides(FileSource(file), NAMES).of(infer(FIREWALL))
    assert found is not None
    by_hand = {"firewall": found}
    assert isinstance(decide(FIREWALL, COUNTER, KV, Strength.STRONG, by_hand=by_hand), Proved)


@pytest.mark.parametrize("name", ["properties", "list", "names"])
def test_bad_files(name: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest):
    monkeypatch.chdir(BAD)
    with pytest.raises(DiagnosticError) as caught:
        load_overrides(FileSource(Path(f"{name}.yaml")), NAMES)
    snapshots.compare(str(caught.value), BAD / f"{name}.txt", request)
