/* CPU time of calls through a native chain, without a proxy: `telemetry CHAIN.so CALLS TRACED` prints nanoseconds a call.
 *
 * Callers trace one call in TRACED, and say of others that they are not traced; 0: they send no context.
 *
 * A call carries the metadata that benchmarks.elements gives, and a message; its response has status 0. Clocks are real. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "module.h"

static uint64_t clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t now_ns(void *host) { (void)host; return clock_ns(CLOCK_MONOTONIC); }
static uint64_t wall_ns(void *host) { (void)host; return clock_ns(CLOCK_REALTIME); }

static const char *parent; /* of the call in hand; NULL: none */

static bool metadata_get(void *host, an_metadata_map map, an_view key, an_view *value) {
  const char *const headers[][2] = {
      {":path", "/echo.EchoService/echo"}, {"content-type", "application/grpc"}, {"x-key", "user-0001"}, {"traceparent", parent}};
  static const char *const trailers[][2] = {{":status", "200"}, {"content-type", "application/grpc"}, {"grpc-status", "0"}};
  (void)host;
  const bool request = map == AN_REQUEST_METADATA;
  const char *const (*all)[2] = request ? headers : trailers;
  for (unsigned i = 0; i < (request && parent != NULL ? 4 : 3); i++) {
    if (strlen(all[i][0]) != key.size || memcmp(all[i][0], key.data, key.size) != 0) continue;
    *value = (an_view){(const uint8_t *)all[i][1], strlen(all[i][1])};
    return true;
  }
  return false;
}

static void metadata_set(void *host, an_metadata_map map, an_view key, an_view value) {
  (void)host; (void)map; (void)key; (void)value;
}

static unsigned long traced; /* one call in so many */

static void name_parent(unsigned long number) {
  static const char sampled[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  static const char not_sampled[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
  parent = traced == 0 ? NULL : number % traced == traced - 1 ? sampled : not_sampled;
}

/* As an outbox does it. */
static void take(const an_module *module, an_instance *instance, unsigned long number) {
  size_t size = 0;
  uint64_t count = 0;
  if (number % 1000 != 0) return;
  module->release(module->spans_take(instance, &size, &count));
  module->release(module->telemetry_take(instance, &size));
}

static void run_call(const an_module *module, an_instance *instance) {
  static const uint8_t body[] = {0, 0, 0, 0, 11, 0x0a, 9, 'u', 's', 'e', 'r', '-', '0', '0', '0', '1'};
  const an_view chunk = {body, sizeof body};
  an_http_call *call = module->call_new(instance, NULL);
  an_action action = module->request_headers(call, false);
  if (action != AN_REPLY) action = module->request_body(call, &chunk, 1, true);
  if (action != AN_REPLY) {
    module->response_headers(call, false);
    module->response_body(call, &chunk, 1, false);
    module->response_trailers(call);
  }
  module->response_over(call);
  module->call_free(call);
}

int main(int argc, char **argv) {
  void *library = argc == 4 ? dlopen(argv[1], RTLD_NOW) : NULL;
  const an_module *module = library != NULL ? dlsym(library, "appnet_module") : NULL;
  if (module == NULL) return 2;
  const an_services services = {
      .now_ns = now_ns, .wall_ns = wall_ns, .metadata_get = metadata_get, .metadata_set = metadata_set};
  const an_options options = {.seed = 1, .max_message = 1 << 20, .backend_count = 1};
  an_instance *instance = module->instance_new(&services, &options, NULL);
  const unsigned long calls = strtoul(argv[2], NULL, 10);
  traced = strtoul(argv[3], NULL, 10);
  for (unsigned long i = 0; i < calls / 10; i++) run_call(module, instance); /* warms up */
  uint64_t began = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  for (unsigned long i = 0; i < calls; i++) {
    name_parent(i);
    run_call(module, instance);
    take(module, instance, i);
  }
  printf("%.2f\n", (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - began) / (double)calls);
  size_t size = 0;
  uint8_t *told = module->metrics_take(instance, &size);
  fprintf(stderr, "%zu\n", size);
  module->release(told);
  module->instance_free(instance);
  return 0;
}
