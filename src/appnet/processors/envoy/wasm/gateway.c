#include "gateway.h"

#include "event.h"
#include "instance.h"
#include "octets.h"
#include "posts.h"
#include "proxy_wasm.h"
#include "steps.h"
#include "turns.h"
#include "value.h"

enum { GATEWAY_ID_SIZE = 16, GATEWAY_TIMEOUT_MS = 5000, GATEWAY_MOST_PASS = 128, GATEWAY_MOST_POST = 4 << 20, GATEWAY_LONGEST_TEXT = 200 };
enum { GATEWAY_RESPONSE_HEADERS = 6, GATEWAY_RESPONSE_BODY = 4, GATEWAY_WAITING_MS = 5, GATEWAY_BEAT_MS = 5000 };
static const uint64_t GATEWAY_MS = 1000000u, GATEWAY_REFUSED_NS = 1000000000u;

/* A variable that is merged, or an element's strong state. */
typedef struct gateway_line {
  bool asked, met, complained; /* it is in the post; others have heard of it; somebody was told what is wrong with it */
  uint64_t again_ns;           /* it asks nothing before */
} gateway_line;

/* Those from `first` on, up to `end`, whose requests go together: one post is under way at most. */
typedef struct gateway_lane {
  size_t first, end;
  uint64_t interval_ms, rest_ms; /* between what is due; after a failure */
  uint64_t due_ns, rests_until;
  bool under_way, complained, parts; /* `parts`: it tells so in the end */
  unsigned rounds;                   /* of last merges: one may be under way */
  uint32_t token;
} gateway_lane;

enum { STRONG, WEAK, LANES };

static struct {
  an_carrier carrier;
  uint8_t id[GATEWAY_ID_SIZE], pass[GATEWAY_MOST_PASS];
  size_t pass_size;
  uint32_t timeout_ms, merge_ms;
  an_instance *instance;
  gateway_line *lines;
  gateway_lane lanes[LANES];
  bool calls_wait; /* something is to be posted now */
  bool ending;
} gateway;

an_view gateway_settings(an_view *configuration) {
  enum { OPTIONS_HEAD = 28 };
  if (configuration->size < OPTIONS_HEAD) return (an_view){NULL, 0};
  const size_t options = an_size_add(OPTIONS_HEAD, load_le32(configuration->data + OPTIONS_HEAD - 4));
  if (options >= configuration->size) return (an_view){NULL, 0};
  const an_view settings = {configuration->data + options, configuration->size - options};
  configuration->size = options;
  return settings;
}

#if AN_FIBERS
static void carrier_wait(void *call_host) {
  (void)call_host;
  fiber_wait();
}

static void carrier_ready(void *host, size_t copy) {
  (void)host;
  (void)copy;
  gateway.calls_wait = true;
}
#endif

const an_carrier *gateway_carrier(an_view settings) {
  static const char digits[] = "0123456789abcdef";
  enum { HEAD = 8 };
  if (settings.size <= HEAD || settings.size - HEAD > GATEWAY_MOST_PASS) return NULL;
  gateway.timeout_ms = load_le32(settings.data);
  gateway.merge_ms = load_le32(settings.data + 4);
  gateway.pass_size = settings.size - HEAD;
  memcpy(gateway.pass, settings.data + HEAD, gateway.pass_size);
  random_get(gateway.id, GATEWAY_ID_SIZE);
  for (size_t i = 0; i < GATEWAY_ID_SIZE; i++) gateway.id[i] = (uint8_t)digits[gateway.id[i] % 16];
  gateway.carrier.id = (an_view){gateway.id, GATEWAY_ID_SIZE};
#if AN_FIBERS
  gateway.carrier.wait = carrier_wait;
  gateway.carrier.wake = turn_woken;
  gateway.carrier.ready = carrier_ready;
#endif
  return &gateway.carrier;
}

void gateway_begin(an_instance *instance) {
  const size_t count = an_sharing_table.count(instance);
  if (count == 0) return;
  gateway.lines = an_alloc_zeroed(an_size_mul(count, sizeof *gateway.lines));
  if (gateway.lines == NULL) return;
  gateway.instance = instance;
  size_t strong = 0;
  while (strong < count && an_sharing_table.variable(instance, strong).size == 0) strong++;
  gateway.lanes[STRONG] = (gateway_lane){.first = 0, .end = strong, .interval_ms = GATEWAY_BEAT_MS, .rest_ms = 100};
  gateway.lanes[WEAK] = (gateway_lane){.first = strong, .end = count, .interval_ms = gateway.merge_ms, .rest_ms = 500};
}

static bool is_idle(const gateway_lane *lane) { return lane->first == lane->end; }

uint32_t gateway_period(uint32_t others) {
  const uint64_t merges = is_idle(&gateway.lanes[WEAK]) ? others : gateway.lanes[WEAK].interval_ms;
  const uint32_t period = merges < others ? (uint32_t)merges : others;
  return AN_FIBERS && turns_wait() && period > GATEWAY_WAITING_MS ? GATEWAY_WAITING_MS : period;
}

