/* What an outbox posts and tells, with a chain and an Envoy that do what the test wants. */
#include "outbox.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "envoy_abi.h"

enum { MIB = 1 << 20 };

/* ---- Envoy */

static char posted[8][64]; /* which batch each post had */
static unsigned posts;

void *ENVOY(http_filter_config_scheduler_new)(void *config) { return config; }
void ENVOY(http_filter_config_scheduler_delete)(void *scheduler) { (void)scheduler; }
void ENVOY(http_filter_config_scheduler_commit)(void *scheduler, uint64_t event) { (void)scheduler; (void)event; }
int ENVOY(http_filter_config_http_callout)(void *config, uint64_t *callout, envoy_buffer cluster, envoy_header *headers,
                                           size_t count, envoy_buffer body, uint64_t timeout_ms) {
  (void)config; (void)callout; (void)cluster; (void)body; (void)timeout_ms;
  const envoy_header *last = &headers[count - 1];
  assert(last->key_size == 12 && memcmp(last->key, "appnet-batch", 12) == 0 && last->value_size < 64);
  memcpy(posted[posts], last->value, last->value_size);
  posts++;
  return 0;
}

/* ---- a chain */

struct an_instance { size_t records, spans, metrics; uint64_t lost; };

static uint8_t *taken(size_t *pending, size_t *size) {
  *size = *pending;
  *pending = 0;
  return *size > 0 ? calloc(1, *size) : NULL;
}
static uint8_t *records(an_instance *it, size_t *size) { return taken(&it->records, size); }
static uint8_t *metrics(an_instance *it, size_t *size) { return taken(&it->metrics, size); }
static uint8_t *spans(an_instance *it, size_t *size, uint64_t *count) {
  *count = it->spans > 0 ? 7 : 0;
  return taken(&it->spans, size);
}
static bool nothing(an_instance *it) { (void)it; return false; }
static void lost(an_instance *it, uint64_t count) {
  assert(it->metrics > 0); /* which are to tell it */
  it->lost += count;
}
static void release(uint8_t *bytes) { free(bytes); }
static const an_module module = {
  .telemetry_take = records, .telemetry_pending = nothing, .spans_take = spans, .spans_pending = nothing,
  .metrics_take = metrics, .metrics_pending = nothing, .spans_lost = lost, .release = release,
};

static outbox *opened(an_instance *instance) {
  static int envoy;
  outbox *box = outbox_open(&envoy, &module, instance, 60000);
  assert(box != NULL);
  return box;
}

static void a_batch_has_one_name(void) {
  an_instance instance = {.records = 1};
  outbox *box = opened(&instance);
  outbox_post(box);
  outbox_posted(box, AN_OTLP_AWAY);
  outbox_post(box);
  instance.records = 1;
  outbox_posted(box, AN_OTLP_TAKEN);
  outbox_post(box);
  outbox_posted(box, AN_OTLP_TAKEN);
  outbox_close(box);
  assert(posts == 3 && strlen(posted[0]) > 16);
  assert(strcmp(posted[0], posted[1]) == 0 && strcmp(posted[1], posted[2]) != 0);
}

static void spans_that_make_room_are_told_of(void) {
  an_instance ends = {.records = 1, .spans = 12 * MIB, .metrics = 1}, next = {.records = 12 * MIB, .metrics = 1};
  outbox_close(opened(&ends));
  assert(ends.lost == 0);
  outbox_close(opened(&next)); /* leaves so much that the spans before go */
  assert(next.lost == 7);
}

int main(void) {
  a_batch_has_one_name();
  spans_that_make_room_are_told_of();
  return 0;
}
