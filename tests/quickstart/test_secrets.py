"""What is secret is in nothing that AppNet stores, logs, shows or hands to its children: all of it is searched.

`tests/judges` does the same with WebAssembly and with programs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.quickstart.searching import check_secrets

pytestmark = pytest.mark.e2e


def test_no_secret_of_native_proxies_is_stored_or_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    check_secrets(tmp_path, "native", monkeypatch, caplog)
