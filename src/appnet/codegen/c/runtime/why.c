#include "why.h"

#include "map.h"
#include "otlp.h"
#include "telemetry.h"
#include "trace.h"
#include "vec.h"

enum {
  WHY_LIMIT = 1 << 20, /* bytes that are kept for a host that does not fetch them */
  WHY_DEPTH = 16,      /* of values in values */
  READS_BYTES = AN_WHY_BYTES - 512, /* the rest is for what stands around the reads */
};

/* Of an element. */
typedef struct told {
  uint32_t lately;   /* refusals since the second began */
  uint64_t left_out; /* since the instance was made */
} told;

struct an_why {
  an_lock lock; /* guards the buffer */
  an_buffer buffer;
  uint64_t second_ns; /* when it began */
  told elements[];
};

/* Field numbers of the OpenTelemetry messages, as tags. */
enum {
  WHY_SCOPE_LOGS = AN_OTLP_BYTES(2), /* ResourceLogs */
  WHY_SCOPE = AN_OTLP_BYTES(1),      /* ScopeLogs */
  WHY_RECORDS = AN_OTLP_BYTES(2),
  WHY_NAME = AN_OTLP_BYTES(1),     /* InstrumentationScope */
  WHY_TIME = AN_OTLP_FIXED64(1),   /* LogRecord */
  WHY_BODY = AN_OTLP_BYTES(5),
  WHY_ATTRIBUTE = AN_OTLP_BYTES(6),
  WHY_TRACE = AN_OTLP_BYTES(9),
  WHY_EVENT = AN_OTLP_BYTES(12),
  WHY_KEY = AN_OTLP_BYTES(1), /* KeyValue */
  WHY_VALUE = AN_OTLP_BYTES(2),
  WHY_STRING = AN_OTLP_BYTES(1), /* AnyValue */
  WHY_BOOL = AN_OTLP_VARINT(2),
  WHY_INT = AN_OTLP_VARINT(3),
  WHY_DOUBLE = AN_OTLP_FIXED64(4),
  WHY_ARRAY = AN_OTLP_BYTES(5),
  WHY_BYTES = AN_OTLP_BYTES(7),
  WHY_ITEM = AN_OTLP_BYTES(1), /* ArrayValue */
};

const an_site an_site_draw = {.kind = AN_SITE_DRAW, .name = "", .type = &an_type_uint};

bool an_why_init(an_instance *instance) {
  if (!AN_WHY) return true;
  size_t elements = an_size_mul(instance->program->element_count, sizeof(told));
  instance->why = an_alloc_zeroed(an_size_add(sizeof(an_why), elements));
  if (instance->why == NULL) return false;
  instance->why->buffer.limit = WHY_LIMIT;
  return true;
}

void an_why_free(an_instance *instance) {
  if (instance->why == NULL) return;
  an_buffer_free(&instance->why->buffer);
  an_free(instance->why);
}

/* ---- values ------------------------------------------------------------------------------------------- */

/* What is told of a read, beside the value. */
typedef enum telling { TELL_WHOLE, TELL_CUT, TELL_SECRET } telling;

static void tell_text(an_buffer *to, an_view text, telling *how) {
  if (text.size > AN_WHY_TEXT) {
    text.size = AN_WHY_TEXT;
    *how = TELL_CUT;
  }
  an_otlp_bytes(to, an_is_utf8(text) ? WHY_STRING : WHY_BYTES, text.data, text.size);
}

static void tell_value(an_buffer *to, const an_type *type, const void *value, telling *how, unsigned depth);

static void tell_item(an_buffer *to, const an_type *type, const void *value, telling *how, unsigned depth) {
  size_t item = an_otlp_open(to, WHY_ITEM);
  tell_value(to, type, value, how, depth + 1);
  an_otlp_close(to, item);
}

