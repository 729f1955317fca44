"""The judges, built once and kept between runs in pytest's cache."""

from __future__ import annotations

import pytest

from tests.judges.runs import Runs
from tests.judges.tools import Tools, install
from tests.support.go import NoToolsError


@pytest.fixture(scope="session")
def tools(request: pytest.FixtureRequest) -> Tools:
    assert request.config.cache is not None
    try:
        return install(request.config.cache.mkdir("judges"))
    except NoToolsError as error:
        pytest.exit(str(error), returncode=1)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("judges"))
