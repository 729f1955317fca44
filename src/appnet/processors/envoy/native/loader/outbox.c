#define _GNU_SOURCE
#include "outbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "envoy_abi.h"

#define TEXT(text) ((envoy_buffer){text, sizeof(text) - 1})

enum { TIMEOUT_MS = 2000, REST_MS = 1000, LEFT_LIMIT = 16 << 20 };

typedef struct batch {
  struct batch *next;
  an_signal signal;
  uint64_t spans; /* how many it has */
  bool last;      /* nothing that is taken later tells what it does */
  char id[40];    /* by which a receiver knows one that comes twice; no other batch has it */
  size_t size;
  uint8_t bytes[];
} batch;

/* Batches of configurations that ended, or that could not be posted; oldest first. */
static struct {
  pthread_mutex_t lock;
  batch *first;
  batch **last;
  size_t size;
  uint64_t lost; /* spans that went to make room, and that nobody has told of yet */
} left = {PTHREAD_MUTEX_INITIALIZER, NULL, &left.first, 0, 0};

struct outbox {
  void *envoy_config;
  const an_module *module;
  an_instance *instance;
  void *scheduler;
  pthread_t thread;
  pthread_mutex_t lock; /* guards what follows */
  pthread_cond_t ended;
  bool ending;
  bool scheduled;
  batch *under_way;
  an_signal turn;       /* of records and spans, whose turn it was: one may come without end */
  uint64_t rests_until; /* in ms: the receiver was away */
  bool counts_away;     /* ... when it was asked last, and for metrics */
  unsigned every_ms;
};

static void leave(batch *it) {
  pthread_mutex_lock(&left.lock);
  it->next = NULL;
  *left.last = it;
  left.last = &it->next;
  left.size += it->size;
  while (left.size > LEFT_LIMIT && left.first != NULL) { /* nobody fetches them: the oldest go */
    batch *oldest = left.first;
    left.first = oldest->next;
    if (left.first == NULL) left.last = &left.first;
    left.size -= oldest->size;
    left.lost += oldest->spans;
    free(oldest);
  }
  pthread_mutex_unlock(&left.lock);
}

static uint64_t take_lost(void) {
  pthread_mutex_lock(&left.lock);
  uint64_t lost = left.lost;
  left.lost = 0;
  pthread_mutex_unlock(&left.lock);
  return lost;
}

static batch *take_left(void) {
  pthread_mutex_lock(&left.lock);
  batch *it = left.first;
  if (it != NULL) {
    left.first = it->next;
    if (left.first == NULL) left.last = &left.first;
    left.size -= it->size;
  }
  pthread_mutex_unlock(&left.lock);
  return it;
}

static bool anything_left(void) {
  pthread_mutex_lock(&left.lock);
  bool anything = left.first != NULL;
  pthread_mutex_unlock(&left.lock);
  return anything;
}

static uint8_t *take_bytes(outbox *box, an_signal signal, size_t *size, uint64_t *spans) {
  const an_module *module = box->module;
  switch (signal) {
    case AN_RECORDS: return module->telemetry_take(box->instance, size);
    case AN_SPANS: return module->spans_take(box->instance, size, spans);
    default: return module->metrics_take(box->instance, size);
  }
}

static void identify(batch *it) {
  static _Atomic uint64_t process, count;
  uint64_t drawn = 0, none = 0;
  if (process == 0 && getrandom(&drawn, sizeof drawn, 0) == sizeof drawn) atomic_compare_exchange_strong(&process, &none, drawn);
  snprintf(it->id, sizeof it->id, "%016llx-%llx", (unsigned long long)process, (unsigned long long)++count);
}

static batch *take_batch(outbox *box, an_signal signal) {
  size_t size = 0;
  uint64_t spans = 0, lost = signal == AN_METRICS ? take_lost() : 0;
  if (lost > 0) box->module->spans_lost(box->instance, lost); /* which these metrics tell */
  uint8_t *bytes = take_bytes(box, signal, &size, &spans);
  if (bytes == NULL) return NULL;
  batch *it = malloc(sizeof *it + size);
  if (it != NULL) {
    *it = (batch){.signal = signal, .spans = spans, .last = signal != AN_METRICS || box->ending, .size = size};
    identify(it);
    memcpy(it->bytes, bytes, size);
  } else if (spans > 0) {
    box->module->spans_lost(box->instance, spans);
  }
  box->module->release(bytes);
  return it;
}

/* Metrics first, which are pending once a second: the others may come without end. What is dropped of those meanwhile,
 * the next ones tell. They are last where a collector has no room for metrics alone. */
