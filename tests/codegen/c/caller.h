/* Calls through a printed chain, as a proxy makes them; included after the chain and its host.
 *
 * The clock stands still. A call carries the header `session`, one of SESSIONS, and the message {1: "user N"}; its
 * response has the gRPC status that `caller` says. What became of all calls is counted:
 *
 *   passed, refused  requests
 *   most_inside      the most calls that had passed and were not answered yet, at any time
 *   headers_set      request headers that were set
 *   unlike           calls whose host was not that of their session's first one
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { SESSIONS = 10 };

static atomic_ulong passed, refused, inside, most_inside, headers_set, unlike;
static atomic_int destinations[SESSIONS]; /* the first host of each session and 1, or 0 */

typedef struct caller {
  an_instance *instance;
  const char *status;
  FILE *records;
} caller;

typedef struct request {
  const caller *all;
  unsigned long session;
} request;

static uint64_t stopped_clock(void *host) {
  (void)host;
  return 1000000000000u;
}

static bool same(an_view key, const char *name) { return key.size == strlen(name) && memcmp(key.data, name, key.size) == 0; }

static bool give(an_view *value, const char *text) {
  *value = (an_view){(const uint8_t *)text, strlen(text)};
  return true;
}

static bool header_get(void *host, an_metadata_map map, an_view key, an_view *value) {
  static const char *const sessions[SESSIONS] = {"s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"};
  const request *it = host;
  if (map != AN_RESPONSE_TRAILERS && same(key, "content-type")) return give(value, "application/grpc");
  if (map == AN_RESPONSE_METADATA && same(key, ":status")) return give(value, "200");
  if (map != AN_REQUEST_METADATA) return same(key, "grpc-status") && map == AN_RESPONSE_TRAILERS && give(value, it->all->status);
  if (same(key, ":path")) return give(value, "/echo.EchoService/echo");
  return same(key, "session") && give(value, sessions[it->session]);
}

static void header_set(void *host, an_metadata_map map, an_view key, an_view value) {
  const request *it = host;
  if (map != AN_REQUEST_METADATA) return;
  atomic_fetch_add(&headers_set, 1);
  if (!same(key, "x-appnet-host")) return;
  int mine = 1 + (value.size > 0 ? value.data[0] : 0), first = 0;
  if (!atomic_compare_exchange_strong(&destinations[it->session], &first, mine) && first != mine) atomic_fetch_add(&unlike, 1);
}

static void enter(void) {
  unsigned long now = atomic_fetch_add(&inside, 1) + 1, most = atomic_load(&most_inside);
  while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now)) {}
}

static void run_call(const caller *all, unsigned long number) {
  request host = {all, number % SESSIONS};
  const uint8_t body[] = {0, 0, 0, 0, 8, 0x0a, 6, 'u', 's', 'e', 'r', ' ', (uint8_t)('0' + host.session)};
  const an_view chunk = {body, sizeof body};
  an_http_call *call = appnet_module.call_new(all->instance, &host);
  an_action action = appnet_module.request_headers(call, false);
  if (action != AN_REPLY) action = appnet_module.request_body(call, &chunk, 1, true);
  if (action == AN_REPLY) {
    atomic_fetch_add(&refused, 1);
  } else {
    atomic_fetch_add(&passed, 1);
    enter();
    sched_yield();
    atomic_fetch_sub(&inside, 1);
    action = appnet_module.response_headers(call, false);
    if (action != AN_REPLY) action = appnet_module.response_body(call, &chunk, 1, false);
    if (action != AN_REPLY) appnet_module.response_trailers(call);
  }
  appnet_module.call_free(call);
}

__attribute__((unused)) static void take_records(const caller *all) {
  size_t size = 0;
  uint8_t *batch = appnet_module.telemetry_take(all->instance, &size);
  fwrite(batch, 1, size, all->records);
  appnet_module.release(batch);
}
