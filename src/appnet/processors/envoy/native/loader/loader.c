/* The dynamic module that Envoy loads once: opens chains that come in filter configurations, and stands between their
 * tables (an_module) and Envoy's ABI. It knows nothing of any chain. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "module.h"
#include "envoy_abi.h"
#include "grpc_message.h"
#include "outbox.h"
#include "payload.h"
#include "state_keeper.h"
#include "timers.h"
#include "trust.h"

#define EXPORT __attribute__((visibility("default")))
#define TEXT(text) ((envoy_buffer){text, sizeof(text) - 1})

enum { FLUSH_MS = 100, BUFFER_SLACK = 256 << 10, STACK_CHUNKS = 32, SHOWN = 200 };

/* One version of a chain in one filter configuration. */
typedef struct config {
  void *library;
  int file;
  const an_module *module;
  an_instance *instance;
  an_services services;
  state_keeper *keeper;
  uint32_t max_message;
  outbox *outbox;
  timers *timers;
} config;

typedef struct stream {
  void *envoy; /* Envoy's filter */
  config *config;
  an_http_call *call;
  bool request_passes;  /* all the rest of the request may pass: it is not looked at any more */
  bool response_passes;
  bool request_held;    /* body bytes may be in Envoy's buffer */
  bool response_held;
  bool response_begun;
  bool response_passed; /* some of it went on to the caller */
  bool replied;         /* by this filter: what follows is the reply itself */
  timer *timer;         /* of the time at which the call is to end, if there is one */
} stream;

static void complain(const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (size < 0) return;
  ENVOY(log)(ENVOY_LOG_ERROR, (envoy_buffer){text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1});
}

/* ---- services for chains ------------------------------------------------------------------------------ */

