/* Runs the handwritten chain on generated calls, for sanitizers: `driver SEED CALLS THREADS`.
 *
 * Bodies are made of pieces that are nearly protobuf, cut into chunks each of which is a block of its own, so that a
 * read past its end is seen; chunks and header values are gone when the event returns. Events come in any order.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.c"
#include "frames.h"
#include "chain_table.c"
#include "host_module.c"
#include "runtime.c"
#include "hosted.c"
#include "http_call.c"
#include "http_deadline.c"
#include "http_message.c"
#include "http_status.c"
#include "inflate.c"

enum { MAX_CHUNKS = 8, MAX_MESSAGE = 2000 };

/* ---- messages ---------------------------------------------------------------------------------------- */

/* A body: mostly one framed message, sometimes damaged. */
static void make_body(text *body) {
  text message = {.size = 0};
  add_fields(&message, 4);
  uint32_t length = one_in(15) ? (uint32_t)choose(UINT32_MAX) : (uint32_t)message.size;
  body->size = 0;
  add_byte(body, one_in(15) ? (unsigned)choose(256) : 0);
  for (unsigned i = 0; i < 4; i++) add_byte(body, length >> (24 - 8 * i) & 255);
  add(body, message.bytes, message.size);
  if (one_in(15)) add_noise(body, choose(10));
  if (one_in(15)) body->size = choose(body->size + 1);
  if (one_in(10) && body->size > 0) body->bytes[choose(body->size)] ^= (uint8_t)(1u << choose(8));
}

/* ---- the proxy --------------------------------------------------------------------------------------- */

typedef struct proxy {
  an_http_call *call;
  text bodies[2];
  size_t shown[2]; /* bytes of each body that came so far */
  size_t held[2];  /* where what is held begins */
  const char *path;
  uint8_t *lent[64]; /* header values, until the event returns */
  size_t lent_count;
} proxy;

static uint64_t clock_now(void *host) {
  (void)host;
  return 1;
}

static bool lend(proxy *it, const void *bytes, size_t size, an_view *value) {
  if (it->lent_count == sizeof it->lent / sizeof it->lent[0]) return false;
  uint8_t *copy = malloc(size > 0 ? size : 1);
  memcpy(copy, bytes, size);
  it->lent[it->lent_count++] = copy;
  *value = (an_view){copy, size};
  return true;
}

static bool same(an_view key, const char *name) { return key.size == strlen(name) && memcmp(key.data, name, key.size) == 0; }

static bool header_of(void *host, an_metadata_map map, an_view key, an_view *value) {
  static const char *const statuses[] = {"0", "0", "0", "14", "", "x", "99999"};
  static const char *const contents[] = {"", "00", "6869", "0102030405060708", "ffffffffffffffff"};
  proxy *it = host;
  (void)map;
  if (same(key, ":path")) return lend(it, it->path, strlen(it->path), value);
  if (same(key, "content-type")) return lend(it, "application/grpc", one_in(20) ? 15 : 16, value);
  if (same(key, "grpc-status")) {
    const char *status = statuses[choose(7)];
    return !one_in(10) && lend(it, status, strlen(status), value);
  }
  if (key.size == 3 && key.data[0] == 'w') {
    const char *content = contents[choose(5)];
    /* Numbers are written from eight bytes; texts from any. */
    size_t field = (size_t)(key.data[1] - '0') * 10 + (size_t)(key.data[2] - '0');
    if (!is_text(field)) content = contents[3 + choose(2)];
    return one_in(6) && lend(it, content, strlen(content), value);
  }
  return one_in(4) && lend(it, "1", 1, value);
}

static void header_put(void *host, an_metadata_map map, an_view key, an_view value) {
  (void)host;
  (void)map;
  (void)key;
  (void)value;
}

static void event_ends(proxy *it) {
  while (it->lent_count > 0) free(it->lent[--it->lent_count]);
}

static void check(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "broken: %s\n", what);
  abort();
}

/* The outcome is read in full, so that a sanitizer sees what is not there. */
static void read_outcome(const proxy *it, an_action action) {
  const an_outcome *outcome = appnet_module.outcome(it->call);
  an_view view = action == AN_REPLY ? outcome->text : outcome->body;
  unsigned sum = 0;
  if (action != AN_REPLY && action != AN_REPLACE) return;
  for (size_t i = 0; i < view.size; i++) sum += view.data[i];
  check(action != AN_REPLY || outcome->code != 0 || sum == UINT32_MAX, "a reply has a status");
  if (action == AN_REPLACE) check(view.size >= 5 && view.data[0] == 0, "a replacement is a framed message");
}

