"""Chains that all tests of the Python library share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.grpc.service import Loop
from tests.processors.grpc.chains import write_chains


@pytest.fixture(scope="session")
def chains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chains")
    write_chains(folder)
    return folder


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    it = Loop()
    yield it
    it.close()
