/* A filter's configuration as sealed.py writes it: GenericSecret{secret: DataSource{inline_bytes}}. */
#ifndef APPNET_SEALED_H
#define APPNET_SEALED_H

#include "chain.h"

/* What is inside; it lies in the configuration. Nothing where it is not sealed. */
static inline an_view unsealed(an_view bytes) {
  static const uint8_t tags[] = {1 << 3 | 2, 2 << 3 | 2}; /* secret, inline_bytes */
  const an_view nothing = {NULL, 0};
  for (size_t i = 0; i < sizeof tags; i++) {
    if (bytes.size == 0 || bytes.data[0] != tags[i]) return nothing;
    size_t at = 1, size = 0;
    uint8_t part = 0x80;
    for (unsigned shift = 0; part >= 0x80; shift += 7) {
      if (at == bytes.size || shift > 28) return nothing;
      part = bytes.data[at++];
      size |= (size_t)(part & 0x7f) << shift;
    }
    if (size != bytes.size - at) return nothing;
    bytes = (an_view){bytes.data + at, size};
  }
  return bytes;
}

#endif