static uint64_t clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t now_ns(void *host) {
  (void)host;
  return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t wall_ns(void *host) {
  (void)host;
  return clock_ns(CLOCK_REALTIME);
}

static int envoy_map(an_metadata_map map) {
  switch (map) {
    case AN_REQUEST_METADATA: return ENVOY_REQUEST_HEADERS;
    case AN_RESPONSE_METADATA: return ENVOY_RESPONSE_HEADERS;
    default: return ENVOY_RESPONSE_TRAILERS;
  }
}

static bool header_get(void *call_host, an_metadata_map map, an_view key, an_view *value) {
  envoy_buffer found = {NULL, 0};
  envoy_buffer name = {(const char *)key.data, key.size};
  if (!ENVOY(http_get_header)(((stream *)call_host)->envoy, envoy_map(map), name, &found, 0, NULL)) return false;
  if (found.data == NULL) return false;
  *value = (an_view){(const uint8_t *)found.data, found.size};
  return true;
}

static void header_set(void *call_host, an_metadata_map map, an_view key, an_view value) {
  static const char empty[1];
  envoy_buffer text = {value.size ? (const char *)value.data : empty, value.size}; /* NULL would remove it */
  ENVOY(http_set_header)(((stream *)call_host)->envoy, envoy_map(map), (envoy_buffer){(const char *)key.data, key.size}, text);
}

static size_t header_values(void *call_host, an_metadata_map map, an_view key, an_view *values, size_t room) {
  envoy_buffer name = {(const char *)key.data, key.size};
  size_t count = 0;
  for (size_t i = 0; i == 0 || (i < count && i < room); i++) {
    envoy_buffer found = {NULL, 0};
    if (!ENVOY(http_get_header)(((stream *)call_host)->envoy, envoy_map(map), name, &found, i, &count)) return 0;
    if (found.data == NULL) return 0;
    values[i] = (an_view){(const uint8_t *)found.data, found.size};
  }
  return count;
}

static void header_remove(void *call_host, an_metadata_map map, an_view key) {
  envoy_buffer name = {(const char *)key.data, key.size};
  ENVOY(http_set_header)(((stream *)call_host)->envoy, envoy_map(map), name, (envoy_buffer){NULL, 0});
}

static bool peer(void *call_host, an_view *identity) {
  envoy_buffer found = {NULL, 0};
  void *envoy = ((stream *)call_host)->envoy;
  if (!ENVOY(http_filter_get_attribute_string)(envoy, ENVOY_URI_SAN_PEER_CERTIFICATE, &found)) return false;
  *identity = (an_view){(const uint8_t *)found.data, found.size};
  return true;
}

static void end_at(void *call_host, uint64_t at_ns) {
  stream *s = call_host;
  if (s->timer != NULL) {
    timer_move(s->timer, at_ns);
    return;
  }
  s->timer = timer_start(s->config->timers, s->envoy, at_ns);
  if (s->timer == NULL) complain("appnet: no memory for a deadline: a call has none");
}

/* ---- configurations ----------------------------------------------------------------------------------- */

static bool write_all(int file, const uint8_t *bytes, size_t size) {
  while (size > 0) {
    ssize_t written = write(file, bytes, size);
    if (written <= 0) return false;
    bytes += written;
    size -= (size_t)written;
  }
  return true;
}

/* Opens the library from memory. Its file stays open while it is loaded: glibc takes two opens of one path for the
 * same library, and so no other library may get the same number. */
static bool open_library(config *it, an_view library) {
  char path[64];
  it->file = memfd_create("appnet-chain", MFD_CLOEXEC);
  if (it->file < 0 || !write_all(it->file, library.data, library.size)) {
    complain("appnet: no memory file for the chain");
    return false;
  }
  snprintf(path, sizeof path, "/proc/self/fd/%d", it->file);
  it->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (it->library == NULL) {
    complain("appnet: the chain cannot be opened: %s", dlerror());
    return false;
  }
  it->module = dlsym(it->library, "appnet_module");
  if (it->module == NULL || it->module->abi != AN_MODULE_ABI || it->module->size != sizeof(an_module)) {
    complain("appnet: the chain is not for this loader: module ABI %u is needed", AN_MODULE_ABI);
    return false;
  }
  return true;
}

static void config_free(config *it) {
  if (it->outbox != NULL) outbox_close(it->outbox); /* takes the last records, so before the instance goes */
  if (it->instance != NULL) it->module->instance_free(it->instance);
  if (it->timers != NULL) timers_close(it->timers);
  state_keeper_close(it->keeper);
  if (it->library != NULL) dlclose(it->library);
  if (it->file >= 0) close(it->file);
  free(it);
}

/* The filter's name without the mark of the attempt to deliver it, which stands behind a space. */
static an_view unmarked(envoy_buffer name) {
  const char *space = memchr(name.data, ' ', name.size);
  return (an_view){(const uint8_t *)name.data, space == NULL ? name.size : (size_t)(space - name.data)};
}

/* What chains of the name have in common with those that come after them: all up to the last dot. Behind it stands which
 * elements are in one module, and an element keeps its state wherever it goes. */
static an_view scope_of(an_view name) {
  size_t size = name.size;
  while (size > 0 && name.data[size - 1] != '.') size--;
  return (an_view){name.data, size > 0 ? size : name.size};
}

static bool config_fill(config *it, void *envoy_config, an_view name, const payload *payload) {
  if (!open_library(it, payload->library)) return false;
  an_options options = payload->options;
  if (options.seed == 0 && getrandom(&options.seed, sizeof options.seed, 0) != sizeof options.seed) {
    complain("appnet: no random seed");
    return false;
  }
  it->keeper = state_keeper_open(scope_of(name));
  if (it->keeper == NULL) {
    complain("appnet: no memory to keep the state of chain %s", it->module->name);
    return false;
  }
  options.keeper = state_keeper_table(it->keeper);
  it->max_message = options.max_message;
  it->services = (an_services){it, now_ns, wall_ns, header_get, header_set, header_values, header_remove, peer, end_at};
  it->timers = timers_open();
  if (it->timers == NULL) {
    complain("appnet: no memory for the deadlines of chain %s", it->module->name);
    return false;
  }
  it->instance = it->module->instance_new(&it->services, &options);
  if (it->instance == NULL) {
    complain("appnet: no memory for chain %s", it->module->name);
    return false;
  }
  it->outbox = outbox_open(envoy_config, it->module, it->instance, FLUSH_MS);
  if (it->outbox == NULL) complain("appnet: no memory for the telemetry of chain %s", it->module->name);
  return it->outbox != NULL;
}

EXPORT const char *envoy_dynamic_module_on_program_init(void) { return ENVOY_ABI_VERSION; }

EXPORT const void *envoy_dynamic_module_on_http_filter_config_new(void *envoy_config, envoy_buffer marked, envoy_buffer bytes) {
  payload payload;
  an_view name = unmarked(marked);
  const char *flaw = payload_read((an_view){(const uint8_t *)bytes.data, bytes.size}, name, getenv(TRUSTED_KEYS), &payload);
  if (flaw != NULL) {
    complain("appnet: filter %.*s: %s", (int)(name.size < SHOWN ? name.size : SHOWN), (const char *)name.data, flaw);
    return NULL;
  }
  config *it = calloc(1, sizeof *it);
  if (it == NULL) return NULL;
  it->file = -1;
  if (config_fill(it, envoy_config, name, &payload)) return it;
  config_free(it);
  return NULL;
}

EXPORT void envoy_dynamic_module_on_http_filter_config_destroy(const void *config_pointer) { config_free((config *)config_pointer); }

EXPORT void envoy_dynamic_module_on_http_filter_config_scheduled(void *envoy_config, const void *config_pointer, uint64_t event) {
  (void)envoy_config;
  (void)event;
  outbox_post(((const config *)config_pointer)->outbox);
}

EXPORT void envoy_dynamic_module_on_http_filter_config_http_callout_done(void *envoy_config, const void *config_pointer,
                                                                         uint64_t callout, int result) {
  (void)envoy_config;
  (void)callout;
  outbox_posted(((const config *)config_pointer)->outbox, result == 0);
}

/* ---- streams ------------------------------------------------------------------------------------------ */

EXPORT const void *envoy_dynamic_module_on_http_filter_new(const void *config_pointer, void *envoy) {
  config *it = (config *)config_pointer;
  stream *s = malloc(sizeof *s);
  if (s == NULL) return NULL;
  *s = (stream){.envoy = envoy, .config = it};
  s->call = it->module->call_new(it->instance, s);
  if (s->call == NULL) {
    free(s);
    return NULL;
  }
  return s;
}

EXPORT void envoy_dynamic_module_on_http_filter_destroy(const void *stream_pointer) {
  stream *s = (stream *)stream_pointer;
  if (s->timer != NULL) timer_end(s->timer);
  s->config->module->call_free(s->call);
  free(s);
}

static bool speaks_grpc(stream *s) {
  an_view type;
  return header_get(s, AN_REQUEST_METADATA, (an_view){(const uint8_t *)"content-type", 12}, &type) && an_is_grpc(type);
}

static void drop(stream *s, int body) {
  size_t size = ENVOY(http_get_body_size)(s->envoy, body);
  if (size > 0) ENVOY(http_drain_body)(s->envoy, body, size);
}

/* Answers a caller that knows HTTP alone. */
static void reply_plainly(stream *s) {
  const an_outcome *outcome = s->config->module->outcome(s->call);
  envoy_header headers[] = {{"content-type", 12, "text/plain", 10}};
  envoy_buffer text = {(const char *)outcome->text.data, outcome->text.size};
  ENVOY(http_send_response)(s->envoy, an_http_status_of(outcome->code), headers, 1, text, TEXT("appnet_refused"));
}

/* These headers and then what elements gave, in memory that the caller frees; the first alone where there is none. */
static envoy_header *with_own(envoy_header *first, size_t *count, const an_entry *own) {
  size_t all = *count;
  for (const an_entry *it = own; it != NULL; it = it->next) all++;
  envoy_header *headers = all > *count ? malloc(all * sizeof *headers) : NULL;
  if (headers == NULL) return NULL;
  memcpy(headers, first, *count * sizeof *first);
  for (const an_entry *it = own; it != NULL; it = it->next) {
    headers[(*count)++] = (envoy_header){(const char *)it->key.data, it->key.size, (const char *)it->value.data, it->value.size};
  }
  return headers;
}

/* Answers in the place of the response, or ends the one that has begun. A reply of Envoy's in the place of a response that
 * waits here would not pass the filters before this one: as a response of its own it does. */
static void reply(stream *s) {
  const an_outcome *outcome = s->config->module->outcome(s->call);
  char code[AN_STATUS_SIZE];
  char message[AN_MESSAGE_SIZE];
  envoy_header first[] = {
      {"grpc-status", 11, code, an_status_text(outcome->code, code)},
      {"grpc-message", 12, message, an_message_text(outcome->text, message)},
      {"content-type", 12, "application/grpc", 16},
      {":status", 7, "200", 3},
  };
  bool in_place = s->response_begun && !s->response_passed;
  size_t count = s->response_passed ? 2 : in_place ? 4 : 3;
  envoy_header *all = with_own(first, &count, outcome->metadata), *headers = all != NULL ? all : first;
  s->replied = true;
  if (s->response_passed) {
    ENVOY(http_send_response_trailers)(s->envoy, headers, count);
  } else if (!speaks_grpc(s)) {
    reply_plainly(s);
  } else if (in_place) {
    drop(s, ENVOY_BUFFERED_RESPONSE);
    ENVOY(http_send_response_headers)(s->envoy, headers, count, true);
  } else {
    ENVOY(http_send_response)(s->envoy, 200, headers, count, (envoy_buffer){NULL, 0}, TEXT("appnet_refused"));
  }
  free(all);
}

/* Answers with a message of the chain's own. */
static void respond(stream *s) {
  const an_outcome *outcome = s->config->module->outcome(s->call);
  an_view body = outcome->body;
  envoy_header first[] = {{":status", 7, "200", 3}, {"content-type", 12, "application/grpc", 16}};
  envoy_header last[] = {{"grpc-status", 11, "0", 1}};
  size_t first_count = 2, last_count = 1;
  envoy_header *headers = with_own(first, &first_count, outcome->metadata);
  envoy_header *trailers = with_own(last, &last_count, outcome->trailers);
  s->replied = true;
  ENVOY(http_send_response_headers)(s->envoy, headers != NULL ? headers : first, first_count, false);
  ENVOY(http_send_response_data)(s->envoy, (envoy_buffer){(const char *)body.data, body.size}, false);
  ENVOY(http_send_response_trailers)(s->envoy, trailers != NULL ? trailers : last, last_count);
  free(headers);
  free(trailers);
}

/* What a server gave to its answer or error is no part of the chain's own error. The HTTP status stays. */
static void clear_map(stream *s, int map) {
  size_t count;
  while ((count = ENVOY(http_get_headers_size)(s->envoy, map)) > 0) {
    envoy_header *all = malloc(count * sizeof *all);
    if (all == NULL) return;
    size_t at = 0, found = ENVOY(http_get_headers)(s->envoy, map, all) ? count : 0;
    while (at < found && all[at].key[0] == ':') at++;
    char *key = at < found ? malloc(all[at].key_size) : NULL; /* Envoy's own goes with the header */
    if (key != NULL) {
      memcpy(key, all[at].key, all[at].key_size);
      ENVOY(http_set_header)(s->envoy, map, (envoy_buffer){key, all[at].key_size}, (envoy_buffer){NULL, 0});
    }
    free(key);
    free(all);
    if (ENVOY(http_get_headers_size)(s->envoy, map) >= count) return;
  }
}

/* The chain's own status, and what goes with it, take the place of what is in the map. */
static int end_with_own_status(stream *s, an_metadata_map map) {
  const an_outcome *outcome = s->config->module->outcome(s->call);
  char code[AN_STATUS_SIZE];
  char message[AN_MESSAGE_SIZE];
  const an_entry first[] = {
      {(an_entry *)(uintptr_t)&first[1], {(const uint8_t *)"grpc-status", 11}, {(const uint8_t *)code, an_status_text(outcome->code, code)}},
      {(an_entry *)(uintptr_t)outcome->metadata, {(const uint8_t *)"grpc-message", 12}, {(const uint8_t *)message, an_message_text(outcome->text, message)}},
  };
  s->replied = true;
  clear_map(s, envoy_map(map));
  for (const an_entry *it = first; it != NULL; it = it->next) header_set(s, map, it->key, it->value);
  return ENVOY_CONTINUE;
}

/* Answers a caller that knows HTTP alone where the response is all headers: there is no place for a text. */
static int end_plainly(stream *s) {
  uint32_t status = an_http_status_of(s->config->module->outcome(s->call)->code);
  char digits[] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10), (char)('0' + status % 10)};
  s->replied = true;
  clear_map(s, ENVOY_RESPONSE_HEADERS);
  ENVOY(http_set_header)(s->envoy, ENVOY_RESPONSE_HEADERS, TEXT(":status"), (envoy_buffer){digits, sizeof digits});
  return ENVOY_CONTINUE;
}

