/* A chain written by hand, so that the runtime can be tested without the printer. Messages are fixture.proto's All.
 *
 *   /fixture.Fixture/Judge    keeps every field of the request for the state dump, then writes those fields whose
 *                             number in FIELDS the metadata names: `w3: HEX` (bytes, or the 8 bytes of a number).
 *                             A name beginning with "deny" is refused with PERMISSION_DENIED "denied: NAME". The
 *                             response likewise, with "deny" answered by ABORTED.
 *   /fixture.Fixture/Headers  reads metadata alone: `deny` refuses, `to` is the host. No response handler.
 *   /fixture.Fixture/Watch    holds no response: records its name with the status, and keeps the fields.
 *   /fixture.Fixture/Status   needs the response's status: UNAVAILABLE becomes ABORTED "retry", and otherwise the
 *                             response's metadata `seen` is set.
 */
#include "instance.h"
#include "value.h"
#include "metadata.h"
#include "response.h"
#include "telemetry.h"

#define APPNET_NAME "fixture"
#define APPNET_VERSION "1"
#define APPNET_METHODS METHODS
#define APPNET_METHOD_COUNT 4
#define APPNET_WANTS_REQUEST_BODY 1
#define APPNET_WANTS_LATE_REQUEST_HEADERS 1
#define APPNET_WANTS_RESPONSE 1
#define APPNET_WANTS_RESPONSE_END 1
#define APPNET_WANTS_REPLY 0
#define APPNET_WANTS_DEADLINES 1

#define TEXT(text) ((an_view){(const uint8_t *)(text), sizeof(text) - 1})
#define PATH(...) \
  .numbers = (const uint32_t[]){__VA_ARGS__}, .depth = sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t), .kind

enum { FIELD_COUNT = 24, KEPT = 512 };

/* In no particular order, as a printer may give them. */
static const an_field FIELDS[FIELD_COUNT] = {
    {PATH(1) = AN_FIELD_STRING},       {PATH(17, 3, 7) = AN_FIELD_BYTES}, {PATH(2) = AN_FIELD_BOOL},
    {PATH(3) = AN_FIELD_INT32},        {PATH(4) = AN_FIELD_INT64},        {PATH(5) = AN_FIELD_UINT32},
    {PATH(6) = AN_FIELD_UINT64},       {PATH(7) = AN_FIELD_SINT32},       {PATH(8) = AN_FIELD_SINT64},
    {PATH(9) = AN_FIELD_ENUM},         {PATH(10) = AN_FIELD_FIXED32},     {PATH(11) = AN_FIELD_FIXED64},
    {PATH(12) = AN_FIELD_SFIXED32},    {PATH(13) = AN_FIELD_SFIXED64},    {PATH(14) = AN_FIELD_FLOAT},
    {PATH(15) = AN_FIELD_DOUBLE},      {PATH(16) = AN_FIELD_BYTES},       {PATH(17, 1) = AN_FIELD_STRING},
    {PATH(17, 2) = AN_FIELD_INT64},    {PATH(17, 3, 5000) = AN_FIELD_UINT32}, {PATH(19, 1) = AN_FIELD_STRING},
    {PATH(19, 2) = AN_FIELD_INT64},    {PATH(19, 3, 7) = AN_FIELD_BYTES}, {PATH(19, 3, 5000) = AN_FIELD_UINT32},
};

/* What the handlers saw last, with the beginning of long texts. */
typedef struct kept_field {
  bool present;
  uint64_t bits;
  size_t size;
  uint8_t text[KEPT];
} kept_field;

typedef struct fixture_state {
  uint64_t requests;
  uint64_t responses;
  int64_t status;
  kept_field fields[FIELD_COUNT];
} fixture_state;

static bool is_text(size_t field) {
  return FIELDS[field].kind == AN_FIELD_STRING || FIELDS[field].kind == AN_FIELD_BYTES;
}

