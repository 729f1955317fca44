#include "compress.h"

#include "base64.h"
#include "octets.h"

enum {
  BLOCK = 64 << 10,
  HEADER = 15, /* magic, flags, block size, content size, header checksum */
  FOOTER = 8,  /* end mark, content checksum */
  MOST_CONTENT = 4 << 20,
  HASH_BITS = 12,
  LEAST_MATCH = 4,
  LAST_LITERALS = 5, /* of a block, as the format has it */
  LAST_MATCH = 12,   /* bytes before the block's end at which a match may still begin */
};

#define RAW 0x80000000u /* of a block's size: its bytes are as they were */

static const uint8_t frame_start[6] = {0x04, 0x22, 0x4d, 0x18, 0x6c, 0x40};

/* ---- XXH32 with seed 0 --------------------------------------------------------------------------------- */

static const uint32_t primes[5] = {2654435761u, 2246822519u, 3266489917u, 668265263u, 374761393u};

static uint32_t xxh32(const uint8_t *at, size_t size) {
  const uint8_t *end = at + size;
  uint32_t hash = primes[4];
  if (size >= 16) {
    uint32_t lanes[4] = {primes[0] + primes[1], primes[1], 0, 0 - primes[0]};
    for (; end - at >= 16; at += 16) {
      for (unsigned i = 0; i < 4; i++) lanes[i] = rotate_left(lanes[i] + load_le32(at + 4 * i) * primes[1], 13) * primes[0];
    }
    hash = rotate_left(lanes[0], 1) + rotate_left(lanes[1], 7) + rotate_left(lanes[2], 12) + rotate_left(lanes[3], 18);
  }
  hash += (uint32_t)size;
  for (; end - at >= 4; at += 4) hash = rotate_left(hash + load_le32(at) * primes[2], 17) * primes[3];
  for (; at < end; at++) hash = rotate_left(hash + *at * primes[4], 11) * primes[0];
  hash = (hash ^ hash >> 15) * primes[1];
  hash = (hash ^ hash >> 13) * primes[2];
  return hash ^ hash >> 16;
}

/* ---- compression ----------------------------------------------------------------------------------------- */

static uint8_t *put_length(uint8_t *out, size_t length) {
  for (; length >= 255; length -= 255) *out++ = 255;
  *out++ = (uint8_t)length;
  return out;
}

/* Literals, and a match behind them unless `match` is 0, as it is at the end of a block. */
static uint8_t *put_sequence(uint8_t *out, const uint8_t *literals, size_t count, size_t distance, size_t match) {
  const size_t more = match > 0 ? match - LEAST_MATCH : 0;
  *out++ = (uint8_t)((count < 15 ? count : 15) << 4 | (more < 15 ? more : 15));
  if (count >= 15) out = put_length(out, count - 15);
  if (count > 0) memcpy(out, literals, count);
  out += count;
  if (match == 0) return out;
  *out++ = (uint8_t)distance;
  *out++ = (uint8_t)(distance >> 8);
  return more >= 15 ? put_length(out, more - 15) : out;
}

/* Greedy: at each place the last one with the same hash of four bytes is tried. */
static uint8_t *put_block(uint8_t *out, const uint8_t *from, size_t size) {
  uint16_t places[1 << HASH_BITS] = {0};
  size_t literals = 0;
  for (size_t at = 1; at + LAST_MATCH <= size; at++) {
    const uint32_t four = load_le32(from + at);
    uint16_t *place = &places[four * primes[0] >> (32 - HASH_BITS)];
    const size_t before = *place;
    *place = (uint16_t)at;
    if (load_le32(from + before) != four) continue;
    size_t match = LEAST_MATCH;
    while (at + match + LAST_LITERALS < size && from[before + match] == from[at + match]) match++;
    out = put_sequence(out, from + literals, at - literals, at - before, match);
    literals = at + match;
    at = literals - 1;
  }
  return put_sequence(out, from + literals, size - literals, 0, 0);
}

/* The most bytes that a frame takes: a block has its size before it, and grows, before it is stored raw, by lengths. */
static size_t frame_bound(size_t size) { return an_size_add(size, an_size_add((size / BLOCK + 1) * 4 + BLOCK / 255 + 16, HEADER + FOOTER)); }

