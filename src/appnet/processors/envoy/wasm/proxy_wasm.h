/* What the proxy offers: the part of proxy-wasm 0.2.1 that the host uses. A module imports what it calls. */
#ifndef AN_PROXY_WASM_H
#define AN_PROXY_WASM_H

#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(#name)))
#define IMPORT(module, name) __attribute__((import_module(#module), import_name(#name)))

enum { REQUEST_HEADERS = 0, RESPONSE_HEADERS = 2, RESPONSE_TRAILERS = 3 };
enum { REQUEST_BODY = 0, RESPONSE_BODY = 1, PLUGIN_CONFIGURATION = 7 };
enum { CONTINUE = 0, PAUSE = 1 };
enum { REQUEST_STREAM = 0, RESPONSE_STREAM = 1 };
enum { CAS_MISMATCH = 8 };
enum { REALTIME = 0, MONOTONIC = 1 };

IMPORT(env, proxy_get_header_map_value)
uint32_t proxy_get_header_map_value(uint32_t map, const void *key, size_t key_size, uint8_t **value, size_t *value_size);
IMPORT(env, proxy_get_header_map_pairs) uint32_t proxy_get_header_map_pairs(uint32_t map, uint8_t **pairs, size_t *size);
IMPORT(env, proxy_replace_header_map_value)
uint32_t proxy_replace_header_map_value(uint32_t map, const void *key, size_t key_size, const void *value, size_t value_size);
IMPORT(env, proxy_set_header_map_pairs) uint32_t proxy_set_header_map_pairs(uint32_t map, const uint8_t *pairs, size_t size);
IMPORT(env, proxy_get_property) uint32_t proxy_get_property(const void *path, size_t path_size, uint8_t **value, size_t *size);
IMPORT(env, proxy_set_effective_context) uint32_t proxy_set_effective_context(uint32_t context);
IMPORT(env, proxy_continue_stream) uint32_t proxy_continue_stream(uint32_t direction);
IMPORT(env, proxy_remove_header_map_value) uint32_t proxy_remove_header_map_value(uint32_t map, const void *key, size_t key_size);
IMPORT(env, proxy_get_buffer_bytes)
uint32_t proxy_get_buffer_bytes(uint32_t buffer, size_t start, size_t size, uint8_t **bytes, size_t *found);
IMPORT(env, proxy_set_buffer_bytes)
uint32_t proxy_set_buffer_bytes(uint32_t buffer, size_t start, size_t size, const void *bytes, size_t bytes_size);
IMPORT(env, proxy_send_local_response)
uint32_t proxy_send_local_response(uint32_t status, const void *details, size_t details_size, const void *body, size_t body_size,
                                   const void *headers, size_t headers_size, int32_t grpc_status);
IMPORT(env, proxy_log) uint32_t proxy_log(uint32_t level, const void *text, size_t size);
IMPORT(wasi_snapshot_preview1, clock_time_get) uint32_t clock_time_get(uint32_t clock, uint64_t precision, uint64_t *time);
IMPORT(wasi_snapshot_preview1, random_get) uint32_t random_get(void *bytes, size_t size);
IMPORT(env, proxy_set_tick_period_milliseconds) uint32_t proxy_set_tick_period_milliseconds(uint32_t period);
IMPORT(env, proxy_http_call)
uint32_t proxy_http_call(const void *cluster, size_t cluster_size, const void *headers, size_t headers_size, const void *body,
                         size_t body_size, const void *trailers, size_t trailers_size, uint32_t timeout_ms, uint32_t *token);
IMPORT(env, proxy_get_shared_data)
uint32_t proxy_get_shared_data(const void *key, size_t key_size, uint8_t **value, size_t *value_size, uint32_t *cas);
IMPORT(env, proxy_set_shared_data)
uint32_t proxy_set_shared_data(const void *key, size_t key_size, const void *value, size_t value_size, uint32_t cas);
IMPORT(env, proxy_register_shared_queue) uint32_t proxy_register_shared_queue(const void *name, size_t size, uint32_t *queue);
IMPORT(env, proxy_enqueue_shared_queue) uint32_t proxy_enqueue_shared_queue(uint32_t queue, const void *data, size_t size);
IMPORT(env, proxy_dequeue_shared_queue) uint32_t proxy_dequeue_shared_queue(uint32_t queue, uint8_t **data, size_t *size);
IMPORT(env, proxy_done) uint32_t proxy_done(void);

#endif
