#include "event.h"

#include "platform.h"
#include "proxy_wasm.h"

/* What the proxy hands over lives until the event ends: in a block of its own size, or where many small ones fit. */
enum { SCRATCH = 16384 };

typedef struct scratch_block {
  struct scratch_block *next;
} scratch_block;

static uint8_t scratch[SCRATCH];
static size_t scratch_used;
static scratch_block *large_scratch;

EXPORT(proxy_on_memory_allocate) void *proxy_on_memory_allocate(size_t size) {
  size_t rounded = (size + 7) & ~(size_t)7;
  if (size <= SCRATCH && rounded <= SCRATCH - scratch_used) {
    scratch_used += rounded;
    return scratch + scratch_used - rounded;
  }
  scratch_block *block = an_alloc(an_size_add(size, sizeof(scratch_block)));
  if (block == NULL) return NULL;
  block->next = large_scratch;
  large_scratch = block;
  return block + 1;
}

static uint64_t event_ns; /* the time of the event in hand; 0: not asked for yet */
static an_view request_headers;

void event_begins(void) {
  scratch_used = 0;
  event_ns = 0;
  request_headers = (an_view){NULL, 0};
  while (large_scratch != NULL) {
    scratch_block *block = large_scratch;
    large_scratch = block->next;
    an_free(block);
  }
}

/* ---- services for the chain ------------------------------------------------------------------------------ */

/* A question to the proxy costs as much as a small chain, so an event asks for the time once at most, and the wall
 * clock is the monotonic one and what lay between them when telemetry was last sent. */
static uint64_t wall_ahead_ns;

static uint64_t clock_ns(uint32_t clock) {
  uint64_t time = 0;
  clock_time_get(clock, 1, &time);
  return time;
}

static uint64_t now_ns(void *host) {
  (void)host;
  if (event_ns == 0) event_ns = clock_ns(MONOTONIC);
  return event_ns;
}

static uint64_t wall_ns(void *host) { return now_ns(host) + wall_ahead_ns; }

void set_wall_clock(void) { wall_ahead_ns = clock_ns(REALTIME) - clock_ns(MONOTONIC); }

static uint32_t wasm_map(an_metadata_map map) {
  return map == AN_REQUEST_METADATA ? REQUEST_HEADERS : map == AN_RESPONSE_METADATA ? RESPONSE_HEADERS : RESPONSE_TRAILERS;
}

static uint32_t number_at(const uint8_t *at) {
  uint32_t number;
  memcpy(&number, at, sizeof number);
  return number;
}

static bool find_request_header(an_view key, an_view *value) {
  if (request_headers.size < sizeof(uint32_t)) return false;
  uint32_t count = number_at(request_headers.data);
  const uint8_t *sizes = request_headers.data + sizeof count;
  const uint8_t *text = sizes + (size_t)count * 2 * sizeof count;
  for (uint32_t i = 0; i < count; i++, sizes += 2 * sizeof count) {
    uint32_t key_size = number_at(sizes), value_size = number_at(sizes + sizeof count);
    if (key_size == key.size && memcmp(text, key.data, key_size) == 0) {
      *value = (an_view){text + key_size + 1, value_size};
      return true;
    }
    text += (size_t)key_size + value_size + 2;
  }
  return false;
}

static bool metadata_get(void *call_host, an_metadata_map map, an_view key, an_view *value) {
  uint8_t *data = NULL;
  size_t size = 0;
  (void)call_host;
  if (map == AN_REQUEST_METADATA && request_headers.data != NULL) return find_request_header(key, value);
  if (proxy_get_header_map_value(wasm_map(map), key.data, key.size, &data, &size) != 0) return false;
  *value = (an_view){data, size};
  return true;
}

static void metadata_set(void *call_host, an_metadata_map map, an_view key, an_view value) {
  (void)call_host;
  request_headers = (an_view){NULL, 0}; /* they may be others now */
  proxy_replace_header_map_value(wasm_map(map), key.data, key.size, value.data, value.size);
}

const an_services event_services = {NULL, now_ns, wall_ns, metadata_get, metadata_set};

void show_request_headers(an_view pairs) { request_headers = pairs; }

an_view shown_request_headers(void) { return request_headers; }