static size_t put_frame(uint8_t *start, an_view plain) {
  uint8_t *out = start;
  memcpy(out, frame_start, sizeof frame_start);
  store_le64(out + 6, plain.size);
  out[14] = (uint8_t)(xxh32(out + 4, 10) >> 8);
  out += HEADER;
  for (size_t at = 0; at < plain.size; at += BLOCK) {
    const size_t size = plain.size - at < BLOCK ? plain.size - at : BLOCK;
    size_t packed = (size_t)(put_block(out + 4, plain.data + at, size) - (out + 4));
    if (packed >= size) memcpy(out + 4, plain.data + at, size);
    store_le32(out, packed >= size ? (uint32_t)size | RAW : (uint32_t)packed);
    out += 4 + (packed >= size ? size : packed);
  }
  store_le32(out, 0);
  store_le32(out + 4, xxh32(plain.data, plain.size));
  return (size_t)(out + FOOTER - start);
}

an_view an_compress(an_scope *scope, an_view plain, bool encoded) {
  static const uint8_t nothing[1];
  if (plain.data == NULL) plain.data = nothing;
  uint8_t *frame = an_scope_alloc(scope, NULL, frame_bound(plain.size));
  if (frame == NULL) return (an_view){NULL, 0};
  const size_t size = put_frame(frame, plain);
  if (!encoded) return (an_view){frame, size};
  uint8_t *text = an_scope_alloc(scope, NULL, an_base64_size(size));
  if (text == NULL) return (an_view){NULL, 0};
  an_base64_encode(frame, size, text);
  return (an_view){text, an_base64_size(size)};
}

/* ---- decompression --------------------------------------------------------------------------------------- */

/* Adds the bytes behind a length of 15; false where they end too early. */
static bool take_length(an_view *in, size_t *length) {
  if (*length < 15) return true;
  uint8_t byte = 255;
  while (byte == 255) {
    if (in->size == 0) return false;
    byte = *in->data++;
    in->size--;
    *length += byte;
  }
  return true;
}

/* Bytes written to `out`, which has room for so many; SIZE_MAX where it is no block or holds more. */
static size_t unpack_block(an_view in, uint8_t *out, size_t room) {
  size_t size = 0;
  while (in.size > 0) {
    const uint8_t token = *in.data++;
    in.size--;
    size_t literals = token >> 4, match = token & 15;
    if (!take_length(&in, &literals) || literals > in.size || literals > room - size) return SIZE_MAX;
    if (literals > 0) memcpy(out + size, in.data, literals);
    size += literals;
    in.data += literals;
    in.size -= literals;
    if (in.size == 0) return match == 0 ? size : SIZE_MAX;
    if (in.size < 2) return SIZE_MAX;
    const size_t distance = in.data[0] | (size_t)in.data[1] << 8;
    in.data += 2;
    in.size -= 2;
    if (!take_length(&in, &match) || distance == 0 || distance > size) return SIZE_MAX;
    match += LEAST_MATCH;
    if (match > room - size) return SIZE_MAX;
    for (; match > 0; match--, size++) out[size] = out[size - distance];
  }
  return SIZE_MAX;
}

static bool unpack_blocks(an_view in, uint8_t *out, size_t size) {
  size_t done = 0;
  while (in.size >= FOOTER) {
    const uint32_t head = load_le32(in.data);
    const size_t packed = head & ~RAW;
    in.data += 4;
    in.size -= 4;
    if (head == 0) return done == size && in.size == 4 && load_le32(in.data) == xxh32(out, size);
    const size_t room = size - done < BLOCK ? size - done : BLOCK;
    if (packed > in.size || packed > BLOCK) return false;
    size_t unpacked = packed;
    if ((head & RAW) == 0) {
      unpacked = unpack_block((an_view){in.data, packed}, out + done, room);
    } else if (packed <= room) {
      memcpy(out + done, in.data, packed);
    }
    if (unpacked > room) return false;
    done += unpacked;
    in.data += packed;
    in.size -= packed;
  }
  return false;
}

static bool unpack_frame(an_scope *scope, an_view frame, an_view *plain) {
  if (frame.size < HEADER + FOOTER || memcmp(frame.data, frame_start, sizeof frame_start) != 0) return false;
  const uint32_t size = load_le32(frame.data + 6);
  if (load_le32(frame.data + 10) != 0 || size > MOST_CONTENT) return false;
  if (frame.data[14] != (uint8_t)(xxh32(frame.data + 4, 10) >> 8)) return false;
  uint8_t *out = an_scope_alloc(scope, NULL, size);
  if (out == NULL) return false;
  *plain = (an_view){out, size};
  return unpack_blocks((an_view){frame.data + HEADER, frame.size - HEADER}, out, size);
}

bool an_decompress(an_scope *scope, an_view packed, bool encoded, an_view *plain) {
  *plain = (an_view){NULL, 0};
  if (encoded) {
    an_view bytes;
    if (!an_base64_bytes(scope, packed, &bytes)) return false;
    packed = bytes;
  }
  if (unpack_frame(scope, packed, plain)) return true;
  *plain = (an_view){NULL, 0};
  return false;
}
