"""Addresses, as written and as read."""

from __future__ import annotations

import pytest

from appnet.system.address import Address


@pytest.mark.parametrize("text", ["", "localhost", ":80", "host:", "host:eighty", "80", "[]:80", "::1:80", "host:-1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        Address.parse(text)


def test_addresses_read_back_as_written() -> None:
    assert Address.parse("127.0.0.1:80\n") == Address("127.0.0.1", 80)
    assert str(Address("127.0.0.1", 80)) == "127.0.0.1:80"


@pytest.mark.parametrize(
    ("text", "host", "numeric"),
    [("127.0.0.1:80", "127.0.0.1", True), ("localhost:80", "localhost", False), ("[::1]:80", "::1", True)],
)
def test_what_is_one(text: str, host: str, *, numeric: bool) -> None:
    it = Address.parse(text)
    assert (it.host, it.port, it.is_numeric, str(it)) == (host, 80, numeric, text)


def test_names_are_resolved() -> None:
    assert Address("localhost", 80).resolved() in (Address("127.0.0.1", 80), Address("::1", 80))
    with pytest.raises(OSError, match=r"not known|resolution"):
        Address("no.such.host.invalid", 80).resolved()
