#include "trace.h"

#include "metrics.h"
#include "otlp.h"
#include "program.h"

enum { TRACES_LIMIT = 2 << 20 }; /* bytes of encoded spans that are kept for a host that does not fetch them */

struct an_traces {
  an_lock lock; /* guards what follows */
  an_buffer buffer;
  uint64_t count;
  uint64_t ids; /* the state of a splitmix64; atomic */
  uint64_t salt;
  uint32_t share;
};

/* Field numbers of the OpenTelemetry messages, as tags. */
enum {
  SPANS_RESOURCE_SPANS = AN_OTLP_BYTES(1), /* ExportTraceServiceRequest */
  SPANS_RESOURCE = AN_OTLP_BYTES(1),       /* ResourceSpans */
  SPANS_SCOPE_SPANS = AN_OTLP_BYTES(2),
  SPANS_SCOPE = AN_OTLP_BYTES(1), /* ScopeSpans */
  SPANS_SPAN = AN_OTLP_BYTES(2),
  SPANS_SCOPE_NAME = AN_OTLP_BYTES(1), /* InstrumentationScope */
  SPAN_TRACE_ID = AN_OTLP_BYTES(1),    /* Span */
  SPAN_ID = AN_OTLP_BYTES(2),
  SPAN_PARENT = AN_OTLP_BYTES(4),
  SPAN_NAME = AN_OTLP_BYTES(5),
  SPAN_KIND = AN_OTLP_VARINT(6),
  SPAN_START = AN_OTLP_FIXED64(7),
  SPAN_END = AN_OTLP_FIXED64(8),
  SPAN_ATTRIBUTE = AN_OTLP_BYTES(9),
  SPAN_EVENT = AN_OTLP_BYTES(11),
  SPAN_DROPPED_EVENTS = AN_OTLP_VARINT(12),
  SPAN_STATUS = AN_OTLP_BYTES(15),
  EVENT_TIME = AN_OTLP_FIXED64(1), /* Span.Event */
  EVENT_NAME = AN_OTLP_BYTES(2),
  EVENT_ATTRIBUTE = AN_OTLP_BYTES(3),
  STATUS_CODE = AN_OTLP_VARINT(3), /* Status */
  STATUS_ERROR = 2,
  KIND_SERVER = 2,
  KIND_CLIENT = 3,
};

static uint64_t span_mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

bool an_traces_init(an_instance *instance) {
  if (!AN_TRACE) return true;
  an_traces *it = instance->traces = an_alloc_zeroed(sizeof *it);
  if (it == NULL) return false;
  const uint64_t now = instance->services.wall_ns(instance->services.host);
  it->buffer.limit = TRACES_LIMIT;
  it->salt = span_mix(instance->options.seed ^ now);
  it->ids = span_mix(it->salt ^ (uint64_t)(uintptr_t)instance);
  return true;
}

void an_traces_free(an_instance *instance) {
  if (instance->traces == NULL) return;
  an_buffer_free(&instance->traces->buffer);
  an_free(instance->traces);
}

void an_traces_share(an_instance *instance, uint32_t share) {
  if (instance->traces != NULL) instance->traces->share = share;
}

/* ---- a call ------------------------------------------------------------------------------------------- */

/* Random bytes, not all of them zero. */
static void span_id(an_traces *it, uint8_t *to, size_t size) {
  for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
    uint64_t id = 0;
    while (id == 0) id = span_mix(__atomic_add_fetch(&it->ids, 0x9e3779b97f4a7c15u, __ATOMIC_RELAXED));
    memcpy(to + at, &id, sizeof id);
  }
}

/* No state is shared by threads that draw: calls begin at times of their own, and those of one time are elsewhere. */
bool an_trace_drawn(const an_call *call) {
  const an_traces *it = call->instance->traces;
  return it != NULL && it->share > 0 && span_mix(it->salt ^ call->began_ns ^ (uint64_t)(uintptr_t)call << 20) >> 32 <= it->share;
}

void an_trace_begin(an_call *call, bool drawn) {
  an_traces *it = call->instance->traces;
  if (!AN_TRACE || it == NULL) return;
  const an_trace_parent parent = an_trace_context(call, drawn);
  if (parent.decided ? !parent.sampled : !drawn || an_trace_forbidden(call)) return;
  an_trace *trace = an_alloc_zeroed(sizeof *trace);
  if (trace == NULL) {
    an_metrics_spans_dropped(call->instance, 1);
    return;
  }
  trace->parent = parent;
  if (parent.there) {
    memcpy(trace->trace_id, parent.trace_id, sizeof trace->trace_id);
  } else {
    span_id(it, trace->trace_id, sizeof trace->trace_id);
  }
  span_id(it, trace->span_id, sizeof trace->span_id);
  trace->status = AN_CANCELLED;
  trace->began_ns = an_now(call);
  trace->wall_ns = an_wall_ns(call);
  call->trace = trace;
}

static bool span_is_row(const an_instance *instance, uint32_t cell);

