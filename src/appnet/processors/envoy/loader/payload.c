#include "payload.h"

#include <string.h>

#include "sha256.h"

enum { MAGIC_SIZE = 8, HASH_SIZE = 32, OPTIONS_SIZE = 24, OPTIONS_VERSION = 1 };

static uint64_t little_endian(const uint8_t *bytes, size_t size) {
  uint64_t value = 0;
  for (size_t i = size; i-- > 0;) value = value << 8 | bytes[i];
  return value;
}

static bool take(an_view *bytes, size_t size, an_view *out) {
  if (bytes->size < size) return false;
  *out = (an_view){bytes->data, size};
  bytes->data += size;
  bytes->size -= size;
  return true;
}

static bool read_options(an_view bytes, an_options *out) {
  an_view fixed;
  if (!take(&bytes, OPTIONS_SIZE, &fixed) || little_endian(fixed.data, 4) != OPTIONS_VERSION) return false;
  *out = (an_options){
      .seed = little_endian(fixed.data + 4, 8),
      .max_message = (uint32_t)little_endian(fixed.data + 12, 4),
      .backend_count = (uint32_t)little_endian(fixed.data + 16, 4),
      .resource = bytes,
  };
  return bytes.size == little_endian(fixed.data + 20, 4);
}

const char *payload_read(an_view bytes, payload *out) {
  an_view magic, size, options, hash;
  uint8_t found[HASH_SIZE];
  if (!take(&bytes, MAGIC_SIZE, &magic) || memcmp(magic.data, "APPNETM1", MAGIC_SIZE) != 0) return "this is no chain";
  if (!take(&bytes, 4, &size) || !take(&bytes, (size_t)little_endian(size.data, 4), &options) ||
      !take(&bytes, HASH_SIZE, &hash)) {
    return "the chain is cut short";
  }
  if (!read_options(options, &out->options)) return "the chain's options are for another loader";
  an_sha256(bytes, found);
  if (memcmp(found, hash.data, HASH_SIZE) != 0) return "the chain's bytes are not those that were sent: hash differs";
  out->library = bytes;
  return NULL;
}
