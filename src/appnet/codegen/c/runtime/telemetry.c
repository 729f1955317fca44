#include "telemetry.h"

#include "metrics.h"
#include "otlp.h"
#include "steps.h"
#include "value.h"
#include "why.h"

typedef struct an_stream {
  an_lock lock;
  an_buffer buffer; /* of ScopeLogs.log_records, each with tag and length */
  uint64_t dropped; /* records lost since the count was last taken */
} an_stream;

struct an_records {
  size_t count;
  an_stream streams[];
};

/* Field numbers of the OpenTelemetry messages, as tags. */
enum {
  TAG_RESOURCE_LOGS = 1 << 3 | 2, /* ExportLogsServiceRequest */
  TAG_RESOURCE = 1 << 3 | 2,      /* ResourceLogs */
  TAG_SCOPE_LOGS = 2 << 3 | 2,
  TAG_SCOPE = 1 << 3 | 2, /* ScopeLogs */
  TAG_LOG_RECORDS = 2 << 3 | 2,
  TAG_NAME = 1 << 3 | 2, /* InstrumentationScope */
  TAG_TIME = 1 << 3 | 1, /* LogRecord */
  TAG_BODY = 5 << 3 | 2,
  TAG_STRING = 1 << 3 | 2, /* AnyValue */
  TAG_BOOL = 2 << 3 | 0,
  TAG_INT = 3 << 3 | 0,
  TAG_DOUBLE = 4 << 3 | 1,
  TAG_ARRAY = 5 << 3 | 2,
  TAG_BYTES = 7 << 3 | 2,
  TAG_VALUES = 1 << 3 | 2, /* ArrayValue */
};

static const char DROPPED_SCOPE[] = "appnet.dropped";
static const char EVICTED_SCOPE[] = "appnet.evicted";

bool an_records_init(an_instance *instance) {
  size_t count = instance->program->record_count;
  an_records *records = an_alloc_zeroed(an_size_add(sizeof *records, an_size_mul(count, sizeof(an_stream))));
  if (records == NULL) return false;
  records->count = count;
  for (size_t i = 0; i < count; i++) records->streams[i].buffer.limit = AN_RECORDS_LIMIT;
  instance->records = records;
  return true;
}

void an_records_free(an_instance *instance) {
  if (instance->records == NULL) return;
  for (size_t i = 0; i < instance->records->count; i++) an_buffer_free(&instance->records->streams[i].buffer);
  an_free(instance->records);
}

/* ---- one record ------------------------------------------------------------------------------------- */

static an_buffer *buffer_of(const an_record *record) {
  return record->aside != NULL ? record->aside : &record->instance->records->streams[record->stream].buffer;
}

static void open_message(an_record *record, uint8_t tag) {
  an_buffer *buffer = buffer_of(record);
  size_t start = an_otlp_open(buffer, tag);
  if (record->depth == sizeof record->open / sizeof record->open[0]) {
    buffer->failed = true;
    return;
  }
  record->open[record->depth++] = start;
}

/* Ends the innermost message. */
static void close_message(an_record *record) {
  if (record->depth > 0) an_otlp_close(buffer_of(record), record->open[--record->depth]);
}

/* Inside a pair every value is a message of its own; outside, the record's body is the value. */
static void begin_value(an_record *record) {
  if (record->depth > 2) open_message(record, TAG_VALUES);
}

static void end_value(an_record *record) {
  if (record->depth > 2) close_message(record);
}

void an_record_begin(an_record *record, an_call *call, size_t stream) {
  an_instance *instance = call->instance;
  an_stream *to = &instance->records->streams[stream];
  record->instance = instance;
  record->stream = stream;
  record->aside = an_step_records(call, stream);
  if (record->aside == NULL) an_lock_acquire(&to->lock);
  record->start = buffer_of(record)->size;
  record->depth = 0;
  open_message(record, TAG_LOG_RECORDS);
  an_otlp_fixed64(buffer_of(record), TAG_TIME, an_wall_ns(call));
  open_message(record, TAG_BODY);
}

