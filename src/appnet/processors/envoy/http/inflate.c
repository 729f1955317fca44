#include "inflate.h"

#include "octets.h"
#include "value.h"

/* DEFLATE, RFC 1951. Codes are read bit by bit: how long a code is tells how many there are before it. */

enum { MOST_BITS = 15, LITERALS = 288, DISTANCES = 32, WINDOW = 32768, END_OF_BLOCK = 256 };

typedef struct source {
  an_view packed;
  size_t at;
  uint32_t bits;
  unsigned count; /* of bits */
  bool ended;     /* bits were asked for that are not there */
} source;

/* `counts`: codes of each length; `symbols`: what they stand for, in the order of the codes. */
typedef struct code {
  uint16_t counts[MOST_BITS + 1];
  uint16_t symbols[LITERALS];
} code;

static uint32_t take_bits(source *from, unsigned wanted) {
  while (from->count < wanted) {
    if (from->at == from->packed.size) {
      from->ended = true;
      return 0;
    }
    from->bits |= (uint32_t)from->packed.data[from->at++] << from->count;
    from->count += 8;
  }
  uint32_t taken = from->bits & ((1u << wanted) - 1);
  from->bits >>= wanted;
  from->count -= wanted;
  return taken;
}

/* False where the lengths make more codes than there can be, or fewer, unless one stands alone. */
static bool make_code(code *it, const uint8_t *lengths, size_t size) {
  uint16_t next[MOST_BITS + 1];
  memset(it->counts, 0, sizeof it->counts);
  for (size_t i = 0; i < size; i++) it->counts[lengths[i]]++;
  size_t used = size - it->counts[0];
  it->counts[0] = 0;
  int32_t left = 1;
  for (unsigned length = 1; length <= MOST_BITS; length++) {
    left = left * 2 - it->counts[length];
    if (left < 0) return false;
  }
  next[1] = 0;
  for (unsigned length = 1; length < MOST_BITS; length++) next[length + 1] = (uint16_t)(next[length] + it->counts[length]);
  for (size_t i = 0; i < size; i++) {
    if (lengths[i] != 0) it->symbols[next[lengths[i]]++] = (uint16_t)i;
  }
  return left == 0 || (used <= 1 && it->counts[1] == used);
}

/* -1: no code begins so. */
static int32_t take_symbol(source *from, const code *it) {
  uint32_t found = 0, first = 0, index = 0;
  for (unsigned length = 1; length <= MOST_BITS; length++) {
    found |= take_bits(from, 1);
    if (from->ended) return -1;
    uint32_t count = it->counts[length];
    if (found < first + count) return it->symbols[index + found - first];
    index += count;
    first = (first + count) << 1;
    found <<= 1;
  }
  return -1;
}

static an_inflation grown(const an_buffer *out) { return out->failed ? AN_INFLATE_TOO_LONG : AN_INFLATED; }

static an_inflation copy_stored(source *from, an_buffer *out) {
  from->bits = from->count = 0;
  if (from->packed.size - from->at < 4) return AN_INFLATE_MALFORMED;
  const uint8_t *head = from->packed.data + from->at;
  uint32_t size = head[0] | (uint32_t)head[1] << 8, inverse = head[2] | (uint32_t)head[3] << 8;
  from->at += 4;
  if (size != (inverse ^ 0xffff) || from->packed.size - from->at < size) return AN_INFLATE_MALFORMED;
  an_buffer_append(out, from->packed.data + from->at, size);
  from->at += size;
  return grown(out);
}

/* Bytes from before are appended again, those that are appended meanwhile included. */
static an_inflation repeat(an_buffer *out, size_t start, size_t distance, size_t length) {
  if (distance > out->size - start) return AN_INFLATE_MALFORMED;
  while (length > 0) {
    uint8_t piece[WINDOW / 128];
    size_t part = length < distance ? length : distance;
    if (part > sizeof piece) part = sizeof piece;
    memcpy(piece, out->data + out->size - distance, part);
    an_buffer_append(out, piece, part);
    if (out->failed) return grown(out);
    length -= part;
  }
  return AN_INFLATED;
}

