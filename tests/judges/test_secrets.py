"""The search for secrets in all that AppNet stores, logs and shows, where `make test` has no time for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.quickstart.searching import check_secrets

pytestmark = pytest.mark.judges


@pytest.mark.parametrize("kind", ["wasm", "python", "go"])
def test_no_secret_is_stored_or_shown(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    check_secrets(tmp_path, kind, monkeypatch, caplog)
