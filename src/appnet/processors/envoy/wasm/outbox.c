#include "outbox.h"

#include "event.h"
#include "gateway.h"
#include "metrics.h"
#include "octets.h"
#include "otlp_post.h"
#include "posts.h"
#include "proxy_wasm.h"
#include "telemetry.h"

enum { POST_TIMEOUT_MS = 2000, HTTP_CALL_RESPONSE_HEADERS = 6 };
enum { SIGNALS = AN_METRICS + 1, LEAVE_TRIES = 16 };
enum { LEFT_LIMIT = 8 << 20, LEFT_HEAD = 9, LEFT_FOR_METRICS = 1 << 20 };
static const uint64_t REST_NS = 1000000000u;
/* Shared data: u32 size, u8 signal, u32 spans and bytes of each batch, oldest first. Another form needs another name. */
static const char LEFT[] = "left";

typedef struct batch {
  uint8_t *bytes; /* NULL: there is none */
  size_t size;
  uint64_t spans; /* how many it has */
  an_signal signal;
  bool last; /* nothing that is taken later tells what it does */
} batch;

static an_instance *source;
static batch current; /* kept until the receiver has it */
static bool under_way;
static batch put_off[SIGNALS]; /* for which it was away, or had no room */
static an_buffer inherited; /* from machines that have ended, as it was left, from inherited_at on */
static size_t inherited_at;
static unsigned last_turn;   /* whose turn it was: one kind may come without end */
static uint64_t rests_until; /* the receiver was away */
static bool counts_away;     /* ... when it was asked last, and for metrics */

static void forget(batch *it) {
  an_free(it->bytes);
  *it = (batch){0};
}

/* ---- from machine to machine --------------------------------------------------------------------------- */

static an_view left_by_all(uint32_t *turn_of_data) {
  uint8_t *data = NULL;
  size_t size = 0;
  event_begins(); /* what was handed over before is needed no more, and this may be large */
  *turn_of_data = 0;
  if (proxy_get_shared_data(LEFT, sizeof LEFT - 1, &data, &size, turn_of_data) != 0) return (an_view){NULL, 0};
  return (an_view){data, size};
}

/* Puts these bytes behind what others have left. False: there is no room. */
static bool leave_bytes(an_view bytes, size_t limit) {
  for (int i = 0; i < LEAVE_TRIES; i++) {
    uint32_t data_turn;
    const an_view before = left_by_all(&data_turn);
    an_buffer all = {.limit = limit};
    an_buffer_append(&all, before.data, before.size);
    an_buffer_append(&all, bytes.data, bytes.size);
    const uint32_t result = all.failed ? 0 : proxy_set_shared_data(LEFT, sizeof LEFT - 1, all.data, all.size, data_turn);
    const bool left = !all.failed && result == 0, again = result == CAS_MISMATCH;
    an_buffer_free(&all);
    if (!again) return left;
  }
  return false;
}

static void leave(batch *it) {
  uint8_t head[LEFT_HEAD];
  an_buffer entry = {0};
  if (it->bytes == NULL) return;
  store_le32(head, (uint32_t)it->size);
  head[4] = (uint8_t)it->signal;
  store_le32(head + 5, (uint32_t)it->spans);
  an_buffer_append(&entry, head, sizeof head);
  an_buffer_append(&entry, it->bytes, it->size);
  /* Metrics tell what was dropped of the others. */
  const size_t limit = LEFT_LIMIT + (it->signal == AN_METRICS ? LEFT_FOR_METRICS : 0);
  const bool left = !entry.failed && leave_bytes((an_view){entry.data, entry.size}, limit);
  if (!left && it->spans > 0) an_traces_lost(source, it->spans);
  an_buffer_free(&entry);
  forget(it);
}

static void forget_inherited(void) {
  an_buffer_free(&inherited);
  inherited = (an_buffer){0};
  inherited_at = 0;
}

static void inherit(void) {
  uint32_t data_turn;
  const an_view all = left_by_all(&data_turn);
  if (all.size == 0) return;
  an_buffer_append(&inherited, all.data, all.size);
  if (!inherited.failed && proxy_set_shared_data(LEFT, sizeof LEFT - 1, LEFT, 0, data_turn) == 0) return;
  forget_inherited(); /* another has it, or there is no memory: at another time */
}