static void say_grpc(stream *s) {
  ENVOY(http_set_header)(s->envoy, ENVOY_RESPONSE_HEADERS, TEXT(":status"), TEXT("200"));
  ENVOY(http_set_header)(s->envoy, ENVOY_RESPONSE_HEADERS, TEXT("content-type"), TEXT("application/grpc"));
}

static void drop_content_length(stream *s, int map) {
  envoy_buffer found = {NULL, 0};
  if (!ENVOY(http_get_header)(s->envoy, map, TEXT("content-length"), &found, 0, NULL) || found.data == NULL) return;
  ENVOY(http_set_header)(s->envoy, map, TEXT("content-length"), (envoy_buffer){NULL, 0});
}

/* Puts the outcome's body in the place of what is held and what arrived. */
static void replace(stream *s, int received, int buffered, int map) {
  an_view body = s->config->module->outcome(s->call)->body;
  drop(s, buffered);
  drop(s, received);
  envoy_buffer data = {(const char *)body.data, body.size};
  if (!ENVOY(http_append_body)(s->envoy, received, data)) ENVOY(http_append_body)(s->envoy, buffered, data);
  drop_content_length(s, map);
}

static void allow_buffering(stream *s) {
  uint64_t needed = (uint64_t)s->config->max_message + BUFFER_SLACK;
  if (ENVOY(http_get_buffer_limit)(s->envoy) < needed) ENVOY(http_set_buffer_limit)(s->envoy, needed);
}

