"""Settings that every test shares."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# The same examples on every run of CI, so that a red build is about the change; `make fuzz` looks for new ones.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("fuzz", deadline=None, max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# A `make` that a test starts is not a part of the `make` that runs the tests, and prints no "Leaving directory".
for _name in ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"):
    os.environ.pop(_name, None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-snapshots", action="store_true", help="write what tests saw over their snapshots")


@pytest.fixture(scope="session", autouse=True)
def _keys_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Commands that sign make a key for the run, and leave the user's alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.delenv("APPNET_SIGNING_KEY", raising=False)
        patch.delenv("APPNET_TRUSTED_KEYS", raising=False)
        yield
