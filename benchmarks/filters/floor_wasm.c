/* floor.c as a proxy-wasm module: without ASKS it has no hook for calls at all; with it, those that a chain needs which
 * keeps something of a call, and in them the chain's questions to Envoy. */
#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(#name)))
#define IMPORT(module, name) __attribute__((import_module(#module), import_name(#name)))

enum { REQUEST_HEADERS = 0, RESPONSE_HEADERS = 2, REQUEST_BODY = 0, CONTINUE = 0, PAUSE = 1, MONOTONIC = 1 };

EXPORT(proxy_abi_version_0_2_1) void proxy_abi_version_0_2_1(void) {}

EXPORT(proxy_on_memory_allocate) void *proxy_on_memory_allocate(size_t size) {
  static uint8_t block[65536];
  return size <= sizeof block ? block : NULL;
}

EXPORT(proxy_on_configure) uint32_t proxy_on_configure(uint32_t root, size_t size) {
  (void)root; (void)size;
  return 1;
}

#if ASKS
IMPORT(env, proxy_get_header_map_pairs) uint32_t proxy_get_header_map_pairs(uint32_t map, uint8_t **pairs, size_t *size);
IMPORT(env, proxy_replace_header_map_value)
uint32_t proxy_replace_header_map_value(uint32_t map, const void *key, size_t key_size, const void *value, size_t value_size);
IMPORT(env, proxy_get_buffer_bytes)
uint32_t proxy_get_buffer_bytes(uint32_t buffer, size_t start, size_t size, uint8_t **bytes, size_t *found);
IMPORT(wasi_snapshot_preview1, clock_time_get) uint32_t clock_time_get(uint32_t clock, uint64_t precision, uint64_t *time);

EXPORT(proxy_on_request_headers) uint32_t proxy_on_request_headers(uint32_t context, uint32_t headers, uint32_t end) {
  uint8_t *pairs;
  size_t size;
  (void)context; (void)headers; (void)end;
  proxy_get_header_map_pairs(REQUEST_HEADERS, &pairs, &size);
  return PAUSE;
}

EXPORT(proxy_on_request_body) uint32_t proxy_on_request_body(uint32_t context, size_t size, uint32_t end) {
  uint8_t *bytes;
  size_t found;
  uint64_t time;
  (void)context;
  if (end == 0) return PAUSE;
  proxy_get_buffer_bytes(REQUEST_BODY, 0, size, &bytes, &found);
  clock_time_get(MONOTONIC, 1, &time);
  proxy_replace_header_map_value(REQUEST_HEADERS, "x-tenant", 8, "default", 7);
  return CONTINUE;
}

EXPORT(proxy_on_response_headers) uint32_t proxy_on_response_headers(uint32_t context, uint32_t headers, uint32_t end) {
  (void)context; (void)headers; (void)end;
  proxy_replace_header_map_value(RESPONSE_HEADERS, "x-served-by", 11, "appnet", 6);
  return CONTINUE;
}

EXPORT(proxy_on_delete) void proxy_on_delete(uint32_t context) { (void)context; }
#endif
