/* Scans and splices random messages, for sanitizers and for protobuf's parser: `wire_fuzz SEED FRAMES`.
 *
 * For each message it writes five blobs to its output, and before them their lengths in 4 bytes each, little-endian: the
 * message; what the scanner says is wrong with it; the fields found, as a message; random writes, as a message; the
 * message with these writes spliced into it. The last three are empty where something is wrong.
 */
#include <stdio.h>
#include <stdlib.h>

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

enum { MAX_MESSAGE = 2000, LONGEST_TEXT = 300 };

static uint64_t clock_now(void *host) {
  (void)host;
  return 0;
}

enum { BLOBS = 5 };

static void give(const an_view *blobs) {
  uint8_t lengths[4 * BLOBS];
  for (size_t i = 0; i < sizeof lengths; i++) lengths[i] = (uint8_t)(blobs[i / 4].size >> (8 * (i % 4)));
  if (fwrite(lengths, sizeof lengths, 1, stdout) != 1) exit(1);
  for (size_t i = 0; i < BLOBS; i++) {
    if (blobs[i].size > 0 && fwrite(blobs[i].data, blobs[i].size, 1, stdout) != 1) exit(1);
  }
}

/* ---- fields as messages, written apart from wire.c ---------------------------------------------------- */

static void add_plain(text *to, uint64_t value) {
  for (; value >= 0x80; value >>= 7) add_byte(to, (unsigned)(value & 0x7f) | 0x80);
  add_byte(to, (unsigned)value);
}

static void add_number(text *to, unsigned kind, an_value value) {
  uint64_t bits = value.u;
  float narrow = (float)value.f;
  switch (kind) {
    case AN_FIELD_BOOL: add_plain(to, value.b); break;
    case AN_FIELD_SINT32: case AN_FIELD_SINT64: add_plain(to, bits << 1 ^ (value.i < 0 ? UINT64_MAX : 0)); break;
    case AN_FIELD_FIXED32: case AN_FIELD_SFIXED32: add(to, &bits, 4); break;
    case AN_FIELD_FIXED64: case AN_FIELD_SFIXED64: case AN_FIELD_DOUBLE: add(to, &bits, 8); break;
    case AN_FIELD_FLOAT: add(to, &narrow, 4); break;
    default: add_plain(to, bits);
  }
}

static unsigned type_of(unsigned kind) {
  switch (kind) {
    case AN_FIELD_STRING: case AN_FIELD_BYTES: return 2;
    case AN_FIELD_FIXED32: case AN_FIELD_SFIXED32: case AN_FIELD_FLOAT: return 5;
    case AN_FIELD_FIXED64: case AN_FIELD_SFIXED64: case AN_FIELD_DOUBLE: return 1;
    default: return 0;
  }
}

static void add_field(text *to, size_t index, an_value value) {
  const an_field *field = &FIELDS[index];
  text inner = {.size = 0};
  add_plain(&inner, (uint64_t)field->numbers[field->depth - 1] << 3 | type_of(field->kind));
  if (is_text(index)) {
    add_plain(&inner, value.s.size);
    add(&inner, value.s.data, value.s.size);
  } else {
    add_number(&inner, field->kind, value);
  }
  for (unsigned level = field->depth - 1u; level-- > 0;) {
    text outer = {.size = 0};
    add_plain(&outer, (uint64_t)field->numbers[level] << 3 | 2);
    add_plain(&outer, inner.size);
    add(&outer, inner.bytes, inner.size);
    inner = outer;
  }
  add(to, inner.bytes, inner.size);
}

/* ---- random writes ------------------------------------------------------------------------------------ */

