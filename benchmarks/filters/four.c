/* What the elements acl, rate_limit, headers and firewall do together, written by hand as a dynamic module of Envoy's:
 * the measure for what AppNet generates of them. Its configuration is the list of keys that may pass, a comma after each.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "envoy_abi.h"
#include "unused_hooks.h"

#define TEXT(text) ((envoy_buffer){text, sizeof(text) - 1})

enum { MOST_CHUNKS = 32, FRAME_HEAD = 5, FIELD = 1 };
static const double RATE = 1e12, BURST = 1e12;

typedef struct config {
  char *allowed;
  size_t allowed_size;
  pthread_spinlock_t lock; /* guards the bucket: worker threads share it */
  double tokens;
  uint64_t last_ns;
} config;

typedef struct stream {
  config *config;
  bool judged;
  bool replied;
} stream;

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

EXPORT const char *envoy_dynamic_module_on_program_init(void) { return ENVOY_ABI_VERSION; }

EXPORT const void *envoy_dynamic_module_on_http_filter_config_new(void *envoy, envoy_buffer name, envoy_buffer bytes) {
  (void)envoy;
  (void)name;
  config *it = calloc(1, sizeof *it);
  if (it == NULL || (it->allowed = malloc(bytes.size + 1)) == NULL) {
    free(it);
    return NULL;
  }
  it->allowed[0] = ',';
  memcpy(it->allowed + 1, bytes.data, bytes.size);
  it->allowed_size = bytes.size + 1;
  it->tokens = BURST;
  it->last_ns = now_ns();
  pthread_spin_init(&it->lock, PTHREAD_PROCESS_PRIVATE);
  return it;
}

EXPORT void envoy_dynamic_module_on_http_filter_config_destroy(const void *pointer) {
  config *it = (config *)pointer;
  free(it->allowed);
  free(it);
}

EXPORT const void *envoy_dynamic_module_on_http_filter_new(const void *pointer, void *envoy) {
  (void)envoy;
  stream *s = calloc(1, sizeof *s);
  if (s != NULL) s->config = (config *)pointer;
  return s;
}

EXPORT void envoy_dynamic_module_on_http_filter_destroy(const void *pointer) { free((stream *)pointer); }

static int refuse(void *envoy, stream *s, envoy_buffer code, envoy_buffer text, int stop) {
  envoy_header headers[] = {
      {"grpc-status", 11, code.data, code.size},
      {"grpc-message", 12, text.data, text.size},
      {"content-type", 12, "application/grpc", 16},
  };
  s->replied = true;
  ENVOY(http_send_response)(envoy, 200, headers, 3, (envoy_buffer){NULL, 0}, TEXT("refused"));
  return stop;
}

static bool is_allowed(const config *it, envoy_buffer key) {
  char wanted[64];
  if (key.data == NULL || key.size + 2 > sizeof wanted) return false;
  wanted[0] = ',';
  memcpy(wanted + 1, key.data, key.size);
  wanted[key.size + 1] = ',';
  return memmem(it->allowed, it->allowed_size, wanted, key.size + 2) != NULL;
}

static bool takes_token(config *it) {
  pthread_spin_lock(&it->lock);
  uint64_t now = now_ns();
  double tokens = it->tokens + RATE * ((double)(now - it->last_ns) / 1e9);
  it->tokens = tokens < BURST ? tokens : BURST;
  it->last_ns = now;
  bool taken = it->tokens >= 1;
  if (taken) it->tokens -= 1;
  pthread_spin_unlock(&it->lock);
  return taken;
}