static void tell_vec(an_buffer *to, const an_type *type, const an_vec *vec, telling *how, unsigned depth) {
  for (uint32_t i = 0; i < vec->size && !to->failed; i++) {
    tell_item(to, type->first, an_vec_at(vec, type->first->size, i), how, depth);
  }
}

static void tell_map(an_buffer *to, const an_type *type, const an_map *map, telling *how, unsigned depth) {
  for (uint32_t name = map->oldest; name != 0 && !to->failed;) {
    const an_map_entry *entry = an_map_entry_at(map, type, name);
    size_t item = an_otlp_open(to, WHY_ITEM), pair = an_otlp_open(to, WHY_ARRAY);
    tell_item(to, type->first, entry + 1, how, depth + 1);
    tell_item(to, type->second, (const uint8_t *)entry + type->offset, how, depth + 1);
    an_otlp_close(to, pair);
    an_otlp_close(to, item);
    name = entry->newer;
  }
}

/* The fields of an AnyValue. */
static void tell_value(an_buffer *to, const an_type *type, const void *value, telling *how, unsigned depth) {
  uint64_t bits = 0;
  double number = 0.0;
  size_t array = 0;
  an_view text = {NULL, 0};
  if (depth > WHY_DEPTH) to->failed = true;
  if (to->failed) return;
  switch (type->kind) {
    case AN_BOOL:
      an_otlp_varint(to, WHY_BOOL, *(const bool *)value ? 1 : 0);
      break;
    case AN_INT:
    case AN_UINT:
      memcpy(&bits, value, sizeof bits);
      an_otlp_varint(to, WHY_INT, bits);
      break;
    case AN_FLOAT:
      memcpy(&number, value, sizeof number);
      an_otlp_double(to, WHY_DOUBLE, number);
      break;
    case AN_STRING:
      memcpy(&text, value, sizeof text);
      tell_text(to, text, how);
      break;
    case AN_PAIR:
    case AN_VEC:
    case AN_MAP:
      array = an_otlp_open(to, WHY_ARRAY);
      if (type->kind == AN_VEC) tell_vec(to, type, value, how, depth);
      if (type->kind == AN_MAP) tell_map(to, type, value, how, depth);
      if (type->kind == AN_PAIR) {
        tell_item(to, type->first, value, how, depth);
        tell_item(to, type->second, (const uint8_t *)value + type->offset, how, depth);
      }
      an_otlp_close(to, array);
      break;
  }
}

/* ---- a refusal ---------------------------------------------------------------------------------------- */

static void tell_word(an_buffer *to, const char *text) {
  size_t item = an_otlp_open(to, WHY_ITEM);
  an_otlp_text(to, WHY_STRING, text);
  an_otlp_close(to, item);
}

static void tell_number(an_buffer *to, uint64_t number) {
  size_t item = an_otlp_open(to, WHY_ITEM);
  an_otlp_varint(to, WHY_INT, number);
  an_otlp_close(to, item);
}

/* What was found: nothing, or what is the only item of a list. */
static void tell_found(an_buffer *to, const an_read *read, telling *how) {
  size_t item = an_otlp_open(to, WHY_ITEM), array = an_otlp_open(to, WHY_ARRAY);
  if (!read->none) tell_item(to, read->site->type, read->value, how, 1);
  an_otlp_close(to, array);
  an_otlp_close(to, item);
}

static void tell_nothing(an_buffer *to) {
  size_t item = an_otlp_open(to, WHY_ITEM);
  an_otlp_close(to, item);
}