static void keep_fields(an_call *call) {
  fixture_state *state = call->instance->state;
  for (size_t i = 0; i < FIELD_COUNT; i++) {
    kept_field *kept = &state->fields[i];
    kept->present = call->slots[i].present;
    kept->bits = 0;
    kept->size = is_text(i) ? call->slots[i].value.s.size : 0;
    if (is_text(i)) {
      size_t copied = kept->size < KEPT ? kept->size : KEPT;
      if (copied > 0) memcpy(kept->text, call->slots[i].value.s.data, copied);
    } else if (FIELDS[i].kind == AN_FIELD_BOOL) {
      kept->bits = call->slots[i].value.b;
    } else {
      kept->bits = call->slots[i].value.u;
    }
  }
}

static unsigned nibble(uint8_t c) { return c >= 'a' ? (unsigned)(c - 'a' + 10) : (unsigned)(c - '0'); }

static void write_fields(an_call *call, an_direction direction) {
  for (size_t i = 0; i < FIELD_COUNT; i++) {
    uint8_t key[3] = {'w', (uint8_t)('0' + i / 10), (uint8_t)('0' + i % 10)};
    an_view hex;
    if (!an_metadata_get(call, direction, (an_view){key, 3}, &hex)) continue;
    uint8_t *bytes = an_arena_alloc(&call->arena, hex.size / 2);
    if (bytes == NULL) return;
    for (size_t k = 0; k < hex.size / 2; k++) {
      bytes[k] = (uint8_t)(nibble(hex.data[2 * k]) << 4 | nibble(hex.data[2 * k + 1]));
    }
    an_slot *slot = &call->slots[i];
    slot->written = true;
    if (is_text(i)) {
      slot->value.s = (an_view){bytes, hex.size / 2};
    } else if (FIELDS[i].kind == AN_FIELD_BOOL) {
      slot->value.b = bytes[0] != 0;
    } else {
      memcpy(&slot->value.u, bytes, 8);
    }
  }
}

static an_verdict refuse(an_call *call, int32_t code, an_view text) {
  call->reply_code = code;
  call->reply_text = text;
  an_call_fail(call, code);
  return AN_REFUSE;
}

static bool denies(an_view name) { return name.size >= 4 && memcmp(name.data, "deny", 4) == 0; }

static an_verdict opened(an_call *call) {
  call->opened = 1;
  return AN_FORWARD;
}

static an_verdict judge_request_of(an_call *call) {
  if (call->unread_code != 0) return an_refuse_unread(call);
  fixture_state *state = call->instance->state;
  an_lock_acquire(&call->instance->guards[0]->lock);
  state->requests++;
  keep_fields(call);
  an_lock_release(&call->instance->guards[0]->lock);
  an_view name = call->slots[0].value.s;
  if (denies(name)) {
    uint8_t *text = an_arena_alloc(&call->arena, name.size + 8);
    if (text == NULL) return refuse(call, 8, TEXT("no memory"));
    memcpy(text, "denied: ", 8);
    memcpy(text + 8, name.data, name.size);
    return refuse(call, 7, (an_view){text, name.size + 8});
  }
  write_fields(call, AN_REQUEST);
  call->begun = 1;
  return AN_FORWARD;
}

static void keep_status(an_call *call, bool with_fields) {
  fixture_state *state = call->instance->state;
  an_lock_acquire(&call->instance->guards[0]->lock);
  state->responses++;
  state->status = call->status;
  if (with_fields) keep_fields(call);
  an_lock_release(&call->instance->guards[0]->lock);
}

static an_verdict judge_response_of(an_call *call) {
  if (call->begun == 0) return AN_FORWARD;
  if (call->unread_code != 0) return an_refuse_unread(call);
  keep_status(call, true);
  if (!call->is_error && denies(call->slots[0].value.s)) return refuse(call, 10, TEXT("response denied"));
  if (!call->is_error) write_fields(call, AN_RESPONSE);
  return AN_FORWARD;
}

static an_verdict headers_request(an_call *call) {
  an_view value;
  if (an_metadata_get(call, AN_REQUEST, TEXT("deny"), &value)) return refuse(call, 7, value);
  if (an_metadata_get(call, AN_REQUEST, TEXT("to"), &value)) an_route(call, value);
  call->opened = call->begun = 1;
  return AN_FORWARD;
}

static an_verdict forward(an_call *call) {
  call->opened = call->begun = 1;
  return AN_FORWARD;
}

