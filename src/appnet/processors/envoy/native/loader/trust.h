/* Whose modules the proxy opens: those that one of the keys in its environment signed. Whoever configures the proxy by
 * xDS cannot change these. */
#ifndef APPNET_TRUST_H
#define APPNET_TRUST_H

#include "ed25519.h"

#define TRUSTED_KEYS "APPNET_TRUSTED_KEYS"

enum { MOST_TRUSTED_KEYS = 8 };

typedef struct trust {
  uint8_t keys[MOST_TRUSTED_KEYS][ED25519_KEY_SIZE];
  size_t count;
} trust;

/* NULL, or why nobody is trusted. `text` is what the variable holds: each key as 64 hexadecimal digits, with commas
 * between. NULL: it is not set. */
const char *trust_read(const char *text, trust *out);

/* Whether one of the keys signed these parts, one behind the other. */
bool trust_signed(const trust *it, const uint8_t signature[ED25519_SIGNATURE_SIZE], const an_view *parts, size_t count);

#endif
