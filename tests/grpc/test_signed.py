"""Versions that are signed: the library's own check of signatures is that of others, and holds what it says."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from appnet.grpc.ed25519 import is_signed
from appnet.grpc.protocol import SignedVersion
from appnet.grpc.signed import opened, read, trusted_keys
from appnet.processors.signing import SigningKey
from tests.processors.grpc.chains import KEY

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493


@pytest.mark.parametrize("seed", range(20))
def test_signatures_are_as_others_make_them(seed: int) -> None:
    chance = random.Random(seed)
    key, text = SigningKey.generate(), chance.randbytes(chance.choice([0, 1, 31, 64, 1000]))
    public, signature = bytes.fromhex(key.public_text), key.sign(text)
    assert is_signed(public, text, signature)
    where = chance.randrange(64)
    broken = bytes(it ^ (1 << chance.randrange(8)) if n == where else it for n, it in enumerate(signature))
    assert not is_signed(public, text, broken)
    assert not is_signed(public, text + b"x", signature)
    assert not is_signed(bytes.fromhex(SigningKey.generate().public_text), text, signature)


def test_what_is_no_signature() -> None:
    key = SigningKey.generate()
    public, signature = bytes.fromhex(key.public_text), key.sign(b"text")
    beyond = (int.from_bytes(signature[32:], "little") + _ORDER).to_bytes(32, "little")
    assert not is_signed(public, b"text", signature[:32] + beyond), "one text has one signature"
    for no_point in (_P.to_bytes(32, "little"), (2).to_bytes(32, "little"), b"\xff" * 32):
        assert not is_signed(no_point, b"text", signature)
        assert not is_signed(public, b"text", no_point + signature[32:])
    assert not is_signed(public, b"text", signature[:63])
    assert not is_signed(public[:31], b"text", signature)


def test_points_of_small_order_are_no_keys() -> None:
    """Whoever signs with nothing at all would be trusted."""
    nothing = b"\x01" + bytes(63)  # R is the neutral element, and s is 0
    eighths = (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
    order4, order1, order2 = (it.to_bytes(32, "little") for it in (0, 1, _P - 1))
    eight = [bytes.fromhex(it) for it in eighths]
    keys = [order1, order2, *(it[:31] + bytes([it[31] | sign]) for it in (order4, *eight) for sign in (0, 0x80))]
    for key in keys:
        assert any(is_signed(key, bytes([it]), nothing) for it in range(64)), "without any private key"
        with pytest.raises(ValueError, match=r"anybody could sign for .*, which stands in the place of a key"):
            trusted_keys([KEY.public_text, key.hex()])
    for no_key in (_P, _P + 1, 2, 1 | 1 << 255):
        with pytest.raises(ValueError, match="is no public key"):
            trusted_keys([no_key.to_bytes(32, "little").hex()])


def test_who_is_trusted(chains: Path) -> None:
    file = (chains / "calls.client.chains").read_bytes()
    keys = trusted_keys([SigningKey.generate().public_text, KEY.public_text])
    signed = read(SignedVersion, file)
    version = opened(signed, keys)
    assert version.client == "frontend"
    with pytest.raises(ValueError, match="signed by none of the keys"):
        opened(signed, keys[:1])
    with pytest.raises(ValueError, match="no version is trusted here"):
        opened(signed, [])
    version.chains[0].name = "another"
    for version_of, made in ((version.SerializeToString(), 0), (signed.version, 1)):
        lie = SignedVersion(version=version_of, signature=signed.signature, form=signed.form, made=made)
        with pytest.raises(ValueError, match="signed by none of the keys"):
            opened(lie, keys)
    with pytest.raises(ValueError, match="'abc' in APPNET_TRUSTED_KEYS is no public key"):
        trusted_keys(["abc"])
    with pytest.raises(ValueError, match="more than 8 keys"):
        trusted_keys([KEY.public_text] * 9)
