#include "payload.h"

#include <string.h>

#include "octets.h"
#include "options.h"
#include "sha256.h"
#include "shared_object.h"

enum { MAGIC_SIZE = 8, HASH_SIZE = 32 };

static bool take(an_view *bytes, size_t size, an_view *out) {
  if (bytes->size < size) return false;
  *out = (an_view){bytes->data, size};
  bytes->data += size;
  bytes->size -= size;
  return true;
}

const char *payload_read(an_view bytes, payload *out) {
  an_view magic, size, options, hash;
  uint8_t found[HASH_SIZE];
  if (!take(&bytes, MAGIC_SIZE, &magic) || memcmp(magic.data, "APPNETM1", MAGIC_SIZE) != 0) return "this is no chain";
  if (!take(&bytes, 4, &size) || !take(&bytes, load_le32(size.data), &options) ||
      !take(&bytes, HASH_SIZE, &hash)) {
    return "the chain is cut short";
  }
  if (!an_options_read(options, &out->options)) return "the chain's options are for another loader";
  an_sha256(bytes, found);
  if (memcmp(found, hash.data, HASH_SIZE) != 0) return "the chain's bytes are not those that were sent: hash differs";
  out->library = bytes;
  return shared_object_flaw(bytes);
}
