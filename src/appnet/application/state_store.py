"""What files say of the store of shared state: `state:` with an address, and how instances use it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from appnet.application.limits import seconds
from appnet.application.model import StateStore
from appnet.diagnostics.yaml_reader import Section

_SCHEMES = ("redis", "rediss", "unix")
STORE_ADDRESS = "`redis://host:port`, `rediss://host:port` for TLS, or `unix:///path`"
"""What the address of a store looks like."""
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


def wrong_address(text: str) -> str:
    """What is wrong with an address; nothing where it is one."""
    if any(it.isspace() or not it.isprintable() for it in text):  # `urlsplit` would leave these out
        return "an address has no spaces"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return "no host and port"
    if parts.scheme not in _SCHEMES:
        return f"it begins with none of {', '.join(f'`{it}://`' for it in _SCHEMES)}"
    if parts.query or parts.fragment:
        return "nothing follows the database"
    if parts.scheme == "unix":
        return "" if parts.path.startswith("/") and not parts.netloc else "not an absolute path"
    if not parts.hostname or port == 0:
        return "no host and port"
    number = parts.path.removeprefix("/")
    return (
        ""
        if not number or (number.isascii() and number.isdecimal())
        else "what follows the port is the number of a database"
    )


def has_password(address: str) -> bool:
    """Whether an address has a password in it, or the name of a variable that has it."""
    return not wrong_address(address) and bool(urlsplit(address).password)


class NoPasswordError(LookupError):
    """The environment does not have the variable that an address names; the text is its name."""


def password_of(address: str) -> str:
    """The password in the address of a store: `$NAME` is what the environment has. Raises `NoPasswordError`."""
    written = urlsplit(address).password or ""
    if not written.startswith("$"):
        return unquote(written)
    found = os.environ.get(written[1:], "")
    if not found:
        raise NoPasswordError(written[1:])
    return found


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
