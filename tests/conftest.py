"""Settings that every test shares."""

import os

import pytest
from hypothesis import settings

# The same examples on every run of CI, so that a red build is about the change; `make fuzz` looks for new ones.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("fuzz", deadline=None, max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-snapshots", action="store_true", help="write what tests saw over their snapshots")
