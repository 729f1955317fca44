#include "payload.h"

#include <string.h>

#include "octets.h"
#include "options.h"
#include "shared_object.h"
#include "trust.h"

enum { MAGIC_SIZE = 8 };

static bool take(an_view *bytes, size_t size, an_view *out) {
  if (bytes->size < size) return false;
  *out = (an_view){bytes->data, size};
  bytes->data += size;
  bytes->size -= size;
  return true;
}

static bool take_text_of(an_view *bytes, an_view *out) {
  an_view size;
  return take(bytes, 4, &size) && take(bytes, load_le32(size.data), out);
}

static bool read_state(an_view bytes, payload *out) {
  store_settings *to = &out->store;
  an_view timeout, merge;
  *to = (store_settings){0};
  out->shares = bytes.size > 0;
  if (!out->shares) return true;
  if (!take(&bytes, 4, &timeout) || !take(&bytes, 4, &merge)) return false;
  to->timeout_ms = load_le32(timeout.data);
  to->merge_ms = load_le32(merge.data);
  an_view *texts[] = {&to->path, &to->hosts, &to->service, &to->user, &to->password, &to->database, &to->scope, &to->script};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    if (!take_text_of(&bytes, texts[i])) return false;
  }
  return bytes.size == 0;
}

static bool is_signed(const trust *trust, an_view signature, an_view name, an_view content) {
  uint8_t name_size[4];
  store_le32(name_size, (uint32_t)name.size);
  an_view parts[] = {
      {(const uint8_t *)PAYLOAD_DOMAIN, sizeof PAYLOAD_DOMAIN - 1}, {name_size, sizeof name_size}, name, content};
  return name.size <= UINT32_MAX && trust_signed(trust, signature.data, parts, sizeof parts / sizeof *parts);
}

const char *payload_read(an_view bytes, an_view name, const char *trusted_keys, payload *out) {
  an_view magic, signature, options, state;
  trust trust;
  const char *flaw = trust_read(trusted_keys, &trust);
  if (flaw != NULL) return flaw;
  if (!take(&bytes, MAGIC_SIZE, &magic) || memcmp(magic.data, "APPNETM4", MAGIC_SIZE) != 0) return "this is no chain";
  if (!take(&bytes, ED25519_SIGNATURE_SIZE, &signature)) return "the chain is cut short";
  if (!is_signed(&trust, signature, name, bytes)) {
    return "the chain is signed by none of the keys in " TRUSTED_KEYS
           ": the proxy needs the public key of the control plane that sends it";
  }
  if (!take_text_of(&bytes, &options) || !take_text_of(&bytes, &state)) return "the chain is cut short";
  if (!an_options_read(options, &out->options, &out->trace_share) || !read_state(state, out)) {
    return "the chain's options are for another loader";
  }
  out->library = bytes;
  return shared_object_flaw(bytes);
}