static an_action body_event(proxy *it, an_direction direction) {
  text *body = &it->bodies[direction];
  size_t rest = body->size - it->shown[direction];
  it->shown[direction] += one_in(2) ? rest : choose(rest + 1);
  size_t at = it->held[direction], count = 0;
  an_view chunks[MAX_CHUNKS];
  while (at < it->shown[direction] || count == 0) {
    size_t rest = it->shown[direction] - at;
    size_t size = count == MAX_CHUNKS - 1 ? rest : choose(rest + 1);
    uint8_t *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, body->bytes + at, size);
    chunks[count++] = (an_view){copy, size};
    at += size;
    if (count == MAX_CHUNKS) break;
  }
  bool end = it->shown[direction] == body->size && !one_in(3);
  an_action action = direction == AN_REQUEST ? appnet_module.request_body(it->call, chunks, count, end)
                                             : appnet_module.response_body(it->call, chunks, count, end);
  for (size_t i = 0; i < count; i++) free((void *)(uintptr_t)chunks[i].data);
  if (action != AN_HOLD) it->held[direction] = it->shown[direction];
  return action;
}

static an_action one_event(proxy *it, uint64_t step) {
  /* Mostly in order, now and then anything. */
  uint64_t event = one_in(8) ? choose(9) : step;
  switch (event) {
    case 0: return appnet_module.request_headers(it->call, one_in(20));
    case 1: case 2: case 3: return body_event(it, AN_REQUEST);
    case 4: return appnet_module.response_headers(it->call, one_in(6));
    case 5: case 6: return body_event(it, AN_RESPONSE);
    case 7: return appnet_module.response_trailers(it->call);
    default:
      if (one_in(2)) return appnet_module.request_trailers(it->call);
      appnet_module.local_reply(it->call, 503);
      return AN_CONTINUE;
  }
}

static void run_call(an_instance *instance) {
  static const char *const paths[] = {"/fixture.Fixture/Judge", "/fixture.Fixture/Judge", "/fixture.Fixture/Headers",
                                      "/fixture.Fixture/Watch", "/fixture.Fixture/Status", "/other"};
  proxy it = {.path = paths[choose(6)]};
  bool replied = false;
  make_body(&it.bodies[AN_REQUEST]);
  make_body(&it.bodies[AN_RESPONSE]);
  it.call = appnet_module.call_new(instance, &it);
  for (uint64_t step = 0; step < 9 && !one_in(40); step++) {
    bool of_request = step < 4;
    an_action action = one_event(&it, step);
    read_outcome(&it, action);
    if (replied && of_request) check(action != AN_REPLACE, "nothing of a refused request passes");
    replied = replied || (of_request && action == AN_REPLY);
    event_ends(&it);
  }
  appnet_module.call_free(it.call);
}

typedef struct worker {
  pthread_t thread;
  an_instance *instance;
  uint64_t seed;
  uint64_t calls;
} worker;

static void *work(void *pointer) {
  worker *it = pointer;
  random_state = it->seed * 0x9e3779b97f4a7c15u | 1;
  size_t size = 0;
  for (uint64_t i = 0; i < it->calls; i++) {
    run_call(it->instance);
    if (i % 500 == 0) appnet_module.release(appnet_module.telemetry_take(it->instance, &size));
  }
  return NULL;
}

static uint64_t argument(int argc, char **argv, int index, uint64_t otherwise) {
  return argc > index ? strtoull(argv[index], NULL, 10) : otherwise;
}

int main(int argc, char **argv) {
  enum { MOST_THREADS = 8 };
  uint64_t seed = argument(argc, argv, 1, 1), calls = argument(argc, argv, 2, 1000), threads = argument(argc, argv, 3, 1);
  const an_services services = {.now_ns = clock_now, .wall_ns = clock_now, .metadata_get = header_of, .metadata_set = header_put};
  const an_options options = {.seed = 1, .max_message = MAX_MESSAGE, .backend_count = 2, .resource = TEXT("\x0a\0")};
  an_instance *instance = appnet_module.instance_new(&services, &options, NULL);
  worker workers[MOST_THREADS];
  size_t size = 0;
  for (uint64_t i = 0; i < threads && i < MOST_THREADS; i++) {
    workers[i] = (worker){.instance = instance, .seed = seed + i, .calls = calls};
    check(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0, "threads start");
  }
  for (uint64_t i = 0; i < threads && i < MOST_THREADS; i++) pthread_join(workers[i].thread, NULL);
  const fixture_state *state = instance->state;
  printf("%llu %llu\n", (unsigned long long)state->requests, (unsigned long long)state->responses);
  for (size_t host = 0; host < 2; host++) check(an_backend_load(instance, (int64_t)host) == 0, "no call is left");
  appnet_module.release(appnet_module.state_dump(instance, &size));
  appnet_module.instance_free(instance);
  return 0;
}