/* Whether what follows is looked at after what the chain let pass now. */
static bool shows_more(const stream *s) { return s->config->module->outcome(s->call)->more; }

typedef an_action (*body_event)(an_http_call *, const an_view *, size_t, bool);

/* Shows a body event to the chain with every chunk held so far, if any, before what arrived. */
static an_action show_body(stream *s, body_event event, int received, int buffered, bool any_held, bool end) {
  an_view on_stack[STACK_CHUNKS];
  an_view *chunks = on_stack;
  size_t held = any_held ? ENVOY(http_get_body_chunks_size)(s->envoy, buffered) : 0;
  size_t arrived = ENVOY(http_get_body_chunks_size)(s->envoy, received);
  _Static_assert(sizeof(an_view) == sizeof(envoy_buffer), "chunks are read in place");
  if (held + arrived > STACK_CHUNKS) chunks = malloc((held + arrived) * sizeof *chunks);
  if (chunks == NULL) {
    ENVOY(log)(ENVOY_LOG_ERROR, TEXT("appnet: out of memory: a call is kept back"));
    return AN_HOLD;
  }
  if (held > 0) ENVOY(http_get_body_chunks)(s->envoy, buffered, (envoy_buffer *)chunks);
  if (arrived > 0) ENVOY(http_get_body_chunks)(s->envoy, received, (envoy_buffer *)(chunks + held));
  an_action action = event(s->call, chunks, held + arrived, end);
  if (chunks != on_stack) free(chunks);
  return action;
}

