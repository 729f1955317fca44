/* The part of Envoy's dynamic-module ABI v0.2.0 (Envoy 1.40) that the loader uses: names, numbers and signatures. */
#ifndef ENVOY_ABI_H
#define ENVOY_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENVOY_ABI_VERSION "v0.2.0"

typedef struct envoy_buffer { /* bytes of Envoy's or of ours */
  const char *data;
  size_t size;
} envoy_buffer;

typedef struct envoy_header {
  const char *key;
  size_t key_size;
  const char *value;
  size_t value_size;
} envoy_header;

enum { ENVOY_REQUEST_HEADERS = 0, ENVOY_REQUEST_TRAILERS = 1, ENVOY_RESPONSE_HEADERS = 2, ENVOY_RESPONSE_TRAILERS = 3 };
enum { ENVOY_RECEIVED_REQUEST = 0, ENVOY_BUFFERED_REQUEST = 1, ENVOY_RECEIVED_RESPONSE = 2, ENVOY_BUFFERED_RESPONSE = 3 };
enum { ENVOY_CONTINUE = 0, ENVOY_STOP_ITERATION = 1 };    /* headers and trailers; for bodies: */
enum { ENVOY_STOP_AND_BUFFER = 1, ENVOY_STOP_NO_BUFFER = 3 };
enum { ENVOY_LOG_INFO = 2, ENVOY_LOG_ERROR = 4 };
enum { ENVOY_URI_SAN_PEER_CERTIFICATE = 37 };

#define ENVOY(name) envoy_dynamic_module_callback_##name

void ENVOY(log)(int level, envoy_buffer message);
bool ENVOY(http_get_header)(void *filter, int map, envoy_buffer key, envoy_buffer *value, size_t index, size_t *count);
size_t ENVOY(http_get_headers_size)(void *filter, int map);
bool ENVOY(http_get_headers)(void *filter, int map, envoy_header *headers);
bool ENVOY(http_filter_get_attribute_string)(void *filter, int attribute, envoy_buffer *value);
void *ENVOY(http_filter_scheduler_new)(void *filter);
void ENVOY(http_filter_scheduler_delete)(void *scheduler);
void ENVOY(http_filter_scheduler_commit)(void *scheduler, uint64_t event);
bool ENVOY(http_set_header)(void *filter, int map, envoy_buffer key, envoy_buffer value);
void ENVOY(http_filter_continue_decoding)(void *filter);
void ENVOY(http_filter_continue_encoding)(void *filter);
size_t ENVOY(http_get_body_chunks_size)(void *filter, int body);
bool ENVOY(http_get_body_chunks)(void *filter, int body, envoy_buffer *chunks);
size_t ENVOY(http_get_body_size)(void *filter, int body);
bool ENVOY(http_append_body)(void *filter, int body, envoy_buffer data);
bool ENVOY(http_drain_body)(void *filter, int body, size_t size);
bool ENVOY(http_received_buffered_request_body)(void *filter);
bool ENVOY(http_received_buffered_response_body)(void *filter);
void ENVOY(http_send_response)(void *filter, uint32_t status, envoy_header *headers, size_t count, envoy_buffer body,
                               envoy_buffer details);
void ENVOY(http_send_response_headers)(void *filter, envoy_header *headers, size_t count, bool end);
void ENVOY(http_send_response_data)(void *filter, envoy_buffer data, bool end);
void ENVOY(http_send_response_trailers)(void *filter, envoy_header *trailers, size_t count);
uint64_t ENVOY(http_get_buffer_limit)(void *filter);
void ENVOY(http_set_buffer_limit)(void *filter, uint64_t limit);
void *ENVOY(http_filter_config_scheduler_new)(void *config);
void ENVOY(http_filter_config_scheduler_delete)(void *scheduler);
void ENVOY(http_filter_config_scheduler_commit)(void *scheduler, uint64_t event);
int ENVOY(http_filter_config_http_callout)(void *config, uint64_t *callout, envoy_buffer cluster, envoy_header *headers,
                                           size_t count, envoy_buffer body, uint64_t timeout_ms);

#endif
