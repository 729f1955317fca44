#include "metadata.h"

#include "text.h"

enum { KEY_SIZE = 256 };

/* The key in lower case, in `lower`; empty where HTTP knows no such key. */
static an_view lower_key(an_view key, uint8_t lower[KEY_SIZE]) {
  const an_view none = {NULL, 0};
  if (key.size > KEY_SIZE) return none;
  for (size_t i = 0; i < key.size; i++) {
    uint8_t c = key.data[i];
    if (c >= 'A' && c <= 'Z') c = (uint8_t)(c + ('a' - 'A'));
    bool known = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    if (!known) return none;
    lower[i] = c;
  }
  return (an_view){lower, key.size};
}

/* What is between the chain and its proxy: no element sees it. */
static bool is_hidden(an_view key) {
  return an_equal(key, AN_TEXT("x-appnet-host")) || an_equal(key, AN_TEXT("x-envoy-fault-delay-request")) ||
         an_equal(key, AN_TEXT("x-envoy-fault-delay-request-percentage"));
}

static bool can_set(an_view key, an_view value) {
  if (key.size == 0 || is_hidden(key) || an_starts_with(key, AN_TEXT("grpc-"))) return false;
  if (an_equal(key, AN_TEXT("content-type")) || an_equal(key, AN_TEXT("te")) || an_equal(key, AN_TEXT("dst"))) return false;
  for (size_t i = 0; i < value.size; i++) {
    if (value.data[i] < 0x20 || value.data[i] > 0x7e) return false;
  }
  return true;
}

/* Whether the direction's headers are there to be read and changed. */
static bool metadata_is_there(const an_call *call, an_direction direction) {
  return direction == AN_REQUEST || (call->response_begun && !call->made_here);
}

static an_metadata_map map_of(an_direction direction) {
  return direction == AN_REQUEST ? AN_REQUEST_METADATA : AN_RESPONSE_METADATA;
}

bool an_metadata_get(an_call *call, an_direction direction, an_view key, an_view *value) {
  uint8_t lower[KEY_SIZE];
  an_view known = lower_key(key, lower), found;
  if (known.size == 0 || is_hidden(known) || !metadata_is_there(call, direction)) return false;
  if (!call->instance->services.metadata_get(call->host, map_of(direction), known, &found)) return false;
  /* A copy: the host's own value may end where the same key is set. */
  uint8_t *copy = an_arena_alloc(&call->arena, found.size);
  if (copy == NULL) return false;
  if (found.size > 0) memcpy(copy, found.data, found.size);
  *value = (an_view){copy, found.size};
  return true;
}

/* The host of the cluster that decimal text names, or -1. */
static int64_t parse_backend(an_view text, uint32_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') return -1;
    value = value * 10 + (text.data[i] - '0');
    if (value > UINT32_MAX) value = UINT32_MAX; /* no such host, whatever follows */
  }
  return text.size > 0 && value < count ? (int64_t)value : -1;
}

void an_route(an_call *call, an_view host) {
  call->routed = true;
  call->destination = parse_backend(host, call->instance->options.backend_count);
}

void an_metadata_set(an_call *call, an_direction direction, an_view key, an_view value) {
  uint8_t lower[KEY_SIZE];
  an_view known = lower_key(key, lower);
  if (!can_set(known, value) || !metadata_is_there(call, direction)) return;
  call->instance->services.metadata_set(call->host, map_of(direction), known, value);
}