EXPORT int envoy_dynamic_module_on_http_filter_request_headers(void *envoy, const void *stream_pointer, bool end) {
  stream *s = (stream *)stream_pointer;
  (void)envoy;
  switch (s->config->module->request_headers(s->call, end)) {
    case AN_HOLD: return ENVOY_STOP_ITERATION;
    case AN_REPLY:
      reply(s);
      return ENVOY_STOP_ITERATION;
    case AN_RESPOND:
      respond(s);
      return ENVOY_STOP_ITERATION;
    default:
      s->request_passes = !shows_more(s);
      return ENVOY_CONTINUE;
  }
}

EXPORT int envoy_dynamic_module_on_http_filter_request_body(void *envoy, const void *stream_pointer, bool end) {
  stream *s = (stream *)stream_pointer;
  if (s->request_passes) return ENVOY_CONTINUE;
  if (s->replied) return ENVOY_STOP_NO_BUFFER;
  /* What arrives may be the buffer itself, coming by again. */
  bool any_held = s->request_held && !ENVOY(http_received_buffered_request_body)(envoy);
  body_event event = s->config->module->request_body;
  switch (show_body(s, event, ENVOY_RECEIVED_REQUEST, ENVOY_BUFFERED_REQUEST, any_held, end)) {
    case AN_HOLD:
      s->request_held = true;
      allow_buffering(s);
      return ENVOY_STOP_AND_BUFFER;
    case AN_REPLY: reply(s); return ENVOY_STOP_NO_BUFFER;
    case AN_RESPOND: respond(s); return ENVOY_STOP_NO_BUFFER;
    case AN_TAKE: drop(s, ENVOY_RECEIVED_REQUEST); return ENVOY_STOP_NO_BUFFER;
    case AN_REPLACE: replace(s, ENVOY_RECEIVED_REQUEST, ENVOY_BUFFERED_REQUEST, ENVOY_REQUEST_HEADERS); break;
    case AN_CONTINUE: break;
  }
  s->request_passes = !shows_more(s);
  return ENVOY_CONTINUE;
}

