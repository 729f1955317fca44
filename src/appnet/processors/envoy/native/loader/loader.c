/* The dynamic module that Envoy loads once: opens chains that come in filter configurations, and stands between their
 * tables (an_module) and Envoy's ABI. It knows nothing of any chain. */
#define _GNU_SOURCE
#include "loader.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "payload.h"
#include "sealed.h"
#include "trust.h"

void complain(const char *format, ...) {
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
  store_close(it->store);
  if (it->instance != NULL) it->module->instance_free(it->instance);
  if (it->timers != NULL) timers_close(it->timers);
  state_keeper_close(it->keeper);
  if (it->library != NULL) dlclose(it->library);
  if (it->file >= 0) close(it->file);
  pthread_mutex_destroy(&it->lock);
  pthread_cond_destroy(&it->none_behind);
  free(it);
}

/* Ends take their steps when the store is there, however long that is. */
static void *free_later(void *pointer) {
  config *it = pointer;
  pthread_mutex_lock(&it->lock);
  while (it->behind > 0) pthread_cond_wait(&it->none_behind, &it->lock);
  pthread_mutex_unlock(&it->lock);
  config_free(it);
  return NULL;
}

static void config_end(config *it) {
  pthread_t thread;
  if (it->outbox != NULL) outbox_close(it->outbox); /* takes the last records, so before the instance goes */
  it->outbox = NULL;
  pthread_mutex_lock(&it->lock);
  const bool behind = it->behind > 0;
  pthread_mutex_unlock(&it->lock);
  if (behind && pthread_create(&thread, NULL, free_later, it) == 0) {
    pthread_detach(thread);
  } else if (!behind) {
    config_free(it);
  }
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

static void complain_plainly(const char *text) { complain("%s", text); }

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
  if (payload->shares) it->store = store_open(&payload->store, turn_wait, turn_wake, complain_plainly);
  const an_carrier *carrier = it->store == NULL ? NULL : store_carrier(it->store);
  if (!payload->shares || carrier != NULL) it->instance = it->module->instance_new(&it->services, &options, carrier);
  if (it->instance == NULL) {
    complain("appnet: no memory for chain %s", it->module->name);
    return false;
  }
  it->module->spans_share(it->instance, payload->trace_share);
  if (it->store != NULL && it->module->sharing->count(it->instance) == 0) {
    store_close(it->store);
    it->store = NULL;
  }
  if (it->store != NULL && !store_begin(it->store, it->module, it->instance)) {
    complain("appnet: no memory for the shared state of chain %s", it->module->name);
    return false;
  }
  it->waits = it->store != NULL && store_holds_calls(it->store);
  it->outbox = outbox_open(envoy_config, it->module, it->instance, FLUSH_MS);
  if (it->outbox == NULL) complain("appnet: no memory for the telemetry of chain %s", it->module->name);
  return it->outbox != NULL;
}

EXPORT const char *envoy_dynamic_module_on_program_init(void) { return ENVOY_ABI_VERSION; }

EXPORT const void *envoy_dynamic_module_on_http_filter_config_new(void *envoy_config, envoy_buffer marked, envoy_buffer bytes) {
  payload payload;
  an_view name = unmarked(marked);
  const an_view content = unsealed((an_view){(const uint8_t *)bytes.data, bytes.size});
  const char *flaw = payload_read(content, name, getenv(TRUSTED_KEYS), &payload);
  if (flaw != NULL) {
    complain("appnet: filter %.*s: %s", (int)(name.size < SHOWN ? name.size : SHOWN), (const char *)name.data, flaw);
    return NULL;
  }
  config *it = calloc(1, sizeof *it);
  if (it == NULL) return NULL;
  it->file = -1;
  pthread_mutex_init(&it->lock, NULL);
  pthread_cond_init(&it->none_behind, NULL);
  if (config_fill(it, envoy_config, name, &payload)) return it;
  config_end(it);
  return NULL;
}

EXPORT void envoy_dynamic_module_on_http_filter_config_destroy(const void *config_pointer) { config_end((config *)config_pointer); }

EXPORT void envoy_dynamic_module_on_http_filter_config_scheduled(void *envoy_config, const void *config_pointer, uint64_t event) {
  (void)envoy_config;
  (void)event;
  outbox_post(((const config *)config_pointer)->outbox);
}

static an_otlp_answer answer_of(const envoy_header *headers, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (headers[i].key_size != 7 || memcmp(headers[i].key, ":status", 7) != 0) continue;
    return an_otlp_answered(headers[i].value, headers[i].value_size);
  }
  return AN_OTLP_AWAY;
}

EXPORT void envoy_dynamic_module_on_http_filter_config_http_callout_done(void *envoy_config, const void *config_pointer,
                                                                         uint64_t callout, int result,
                                                                         const envoy_header *headers, size_t count) {
  (void)envoy_config;
  (void)callout;
  outbox_posted(((const config *)config_pointer)->outbox, result == 0 ? answer_of(headers, count) : AN_OTLP_AWAY);
}

/* ---- hooks that Envoy wants resolved and that this filter has no use for --------------------------------- */

/* Their arguments are Envoy's business; leaving them out is the same call. */
#define HOOK(name) EXPORT void envoy_dynamic_module_on_http_filter_##name(void)

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

