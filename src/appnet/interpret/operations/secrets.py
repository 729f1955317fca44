"""Encryption, signatures and compression."""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from appnet.interpret.compression import compress, decompress
from appnet.interpret.operations.machine import Machine, Meanings
from appnet.interpret.operations.text import decoded
from appnet.interpret.values import Value
from appnet.language.types import STRING, OptionType

_NONCE = 12

MEANINGS = Meanings()


@MEANINGS
def _encrypt(machine: Machine, text: bytes, pass_phrase: bytes) -> bytes:
    nonce = machine.generator.draw().to_bytes(8, "little") + machine.generator.draw().to_bytes(8, "little")[:4]
    key = hashlib.sha256(pass_phrase).digest()
    return base64.b64encode(nonce + ChaCha20Poly1305(key).encrypt(nonce, text, None))


@MEANINGS
def _decrypt(_machine: Machine, text: bytes, pass_phrase: bytes) -> Value:
    key = hashlib.sha256(pass_phrase).digest()
    data = decoded(text)
    if data is None:
        return None
    try:
        return (ChaCha20Poly1305(key).decrypt(data[:_NONCE], data[_NONCE:], None),)
    except (InvalidTag, ValueError):
        return None


@MEANINGS
def _compress(machine: Machine, plain: bytes) -> bytes:
    packed = compress(plain)
    return base64.b64encode(packed) if machine.type == STRING else packed


@MEANINGS
def _decompress(machine: Machine, packed: bytes) -> Value:
    frame = decoded(packed) if machine.type == OptionType(STRING) else packed
    plain = None if frame is None else decompress(frame)
    return None if plain is None else (plain,)


@MEANINGS
def _hmac(_machine: Machine, text: bytes, key: bytes) -> bytes:
    return hmac.digest(key, text, "sha256").hex().encode()