void an_trace_note(an_call *call, uint32_t cell) {
  an_trace_event *const events = call->trace->events;
  const uint32_t number = call->trace_noted++, taken = call->trace_events;
  if (taken > 0 && events[taken - 1].cell == cell) return;
  if (taken >= (span_is_row(call->instance, cell) ? AN_TRACE_EVENTS - AN_TRACE_VERDICTS : AN_TRACE_EVENTS)) {
    call->trace_dropped++;
    return;
  }
  events[call->trace_events++] = (an_trace_event){an_now(call), cell, number};
}

void an_trace_ended(an_call *call, int32_t status) { call->trace->status = status; }

/* ---- a span ------------------------------------------------------------------------------------------- */

/* What is counted in the cell: the last entry that begins at it or before. NULL: no element's. */
static const an_tally_entry *span_entry(const an_instance *instance, uint32_t cell) {
  const an_program *program = instance->program;
  size_t low = 0, high = program->tally_count;
  if ((cell & AN_TRACE_UNJUDGED) != 0) return NULL;
  while (high - low > 1) {
    const size_t middle = low + (high - low) / 2;
    if (program->tallies[middle].cell <= cell) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return &program->tallies[low];
}

static bool span_is_row(const an_instance *instance, uint32_t cell) {
  const an_tally_entry *entry = span_entry(instance, cell);
  return entry != NULL && entry->kind == AN_TALLY_ROW;
}

static bool span_same(const char *one, const char *other) {
  return strlen(one) == strlen(other) && memcmp(one, other, strlen(one)) == 0;
}

static bool span_same_handler(const an_tally_entry *one, const an_tally_entry *other) {
  return one != NULL && other != NULL && one->element == other->element && span_same(one->handler, other->handler);
}

static void span_count(an_buffer *to, const char *key, uint32_t value) {
  size_t pair = an_otlp_open(to, EVENT_ATTRIBUTE);
  an_otlp_text(to, AN_OTLP_BYTES(1), key);
  size_t any = an_otlp_open(to, AN_OTLP_BYTES(2));
  an_otlp_varint(to, AN_OTLP_VARINT(3), value);
  an_otlp_close(to, any);
  an_otlp_close(to, pair);
}

static void span_verdict(an_buffer *to, const an_tally_entry *of, uint32_t cell) {
  if (of != NULL && of->kind == AN_TALLY_REPLIES) {
    an_otlp_text_attribute(to, EVENT_ATTRIBUTE, "appnet.verdict", "answer");
    return;
  }
  an_otlp_text_attribute(to, EVENT_ATTRIBUTE, "appnet.verdict", "refuse");
  const char *status = an_status_name((int32_t)(of == NULL ? cell & ~AN_TRACE_UNJUDGED : cell - of->cell));
  an_otlp_text_attribute(to, EVENT_ATTRIBUTE, "rpc.response.status_code", status);
}

/* An event: a row, with the verdict that the handler came to where this is its last one; or the verdict alone, where the
 * handler has no row. How many notes it is made of. */
static uint32_t span_event(an_buffer *to, const an_call *call, uint32_t number) {
  const an_trace *trace = call->trace;
  const an_trace_event *it = &trace->events[number], *next = number + 1 < call->trace_events ? it + 1 : NULL;
  const an_tally_entry *of = span_entry(call->instance, it->cell);
  const an_tally_entry *after = next == NULL ? NULL : span_entry(call->instance, next->cell);
  const bool cut = call->trace_dropped > 0 && number + 1 == AN_TRACE_EVENTS - AN_TRACE_VERDICTS; /* more rows came then */
  const bool row = of != NULL && of->kind == AN_TALLY_ROW, more = !cut && span_same_handler(of, after);
  const uint32_t repeated = (next == NULL ? call->trace_noted : next->first) - it->first;
  size_t event = an_otlp_open(to, SPAN_EVENT);
  an_otlp_fixed64(to, EVENT_TIME, trace->wall_ns + (it->at_ns - trace->began_ns));
  an_otlp_text(to, EVENT_NAME, of == NULL ? "appnet.unjudged" : "appnet.element");
  if (of != NULL) {
    an_otlp_text_attribute(to, EVENT_ATTRIBUTE, "appnet.element", call->instance->program->elements[of->element]);
    an_otlp_text_attribute(to, EVENT_ATTRIBUTE, "appnet.handler", of->handler);
  }
  if (row) an_otlp_text_attribute(to, EVENT_ATTRIBUTE, "appnet.row", of->row);
  if (row && repeated > 1 && call->trace_dropped == 0) span_count(to, "appnet.row.hits", repeated);
  if (!row) span_verdict(to, of, it->cell);
  if (row && more && after->kind != AN_TALLY_ROW) span_verdict(to, after, next->cell);
  if (row && !more && !cut && !span_same(of->handler, "end")) an_otlp_text_attribute(to, EVENT_ATTRIBUTE, "appnet.verdict", "forward");
  an_otlp_close(to, event);
  return row && more && after->kind != AN_TALLY_ROW ? 2 : 1;
}

/* OpenTelemetry's rule for gRPC: to a server, only some statuses are errors. */
static bool span_failed(int32_t status, bool at_server) {
  const uint32_t servers = 1u << 2 | 1u << 4 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 15;
  return at_server ? (uint32_t)status < AN_STATUS_COUNT && (servers >> status & 1) != 0 : status != 0;
}

static void span_write(an_buffer *to, const an_call *call) {
  const an_trace *trace = call->trace;
  const bool at_server = an_stands_at_server(call->instance);
  const an_view method = an_method_name(call->method);
  size_t span = an_otlp_open(to, SPANS_SPAN);
  an_otlp_bytes(to, SPAN_TRACE_ID, trace->trace_id, sizeof trace->trace_id);
  an_otlp_bytes(to, SPAN_ID, trace->span_id, sizeof trace->span_id);
  if (trace->parent.there) an_otlp_bytes(to, SPAN_PARENT, trace->parent.span_id, sizeof trace->parent.span_id);
  an_otlp_bytes(to, SPAN_NAME, method.data, method.size);
  an_otlp_varint(to, SPAN_KIND, at_server ? KIND_SERVER : KIND_CLIENT);
  an_otlp_fixed64(to, SPAN_START, trace->wall_ns);
  an_otlp_fixed64(to, SPAN_END, trace->wall_ns + (an_now(call) - trace->began_ns));
  an_otlp_text_attribute(to, SPAN_ATTRIBUTE, "rpc.system.name", "grpc");
  an_otlp_attribute(to, SPAN_ATTRIBUTE, "rpc.method", method);
  an_otlp_text_attribute(to, SPAN_ATTRIBUTE, "rpc.response.status_code", an_status_name(trace->status));
  an_otlp_text_attribute(to, SPAN_ATTRIBUTE, "appnet.chain", call->instance->program->name);
  for (uint32_t i = 0; i < call->trace_events;) i += span_event(to, call, i);
  if (call->trace_dropped > 0) an_otlp_varint(to, SPAN_DROPPED_EVENTS, call->trace_dropped);
  if (span_failed(trace->status, at_server)) {
    size_t status = an_otlp_open(to, SPAN_STATUS);
    an_otlp_varint(to, STATUS_CODE, STATUS_ERROR);
    an_otlp_close(to, status);
  }
  an_otlp_close(to, span);
}

void an_trace_end(an_call *call) {
  an_traces *it = call->instance->traces;
  an_buffer span = {.limit = AN_TRACE_BYTES};
  span_write(&span, call);
  an_free(call->trace);
  call->trace = NULL;
  if (!span.failed) {
    an_lock_acquire(&it->lock);
    const size_t before = it->buffer.size;
    an_buffer_append(&it->buffer, span.data, span.size);
    span.failed = it->buffer.failed;
    if (span.failed) it->buffer.size = before;
    it->buffer.failed = false;
    it->count += span.failed ? 0 : 1;
    an_lock_release(&it->lock);
  }
  if (span.failed) an_metrics_spans_dropped(call->instance, 1);
  an_buffer_free(&span);
}

/* ---- batches ------------------------------------------------------------------------------------------ */

bool an_traces_pending(an_instance *instance) {
  an_traces *it = instance->traces;
  if (it == NULL) return false;
  an_lock_acquire(&it->lock);
  const bool pending = it->count > 0;
  an_lock_release(&it->lock);
  return pending;
}

uint8_t *an_traces_take(an_instance *instance, size_t *size, uint64_t *count) {
  static const uint8_t head[AN_OTLP_HEAD];
  an_traces *it = instance->traces;
  an_buffer to = {0}, spans = {0};
  *size = 0;
  *count = 0;
  if (it == NULL || !an_traces_pending(instance)) return NULL;
  an_lock_acquire(&it->lock);
  spans = it->buffer;
  *count = it->count;
  it->buffer = (an_buffer){.limit = TRACES_LIMIT};
  it->count = 0;
  an_lock_release(&it->lock);
  an_buffer_append(&to, head, AN_OTLP_HEAD);
  an_append_resource(&to, SPANS_RESOURCE, instance);
  size_t scopes = an_otlp_open(&to, SPANS_SCOPE_SPANS), scope = an_otlp_open(&to, SPANS_SCOPE);
  an_otlp_text(&to, SPANS_SCOPE_NAME, "appnet");
  an_otlp_close(&to, scope);
  an_buffer_append(&to, spans.data, spans.size);
  an_otlp_close(&to, scopes);
  an_buffer_free(&spans);
  if (!to.failed) return an_otlp_whole(&to, SPANS_RESOURCE_SPANS, size);
  an_buffer_free(&to);
  an_traces_lost(instance, *count);
  return NULL;
}

void an_traces_lost(an_instance *instance, uint64_t count) { an_metrics_spans_dropped(instance, count); }