static batch *take_next(outbox *box) {
  const bool counts = box->module->metrics_pending(box->instance);
  batch *it = counts && !box->counts_away ? take_batch(box, AN_METRICS) : NULL;
  if (it == NULL) it = take_left();
  box->turn = box->turn == AN_RECORDS ? AN_SPANS : AN_RECORDS;
  if (it == NULL) it = take_batch(box, box->turn);
  if (it == NULL) it = take_batch(box, box->turn == AN_RECORDS ? AN_SPANS : AN_RECORDS);
  return it == NULL && counts ? take_batch(box, AN_METRICS) : it;
}

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool has_work(outbox *box) {
  const an_module *module = box->module;
  if (box->under_way != NULL || now_ms() < box->rests_until) return false;
  return anything_left() || module->telemetry_pending(box->instance) || module->spans_pending(box->instance) ||
         module->metrics_pending(box->instance);
}

static void *look(void *pointer) {
  outbox *box = pointer;
  pthread_mutex_lock(&box->lock);
  while (!box->ending) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)box->every_ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int waited = pthread_cond_timedwait(&box->ended, &box->lock, &until);
    if (waited != ETIMEDOUT || box->ending || box->scheduled || !has_work(box)) continue;
    box->scheduled = true;
    ENVOY(http_filter_config_scheduler_commit)(box->scheduler, 0);
  }
  pthread_mutex_unlock(&box->lock);
  return NULL;
}

outbox *outbox_open(void *envoy_config, const an_module *module, an_instance *instance, unsigned every_ms) {
  outbox *box = calloc(1, sizeof *box);
  pthread_condattr_t attributes;
  if (box == NULL) return NULL;
  *box = (outbox){.envoy_config = envoy_config, .module = module, .instance = instance, .every_ms = every_ms};
  pthread_mutex_init(&box->lock, NULL);
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&box->ended, &attributes);
  pthread_condattr_destroy(&attributes);
  box->scheduler = ENVOY(http_filter_config_scheduler_new)(envoy_config);
  if (pthread_create(&box->thread, NULL, look, box) == 0) return box;
  ENVOY(http_filter_config_scheduler_delete)(box->scheduler);
  free(box);
  return NULL;
}

/* Posts one batch; true where its answer is to be waited for. */
static bool post(outbox *box, const batch *it) {
  const char *path = an_otlp_path(it->signal);
  envoy_header headers[] = {
      {":method", 7, "POST", 4},
      {":path", 5, path, strlen(path)},
      {":authority", 10, "appnet-telemetry", 16},
      {"content-type", 12, "application/x-protobuf", 22},
      {"appnet-batch", 12, it->id, strlen(it->id)},
  };
  uint64_t callout = 0;
  envoy_buffer body = {(const char *)it->bytes, it->size};
  int result = ENVOY(http_filter_config_http_callout)(box->envoy_config, &callout, TEXT("appnet-telemetry"), headers, 5,
                                                      body, TIMEOUT_MS);
  return result == 0;
}

void outbox_post(outbox *box) {
  pthread_mutex_lock(&box->lock);
  box->scheduled = false;
  batch *it = box->under_way == NULL && !box->ending ? take_next(box) : NULL;
  box->under_way = it != NULL ? it : box->under_way;
  pthread_mutex_unlock(&box->lock);
  if (it != NULL && !post(box, it)) outbox_posted(box, AN_OTLP_AWAY);
}

void outbox_posted(outbox *box, an_otlp_answer answer) {
  pthread_mutex_lock(&box->lock);
  batch *it = box->under_way;
  box->under_way = NULL;
  if (answer == AN_OTLP_AWAY) box->rests_until = now_ms() + REST_MS;
  box->counts_away = answer == AN_OTLP_AWAY && it != NULL && it->signal == AN_METRICS;
  pthread_mutex_unlock(&box->lock);
  if (it == NULL) return;
  if (answer == AN_OTLP_REFUSED && it->spans > 0) box->module->spans_lost(box->instance, it->spans);
  if (answer == AN_OTLP_AWAY && it->last) {
    leave(it);
  } else {
    free(it); /* if these are metrics: later ones tell all that they did */
  }
}

void outbox_close(outbox *box) {
  pthread_mutex_lock(&box->lock);
  box->ending = true;
  pthread_cond_signal(&box->ended);
  pthread_mutex_unlock(&box->lock);
  pthread_join(box->thread, NULL);
  ENVOY(http_filter_config_scheduler_delete)(box->scheduler);
  if (box->under_way != NULL) leave(box->under_way);
  for (an_signal it = AN_RECORDS; it <= AN_METRICS; it++) { /* metrics last: they tell what went to make room */
    batch *rest = take_batch(box, it);
    if (rest != NULL) leave(rest);
  }
  pthread_mutex_destroy(&box->lock);
  pthread_cond_destroy(&box->ended);
  free(box);
}