static batch take_inherited(void) {
  batch it = {.last = true};
  if (inherited.size == 0) inherit();
  if (inherited.size == 0) return it;
  const uint8_t *head = inherited.data + inherited_at;
  it.size = load_le32(head);
  it.signal = (an_signal)head[4];
  it.spans = load_le32(head + 5);
  it.bytes = an_alloc(it.size);
  if (it.bytes == NULL) return it;
  memcpy(it.bytes, head + LEFT_HEAD, it.size);
  inherited_at += LEFT_HEAD + it.size;
  if (inherited_at == inherited.size) forget_inherited();
  return it;
}

/* ---- batches ------------------------------------------------------------------------------------------- */

static batch take_metrics(void) {
  batch it = {.signal = AN_METRICS};
  it.bytes = an_metrics_take(source, &it.size);
  return it;
}

static batch take_batch(an_signal signal) {
  batch it = put_off[signal];
  put_off[signal] = (batch){0};
  if (it.bytes != NULL) return it;
  it = (batch){.signal = signal, .last = true};
  if (signal == AN_RECORDS && an_records_pending(source)) it.bytes = an_records_take(source, &it.size);
  if (signal == AN_SPANS) it.bytes = an_traces_take(source, &it.size, &it.spans);
  return it;
}

static bool anything_put_off(void) {
  for (unsigned i = 0; i < SIGNALS; i++) {
    if (put_off[i].bytes != NULL) return true;
  }
  return false;
}

/* Metrics first, which are pending once a second: the others may come without end. They are last where a receiver has no
 * room for metrics alone. */
static batch take_next(void) {
  const bool counts = an_metrics_pending(source);
  batch it = counts && !counts_away ? take_metrics() : (batch){0};
  if (it.bytes == NULL && !anything_put_off()) it = take_inherited();
  for (unsigned i = 0; i < SIGNALS && it.bytes == NULL; i++) it = take_batch((an_signal)(last_turn = (last_turn + 1) % SIGNALS));
  return it.bytes == NULL && counts ? take_metrics() : it;
}

/* ---- posts --------------------------------------------------------------------------------------------- */

void outbox_post(void) {
  uint32_t token;
  if (under_way || source == NULL || event_time() < rests_until) return;
  if (current.bytes == NULL) current = take_next();
  if (current.bytes == NULL) return;
  const char *path = an_otlp_path(current.signal);
  under_way = post((an_view){(const uint8_t *)path, strlen(path)}, AN_TEXT("application/x-protobuf"), (an_view){NULL, 0},
                   (an_view){current.bytes, current.size}, POST_TIMEOUT_MS, &token);
}

static an_otlp_answer answer(void) {
  static const char key[] = ":status";
  uint8_t *status = NULL;
  size_t size = 0;
  if (proxy_get_header_map_value(HTTP_CALL_RESPONSE_HEADERS, key, sizeof key - 1, &status, &size) != 0) return AN_OTLP_AWAY;
  return an_otlp_answered((const char *)status, size);
}

EXPORT(proxy_on_http_call_response)
void proxy_on_http_call_response(uint32_t root, uint32_t token, uint32_t headers, size_t body_size, uint32_t trailers) {
  (void)root; (void)trailers;
  event_begins();
  if (gateway_answered(token, headers > 0, body_size) || source == NULL) return;
  under_way = false;
  const an_otlp_answer answered = headers == 0 ? AN_OTLP_AWAY : answer();
  const bool away = answered == AN_OTLP_AWAY, counts = current.signal == AN_METRICS;
  if (away) rests_until = event_time() + REST_NS;
  counts_away = away && counts;
  if (answered == AN_OTLP_REFUSED && current.spans > 0) an_traces_lost(source, current.spans);
  if (away && current.last) {
    put_off[current.signal] = current;
    current = (batch){0};
  } else {
    forget(&current); /* if these are metrics: later ones tell all that they did */
  }
}

void outbox_open(an_instance *instance) { source = instance; }

void outbox_close(void) {
  if (source == NULL) return;
  if (current.last) leave(&current); /* else they are metrics, as below */
  if (inherited.size > 0) {
    leave_bytes((an_view){inherited.data + inherited_at, inherited.size - inherited_at}, LEFT_LIMIT + LEFT_FOR_METRICS);
  }
  for (unsigned signal = 0; signal < SIGNALS; signal++) {
    for (batch it = take_batch((an_signal)signal); it.bytes != NULL; it = take_batch((an_signal)signal)) leave(&it);
  }
  batch counts = take_metrics(); /* last, because they tell what was dropped of the others */
  leave(&counts);
  source = NULL;
}
