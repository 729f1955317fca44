"""What files say of the store of shared state: `state:` with an address, and how instances use it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from appnet.application.limits import seconds
from appnet.application.model import StateStore
from appnet.diagnostics.yaml_reader import Section
from appnet.system.store_address import STORE_ADDRESS, wrong_address

_LONGEST = 60.0
_MERGE_LONGEST = 10.0  # a merge tells that the instance is alive: the script counts 30 s of silence as its end
_FORMS = {
    "prefix": (
        re.compile(r"[^\s{}/]{1,100}"),  # braces are the hash tag's
        "write up to 100 characters without blanks, braces and slashes",
    ),
    "secret": (
        re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII),
        "write the name of a Secret: lower-case letters, digits, `-` and `.`",
    ),
}


def read_state_store(section: Section, key: str, every: str) -> StateStore:
    """What the section says under ``key``; ``every``: the key of the time between merges. What is wrong is told."""
    inner = section.section(key) if key in section else None
    if inner is None:
        return StateStore()
    inner.only(("store", "prefix", "timeout", every, "secret"))
    address, prefix, secret = (inner.text(it) if it in inner else None for it in ("store", "prefix", "secret"))
    if address is not None and (wrong := wrong_address(address.value)):
        help_ = f"write {STORE_ADDRESS}"
        section.problems.add("C012", "`store` is not the address of a store", address.span, wrong, help_)
        address = None
    for name, it in (("prefix", prefix), ("secret", secret)):
        form, help_ = _FORMS[name]
        if it is not None and not form.fullmatch(it.value):
            section.problems.add("C012", f"invalid `{name}`", it.span, "not such a name", help_)
    given = {
        "address": address.value if address else None,
        "prefix": prefix.value if prefix else None,
        "timeout": _time(inner, "timeout", _LONGEST),
        "merge_every": _time(inner, every, _MERGE_LONGEST),
        "secret": secret.value if secret else None,
    }
    return StateStore(**{name: it for name, it in given.items() if it is not None})  # type: ignore[arg-type]


def plain_state_store(store: StateStore, every: str) -> Mapping[str, Any]:
    """The settings as a file says them: those that are not the usual ones."""
    usual = StateStore()
    found = {
        "store": store.address,
        "prefix": store.prefix if store.prefix != usual.prefix else "",
        "timeout": store.timeout if store.timeout != usual.timeout else "",
        every: store.merge_every if store.merge_every != usual.merge_every else "",
        "secret": store.secret,
    }
    return {key: it for key, it in found.items() if it != ""}


def _time(section: Section, key: str, longest: float) -> float | None:
    found = section.scalar(key) if key in section else None
    if found is None:
        return None
    value, span = found
    time = None if isinstance(value, bool) else seconds(str(value))
    if time is None or not 0 < time <= longest or math.isnan(time):
        help_ = f"write a time up to {longest:g}s, such as `50ms`"
        section.problems.add("C012", f"`{key}` must be a time", span, "invalid value", help_)
        return None
    return time
