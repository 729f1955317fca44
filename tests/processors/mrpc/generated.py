"""Applications compiled for mRPC."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from appnet.cli.main import app

ROOT = Path(__file__).parents[3]
SPECIFICATIONS = {"echo": "echo.yaml", "hotel": "hotel_mrpc.yaml"}


def generated(name: str, folder: Path) -> Path:
    """The folder that the application of this name is written to."""
    spec = ROOT / "examples" / "chain" / SPECIFICATIONS[name]
    answer = CliRunner().invoke(app, ["compile", "--spec", str(spec), "--backend", "mrpc", "-w", str(folder / "gen")])
    assert answer.exit_code == 0, answer.output
    return folder / "gen"
