"""Streams through WebAssembly whose state is in a store, as through native modules."""

from __future__ import annotations

import pytest

from appnet.processors.envoy.targets import WASM
from tests.e2e.test_strong_streams import (  # noqa: F401 -- the tests and what they need, on another target
    open_chat,
    scope,
    store,
    test_an_error_at_the_end_passes_the_handlers,
    test_each_message_waits_and_none_overtakes_it,
    test_many_requests_and_one_response,
)

pytestmark = pytest.mark.judges


@pytest.fixture
def target() -> str:
    return WASM