/* [kind, name, key, value, how much of it is told] */
static void tell_read(an_buffer *to, const an_read *read) {
  const an_site *site = read->site;
  telling how = site->secret ? TELL_SECRET : TELL_WHOLE;
  size_t item = an_otlp_open(to, WHY_ITEM), array = an_otlp_open(to, WHY_ARRAY);
  tell_number(to, site->kind);
  tell_word(to, site->name);
  if (site->secret) {
    tell_word(to, "(secret)");
    tell_word(to, "(secret)");
  } else {
    if (site->key != NULL) {
      tell_item(to, site->key, read->key, &how, 0);
    } else {
      tell_nothing(to);
    }
    if (site->kind == AN_SITE_ENTRY && site->type != NULL) {
      tell_found(to, read, &how);
    } else if (site->kind == AN_SITE_WHOLE) {
      const void *place = NULL;
      memcpy(&place, read->value, sizeof place);
      tell_item(to, site->type, place, &how, 0);
    } else if (site->type != NULL) {
      tell_item(to, site->type, read->value, &how, 0);
    } else {
      if (site->kind != AN_SITE_ADDED) how = TELL_CUT;
      tell_nothing(to);
    }
  }
  tell_number(to, how);
  an_otlp_close(to, array);
  an_otlp_close(to, item);
}

static size_t tell_begin(an_buffer *to, const char *key, size_t *value) {
  size_t attribute = an_otlp_open(to, WHY_ATTRIBUTE);
  an_otlp_text(to, WHY_KEY, key);
  *value = an_otlp_open(to, WHY_VALUE);
  return attribute;
}

static void tell_end(an_buffer *to, size_t attribute, size_t value) {
  an_otlp_close(to, value);
  an_otlp_close(to, attribute);
}

static void tell_attribute(an_buffer *to, const char *key, an_view text) {
  size_t value, attribute = tell_begin(to, key, &value);
  telling how = TELL_WHOLE;
  tell_text(to, text, &how);
  tell_end(to, attribute, value);
}

static void tell_count(an_buffer *to, const char *key, uint64_t number) {
  size_t value, attribute = tell_begin(to, key, &value);
  an_otlp_varint(to, WHY_INT, number);
  tell_end(to, attribute, value);
}

static an_view tell_literal(const char *text) { return (an_view){(const uint8_t *)text, strlen(text)}; }

/* What there is room for; the rest is counted. */
static void tell_reads(an_buffer *to, const an_seen *seen) {
  uint64_t cut = seen->cut ? 1 : 0;
  size_t value, attribute = tell_begin(to, "appnet.reads", &value), array = an_otlp_open(to, WHY_ARRAY);
  for (uint32_t i = 0; i < seen->count; i++) {
    size_t before = to->size;
    tell_read(to, &seen->reads[i]);
    if (!to->failed) continue;
    to->size = before;
    to->failed = false;
    cut++;
  }
  an_otlp_close(to, array);
  tell_end(to, attribute, value);
  to->limit = AN_WHY_BYTES;
  tell_count(to, "appnet.reads.cut", cut);
}

/* The request's metadata of this key; empty where there is none. */
static an_view told_by_caller(const an_call *call, an_view key) {
  const an_services *services = &call->instance->services;
  an_view value = {NULL, 0};
  if (services->metadata_get == NULL || !services->metadata_get(call->host, AN_REQUEST_METADATA, key, &value)) value.size = 0;
  return value;
}

static void tell_trace(an_buffer *to, an_call *call) {
  const an_trace_parent parent = an_trace_context(call, true);
  if (call->trace != NULL) {
    an_otlp_bytes(to, WHY_TRACE, call->trace->trace_id, sizeof call->trace->trace_id);
  } else if (parent.there) {
    an_otlp_bytes(to, WHY_TRACE, parent.trace_id, sizeof parent.trace_id);
  }
}

