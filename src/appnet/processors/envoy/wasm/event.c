#include "event.h"

#include "http_call.h"
#include "platform.h"
#include "proxy_wasm.h"

/* What the proxy hands over lives until the event ends: in a block of its own size, or where many small ones fit. */
enum { SCRATCH = 16384 };

struct scratch_block {
  scratch_block *next;
};

static scratch_block *small_scratch, *large_scratch;
static size_t scratch_used;

static scratch_block *new_block(size_t size) {
  scratch_block *block = an_alloc(an_size_add(size, sizeof *block));
  if (block != NULL) block->next = NULL;
  return block;
}

EXPORT(proxy_on_memory_allocate) void *proxy_on_memory_allocate(size_t size) {
  size_t rounded = (size + 7) & ~(size_t)7;
  if (small_scratch == NULL) {
    small_scratch = new_block(SCRATCH);
    scratch_used = 0;
  }
  if (small_scratch != NULL && size <= SCRATCH && rounded <= SCRATCH - scratch_used) {
    scratch_used += rounded;
    return (uint8_t *)(small_scratch + 1) + scratch_used - rounded;
  }
  scratch_block *block = new_block(size);
  if (block == NULL) return NULL;
  block->next = large_scratch;
  large_scratch = block;
  return block + 1;
}

void event_memory_free(scratch_block **kept) {
  while (*kept != NULL) {
    scratch_block *block = *kept;
    *kept = block->next;
    an_free(block);
  }
}

static uint64_t event_ns; /* the time of the event in hand; 0: not asked for yet */
static an_view shown[AN_RESPONSE_TRAILERS + 1]; /* the maps that have been asked for as a whole */

void event_begins(void) {
  scratch_used = 0;
  event_ns = 0;
  memset(shown, 0, sizeof shown);
  event_memory_free(&large_scratch);
}

void event_memory_keep(scratch_block **kept) {
  scratch_block **last = kept;
  while (*last != NULL) last = &(*last)->next;
  *last = large_scratch;
  if (small_scratch != NULL) {
    small_scratch->next = *kept;
    *kept = small_scratch;
  }
  small_scratch = large_scratch = NULL;
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

uint64_t an_time_within(const an_call *call) {
  (void)call;
  return clock_ns(MONOTONIC);
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

/* One more value of the key, from `*at` on of the pairs, which count from 0. */
static bool next_value(an_view pairs, an_view key, uint32_t *at, const uint8_t **text, an_view *value) {
  uint32_t count = number_at(pairs.data);
  while (*at < count) {
    const uint8_t *sizes = pairs.data + sizeof count + (size_t)*at * 2 * sizeof count;
    uint32_t key_size = number_at(sizes), value_size = number_at(sizes + sizeof count);
    const uint8_t *name = *text;
    *text += (size_t)key_size + value_size + 2;
    (*at)++;
    if (key_size != key.size || memcmp(name, key.data, key_size) != 0) continue;
    *value = (an_view){name + key_size + 1, value_size};
    return true;
  }
  return false;
}

static size_t values_in(an_view pairs, an_view key, an_view *values, size_t room) {
  if (pairs.size < sizeof(uint32_t)) return 0;
  const uint8_t *text = pairs.data + sizeof(uint32_t) + (size_t)number_at(pairs.data) * 2 * sizeof(uint32_t);
  uint32_t at = 0;
  size_t count = 0;
  an_view value;
  while (next_value(pairs, key, &at, &text, &value)) {
    if (count < room) values[count] = value;
    count++;
  }
  return count;
}

static bool metadata_get(void *call_host, an_metadata_map map, an_view key, an_view *value) {
  uint8_t *data = NULL;
  size_t size = 0;
  (void)call_host;
  if (shown[map].data != NULL) return values_in(shown[map], key, value, 1) > 0;
  if (proxy_get_header_map_value(wasm_map(map), key.data, key.size, &data, &size) != 0) return false;
  *value = (an_view){data, size};
  return true;
}

/* The proxy tells one value of a key; all of them are in the whole map alone. */
static size_t metadata_values(void *call_host, an_metadata_map map, an_view key, an_view *values, size_t room) {
  uint8_t *pairs = NULL;
  size_t size = 0;
  (void)call_host;
  if (shown[map].data == NULL && proxy_get_header_map_pairs(wasm_map(map), &pairs, &size) == 0) {
    shown[map] = (an_view){pairs, size};
  }
  return values_in(shown[map], key, values, room);
}

static void metadata_set(void *call_host, an_metadata_map map, an_view key, an_view value) {
  (void)call_host;
  shown[map] = (an_view){NULL, 0}; /* they may be others now */
  proxy_replace_header_map_value(wasm_map(map), key.data, key.size, value.data, value.size);
}

static void metadata_remove(void *call_host, an_metadata_map map, an_view key) {
  (void)call_host;
  shown[map] = (an_view){NULL, 0};
  proxy_remove_header_map_value(wasm_map(map), key.data, key.size);
}

static bool peer(void *call_host, an_view *identity) {
  static const char path[] = "connection\0uri_san_peer_certificate";
  uint8_t *data = NULL;
  size_t size = 0;
  (void)call_host;
  if (proxy_get_property(path, sizeof path - 1, &data, &size) != 0) return false;
  *identity = (an_view){data, size};
  return true;
}

const an_services event_services = {NULL,         now_ns,          wall_ns,         metadata_get, metadata_set,
                                    metadata_values, metadata_remove, peer, end_call_at};

void show_request_headers(an_view pairs) { shown[AN_REQUEST_METADATA] = pairs; }

an_view shown_request_headers(void) { return shown[AN_REQUEST_METADATA]; }

uint64_t event_time(void) { return now_ns(NULL); }
