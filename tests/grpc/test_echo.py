"""The echo application in Python: its chains run in its own programs, and no proxy anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.quickstart.programs import copied, run_once, trace_and_explain, upgrade_while_it_runs

pytestmark = pytest.mark.e2e


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return copied(tmp_path, "echo-py")


def test_once(tmp_path: Path, config: Path) -> None:
    run_once(tmp_path, config)


def test_programs_get_new_versions_while_they_run(tmp_path: Path, config: Path) -> None:
    upgrade_while_it_runs(tmp_path, config)


def test_calls_are_traced_and_refusals_explained(tmp_path: Path, config: Path) -> None:
    trace_and_explain(tmp_path, config)