void an_record_end(an_record *record) {
  an_stream *stream = &record->instance->records->streams[record->stream];
  while (record->depth > 0 && !buffer_of(record)->failed) close_message(record);
  if (record->aside != NULL) {
    if (!record->aside->failed) return;
    record->aside->size = record->start;
    record->aside->failed = false;
    an_lock_acquire(&stream->lock);
    stream->dropped++;
    an_lock_release(&stream->lock);
    return;
  }
  if (stream->buffer.failed) {
    stream->buffer.size = record->start;
    stream->buffer.failed = false;
    stream->dropped++;
  }
  an_lock_release(&stream->lock);
}

void an_records_add(an_instance *instance, size_t number, an_view records) {
  an_stream *stream = &instance->records->streams[number];
  if (records.size == 0) return;
  an_lock_acquire(&stream->lock);
  const size_t before = stream->buffer.size;
  an_buffer_append(&stream->buffer, records.data, records.size);
  if (stream->buffer.failed) {
    stream->buffer.size = before;
    stream->buffer.failed = false;
    stream->dropped++;
  }
  an_lock_release(&stream->lock);
}

void an_record_bool(an_record *record, bool value) {
  begin_value(record);
  an_otlp_varint(buffer_of(record), TAG_BOOL, value ? 1 : 0);
  end_value(record);
}

void an_record_uint(an_record *record, uint64_t value) {
  begin_value(record);
  an_otlp_varint(buffer_of(record), TAG_INT, value);
  end_value(record);
}

void an_record_int(an_record *record, int64_t value) { an_record_uint(record, (uint64_t)value); }

void an_record_float(an_record *record, double value) {
  begin_value(record);
  an_otlp_double(buffer_of(record), TAG_DOUBLE, value);
  end_value(record);
}

/* Bytes of the well-formed UTF-8 character that text begins with; 0 where it is none (Unicode, table 3-7). */
static size_t utf8_character(const uint8_t *text, size_t size) {
  uint8_t first = text[0];
  if (first < 0x80) return 1;
  size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || size < length) return 0;
  uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (text[1] < low || text[1] > high) return 0;
  for (size_t i = 2; i < length; i++) {
    if ((text[i] & 0xc0) != 0x80) return 0;
  }
  return length;
}