/* ---- complaints ------------------------------------------------------------------------------------------ */

static void gateway_add(an_buffer *out, an_view text) {
  an_buffer_append(out, text.data, text.size < GATEWAY_LONGEST_TEXT ? text.size : GATEWAY_LONGEST_TEXT);
}

/* Once for each time that something is wrong. */
static void gateway_complain(bool *told, an_view what, an_view detail) {
  an_buffer text = {0};
  if (*told) return;
  *told = true;
  gateway_add(&text, AN_TEXT("appnet: the store of shared state: "));
  gateway_add(&text, what);
  gateway_add(&text, detail);
  if (!text.failed) proxy_log(3, text.data, text.size);
  an_buffer_free(&text);
}

static void gateway_complain_of(size_t number, const char *flaw) {
  an_buffer name = {0};
  const an_view variable = an_sharing_table.variable(gateway.instance, number);
  gateway_add(&name, an_sharing_table.element(gateway.instance, number));
  if (variable.size > 0) gateway_add(&name, AN_TEXT("."));
  gateway_add(&name, variable);
  gateway_add(&name, AN_TEXT(": "));
  gateway_add(&name, (an_view){(const uint8_t *)flaw, strlen(flaw)});
  gateway_complain(&gateway.lines[number].complained, AN_TEXT("state of "), (an_view){name.data, name.failed ? 0 : name.size});
  an_buffer_free(&name);
}

/* ---- posts ----------------------------------------------------------------------------------------------- */

static void gateway_text(an_buffer *out, an_view text) {
  an_buffer_append_u32(out, (uint32_t)text.size);
  an_buffer_append(out, text.data, text.size);
}

static void gateway_request(an_buffer *out, size_t number, const an_view *parts, size_t count) {
  gateway_text(out, an_sharing_table.element(gateway.instance, number));
  gateway_text(out, an_sharing_table.variable(gateway.instance, number));
  an_buffer_append_u32(out, (uint32_t)count);
  for (size_t i = 0; i < count; i++) gateway_text(out, parts[i]);
  gateway.lines[number].asked = true;
}

/* Nobody knows what became of what was posted. */
static void gateway_lost(gateway_lane *lane, an_view why) {
  lane->rests_until = event_time() + lane->rest_ms * GATEWAY_MS;
  gateway_complain(&lane->complained, why.size > 0 ? why : AN_TEXT("the gateway cannot be reached"), (an_view){NULL, 0});
  for (size_t i = lane->first; i < lane->end; i++) {
    if (gateway.lines[i].asked) an_sharing_table.unanswered(gateway.instance, i);
    gateway.lines[i].asked = false;
  }
}

static void gateway_post(gateway_lane *lane, const an_buffer *body) {
  uint8_t bearer[7 + GATEWAY_MOST_PASS];
  memcpy(bearer, "Bearer ", 7);
  memcpy(bearer + 7, gateway.pass, gateway.pass_size);
  lane->under_way = !body->failed && post(AN_TEXT("/appnet/state"), AN_TEXT("application/octet-stream"), (an_view){bearer, 7 + gateway.pass_size},
                                          (an_view){body->data, body->size}, GATEWAY_TIMEOUT_MS, &lane->token);
  if (!lane->under_way) gateway_lost(lane, (an_view){NULL, 0});
}

/* All that there is to ask, up to so many bytes and the request that goes beyond them. */
static void gateway_ask(gateway_lane *lane, bool due) {
  an_buffer body = {0};
  const uint64_t now = event_time();
  for (size_t i = lane->first; i < lane->end && body.size < GATEWAY_MOST_POST; i++) {
    an_view parts[AN_REQUEST_PARTS];
    size_t count;
    if (now < gateway.lines[i].again_ns) continue;
    if (an_sharing_table.request_take(gateway.instance, i, due, parts, &count)) gateway_request(&body, i, parts, count);
  }
  if (body.size > 0 || body.failed) gateway_post(lane, &body);
  an_buffer_free(&body);
}

static void gateway_part(gateway_lane *lane) {
  an_buffer body = {0};
  for (size_t i = lane->first; i < lane->end; i++) {
    an_view parts[AN_REQUEST_PARTS];
    size_t count;
    if (!gateway.lines[i].met) continue;
    an_sharing_table.leave(gateway.instance, i, parts, &count);
    gateway_request(&body, i, parts, count);
  }
  if (body.size > 0) gateway_post(lane, &body);
  an_buffer_free(&body);
}

static bool may_ask(const gateway_lane *lane, uint64_t now) {
  return !is_idle(lane) && !lane->under_way && !gateway.ending && now >= lane->rests_until;
}

/* Lets go calls that have waited too long. */
static void gateway_let_go(uint64_t now) {
  const gateway_lane *lane = &gateway.lanes[STRONG];
  for (size_t i = lane->first; i < lane->end; i++) {
    const uint64_t since = an_sharing_table.waits_since(gateway.instance, i);
    if (since != 0 && now >= since + gateway.timeout_ms * GATEWAY_MS) an_sharing_table.away(gateway.instance, i);
  }
}