EXPORT int envoy_dynamic_module_on_http_filter_request_headers(void *envoy, const void *pointer, bool end) {
  stream *s = (stream *)pointer;
  envoy_buffer key = {NULL, 0};
  (void)end;
  ENVOY(http_get_header)(envoy, ENVOY_REQUEST_HEADERS, TEXT("x-key"), &key, 0, NULL);
  if (!is_allowed(s->config, key)) return refuse(envoy, s, TEXT("7"), TEXT("not on the list"), ENVOY_STOP_ITERATION);
  if (!takes_token(s->config)) return refuse(envoy, s, TEXT("8"), TEXT("rate limit"), ENVOY_STOP_ITERATION);
  ENVOY(http_set_header)(envoy, ENVOY_REQUEST_HEADERS, TEXT("x-tenant"), TEXT("default"));
  return ENVOY_STOP_ITERATION; /* the firewall reads the message, which may never pass */
}

static bool varint(const uint8_t **at, const uint8_t *end, uint64_t *value) {
  *value = 0;
  for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
    uint8_t byte = *(*at)++;
    *value |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

/* Whether the message's field FIELD, of text, holds the word; malformed messages are let pass. */
static bool holds_word(const uint8_t *at, const uint8_t *end) {
  const uint8_t *text = NULL;
  uint64_t tag, size, text_size = 0;
  while (at < end && varint(&at, end, &tag)) {
    switch (tag & 7) {
      case 0: if (!varint(&at, end, &size)) return false; break;
      case 1: at += 8; break;
      case 5: at += 4; break;
      case 2:
        if (!varint(&at, end, &size) || size > (uint64_t)(end - at)) return false;
        if (tag >> 3 == FIELD) text = at, text_size = size;
        at += size;
        break;
      default: return false;
    }
  }
  return text != NULL && memmem(text, text_size, "test", 4) != NULL;
}

EXPORT int envoy_dynamic_module_on_http_filter_request_body(void *envoy, const void *pointer, bool end) {
  stream *s = (stream *)pointer;
  if (s->judged) return ENVOY_CONTINUE;
  if (s->replied) return ENVOY_STOP_NO_BUFFER;
  if (!end) return ENVOY_STOP_AND_BUFFER;
  envoy_buffer chunks[MOST_CHUNKS];
  bool again = ENVOY(http_received_buffered_request_body)(envoy);
  size_t held = again ? 0 : ENVOY(http_get_body_chunks_size)(envoy, ENVOY_BUFFERED_REQUEST);
  size_t arrived = ENVOY(http_get_body_chunks_size)(envoy, ENVOY_RECEIVED_REQUEST), size = 0;
  if (held + arrived > MOST_CHUNKS) return refuse(envoy, s, TEXT("8"), TEXT("too many chunks"), ENVOY_STOP_NO_BUFFER);
  if (held > 0) ENVOY(http_get_body_chunks)(envoy, ENVOY_BUFFERED_REQUEST, chunks);
  if (arrived > 0) ENVOY(http_get_body_chunks)(envoy, ENVOY_RECEIVED_REQUEST, chunks + held);
  for (size_t i = 0; i < held + arrived; i++) size += chunks[i].size;
  uint8_t *joined = held + arrived == 1 ? NULL : malloc(size);
  const uint8_t *body = joined != NULL ? joined : (const uint8_t *)chunks[0].data;
  for (size_t i = 0, at = 0; joined != NULL && i < held + arrived; at += chunks[i++].size) {
    memcpy(joined + at, chunks[i].data, chunks[i].size);
  }
  bool refused = size > FRAME_HEAD && holds_word(body + FRAME_HEAD, body + size);
  free(joined);
  if (refused) return refuse(envoy, s, TEXT("7"), TEXT("firewall"), ENVOY_STOP_NO_BUFFER);
  s->judged = true;
  return ENVOY_CONTINUE;
}

EXPORT int envoy_dynamic_module_on_http_filter_response_headers(void *envoy, const void *pointer, bool end) {
  const stream *s = pointer;
  (void)end;
  if (!s->replied) ENVOY(http_set_header)(envoy, ENVOY_RESPONSE_HEADERS, TEXT("x-served-by"), TEXT("appnet"));
  return ENVOY_CONTINUE;
}
