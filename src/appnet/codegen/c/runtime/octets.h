/* Numbers in bytes, and bits in numbers, as the ciphers have them. */
#ifndef AN_OCTETS_H
#define AN_OCTETS_H

#include <stdint.h>

static inline uint32_t rotate_left(uint32_t value, unsigned by) { return value << by | value >> (32 - by); }

static inline uint32_t load_le32(const uint8_t *from) {
  return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static inline uint32_t load_be32(const uint8_t *from) {
  return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | (uint32_t)from[3];
}

static inline void store_le32(uint8_t *to, uint32_t value) {
  for (unsigned i = 0; i < 4; i++) to[i] = (uint8_t)(value >> (8 * i));
}

static inline void store_le64(uint8_t *to, uint64_t value) {
  for (unsigned i = 0; i < 8; i++) to[i] = (uint8_t)(value >> (8 * i));
}

#endif