EXPORT int envoy_dynamic_module_on_http_filter_request_trailers(void *envoy, const void *stream_pointer) {
  stream *s = (stream *)stream_pointer;
  (void)envoy;
  if (s->request_passes) return ENVOY_CONTINUE;
  if (s->replied) return ENVOY_STOP_ITERATION;
  switch (s->config->module->request_trailers(s->call)) {
    case AN_HOLD:
    case AN_TAKE:
    case AN_RESPOND: return ENVOY_STOP_ITERATION;
    case AN_REPLY: reply(s); return ENVOY_STOP_ITERATION;
    case AN_REPLACE: replace(s, ENVOY_RECEIVED_REQUEST, ENVOY_BUFFERED_REQUEST, ENVOY_REQUEST_HEADERS); break;
    case AN_CONTINUE: break;
  }
  s->request_passes = true;
  return ENVOY_CONTINUE;
}

EXPORT int envoy_dynamic_module_on_http_filter_response_headers(void *envoy, const void *stream_pointer, bool end) {
  stream *s = (stream *)stream_pointer;
  (void)envoy;
  if (s->replied) return ENVOY_CONTINUE;
  s->response_begun = true;
  switch (s->config->module->response_headers(s->call, end)) {
    case AN_HOLD: return ENVOY_STOP_ITERATION;
    case AN_REPLY:
      if (end && !speaks_grpc(s)) return end_plainly(s);
      if (end) { /* a reply of Envoy's would not pass the filters before this one */
        end_with_own_status(s, AN_RESPONSE_METADATA);
        say_grpc(s);
        return ENVOY_CONTINUE;
      }
      reply(s);
      return ENVOY_STOP_ITERATION;
    default:
      s->response_passes = !shows_more(s);
      s->response_passed = true;
      return ENVOY_CONTINUE;
  }
}

