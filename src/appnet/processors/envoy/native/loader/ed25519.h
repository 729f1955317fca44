/* Signatures by Ed25519 (RFC 8032), as ed25519.zig verifies them. */
#ifndef APPNET_ED25519_H
#define APPNET_ED25519_H

#include "chain.h"

enum { ED25519_KEY_SIZE = 32, ED25519_SIGNATURE_SIZE = 64 };

#pragma GCC visibility push(hidden) /* nobody else's functions of these names take their place */

/* Whether a public key is the canonical form of a point of the large subgroup. With others, one signature would do for
 * many texts. */
bool ed25519_is_key(const uint8_t key[ED25519_KEY_SIZE]);

/* Whether the key signed these parts, one behind the other. */
bool ed25519_verify(const uint8_t key[ED25519_KEY_SIZE], const uint8_t signature[ED25519_SIGNATURE_SIZE],
                    const an_view *parts, size_t count);

#pragma GCC visibility pop

#endif
