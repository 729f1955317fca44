"""The key that native modules of a run are signed with: made anew, and trusted by the proxies of that run."""

from __future__ import annotations

from appnet.processors.signing import SigningKey

RUN_KEY = SigningKey.generate()