static an_inflation copy_coded(source *from, const code *literals, const code *distances, an_buffer *out, size_t start) {
  static const uint16_t lengths[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                     31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
  static const uint8_t length_bits[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
  static const uint16_t offsets[] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
                                     193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
  for (;;) {
    int32_t symbol = take_symbol(from, literals);
    if (symbol == END_OF_BLOCK) return AN_INFLATED;
    if (symbol < 0 || symbol > 285) return AN_INFLATE_MALFORMED;
    an_inflation done;
    if (symbol < END_OF_BLOCK) {
      uint8_t byte = (uint8_t)symbol;
      an_buffer_append(out, &byte, 1);
      done = grown(out);
    } else {
      size_t length = lengths[symbol - 257] + take_bits(from, length_bits[symbol - 257]);
      int32_t offset = take_symbol(from, distances);
      if (offset < 0 || offset > 29) return AN_INFLATE_MALFORMED;
      size_t distance = offsets[offset] + take_bits(from, offset < 2 ? 0 : (unsigned)offset / 2 - 1);
      done = from->ended ? AN_INFLATE_MALFORMED : repeat(out, start, distance, length);
    }
    if (done != AN_INFLATED) return done;
  }
}

static an_inflation copy_fixed(source *from, an_buffer *out, size_t start) {
  uint8_t lengths[LITERALS];
  code literals, distances;
  for (unsigned i = 0; i < LITERALS; i++) lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
  make_code(&literals, lengths, LITERALS);
  memset(lengths, 5, DISTANCES);
  make_code(&distances, lengths, DISTANCES);
  return copy_coded(from, &literals, &distances, out, start);
}

/* The lengths of both codes are coded themselves. */
static bool read_lengths(source *from, const code *by, uint8_t *lengths, size_t size) {
  size_t at = 0;
  while (at < size) {
    int32_t symbol = take_symbol(from, by);
    if (symbol < 0) return false;
    if (symbol < 16) {
      lengths[at++] = (uint8_t)symbol;
      continue;
    }
    if (symbol == 16 && at == 0) return false;
    uint8_t again = symbol == 16 ? lengths[at - 1] : 0;
    size_t times = symbol == 16 ? 3 + take_bits(from, 2) : symbol == 17 ? 3 + take_bits(from, 3) : 11 + take_bits(from, 7);
    if (times > size - at) return false;
    memset(lengths + at, again, times);
    at += times;
  }
  return lengths[END_OF_BLOCK] != 0 && !from->ended;
}

static an_inflation copy_dynamic(source *from, an_buffer *out, size_t start) {
  static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  uint8_t lengths[LITERALS + DISTANCES] = {0};
  code literals, distances;
  size_t literal_count = 257 + take_bits(from, 5), distance_count = 1 + take_bits(from, 5), count = 4 + take_bits(from, 4);
  if (from->ended || literal_count > 286 || distance_count > 30) return AN_INFLATE_MALFORMED;
  for (size_t i = 0; i < count; i++) lengths[order[i]] = (uint8_t)take_bits(from, 3);
  if (from->ended || !make_code(&literals, lengths, 19)) return AN_INFLATE_MALFORMED;
  if (!read_lengths(from, &literals, lengths, literal_count + distance_count)) return AN_INFLATE_MALFORMED;
  if (!make_code(&literals, lengths, literal_count)) return AN_INFLATE_MALFORMED;
  if (!make_code(&distances, lengths + literal_count, distance_count)) return AN_INFLATE_MALFORMED;
  return copy_coded(from, &literals, &distances, out, start);
}

static an_inflation inflate_blocks(source *from, an_buffer *out, size_t start) {
  for (;;) {
    uint32_t last = take_bits(from, 1), kind = take_bits(from, 2);
    if (from->ended || kind == 3) return AN_INFLATE_MALFORMED;
    an_inflation done = kind == 0   ? copy_stored(from, out)
                        : kind == 1 ? copy_fixed(from, out, start)
                                    : copy_dynamic(from, out, start);
    if (done != AN_INFLATED || last != 0) return done;
  }
}

/* ---- formats around it ------------------------------------------------------------------------------ */

static uint32_t crc32_of(const uint8_t *bytes, size_t size) {
  static const uint32_t nibbles[16] = {
      0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
      0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
  };
  uint32_t crc = 0xffffffff;
  for (size_t i = 0; i < size; i++) {
    crc ^= bytes[i];
    crc = crc >> 4 ^ nibbles[crc & 15];
    crc = crc >> 4 ^ nibbles[crc & 15];
  }
  return ~crc;
}

static uint32_t adler32_of(const uint8_t *bytes, size_t size) {
  enum { MODULUS = 65521, BEFORE_OVERFLOW = 5552 };
  uint32_t a = 1, b = 0;
  while (size > 0) {
    size_t part = size < BEFORE_OVERFLOW ? size : BEFORE_OVERFLOW;
    for (size_t i = 0; i < part; i++) b += a += bytes[i];
    a %= MODULUS;
    b %= MODULUS;
    bytes += part;
    size -= part;
  }
  return b << 16 | a;
}

/* Where the DEFLATE stream begins behind gzip's header; 0: it is none. */
static size_t behind_gzip_header(an_view packed) {
  enum { HAS_CRC = 2, HAS_EXTRA = 4, HAS_NAME = 8, HAS_COMMENT = 16, RESERVED = 0xe0, FIXED = 10 };
  const uint8_t *data = packed.data;
  if (packed.size < FIXED || data[0] != 0x1f || data[1] != 0x8b || data[2] != 8 || (data[3] & RESERVED) != 0) return 0;
  size_t at = FIXED;
  if ((data[3] & HAS_EXTRA) != 0) {
    if (packed.size - at < 2) return 0;
    size_t extra = data[at] | (size_t)data[at + 1] << 8;
    at += 2;
    if (packed.size - at < extra) return 0;
    at += extra;
  }
  for (unsigned flag = HAS_NAME; flag <= HAS_COMMENT; flag *= 2) {
    if ((data[3] & flag) == 0) continue;
    while (at < packed.size && data[at] != 0) at++;
    if (at == packed.size) return 0;
    at++;
  }
  if ((data[3] & HAS_CRC) != 0) at += 2;
  return at <= packed.size ? at : 0;
}

static size_t behind_zlib_header(an_view packed) {
  if (packed.size < 2) return 0;
  uint32_t head = (uint32_t)packed.data[0] << 8 | packed.data[1];
  bool without_dictionary = (packed.data[1] & 0x20) == 0;
  return (packed.data[0] & 15) == 8 && packed.data[0] >> 4 <= 7 && head % 31 == 0 && without_dictionary ? 2 : 0;
}

an_encoding an_encoding_of(an_view name) {
  if (name.size == 0 || an_equal(name, AN_TEXT("identity"))) return AN_ENCODING_NONE;
  if (an_equal(name, AN_TEXT("gzip"))) return AN_ENCODING_GZIP;
  return an_equal(name, AN_TEXT("deflate")) ? AN_ENCODING_DEFLATE : AN_ENCODING_OTHER;
}

an_inflation an_inflate(an_encoding encoding, an_view packed, an_buffer *out) {
  bool gzip = encoding == AN_ENCODING_GZIP;
  source from = {.packed = packed, .at = gzip ? behind_gzip_header(packed) : behind_zlib_header(packed)};
  size_t start = out->size;
  if (from.at == 0) return AN_INFLATE_MALFORMED;
  an_inflation done = inflate_blocks(&from, out, start);
  if (done != AN_INFLATED) return done;
  const uint8_t *content = out->data == NULL ? (const uint8_t *)"" : out->data + start, *end = packed.data + from.at;
  size_t size = out->size - start, left = packed.size - from.at;
  bool whole = gzip ? left == 8 && load_le32(end) == crc32_of(content, size) && load_le32(end + 4) == (uint32_t)size
                    : left == 4 && load_be32(end) == adler32_of(content, size);
  return whole ? AN_INFLATED : AN_INFLATE_MALFORMED;
}