EXPORT int envoy_dynamic_module_on_http_filter_response_body(void *envoy, const void *stream_pointer, bool end) {
  stream *s = (stream *)stream_pointer;
  if (s->replied || s->response_passes) return ENVOY_CONTINUE;
  /* What arrives may be the buffer itself, coming by again. */
  bool any_held = s->response_held && !ENVOY(http_received_buffered_response_body)(envoy);
  body_event event = s->config->module->response_body;
  switch (show_body(s, event, ENVOY_RECEIVED_RESPONSE, ENVOY_BUFFERED_RESPONSE, any_held, end)) {
    case AN_HOLD:
      s->response_held = true;
      allow_buffering(s);
      return ENVOY_STOP_AND_BUFFER;
    case AN_REPLY: reply(s); return ENVOY_STOP_NO_BUFFER;
    case AN_TAKE:
    case AN_RESPOND: drop(s, ENVOY_RECEIVED_RESPONSE); return ENVOY_STOP_NO_BUFFER;
    case AN_REPLACE: replace(s, ENVOY_RECEIVED_RESPONSE, ENVOY_BUFFERED_RESPONSE, ENVOY_RESPONSE_HEADERS); break;
    case AN_CONTINUE: break;
  }
  s->response_passes = !shows_more(s);
  s->response_passed = true;
  return ENVOY_CONTINUE;
}

EXPORT int envoy_dynamic_module_on_http_filter_response_trailers(void *envoy, const void *stream_pointer) {
  stream *s = (stream *)stream_pointer;
  (void)envoy;
  if (s->replied || s->response_passes) return ENVOY_CONTINUE;
  switch (s->config->module->response_trailers(s->call)) {
    case AN_HOLD:
    case AN_TAKE:
    case AN_RESPOND: return ENVOY_STOP_ITERATION;
    case AN_REPLY:
      if (!s->response_passed) {
        clear_map(s, ENVOY_RESPONSE_HEADERS);
        say_grpc(s);
        drop(s, ENVOY_BUFFERED_RESPONSE);
      }
      return end_with_own_status(s, AN_RESPONSE_TRAILERS);
    case AN_REPLACE: replace(s, ENVOY_RECEIVED_RESPONSE, ENVOY_BUFFERED_RESPONSE, ENVOY_RESPONSE_HEADERS); break;
    case AN_CONTINUE: break;
  }
  return ENVOY_CONTINUE;
}

EXPORT int envoy_dynamic_module_on_http_filter_local_reply(void *envoy, const void *stream_pointer, uint32_t status,
                                                           envoy_buffer details, bool reset) {
  stream *s = (stream *)stream_pointer;
  static const char reset_by_server[] = "{remote_reset";
  (void)reset;
  /* A reply that stands in for a response that has begun goes past the filters: this is all that they hear of it. */
  bool passes_by = s->response_begun || ENVOY(http_get_headers_size)(envoy, ENVOY_RESPONSE_HEADERS) > 0;
  if (memmem(details.data, details.size, reset_by_server, sizeof reset_by_server - 1) != NULL) status = AN_HTTP_GIVEN_UP;
  if (!s->replied && passes_by) s->config->module->local_reply(s->call, status);
  return 0; /* let it go on */
}

/* The time that the chain has told has come. */
EXPORT void envoy_dynamic_module_on_http_filter_scheduled(void *envoy, const void *stream_pointer, uint64_t event) {
  stream *s = (stream *)stream_pointer;
  (void)envoy; (void)event;
  if (!s->replied && s->config->module->deadline(s->call) == AN_REPLY) reply(s);
}

/* ---- hooks that Envoy wants resolved and that this filter has no use for --------------------------------- */

/* Their arguments are Envoy's business; leaving them out is the same call. */
#define HOOK(name) EXPORT void envoy_dynamic_module_on_http_filter_##name(void)

HOOK(stream_complete) {}
HOOK(downstream_above_write_buffer_high_watermark) {}
HOOK(downstream_below_write_buffer_low_watermark) {}
HOOK(http_callout_done) {}
HOOK(http_stream_headers) {}
HOOK(http_stream_data) {}
HOOK(http_stream_trailers) {}
HOOK(http_stream_complete) {}
HOOK(http_stream_reset) {}
HOOK(config_http_stream_headers) {}
HOOK(config_http_stream_data) {}
HOOK(config_http_stream_trailers) {}
HOOK(config_http_stream_complete) {}
HOOK(config_http_stream_reset) {}
HOOK(per_route_config_destroy) {}

EXPORT const void *envoy_dynamic_module_on_http_filter_per_route_config_new(void) {
  ENVOY(log)(ENVOY_LOG_ERROR, TEXT("appnet: a chain has no configuration by route"));
  return NULL;
}
