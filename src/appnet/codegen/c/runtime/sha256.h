/* SHA-256 (RFC 6234); needs nothing of a chain, so that the loader can use it, too. */
#ifndef AN_SHA256_H
#define AN_SHA256_H

#include "chain.h"

void an_sha256(an_view text, uint8_t digest[32]);

#endif
