"""Settings that every test shares."""

import os

from hypothesis import settings

# The same examples on every run of CI, so that a red build is about the change; `make fuzz` looks for new ones.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("fuzz", deadline=None, max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