static an_value any_value(size_t index, const uint8_t *letters) {
  an_value value = {.u = 0};
  uint64_t bits = one_in(2) ? choose(300) : random_state;
  switch (FIELDS[index].kind) {
    case AN_FIELD_STRING: case AN_FIELD_BYTES: value.s = (an_view){letters, choose(one_in(4) ? LONGEST_TEXT : 12)}; break;
    case AN_FIELD_BOOL: value.b = bits & 1; break;
    case AN_FIELD_INT32: case AN_FIELD_SINT32: case AN_FIELD_ENUM: case AN_FIELD_SFIXED32: value.i = (int32_t)bits; break;
    case AN_FIELD_UINT32: case AN_FIELD_FIXED32: value.u = (uint32_t)bits; break;
    case AN_FIELD_FLOAT: value.f = (float)(int64_t)bits; break;
    case AN_FIELD_DOUBLE: value.f = (double)(int64_t)bits; break;
    default: value.u = bits;
  }
  return value;
}

static void make_message(text *message) {
  message->size = 0;
  do {
    add_fields(message, 4);
  } while (one_in(2));
  if (message->size > MAX_MESSAGE) message->size = MAX_MESSAGE;
  if (one_in(20)) message->size = choose(message->size + 1);
  if (one_in(20)) add_noise(message, choose(10));
  while (one_in(6) && message->size > 0) message->bytes[choose(message->size)] ^= (uint8_t)(1u << choose(8));
}

/* One message; the scanner sees it in a block of its own, whose ends the address sanitizer knows. */
static void run(an_instance *instance, an_call *call, const uint8_t *letters) {
  text message = {.size = 0}, found = {.size = 0}, writes = {.size = 0};
  make_message(&message);
  uint8_t *block = malloc(message.size);
  if (block == NULL && message.size > 0) exit(1);
  if (message.size > 0) memcpy(block, message.bytes, message.size);
  const an_plan *plan = &instance->plans[0];
  an_view view = {block, message.size}, spliced = {NULL, 0};
  an_slot slots[FIELD_COUNT];
  const char *flaw = an_wire_scan(plan, view, slots);
  if (flaw == NULL) {
    for (size_t i = 0; i < FIELD_COUNT; i++) {
      if (slots[i].present) add_field(&found, i, slots[i].value);
    }
    for (uint64_t count = 1 + choose(4); count > 0; count--) {
      size_t index = choose(FIELD_COUNT);
      if (slots[index].written) continue;
      slots[index].value = any_value(index, letters);
      slots[index].written = true;
      add_field(&writes, index, slots[index].value);
    }
    if (an_wire_splice(plan, view, slots, call, &spliced) != AN_SPLICE_DONE) exit(1);
    uint32_t length = (uint32_t)spliced.data[1] << 24 | (uint32_t)spliced.data[2] << 16 |
                      (uint32_t)spliced.data[3] << 8 | spliced.data[4];
    if (spliced.data[0] != 0 || length != spliced.size - 5) exit(1);
    spliced = (an_view){spliced.data + 5, spliced.size - 5};
  }
  const an_view wrong = {(const uint8_t *)flaw, flaw == NULL ? 0 : strlen(flaw)};
  give((an_view[BLOBS]){view, wrong, {found.bytes, found.size}, {writes.bytes, writes.size}, spliced});
  free(block);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  random_state = strtoull(argv[1], NULL, 10) * 0x9e3779b97f4a7c15u | 1;
  uint64_t frames = strtoull(argv[2], NULL, 10);
  const an_services services = {.now_ns = clock_now, .wall_ns = clock_now};
  const an_options options = {.seed = 1, .max_message = MAX_MESSAGE};
  an_instance *instance = appnet_module.instance_new(&services, &options, NULL);
  if (instance == NULL) return 1;
  uint8_t letters[LONGEST_TEXT];
  for (size_t i = 0; i < LONGEST_TEXT; i++) letters[i] = (uint8_t)choose(256);
  for (; frames > 0; frames--) {
    an_call *call = an_call_new(instance, NULL);
    if (call == NULL) return 1;
    run(instance, call, letters);
    an_call_free(call);
  }
  appnet_module.instance_free(instance);
  return fflush(stdout) == 0 ? 0 : 1;
}
