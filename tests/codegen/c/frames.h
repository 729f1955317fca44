/* Random bytes that are nearly protobuf, for the programs that run the runtime under sanitizers. */
#ifndef FRAMES_H
#define FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { MAX_BODY = 4096 };

/* ---- choices ----------------------------------------------------------------------------------------- */

static _Thread_local uint64_t random_state;

static uint64_t choose(uint64_t limit) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (random_state >> 11) % limit;
}

static bool one_in(uint64_t count) { return choose(count) == 0; }

/* ---- messages ---------------------------------------------------------------------------------------- */

typedef struct text {
  uint8_t bytes[MAX_BODY];
  size_t size;
} text;

static void add(text *to, const void *bytes, size_t size) {
  if (size > MAX_BODY - to->size) return;
  memcpy(to->bytes + to->size, bytes, size);
  to->size += size;
}

static void add_byte(text *to, unsigned byte) {
  uint8_t one = (uint8_t)byte;
  add(to, &one, 1);
}

static void add_varint(text *to, uint64_t value) {
  unsigned padding = one_in(40) ? (unsigned)choose(10) : 0;
  for (; value >= 0x80; value >>= 7) add_byte(to, (unsigned)(value & 0x7f) | 0x80);
  if (padding == 0) {
    add_byte(to, (unsigned)value);
    return;
  }
  add_byte(to, (unsigned)value | 0x80);
  while (--padding > 0) add_byte(to, 0x80);
  add_byte(to, 0);
}

static void add_noise(text *to, size_t size) {
  while (size-- > 0) add_byte(to, (unsigned)choose(256));
}

static uint64_t any_number(void) {
  static const uint32_t known[] = {1, 2, 3, 7, 9, 10, 11, 14, 15, 16, 17, 17, 19, 19, 5000, 536870911};
  if (one_in(100)) return 0;
  return one_in(6) ? choose(1u << 29) : known[choose(sizeof known / sizeof known[0])];
}

/* The wire type of fixture.proto's field of this number; elsewhere any will do. */
static unsigned usual_type(uint64_t number) {
  switch (number) {
    case 1: case 16: case 17: case 18: case 19: return 2;
    case 11: case 13: case 15: return 1;
    case 10: case 12: case 14: return 5;
    default: return 0;
  }
}

/* Records of messages like fixture.proto's, most of them well-formed. */
static void add_fields(text *to, unsigned depth) {
  for (uint64_t count = choose(5); count > 0; count--) {
    uint64_t number = any_number();
    unsigned type = one_in(100) ? 6 + (unsigned)choose(2) : one_in(2) ? usual_type(number) : (unsigned)choose(6);
    if (type == 4 && !one_in(40)) type = 2;
    text inner = {.size = 0};
    add_varint(to, number << 3 | type);
    switch (type) {
      case 0: add_varint(to, one_in(2) ? choose(300) : random_state); break;
      case 1: add_noise(to, 8); break;
      case 2:
        if (depth > 0 && one_in(2)) {
          add_fields(&inner, depth - 1);
        } else {
          add_noise(&inner, choose(40));
        }
        add_varint(to, one_in(40) ? choose(UINT32_MAX) : inner.size);
        add(to, inner.bytes, inner.size);
        break;
      case 3:
        if (depth > 0) add_fields(to, depth - 1);
        if (!one_in(20)) add_varint(to, number << 3 | 4);
        break;
      case 5: add_noise(to, 4); break;
      default: break;
    }
  }
}

#endif
