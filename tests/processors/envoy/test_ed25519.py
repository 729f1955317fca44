"""The loader's verification of signatures: RFC 8032's own vectors, another library beside it, and what strangers forge."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.payloads import is_key, verify

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493

# RFC 8032, 7.1: public key, message, signature.
VECTORS = (
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        (
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        ),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
            "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"
        ),
    ),
)

# The points whose order divides 8: the neutral one, and those of orders 2, 4 and 8.
ROOT = pow(2, (P - 1) // 4, P)
NEUTRAL = (1).to_bytes(32, "little")
SMALL_ORDERS = (
    NEUTRAL,
    (P - 1).to_bytes(32, "little"),
    (0).to_bytes(32, "little"),
    (1 << 255).to_bytes(32, "little"),
    *(
        bytes.fromhex(it)
        for it in (
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        )
    ),
)


def others(key: bytes, signature: bytes, message: bytes) -> bool:
    """What the `cryptography` package says."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class Pair:
    """A key pair whose secret number is known, with which signatures can be made that nobody would make."""

    def __init__(self, seed: bytes) -> None:
        secret = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little")
        self.number = (secret & ((1 << 254) - 8)) | 1 << 254
        self.public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


OWN, NONCE = Pair(b"k" * 32), Pair(b"r" * 32)


def challenge(point: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(point + key + message).digest(), "little") % L


def forged(point: bytes, scalar: int) -> bytes:
    return point + (scalar % L).to_bytes(32, "little")


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_rfcs_vectors_hold(key: str, message: str, signature: str) -> None:
    text = bytes.fromhex(message)
    assert is_key(bytes.fromhex(key))
    assert verify(bytes.fromhex(key), bytes.fromhex(signature), text)
    assert verify(bytes.fromhex(key), bytes.fromhex(signature), text[:1], b"", text[1:])
    assert not verify(bytes.fromhex(key), bytes.fromhex(signature), text, b"\0")


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS[1:])
def test_no_bit_may_differ(key: str, message: str, signature: str) -> None:
    whole = bytes.fromhex(key + signature + message)
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        assert not verify(bytes(damaged[:32]), bytes(damaged[32:96]), bytes(damaged[96:])), bit


def test_a_signature_that_was_made_by_hand_holds() -> None:
    """So that those below are refused for what they show, and not for a mistake in making them."""
    answer = challenge(NONCE.public, OWN.public, b"text")
    assert verify(OWN.public, forged(NONCE.public, NONCE.number + answer * OWN.number), b"text")


@pytest.mark.parametrize("times", range(1, 16))
def test_a_scalar_has_one_form(times: int) -> None:
    """S and S + L stand for the same number: a second signature of the same text, from the first."""
    key, message, signature = (bytes.fromhex(it) for it in VECTORS[1])
    scalar = int.from_bytes(signature[32:], "little") + times * L
    if scalar < 2**256:
        assert not verify(key, signature[:32] + scalar.to_bytes(32, "little"), message)
    assert times > 1 or scalar < 2**256


@pytest.mark.parametrize("key", SMALL_ORDERS, ids=lambda it: it.hex()[:8])
def test_a_key_of_small_order_is_none(key: bytes) -> None:
    """Under such a key, one signature is right for one text in eight, or for all of them."""
    assert not is_key(key)
    signature = forged(NONCE.public, NONCE.number)
    texts = [bytes([it]) for it in range(64)]
    assert any(others(key, signature, it) for it in texts)
    assert not any(verify(key, signature, it) for it in texts)


def test_a_key_with_a_part_of_small_order_is_none() -> None:
    """A + T, where T has order 2: x and y are those of A, negated."""
    whole = int.from_bytes(OWN.public, "little")
    y, sign = whole & ((1 << 255) - 1), whole >> 255
    key = ((P - y) | (1 - sign) << 255).to_bytes(32, "little")
    assert not is_key(key)
    texts = [bytes([it]) for it in range(64)]
    signatures = [forged(NONCE.public, NONCE.number + challenge(NONCE.public, key, it) * OWN.number) for it in texts]
    assert any(others(key, signature, it) for signature, it in zip(signatures, texts, strict=True))
    assert not any(verify(key, signature, it) for signature, it in zip(signatures, texts, strict=True))


@pytest.mark.parametrize("y", range(19))
@pytest.mark.parametrize("sign", [0, 1])
def test_a_point_has_one_form(y: int, sign: int) -> None:
    """y and y + p stand for the same number; so do 0 and -0 of x."""
    form = (P + y | sign << 255).to_bytes(32, "little")
    assert not is_key(form)
    assert not verify(form, forged(NONCE.public, NONCE.number), b"text")
    answer = challenge(form, OWN.public, b"text")
    assert not verify(OWN.public, forged(form, answer * OWN.number), b"text")


@pytest.mark.parametrize("y", [1, P - 1])
def test_there_is_no_negative_zero(y: int) -> None:
    assert not is_key((y | 1 << 255).to_bytes(32, "little"))


def test_the_nonce_is_not_the_neutral_point() -> None:
    signature = forged(NEUTRAL, challenge(NEUTRAL, OWN.public, b"text") * OWN.number)
    assert others(OWN.public, signature, b"text")
    assert not verify(OWN.public, signature, b"text")


def test_numbers_that_are_no_points_are_no_keys() -> None:
    """Half of all y have no x; those that have one belong to the large subgroup one time in eight."""
    found = sum(is_key(hashlib.sha256(bytes([it])).digest()) for it in range(256))
    assert 5 <= found <= 32


@settings(max_examples=300)
@given(
    seed=st.binary(min_size=32, max_size=32),
    message=st.binary(max_size=300),
    at=st.integers(0, 395),
    change=st.sampled_from([0, 0, 1, 128]) | st.integers(0, 255),
)
def test_it_agrees_with_another_library(seed: bytes, message: bytes, at: int, change: int) -> None:
    secret = Ed25519PrivateKey.from_private_bytes(seed)
    whole = bytearray(secret.public_key().public_bytes_raw() + secret.sign(message) + message)
    whole[at % len(whole)] ^= change
    key, signature, text = bytes(whole[:32]), bytes(whole[32:96]), bytes(whole[96:])
    assert verify(key, signature, text) == others(key, signature, text) == (change == 0)