bool an_is_utf8(an_view text) {
  for (size_t at = 0; at < text.size;) {
    size_t length = utf8_character(text.data + at, text.size - at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

void an_record_string(an_record *record, an_view value) {
  begin_value(record);
  an_otlp_bytes(buffer_of(record), an_is_utf8(value) ? TAG_STRING : TAG_BYTES, value.data, value.size);
  end_value(record);
}

void an_record_bytes(an_record *record, an_view value) {
  begin_value(record);
  an_otlp_bytes(buffer_of(record), TAG_BYTES, value.data, value.size);
  end_value(record);
}

void an_record_pair_begin(an_record *record) {
  begin_value(record);
  open_message(record, TAG_ARRAY);
}

void an_record_pair_end(an_record *record) {
  close_message(record);
  end_value(record);
}

/* ---- batches ---------------------------------------------------------------------------------------- */

static uint64_t *evicted_by(const an_instance *instance, size_t evictor) {
  return &instance->guards[instance->program->evictors[evictor]]->heap.evicted;
}

bool an_records_pending(an_instance *instance) {
  bool pending = an_why_pending(instance);
  for (size_t i = 0; i < instance->program->evictor_count && !pending; i++) {
    pending = __atomic_load_n(evicted_by(instance, i), __ATOMIC_RELAXED) > 0;
  }
  for (size_t i = 0; i < instance->records->count && !pending; i++) {
    an_stream *stream = &instance->records->streams[i];
    an_lock_acquire(&stream->lock);
    pending = stream->buffer.size > 0 || stream->dropped > 0;
    an_lock_release(&stream->lock);
  }
  return pending;
}

static void append_scope(an_buffer *to, an_view name, an_view records) {
  uint8_t scratch[10];
  size_t scope = 1 + an_encode_varint(scratch, name.size) + name.size;
  size_t size = 1 + an_encode_varint(scratch, scope) + scope + records.size;
  an_otlp_varint(to, TAG_SCOPE_LOGS, size);
  an_otlp_varint(to, TAG_SCOPE, scope);
  an_otlp_bytes(to, TAG_NAME, name.data, name.size);
  an_buffer_append(to, records.data, records.size);
}

/* "ELEMENT.VARIABLE" */
static void append_stream_name(an_buffer *to, const an_record_stream *stream) {
  an_buffer_append(to, stream->element, strlen(stream->element));
  an_buffer_append(to, ".", 1);
  an_buffer_append(to, stream->variable, strlen(stream->variable));
}

/* A record that says how many of something were lost: the pair of its name and the count. Nothing where memory ends. */
static void append_count(an_buffer *to, const char *scope, an_view name, uint64_t count, uint64_t wall_ns) {
  size_t before = to->size;
  an_buffer value = {0}, body = {0}, record = {0};
  an_otlp_bytes(&value, TAG_STRING, name.data, name.size);
  an_otlp_bytes(&body, TAG_VALUES, value.data, value.size);
  value.size = 0;
  an_otlp_varint(&value, TAG_INT, count);
  an_otlp_bytes(&body, TAG_VALUES, value.data, value.size);
  value.size = 0;
  an_otlp_bytes(&value, TAG_ARRAY, body.data, body.size);
  an_otlp_fixed64(&record, TAG_TIME, wall_ns);
  an_otlp_bytes(&record, TAG_BODY, value.data, value.size);
  body.size = 0;
  an_otlp_bytes(&body, TAG_LOG_RECORDS, record.data, record.size);
  bool whole = !value.failed && !record.failed && !body.failed;
  an_view scope_name = {(const uint8_t *)scope, strlen(scope)};
  if (whole) append_scope(to, scope_name, (an_view){body.data, body.size});
  if (to->failed) to->size = before;
  to->failed = false;
  an_buffer_free(&value);
  an_buffer_free(&body);
  an_buffer_free(&record);
}

/* Moves a stream's records into the batch; they stay where they are when memory runs out. */
static void move_stream(an_instance *instance, size_t index, an_buffer *batch) {
  an_stream *stream = &instance->records->streams[index];
  size_t before = batch->size;
  an_buffer name = {0};
  append_stream_name(&name, &instance->program->records[index]);
  an_view name_view = {name.data, name.size};
  an_lock_acquire(&stream->lock);
  uint64_t dropped = stream->dropped;
  if (stream->buffer.size > 0) append_scope(batch, name_view, (an_view){stream->buffer.data, stream->buffer.size});
  if (batch->failed || name.failed) {
    batch->size = before;
    batch->failed = false;
    dropped = 0;
  } else {
    stream->buffer.size = 0;
    stream->dropped = 0;
  }
  an_lock_release(&stream->lock);
  uint64_t wall_ns = instance->services.wall_ns(instance->services.host);
  if (dropped > 0) an_metrics_dropped(instance, index, dropped);
  if (dropped > 0) append_count(batch, DROPPED_SCOPE, name_view, dropped, wall_ns);
  an_buffer_free(&name);
}

static void move_evictions(an_instance *instance, size_t evictor, an_buffer *batch) {
  uint64_t count = __atomic_exchange_n(evicted_by(instance, evictor), 0, __ATOMIC_RELAXED);
  const char *element = instance->program->elements[instance->program->evictors[evictor]];
  an_view name = {(const uint8_t *)element, strlen(element)};
  if (count > 0) an_metrics_evicted(instance, evictor, count);
  if (count > 0) append_count(batch, EVICTED_SCOPE, name, count, instance->services.wall_ns(instance->services.host));
}

uint8_t *an_records_take(an_instance *instance, size_t *size) {
  static const uint8_t head[AN_OTLP_HEAD];
  an_buffer batch = {0};
  an_view resource = instance->options.resource;
  an_buffer_append(&batch, head, AN_OTLP_HEAD);
  if (resource.size > 0) an_otlp_bytes(&batch, TAG_RESOURCE, resource.data, resource.size);
  size_t empty = batch.size;
  if (!batch.failed) {
    for (size_t i = 0; i < instance->records->count; i++) move_stream(instance, i, &batch);
    for (size_t i = 0; i < instance->program->evictor_count; i++) move_evictions(instance, i, &batch);
    an_why_take(instance, &batch);
  }
  if (batch.failed || batch.size == empty) an_buffer_free(&batch);
  *size = 0;
  return batch.data != NULL ? an_otlp_whole(&batch, TAG_RESOURCE_LOGS, size) : NULL;
}
