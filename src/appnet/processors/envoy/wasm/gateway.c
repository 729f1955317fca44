#include "gateway.h"

#include "event.h"
#include "instance.h"
#include "octets.h"
#include "posts.h"
#include "proxy_wasm.h"
#include "steps.h"
#include "value.h"

enum { GATEWAY_ID_SIZE = 16, GATEWAY_TIMEOUT_MS = 5000, GATEWAY_MOST_PASS = 128, GATEWAY_MOST_POST = 4 << 20, GATEWAY_LONGEST_TEXT = 200 };
enum { GATEWAY_RESPONSE_HEADERS = 6, GATEWAY_RESPONSE_BODY = 4 };
static const uint64_t GATEWAY_REST_NS = 500000000u, GATEWAY_REFUSED_NS = 1000000000u;

/* A variable that is merged. */
typedef struct gateway_line {
  bool asked, met, complained; /* it is in the post; others have heard of it; somebody was told what is wrong with it */
  uint64_t again_ns;           /* it asks nothing before */
} gateway_line;

static struct {
  an_carrier carrier;
  uint8_t id[GATEWAY_ID_SIZE], pass[GATEWAY_MOST_PASS];
  size_t pass_size;
  uint32_t merge_ms;
  an_instance *instance;
  gateway_line *lines;
  size_t count;
  uint64_t due_ns, rests_until;
  bool under_way, complained;
  uint32_t token;
  bool ending, parts; /* ... and tells so in the end */
  unsigned rounds;    /* of last merges: one may be under way */
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

const an_carrier *gateway_carrier(an_view settings) {
  static const char digits[] = "0123456789abcdef";
  if (settings.size <= 4 || settings.size - 4 > GATEWAY_MOST_PASS) return NULL;
  gateway.merge_ms = load_le32(settings.data);
  gateway.pass_size = settings.size - 4;
  memcpy(gateway.pass, settings.data + 4, gateway.pass_size);
  random_get(gateway.id, GATEWAY_ID_SIZE);
  for (size_t i = 0; i < GATEWAY_ID_SIZE; i++) gateway.id[i] = (uint8_t)digits[gateway.id[i] % 16];
  gateway.carrier.id = (an_view){gateway.id, GATEWAY_ID_SIZE};
  return &gateway.carrier;
}

void gateway_begin(an_instance *instance) {
  const size_t count = an_sharing_table.count(instance);
  if (count == 0) return;
  gateway.lines = an_alloc_zeroed(an_size_mul(count, sizeof *gateway.lines));
  if (gateway.lines == NULL) return;
  gateway.instance = instance;
  gateway.count = count;
}

uint32_t gateway_period(uint32_t others) { return gateway.count > 0 && gateway.merge_ms < others ? gateway.merge_ms : others; }

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
  gateway_add(&name, an_sharing_table.element(gateway.instance, number));
  gateway_add(&name, AN_TEXT("."));
  gateway_add(&name, an_sharing_table.variable(gateway.instance, number));
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
static void gateway_lost(an_view why) {
  gateway.rests_until = event_time() + GATEWAY_REST_NS;
  gateway_complain(&gateway.complained, why.size > 0 ? why : AN_TEXT("the gateway cannot be reached"), (an_view){NULL, 0});
  for (size_t i = 0; i < gateway.count; i++) {
    if (gateway.lines[i].asked) an_sharing_table.unanswered(gateway.instance, i);
    gateway.lines[i].asked = false;
  }
}

static void gateway_post(const an_buffer *body) {
  uint8_t bearer[7 + GATEWAY_MOST_PASS];
  memcpy(bearer, "Bearer ", 7);
  memcpy(bearer + 7, gateway.pass, gateway.pass_size);
  gateway.under_way = !body->failed && post(AN_TEXT("/appnet/state"), AN_TEXT("application/octet-stream"), (an_view){bearer, 7 + gateway.pass_size},
                                            (an_view){body->data, body->size}, GATEWAY_TIMEOUT_MS, &gateway.token);
  if (!gateway.under_way) gateway_lost((an_view){NULL, 0});
}

/* All that there is to ask, up to so many bytes and the request that goes beyond them. */
static void gateway_ask(bool due) {
  an_buffer body = {0};
  const uint64_t now = event_time();
  for (size_t i = 0; i < gateway.count && body.size < GATEWAY_MOST_POST; i++) {
    an_view parts[AN_REQUEST_PARTS];
    size_t count;
    if (now < gateway.lines[i].again_ns) continue;
    if (an_sharing_table.request_take(gateway.instance, i, due, parts, &count)) gateway_request(&body, i, parts, count);
  }
  if (body.size > 0 || body.failed) gateway_post(&body);
  an_buffer_free(&body);
}

static void gateway_part(void) {
  an_buffer body = {0};
  for (size_t i = 0; i < gateway.count; i++) {
    an_view parts[AN_REQUEST_PARTS];
    size_t count;
    if (!gateway.lines[i].met) continue;
    an_sharing_table.leave(gateway.instance, i, parts, &count);
    gateway_request(&body, i, parts, count);
  }
  if (body.size > 0) gateway_post(&body);
  an_buffer_free(&body);
}

void gateway_tick(void) {
  const uint64_t now = gateway.count > 0 ? event_time() : 0;
  if (gateway.count == 0 || gateway.under_way || gateway.ending || now < gateway.rests_until) return;
  const bool due = now >= gateway.due_ns;
  if (due) gateway.due_ns = now + (uint64_t)gateway.merge_ms * 1000000u;
  gateway_ask(due);
}

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
static void gateway_take_answers(an_view body) {
  for (size_t i = 0; i < gateway.count; i++) {
    an_view there, size, bytes;
    if (!gateway.lines[i].asked) continue;
    if (!gateway_take(&body, 1, &there) || !gateway_take(&body, 4, &size) ||
        !gateway_take(&body, load_le32(size.data), &bytes)) {
      gateway_lost(AN_TEXT("the gateway speaks another protocol"));
      return;
    }
    gateway.lines[i].asked = false;
    if (there.data[0] == 1) {
      gateway_take_answer(i, bytes);
    } else {
      an_sharing_table.unanswered(gateway.instance, i);
    }
  }
  gateway.complained = false;
}

static void gateway_listen(bool came, size_t body_size) {
  static const char key[] = ":status";
  uint8_t *status = NULL, *bytes = NULL;
  size_t size = 0, found = 0;
  if (!came || proxy_get_header_map_value(GATEWAY_RESPONSE_HEADERS, key, sizeof key - 1, &status, &size) != 0 || size == 0 ||
      (body_size > 0 && proxy_get_buffer_bytes(GATEWAY_RESPONSE_BODY, 0, body_size, &bytes, &found) != 0)) {
    gateway_lost((an_view){NULL, 0});
  } else if (status[0] != '2') {
    gateway_lost((an_view){bytes, found});
  } else {
    gateway_take_answers((an_view){bytes, found});
  }
}

/* Of the last words, the next. */
static void gateway_go_on(void) {
  while (!gateway.under_way && gateway.rounds > 0) {
    gateway.rounds--;
    gateway_ask(true);
  }
  if (gateway.under_way || !gateway.parts) return;
  gateway.parts = false;
  gateway_part();
}

bool gateway_answered(uint32_t token, bool came, size_t body_size) {
  if (!gateway.under_way || token != gateway.token) return false;
  gateway.under_way = false;
  gateway_listen(came, body_size);
  if (gateway.ending && event_time() < gateway.rests_until) {
    gateway.rounds = 0; /* nobody is there to be told */
    gateway.parts = false;
  }
  if (gateway.ending) gateway_go_on();
  if (gateway.ending && !gateway.under_way) proxy_done();
  return true;
}

/* ---- the end --------------------------------------------------------------------------------------------- */

void gateway_end(bool replaced) {
  bool met = false;
  for (size_t i = 0; i < gateway.count; i++) met = met || gateway.lines[i].met;
  gateway.ending = true;
  gateway.rounds = met ? 2 : 0;
  gateway.parts = met && !replaced;
  gateway_go_on();
}

bool gateway_is_over(void) { return !gateway.under_way; }
