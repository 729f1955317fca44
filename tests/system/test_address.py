"""Addresses, as written and as read."""

from __future__ import annotations

import pytest

from appnet.system.address import Address


@pytest.mark.parametrize("text", ["", "localhost", ":80", "host:", "host:eighty"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        Address.parse(text)


def test_addresses_read_back_as_written() -> None:
    assert Address.parse("127.0.0.1:80\n") == Address("127.0.0.1", 80)
    assert str(Address("127.0.0.1", 80)) == "127.0.0.1:80"