static void tell_refusal(an_buffer *to, const an_scope *scope, const an_explained *of, uint64_t left_out) {
  const an_call *call = scope->call;
  an_view path = call->method->path, id = told_by_caller(call, AN_TEXT("x-request-id"));
  size_t record = an_otlp_open(to, WHY_RECORDS);
  an_otlp_fixed64(to, WHY_TIME, an_wall_ns(call));
  size_t body = an_otlp_open(to, WHY_BODY);
  telling how = TELL_WHOLE;
  tell_text(to, scope->failed ? AN_TEXT("out of memory") : scope->hidden ? AN_TEXT("(secret)") : call->reply_text, &how);
  an_otlp_close(to, body);
  if (path.size > 0 && path.data[0] == '/') path = (an_view){path.data + 1, path.size - 1};
  tell_attribute(to, "appnet.element", tell_literal(call->instance->program->elements[of->element]));
  tell_attribute(to, "appnet.handler", tell_literal(of->handler));
  if (scope->row != NULL && !scope->failed) tell_attribute(to, "appnet.row", tell_literal(scope->row));
  tell_attribute(to, "rpc.method", path);
  tell_count(to, "appnet.code", (uint64_t)(scope->failed ? 8 : call->reply_code));
  tell_count(to, "appnet.left_out", left_out);
  if (id.size > 0) tell_attribute(to, "appnet.request_id", id);
  tell_trace(to, scope->call);
  an_otlp_text(to, WHY_EVENT, "appnet.refusal");
  to->limit = to->size + READS_BYTES < AN_WHY_BYTES - 64 ? to->size + READS_BYTES : AN_WHY_BYTES - 64;
  tell_reads(to, scope->seen);
  an_otlp_close(to, record);
}

void an_explain(const an_scope *scope, const an_explained *of) {
  an_why *why = scope->call->instance->why;
  told *element = &why->elements[of->element];
  if (__atomic_load_n(&element->lately, __ATOMIC_RELAXED) >= AN_WHY_MOST) {
    __atomic_fetch_add(&element->left_out, 1, __ATOMIC_RELAXED);
    return;
  }
  __atomic_fetch_add(&element->lately, 1, __ATOMIC_RELAXED);
  an_buffer record = {.limit = AN_WHY_BYTES};
  tell_refusal(&record, scope, of, __atomic_load_n(&element->left_out, __ATOMIC_RELAXED));
  if (!record.failed) {
    an_lock_acquire(&why->lock);
    size_t before = why->buffer.size;
    an_buffer_append(&why->buffer, record.data, record.size);
    record.failed = why->buffer.failed;
    why->buffer.failed = false;
    why->buffer.size = record.failed ? before : why->buffer.size;
    an_lock_release(&why->lock);
  }
  if (record.failed) __atomic_fetch_add(&element->left_out, 1, __ATOMIC_RELAXED);
  an_buffer_free(&record);
}

/* ---- batches ------------------------------------------------------------------------------------------ */

bool an_why_pending(const an_instance *instance) {
  an_why *why = instance->why;
  if (why == NULL) return false;
  an_lock_acquire(&why->lock);
  bool pending = why->buffer.size > 0;
  an_lock_release(&why->lock);
  return pending;
}

/* The elements may tell of as many again, a second after the last time. */
static void begin_second(an_instance *instance) {
  an_why *why = instance->why;
  uint64_t now = instance->services.now_ns(instance->services.host);
  if (why->second_ns != 0 && now - why->second_ns < 1000000000u) return;
  why->second_ns = now;
  for (size_t i = 0; i < instance->program->element_count; i++) {
    __atomic_store_n(&why->elements[i].lately, 0, __ATOMIC_RELAXED);
  }
}

void an_why_take(an_instance *instance, an_buffer *batch) {
  an_why *why = instance->why;
  if (why == NULL) return;
  size_t before = batch->size;
  an_lock_acquire(&why->lock);
  if (why->buffer.size > 0) {
    size_t logs = an_otlp_open(batch, WHY_SCOPE_LOGS), scope = an_otlp_open(batch, WHY_SCOPE);
    an_otlp_text(batch, WHY_NAME, "appnet.refusals");
    an_otlp_close(batch, scope);
    an_buffer_append(batch, why->buffer.data, why->buffer.size);
    an_otlp_close(batch, logs);
    if (batch->failed) {
      batch->size = before;
      batch->failed = false;
    } else {
      why->buffer.size = 0;
    }
  }
  begin_second(instance);
  an_lock_release(&why->lock);
}
