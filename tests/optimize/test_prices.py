"""Files of prices: what is written is read, and what is wrong with one is told."""

from pathlib import Path

import pytest

from appnet.application.load import load
from appnet.application.model import Side
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import FileSource
from appnet.ir.needs import Need
from appnet.optimize import CostModel, Place, Planner, Settings
from appnet.optimize.cost import KINDS, TargetCosts
from appnet.optimize.placement import OptLevel
from appnet.optimize.prices import load_prices, write_prices
from tests.support import snapshots
from tests.support.prices import DEFAULT

BAD = Path(__file__).parent / "bad"
GOOD = CostModel(
    "for the test",
    {
        "native": TargetCosts(1.5, 0.25, 0.5, dict.fromkeys(KINDS, 0.125)),
        "wasm": TargetCosts(2.5, 1.25, 0.75, dict.fromkeys(KINDS, 0.25)),
    },
    crossing=40.0,
)


TARGETS = ("native", "wasm")


def text(tmp_path: Path, *edits: tuple[str, str]) -> str:
    write_prices(GOOD, tmp_path / "good.yaml")
    found = (tmp_path / "good.yaml").read_text()
    for before, after in edits:
        assert before in found
        found = found.replace(before, after, 1)
    return found


EDITS = {
    "a kind that is none": (("signature:", "signing:"), {"C010", "C011"}),
    "below nothing": (("module: 1.5", "module: -1.5"), {"C084"}),
    "endless": (("crossing: 40.0", "crossing: .inf"), {"C084"}),
    "no number": (("crossing: 40.0", "crossing: much"), {"C084"}),
    "another target": (("  wasm:", "  lua:"), {"C011"}),
    "not said where": (("measured: for the test\n", ""), {"C011"}),
}


def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str) -> DiagnosticError:
    monkeypatch.chdir(tmp_path)
    Path("prices.yaml").write_text(written)
    with pytest.raises(DiagnosticError) as caught:
        load_prices(FileSource(Path("prices.yaml")), TARGETS)
    assert all(it.help for it in caught.value.diagnostics)
    return caught.value


@pytest.mark.parametrize("name", EDITS)
def test_prices_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, request: pytest.FixtureRequest
) -> None:
    edit, codes = EDITS[name]
    error = refused(tmp_path, monkeypatch, text(tmp_path, edit))
    assert {it.code for it in error.diagnostics} == codes
    snapshots.compare(str(error), BAD / f"prices_{name.replace(' ', '_')}.txt", request)


def test_a_list_is_no_file_of_prices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    error = refused(tmp_path, monkeypatch, "- 1\n")
    assert [it.code for it in error.diagnostics] == ["C083"]
    snapshots.compare(str(error), BAD / "prices_a_list.txt", request)


@pytest.mark.parametrize("model", [GOOD, DEFAULT], ids=["made up", "default"])
def test_what_is_written_is_read(tmp_path: Path, model: CostModel) -> None:
    write_prices(model, tmp_path / "prices.yaml")
    assert load_prices(FileSource(tmp_path / "prices.yaml"), TARGETS) == model


def test_plans_are_made_by_the_prices_given() -> None:
    edge = load(FileSource(Path("config/samples/echo/sample_echo_sidecar.yaml"))).chains[0]
    at = [Place(side, "sidecar", "native", frozenset(Need), GOOD.targets["native"]) for side in Side]
    usual, far = (Planner(Settings(OptLevel.NO), it).plan(edge, at) for it in (GOOD.crossing, 1000.0))
    assert far.cost == pytest.approx(usual.cost + 960 * 0.99)  # but for those that the fault element is taken to end


def test_a_file_has_prices_of_the_targets_that_it_names(tmp_path: Path) -> None:
    other = CostModel("for the test", {"lua": GOOD.targets["wasm"]}, crossing=1.0)
    write_prices(other, tmp_path / "prices.yaml")
    assert (
        load_prices(FileSource(tmp_path / "prices.yaml"), ["lua"])
        == load_prices(FileSource(tmp_path / "prices.yaml"), [])
        == other
    )
