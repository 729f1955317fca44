/* Authenticated encryption: ChaCha20-Poly1305 (RFC 8439), in constant time. HMAC-SHA-256 (RFC 2104). */
#ifndef AN_CRYPTO_H
#define AN_CRYPTO_H

#include "value.h"

enum { AN_KEY_SIZE = 32, AN_NONCE_SIZE = 12, AN_TAG_SIZE = 16 };

/* Encrypts `size` bytes in place; there is no additional data. */
void an_seal(const uint8_t key[AN_KEY_SIZE], const uint8_t nonce[AN_NONCE_SIZE], uint8_t *bytes, size_t size,
             uint8_t tag[AN_TAG_SIZE]);
/* Decrypts in place; false, with the bytes as they were, where the tag is not theirs. */
bool an_open(const uint8_t key[AN_KEY_SIZE], const uint8_t nonce[AN_NONCE_SIZE], uint8_t *bytes, size_t size,
             const uint8_t tag[AN_TAG_SIZE]);

/* Base64 of nonce, ciphertext and tag; the nonce is drawn by the element, the key is the pass phrase's SHA-256. */
an_view an_encrypt(an_scope *scope, size_t element, an_view text, an_view pass_phrase);
/* False where the text was not encrypted with the key. */
bool an_decrypt(an_scope *scope, an_view text, an_view pass_phrase, an_view *plain);
/* 64 hexadecimal digits. */
an_view an_hmac(an_scope *scope, an_view text, an_view key);

#endif
