"""Encryption, signatures and compression.

Encryption is ChaCha20-Poly1305 with the SHA-256 of the pass phrase as its key and a nonce of 12 bytes; its text is the
base64 of nonce, ciphertext and tag. Compression writes LZ4 frames (docs/language.md says which); of a string it gives
base64 text.
"""

from __future__ import annotations

from appnet.language.operations.built_in import Chapter, function
from appnet.language.operations.declaration import Effect, Operation

CHAPTERS = (
    Chapter(
        "Secrets and size",
        (
            function(
                Operation(
                    "encrypt",
                    "(string, string) -> string",
                    "encrypt(text, key)",
                    "Authenticated encryption as base64 text.",
                    "encrypt('secret', 'key') != 'secret'",
                    Effect.RANDOM,
                    "encryption",
                ),
            ),
            function(
                Operation(
                    "decrypt",
                    "(string, string) -> Option<string>",
                    "decrypt(text, key)",
                    "The plain text; None if the text was not encrypted with the key.",
                    "decrypt(encrypt('secret', 'key'), 'key') == 'secret'",
                    cost="encryption",
                    opaque=True,
                    fallible=True,
                ),
            ),
            function(
                Operation(
                    "hmac",
                    "(string, string) -> string",
                    "hmac(text, key)",
                    "HMAC-SHA-256 of the text, as 64 hexadecimal digits.",
                    "starts_with(hmac('', 'key'), '5d5d139563c95b5967b9bd9a8c9b233a')",
                    cost="signature",
                    opaque=True,
                ),
            ),
            function(
                Operation(
                    "compress",
                    "(S) -> S",
                    "compress(text)",
                    "The bytes as an LZ4 frame; for a string, the frame as base64 text.",
                    "starts_with(compress('a'), 'BCJNGGxA')",
                    cost="compression",
                    opaque=True,
                ),
            ),
            function(
                Operation(
                    "decompress",
                    "(S) -> Option<S>",
                    "decompress(text)",
                    "The original text; None if the argument is not such a frame, or contains more than 4 MiB.",
                    "decompress(compress('aaaaaaaaaaaaaaaa')) == 'aaaaaaaaaaaaaaaa'",
                    cost="compression",
                    opaque=True,
                    fallible=True,
                ),
            ),
        ),
    ),
)