void gateway_tick(void) {
  const uint64_t now = gateway.lines != NULL ? event_time() : 0;
  for (size_t i = 0; i < LANES; i++) {
    gateway_lane *lane = &gateway.lanes[i];
    if (!may_ask(lane, now)) continue;
    const bool due = now >= lane->due_ns;
    if (due) lane->due_ns = now + lane->interval_ms * GATEWAY_MS;
    gateway_ask(lane, due);
  }
  gateway_let_go(now);
}

#if AN_FIBERS
void gateway_go(void) {
  gateway_lane *lane = &gateway.lanes[STRONG];
  if (!gateway.calls_wait) return;
  gateway.calls_wait = false;
  if (may_ask(lane, event_time())) gateway_ask(lane, false);
}
#endif

/* ---- answers --------------------------------------------------------------------------------------------- */

static bool gateway_take(an_view *from, size_t size, an_view *out) {
  if (from->size < size) return false;
  *out = (an_view){from->data, size};
  *from = (an_view){from->data + size, from->size - size};
  return true;
}

static void gateway_take_answer(size_t number, an_view bytes) {
  gateway_line *line = &gateway.lines[number];
  const char *flaw = an_sharing_table.answer(gateway.instance, number, bytes);
  if (flaw != NULL) {
    line->again_ns = event_time() + GATEWAY_REFUSED_NS;
    gateway_complain_of(number, flaw);
  } else {
    line->met = true;
    line->complained = false;
  }
}

/* Of each request, as they stood in the post: u8 whether there is an answer | text answer. */
static void gateway_take_answers(gateway_lane *lane, an_view body) {
  for (size_t i = lane->first; i < lane->end; i++) {
    an_view there, size, bytes;
    if (!gateway.lines[i].asked) continue;
    if (!gateway_take(&body, 1, &there) || !gateway_take(&body, 4, &size) ||
        !gateway_take(&body, load_le32(size.data), &bytes)) {
      gateway_lost(lane, AN_TEXT("the gateway speaks another protocol"));
      return;
    }
    gateway.lines[i].asked = false;
    if (there.data[0] == 1) {
      gateway_take_answer(i, bytes);
    } else {
      an_sharing_table.unanswered(gateway.instance, i);
    }
  }
  lane->complained = false;
  lane->rests_until = 0;
}

static void gateway_listen(gateway_lane *lane, bool came, size_t body_size) {
  static const char key[] = ":status";
  uint8_t *status = NULL, *bytes = NULL;
  size_t size = 0, found = 0;
  if (!came || proxy_get_header_map_value(GATEWAY_RESPONSE_HEADERS, key, sizeof key - 1, &status, &size) != 0 || size == 0 ||
      (body_size > 0 && proxy_get_buffer_bytes(GATEWAY_RESPONSE_BODY, 0, body_size, &bytes, &found) != 0)) {
    gateway_lost(lane, (an_view){NULL, 0});
  } else if (status[0] != '2') {
    gateway_lost(lane, (an_view){bytes, found});
  } else {
    gateway_take_answers(lane, (an_view){bytes, found});
  }
  gateway.calls_wait = true; /* what came meanwhile goes next */
}

/* Of the last words, the next. */
static void gateway_go_on(gateway_lane *lane) {
  if (event_time() < lane->rests_until) { /* nobody is there to be told */
    lane->rounds = 0;
    lane->parts = false;
    return;
  }
  if (!lane->under_way && lane == &gateway.lanes[STRONG] && turns_wait()) gateway_ask(lane, false);
  while (!lane->under_way && lane->rounds > 0) {
    lane->rounds--;
    gateway_ask(lane, true);
  }
  if (lane->under_way || !lane->parts) return;
  lane->parts = false;
  gateway_part(lane);
}

bool gateway_answered(uint32_t token, bool came, size_t body_size) {
  for (size_t i = 0; i < LANES; i++) {
    gateway_lane *lane = &gateway.lanes[i];
    if (!lane->under_way || token != lane->token) continue;
    lane->under_way = false;
    gateway_listen(lane, came, body_size);
    turns_go_on();
    if (gateway.ending) gateway_go_on(lane);
    if (gateway.ending && gateway_is_over()) proxy_done();
    return true;
  }
  return false;
}

/* ---- the end --------------------------------------------------------------------------------------------- */

void gateway_end(bool replaced) {
  gateway.ending = true;
  for (size_t i = 0; i < LANES; i++) {
    gateway_lane *lane = &gateway.lanes[i];
    bool met = false;
    for (size_t k = lane->first; k < lane->end; k++) met = met || gateway.lines[k].met;
    lane->rounds = met && i == WEAK ? 2 : 0;
    lane->parts = met && !replaced;
    if (met) gateway_go_on(lane);
  }
}

bool gateway_is_over(void) { return !gateway.lanes[STRONG].under_way && !gateway.lanes[WEAK].under_way; }