static an_verdict watch_response(an_call *call) {
  if (call->unread_code != 0) return AN_FORWARD;
  keep_status(call, true);
  an_record record;
  an_record_begin(&record, call, 0);
  an_record_pair_begin(&record);
  an_record_string(&record, call->slots[0].value.s);
  an_record_pair_begin(&record);
  an_record_int(&record, call->status);
  an_record_float(&record, call->slots[15].value.f);
  an_record_pair_end(&record);
  an_record_pair_end(&record);
  an_record_end(&record);
  an_record_begin(&record, call, 1);
  an_record_bytes(&record, call->slots[16].value.s);
  an_record_end(&record);
  return AN_FORWARD;
}

static an_verdict status_response(an_call *call) {
  keep_status(call, false);
  if (call->status == 14) return refuse(call, 10, TEXT("retry"));
  an_metadata_set(call, AN_RESPONSE, TEXT("Seen"), TEXT("yes"));
  return AN_FORWARD;
}

static void init(an_instance *instance) { (void)instance; }
static void destroy(an_instance *instance) { (void)instance; }

static void put_number(struct an_text *out, uint64_t value) {
  char digits[20];
  size_t at = sizeof digits;
  do {
    digits[--at] = (char)('0' + value % 10);
    value /= 10;
  } while (value > 0);
  an_buffer_append(&out->buffer, digits + at, sizeof digits - at);
}

static void put_text(struct an_text *out, const char *text) { an_buffer_append(&out->buffer, text, strlen(text)); }

static void put_hex(struct an_text *out, const uint8_t *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) {
    an_buffer_append(&out->buffer, &"0123456789abcdef"[bytes[i] >> 4], 1);
    an_buffer_append(&out->buffer, &"0123456789abcdef"[bytes[i] & 15], 1);
  }
}

/* A line each: requests, responses, status, load of host 1, a random draw; then PRESENT BITS SIZE HEX for each field. */
static void dump(an_instance *instance, struct an_text *out) {
  const fixture_state *state = instance->state;
  const uint64_t numbers[] = {state->requests, state->responses, (uint64_t)state->status, an_backend_load(instance, 1),
                              an_random_draw(instance, 0)};
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
    put_number(out, numbers[i]);
    put_text(out, "\n");
  }
  for (size_t i = 0; i < FIELD_COUNT; i++) {
    const kept_field *kept = &state->fields[i];
    put_text(out, kept->present ? "1 " : "0 ");
    put_number(out, kept->bits);
    put_text(out, " ");
    put_number(out, kept->size);
    put_text(out, " x");
    put_hex(out, kept->text, kept->size < KEPT ? kept->size : KEPT);
    put_text(out, "\n");
  }
}

#define EVERY_FIELD .fields = FIELDS, .field_count = FIELD_COUNT, .needs_message = true

#define METHOD_PATH(text) .path = {(const uint8_t *)(text), sizeof(text) - 1}

static const an_method METHODS[APPNET_METHOD_COUNT] = {
    {METHOD_PATH("/fixture.Fixture/Judge"), .request = {EVERY_FIELD, .holds = true}, .response = {EVERY_FIELD, .holds = true},
     .on_open = opened, .on_request = judge_request_of, .on_response = judge_response_of},
    {METHOD_PATH("/fixture.Fixture/Headers"), .request = {.holds = true}, .response = {.empty = true},
     .on_open = headers_request, .on_request = forward, .on_response = forward},
    {METHOD_PATH("/fixture.Fixture/Watch"), .request = {.empty = true}, .response = {EVERY_FIELD, .needs_status = true},
     .on_open = forward, .on_request = forward, .on_response = watch_response},
    {METHOD_PATH("/fixture.Fixture/Status"), .request = {.empty = true}, .response = {.needs_status = true, .holds = true},
     .on_open = forward, .on_request = forward, .on_response = status_response},
};

static const char *const ELEMENTS[] = {"fixture"};
static const an_record_stream RECORDS[] = {{"fixture", "names"}, {"fixture", "blobs"}};

const an_program appnet_program = {
    .name = "fixture",
    .state_size = sizeof(fixture_state),
    .elements = ELEMENTS,
    .element_count = 1,
    .methods = APPNET_METHODS,
    .method_count = APPNET_METHOD_COUNT,
    .records = RECORDS,
    .record_count = 2,
    .init = init,
    .destroy = destroy,
    .dump = dump,
};
