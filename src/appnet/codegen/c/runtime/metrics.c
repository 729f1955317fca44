#include "metrics.h"

#include "kept.h"
#include "otlp.h"
#include "program.h"
#include "trial.h"
#include "vec.h"

enum {
#if defined(__wasm__)
  SHARDS = 1,
#else
  SHARDS = 8,
#endif
  LINE = 64, /* bytes that threads disturb one another in */
  /* A histogram has 8 buckets in each octave of seconds: of RPCs from 2^-20 (1 us) to 2^8, of the chain from 2^-27 (7 ns)
   * to 2. */
  SCALE = 3, PER_OCTAVE = 1 << SCALE, OCTAVES = 28, BUCKETS = OCTAVES * PER_OCTAVE,
  RPC_OCTAVE = -20, CHAIN_OCTAVE = -27,
  TICK_BITS = 30, /* time is counted in 2^-30 s, so that octaves end at powers of two */
  /* The cells of a method. */
  CALLS = 0, ENDS, BYTES, UNJUDGED = BYTES + 2, TOOK = UNJUDGED + AN_STATUS_COUNT, METHOD_CELLS = TOOK + 1 + BUCKETS,
  CUMULATIVE = 2,
};

struct an_metrics {
  size_t cell_count;  /* of a copy, with its padding */
  size_t methods_at;  /* behind the program's own cells */
  void *memory;
  uint64_t *cells;    /* SHARDS copies */
  uint64_t *lost;     /* for each record stream what was dropped, then for each evictor what was let go */
  uint64_t *stays;    /* for each method, how long timed calls were in hand: ticks, then buckets; few, so all threads' */
  uint64_t start_ns;  /* on the wall clock */
  uint64_t taken_ns;  /* on the monotonic one */
  uint64_t taken_sum; /* of all cells */
  char id[16];
  bool untimed;
};

/* Field numbers of the OpenTelemetry messages, as tags. */
enum {
  TAG_RESOURCE_METRICS = AN_OTLP_BYTES(1),
  TAG_METRICS_RESOURCE = AN_OTLP_BYTES(1), /* ResourceMetrics */
  TAG_SCOPE_METRICS = AN_OTLP_BYTES(2),
  TAG_METRICS_SCOPE = AN_OTLP_BYTES(1), /* ScopeMetrics */
  TAG_METRIC = AN_OTLP_BYTES(2),
  TAG_METRIC_NAME = AN_OTLP_BYTES(1),
  TAG_METRIC_UNIT = AN_OTLP_BYTES(3),
  TAG_SUM = AN_OTLP_BYTES(7),
  TAG_EXPONENTIAL = AN_OTLP_BYTES(10),
  TAG_POINT = AN_OTLP_BYTES(1), /* Sum, ExponentialHistogram */
  TAG_TEMPORALITY = AN_OTLP_VARINT(2),
  TAG_MONOTONIC = AN_OTLP_VARINT(3),
  TAG_START = AN_OTLP_FIXED64(2), /* points of both kinds */
  TAG_NOW = AN_OTLP_FIXED64(3),
  TAG_VALUE = AN_OTLP_FIXED64(6),             /* NumberDataPoint */
  TAG_NUMBER_ATTRIBUTE = AN_OTLP_BYTES(7),
  TAG_HISTOGRAM_ATTRIBUTE = AN_OTLP_BYTES(1), /* ExponentialHistogramDataPoint */
  TAG_COUNT = AN_OTLP_FIXED64(4),
  TAG_TOTAL = AN_OTLP_FIXED64(5),
  TAG_SCALE = AN_OTLP_VARINT(6),
  TAG_POSITIVE = AN_OTLP_BYTES(8),
  TAG_OFFSET = AN_OTLP_VARINT(1), /* Buckets */
  TAG_BUCKET_COUNTS = AN_OTLP_BYTES(2),
  TAG_ATTRIBUTE = AN_OTLP_BYTES(1), /* Resource */
};

static const char *const STATUSES[AN_STATUS_COUNT] = {
    "OK",                  "CANCELLED",      "UNKNOWN",     "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND",           "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",             "OUT_OF_RANGE",   "UNIMPLEMENTED", "INTERNAL",         "UNAVAILABLE",
    "DATA_LOSS",           "UNAUTHENTICATED",
};

const char *an_status_name(int32_t code) {
  return STATUSES[(uint32_t)code < AN_STATUS_COUNT ? (uint32_t)code : AN_STATUS_UNKNOWN];
}

/* ---- counting --------------------------------------------------------------------------------------- */

enum { MERGES, STALENESS, MERGE_ERRORS, MERGE_EVENTS };

/* Where the cells of the first variable that is merged are. */
static size_t merges_at(const an_program *program) {
  return program->record_count + program->evictor_count + program->sharer_count * AN_STATE_EVENTS;
}

static size_t spans_at(const an_program *program) {
  size_t merged = 0;
  for (size_t i = 0; i < program->variable_count; i++) merged += program->variables[i].combiner != AN_UNMERGED;
  return merges_at(program) + merged * MERGE_EVENTS;
}

/* Of what is rare enough for cells that all threads share: records dropped, entries let go, the store's, and spans dropped. */
static size_t lost_count(const an_program *program) { return spans_at(program) + 1; }

static void merge_count_up(an_instance *instance, size_t number, size_t event, uint64_t by) {
  const size_t cell = merges_at(instance->program) + number * MERGE_EVENTS + event;
  if (AN_COUNT) __atomic_fetch_add(&instance->metrics->lost[cell], by, __ATOMIC_RELAXED);
}

void an_metrics_merged(an_instance *instance, size_t number, uint64_t stale_ns) {
  merge_count_up(instance, number, MERGES, 1);
  merge_count_up(instance, number, STALENESS, (stale_ns + 500000u) / 1000000u);
}

void an_metrics_unmerged(an_instance *instance, size_t number) { merge_count_up(instance, number, MERGE_ERRORS, 1); }

void an_metrics_state(an_instance *instance, size_t sharer, an_state_event event) {
  const an_program *program = instance->program;
  const size_t first = program->record_count + program->evictor_count;
  if (AN_COUNT) __atomic_fetch_add(&instance->metrics->lost[first + sharer * AN_STATE_EVENTS + event], 1, __ATOMIC_RELAXED);
}

static void set_id(an_instance *instance, char id[16]) {
  uint64_t z = instance->options.seed ^ instance->metrics->start_ns ^ (uint64_t)(uintptr_t)instance;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  for (unsigned i = 0; i < 16; i++) id[i] = "0123456789abcdef"[(z >> (4 * i)) & 15];
}

bool an_metrics_init(an_instance *instance) {
  const an_program *program = instance->program;
  an_metrics *it = instance->metrics = an_alloc_zeroed(sizeof *it);
  if (it == NULL) return false;
  const size_t per_line = LINE / sizeof(uint64_t);
  size_t cells = an_size_add(program->tally_cells, an_size_mul(program->method_count, METHOD_CELLS));
  it->methods_at = program->tally_cells;
  it->cell_count = an_size_mul(an_size_add(cells, per_line) / per_line, per_line);
  it->memory = an_alloc_zeroed(an_size_add(LINE, an_size_mul(an_size_mul(it->cell_count, SHARDS), sizeof(uint64_t))));
  it->lost = an_alloc_zeroed(an_size_mul(lost_count(program) + 1, sizeof(uint64_t)));
  it->stays = an_alloc_zeroed(an_size_mul(an_size_mul(program->method_count, 1 + BUCKETS), sizeof(uint64_t)));
  if (it->memory == NULL || it->lost == NULL || it->stays == NULL) return false;
  it->cells = (uint64_t *)(void *)(((uintptr_t)it->memory + LINE - 1) / LINE * LINE);
  it->start_ns = instance->services.wall_ns(instance->services.host);
  it->taken_ns = instance->services.now_ns(instance->services.host);
  set_id(instance, it->id);
  return true;
}

void an_metrics_untimed(an_instance *instance) { instance->metrics->untimed = true; }

void an_metrics_free(an_instance *instance) {
  if (instance->metrics == NULL) return;
  an_free(instance->metrics->memory);
  an_free(instance->metrics->lost);
  an_free(instance->metrics->stays);
  an_free(instance->metrics);
}

/* Threads are told apart by where their stacks are. Two that get the same copy are only slower. */
size_t an_metrics_cell_count(const an_instance *instance) { return instance->metrics->cell_count; }

uint64_t *an_metrics_cells(const an_instance *instance) {
  const an_metrics *it = instance->metrics;
  size_t stack = (uintptr_t)__builtin_frame_address(0) >> 23; /* 8 MB are the usual size of one */
  return it->cells + stack % SHARDS * it->cell_count;
}

static size_t method_of(const an_call *call) { return (size_t)(call->method - call->instance->program->methods); }

static uint64_t *cells_of(const an_call *call) {
  return call->cells + call->instance->metrics->methods_at + method_of(call) * METHOD_CELLS;
}

static uint64_t tally_add(uint64_t *cell, uint64_t count) { return __atomic_fetch_add(cell, count, __ATOMIC_RELAXED); }

void an_metrics_begin(an_call *call) {
  if (!AN_COUNT) return;
  call->began_ns = (call->instance->metrics->untimed ? 0 : an_now(call)) | 1; /* 0 stands for a call that did not begin */
  call->stay_ns = tally_add(&cells_of(call)[CALLS], 1) % AN_TIMED == 0;
}

void an_metrics_entered(an_call *call, uint64_t now_ns) { call->entered_ns = now_ns; }

void an_metrics_left(an_call *call, uint64_t now_ns) {
  if (call->entered_ns != 0 && now_ns > call->entered_ns) call->stay_ns += now_ns - call->entered_ns;
  call->entered_ns = 0;
}

void an_metrics_message(const an_call *call, an_direction direction, size_t size) {
  if (call->began_ns != 0) tally_add(&cells_of(call)[BYTES + direction], size);
}

void an_metrics_unjudged(an_call *call, int32_t code) {
  uint32_t status = (uint32_t)code;
  if (AN_TRACE && call->trace != NULL) an_trace_note(call, AN_TRACE_UNJUDGED | (status < AN_STATUS_COUNT ? status : AN_STATUS_UNKNOWN));
  if (call->began_ns != 0) tally_add(&cells_of(call)[UNJUDGED + (status < AN_STATUS_COUNT ? status : AN_STATUS_UNKNOWN)], 1);
}

/* Nanoseconds as 2^-30 s; times beyond the last octave count as that long. */
static uint64_t ticks_of(uint64_t ns, int first_octave) {
  const uint64_t most = ((uint64_t)1 << (first_octave + OCTAVES)) * 1000000000u - 1;
  if (ns > most) ns = most;
  return ns + (ns * 4948730u >> 26); /* 2^30 / 10^9 is 1.073741824 */
}

/* A bucket has its upper end and not its lower one: less a tick, a power of two falls into the one below. */
static unsigned bucket_of(uint64_t ticks, int first_octave) {
  static const uint64_t ends[PER_OCTAVE - 1] = {
      /* 2^(63 + i/8) */
      0x8b95c1e3ea8bd6e7u, 0x9837f0518db8a970u, 0xa5fed6a9b15138ebu, 0xb504f333f9de6485u,
      0xc5672a115506dadeu, 0xd744fccad69d6af5u, 0xeac0c6e7dd24392fu,
  };
  ticks = ticks > 1 ? ticks - 1 : 1;
  int octave = 63 - __builtin_clzll(ticks) - TICK_BITS;
  if (octave < first_octave) return 0;
  uint64_t mantissa = ticks << __builtin_clzll(ticks);
  unsigned part = 0;
  for (unsigned i = 0; i < PER_OCTAVE - 1; i++) part += mantissa >= ends[i];
  return (unsigned)(octave - first_octave) * PER_OCTAVE + part;
}

/* A histogram is a cell of ticks, and then its buckets. */
static void add_time(uint64_t *histogram, uint64_t ns, int first_octave) {
  const uint64_t ticks = ticks_of(ns, first_octave);
  tally_add(histogram, ticks);
  tally_add(histogram + 1 + bucket_of(ticks, first_octave), 1);
}

static uint64_t *stays_of(const an_instance *instance, size_t method) {
  return instance->metrics->stays + method * (1 + BUCKETS);
}

void an_metrics_end(const an_call *call) {
  if (call->began_ns == 0) return;
  uint64_t *cells = cells_of(call);
  tally_add(&cells[ENDS], 1);
  if (call->stay_ns > 1) add_time(stays_of(call->instance, method_of(call)), call->stay_ns - 1, CHAIN_OCTAVE);
  if (call->instance->metrics->untimed) return;
  const uint64_t now = an_now(call);
  add_time(&cells[TOOK], now > call->began_ns ? now - call->began_ns : 0, RPC_OCTAVE);
}

void an_metrics_dropped(an_instance *instance, size_t stream, uint64_t count) {
  tally_add(&instance->metrics->lost[stream], count);
}

void an_metrics_evicted(an_instance *instance, size_t evictor, uint64_t count) {
  tally_add(&instance->metrics->lost[instance->program->record_count + evictor], count);
}

void an_metrics_spans_dropped(an_instance *instance, uint64_t count) {
  tally_add(&instance->metrics->lost[spans_at(instance->program)], count);
}

/* ---- taking ----------------------------------------------------------------------------------------- */

/* What the copies of the cell add up to. */
static uint64_t tally_total(const an_metrics *it, size_t cell) {
  uint64_t sum = 0;
  for (size_t i = 0; i < SHARDS; i++) sum += __atomic_load_n(&it->cells[i * it->cell_count + cell], __ATOMIC_RELAXED);
  return sum;
}

/* Cells only grow, so the sum is another one where any is. */
static uint64_t sum_of_all(const an_instance *instance) {
  const an_metrics *it = instance->metrics;
  const an_program *program = instance->program;
  uint64_t sum = 0;
  for (size_t i = 0; i < it->cell_count * SHARDS; i++) sum += __atomic_load_n(&it->cells[i], __ATOMIC_RELAXED);
  for (size_t i = 0; i < lost_count(program); i++) {
    sum += __atomic_load_n(&it->lost[i], __ATOMIC_RELAXED);
  }
  return sum;
}

bool an_metrics_pending(an_instance *instance) {
  an_metrics *it = instance->metrics;
  uint64_t now = instance->services.now_ns(instance->services.host);
  uint64_t since = now - __atomic_load_n(&it->taken_ns, __ATOMIC_RELAXED);
  if (since < AN_METRICS_EVERY_NS) return false;
  uint64_t sum = sum_of_all(instance), taken = __atomic_load_n(&it->taken_sum, __ATOMIC_RELAXED);
  return sum != taken || (sum > 0 && since >= AN_METRICS_ALIVE_NS);
}

/* A batch while it is written. */
typedef struct metrics_batch {
  an_buffer *to;
  an_instance *instance;
  uint64_t now_ns;
} metrics_batch;

an_view an_method_name(const an_method *method) {
  an_view path = method->path;
  return path.size > 0 && path.data[0] == '/' ? (an_view){path.data + 1, path.size - 1} : path;
}

static void append_method(metrics_batch *it, uint8_t tag, size_t method) {
  an_otlp_attribute(it->to, tag, "rpc.method", an_method_name(&it->instance->program->methods[method]));
}

/* A metric, and within it the sum or histogram that has its points. */
typedef struct metric {
  size_t start, metric, data, points;
} metric;

static metric open_metric(metrics_batch *it, const char *name, const char *unit, uint8_t kind) {
  metric found = {.start = it->to->size};
  found.metric = an_otlp_open(it->to, TAG_METRIC);
  an_otlp_text(it->to, TAG_METRIC_NAME, name);
  an_otlp_text(it->to, TAG_METRIC_UNIT, unit);
  found.data = an_otlp_open(it->to, kind);
  found.points = it->to->size;
  return found;
}

/* A metric without points is none. */
static void close_metric(metrics_batch *it, metric of, bool monotonic) {
  if (it->to->failed) return;
  if (it->to->size == of.points) {
    it->to->size = of.start;
    return;
  }
  an_otlp_varint(it->to, TAG_TEMPORALITY, CUMULATIVE);
  if (monotonic) an_otlp_varint(it->to, TAG_MONOTONIC, 1);
  an_otlp_close(it->to, of.data);
  an_otlp_close(it->to, of.metric);
}

static size_t open_point(metrics_batch *it) {
  size_t point = an_otlp_open(it->to, TAG_POINT);
  an_otlp_fixed64(it->to, TAG_START, it->instance->metrics->start_ns);
  an_otlp_fixed64(it->to, TAG_NOW, it->now_ns);
  return point;
}

static void append_methods(metrics_batch *it, const char *name, const char *unit, bool in_flight) {
  const an_metrics *metrics = it->instance->metrics;
  metric of = open_metric(it, name, unit, TAG_SUM);
  for (size_t i = 0; i < it->instance->program->method_count; i++) {
    size_t cells = metrics->methods_at + i * METHOD_CELLS;
    uint64_t ended = in_flight ? tally_total(metrics, cells + ENDS) : 0; /* first: what ends meanwhile counts as in flight */
    uint64_t calls = tally_total(metrics, cells + CALLS);
    if (calls == 0) continue;
    size_t point = open_point(it);
    an_otlp_fixed64(it->to, TAG_VALUE, calls - ended);
    append_method(it, TAG_NUMBER_ATTRIBUTE, i);
    an_otlp_close(it->to, point);
  }
  close_metric(it, of, !in_flight);
}

static void append_tally(metrics_batch *it, const an_tally_entry *of, uint32_t cell, int status) {
  uint64_t value = tally_total(it->instance->metrics, cell);
  if (value == 0) return;
  size_t point = open_point(it);
  an_otlp_fixed64(it->to, TAG_VALUE, value);
  append_method(it, TAG_NUMBER_ATTRIBUTE, of->method);
  if (of->handler != NULL) {
    an_otlp_text_attribute(it->to, TAG_NUMBER_ATTRIBUTE, "appnet.element", it->instance->program->elements[of->element]);
    an_otlp_text_attribute(it->to, TAG_NUMBER_ATTRIBUTE, "appnet.handler", of->handler);
  }
  if (of->row != NULL) an_otlp_text_attribute(it->to, TAG_NUMBER_ATTRIBUTE, "appnet.row", of->row);
  if (status >= 0) an_otlp_text_attribute(it->to, TAG_NUMBER_ATTRIBUTE, "rpc.response.status_code", STATUSES[status]);
  an_otlp_close(it->to, point);
}

static void append_statuses(metrics_batch *it, const an_tally_entry *of, uint32_t first) {
  for (int status = 0; status < AN_STATUS_COUNT; status++) append_tally(it, of, first + (uint32_t)status, status);
}

static void append_tallies(metrics_batch *it, const char *name, const char *unit, an_tally_kind kind) {
  const an_program *program = it->instance->program;
  metric of = open_metric(it, name, unit, TAG_SUM);
  for (size_t i = 0; i < program->tally_count; i++) {
    const an_tally_entry *entry = &program->tallies[i];
    if (entry->kind != kind) continue;
    if (kind == AN_TALLY_REFUSALS) {
      append_statuses(it, entry, entry->cell);
    } else {
      append_tally(it, entry, entry->cell, -1);
    }
  }
  for (size_t i = 0; kind == AN_TALLY_REFUSALS && i < program->method_count; i++) {
    an_tally_entry nobody = {.kind = kind, .method = (uint32_t)i};
    append_statuses(it, &nobody, (uint32_t)(it->instance->metrics->methods_at + i * METHOD_CELLS + UNJUDGED));
  }
  close_metric(it, of, true);
}

static void append_lost(metrics_batch *it, const char *name, const char *unit, const char *element, an_view variable,
                        uint64_t value) {
  if (value == 0) return;
  metric of = open_metric(it, name, unit, TAG_SUM);
  size_t point = open_point(it);
  an_otlp_fixed64(it->to, TAG_VALUE, value);
  if (element != NULL) an_otlp_text_attribute(it->to, TAG_NUMBER_ATTRIBUTE, "appnet.element", element);
  if (variable.size > 0) an_otlp_attribute(it->to, TAG_NUMBER_ATTRIBUTE, "appnet.variable", variable);
  an_otlp_close(it->to, point);
  close_metric(it, of, true);
}

static void append_merges(metrics_batch *it) {
  static const char *const events[MERGE_EVENTS][2] = {
      {"appnet.state.merges", "{merge}"}, {"appnet.state.staleness", "ms"}, {"appnet.state.errors", "{error}"}};
  const an_program *program = it->instance->program;
  const uint64_t *cell = it->instance->metrics->lost + merges_at(program);
  for (size_t i = 0; i < program->variable_count; i++) {
    const an_variable *variable = &program->variables[i];
    if (variable->combiner == AN_UNMERGED) continue;
    for (size_t event = 0; event < MERGE_EVENTS; event++, cell++) {
      append_lost(it, events[event][0], events[event][1], program->elements[variable->element], an_store_name(variable),
                  __atomic_load_n(cell, __ATOMIC_RELAXED));
    }
  }
}

static void append_all_lost(metrics_batch *it) {
  static const an_view nothing = {NULL, 0};
  const an_program *program = it->instance->program;
  const uint64_t *lost = it->instance->metrics->lost;
  for (size_t i = 0; i < program->record_count; i++) {
    const char *variable = program->records[i].variable;
    append_lost(it, "appnet.records.dropped", "{record}", program->records[i].element,
                (an_view){(const uint8_t *)variable, strlen(variable)}, __atomic_load_n(&lost[i], __ATOMIC_RELAXED));
  }
  for (size_t i = 0; i < program->evictor_count; i++) {
    append_lost(it, "appnet.evictions", "{entry}", program->elements[program->evictors[i]], nothing,
                __atomic_load_n(&lost[program->record_count + i], __ATOMIC_RELAXED));
  }
  static const char *const events[AN_STATE_EVENTS][2] = {{"appnet.state.round_trips", "{request}"},
                                                         {"appnet.state.conflicts", "{batch}"},
                                                         {"appnet.state.errors", "{error}"}};
  lost += program->record_count + program->evictor_count;
  for (size_t i = 0; i < program->sharer_count * AN_STATE_EVENTS; i++) {
    append_lost(it, events[i % AN_STATE_EVENTS][0], events[i % AN_STATE_EVENTS][1],
                program->elements[program->sharers[i / AN_STATE_EVENTS].element], nothing, __atomic_load_n(&lost[i], __ATOMIC_RELAXED));
  }
  append_merges(it);
  const uint64_t spans = __atomic_load_n(&it->instance->metrics->lost[spans_at(program)], __ATOMIC_RELAXED);
  append_lost(it, "appnet.spans.dropped", "{span}", NULL, nothing, spans);
}

/* The buckets from the first to the last that is not empty; how many values there are. */
static uint64_t append_buckets(metrics_batch *it, const uint64_t *buckets, int first_octave) {
  size_t first = 0, last = BUCKETS;
  uint64_t count = 0;
  while (first < BUCKETS && buckets[first] == 0) first++;
  while (last > first && buckets[last - 1] == 0) last--;
  int64_t offset = (int64_t)first_octave * PER_OCTAVE + (int64_t)first;
  size_t positive = an_otlp_open(it->to, TAG_POSITIVE);
  an_otlp_varint(it->to, TAG_OFFSET, (uint64_t)(offset << 1) ^ (uint64_t)(offset >> 63));
  size_t counts = an_otlp_open(it->to, TAG_BUCKET_COUNTS);
  for (size_t i = first; i < last; i++) {
    an_otlp_number(it->to, buckets[i]);
    count += buckets[i];
  }
  an_otlp_close(it->to, counts);
  an_otlp_close(it->to, positive);
  return count;
}

/* Of a method; no point where there are no values. */
static void append_histogram(metrics_batch *it, size_t method, const uint64_t *cells, int first_octave) {
  uint64_t any = 0;
  for (size_t i = 1; i <= BUCKETS; i++) any |= cells[i];
  if (any == 0) return;
  size_t point = open_point(it);
  an_otlp_text_attribute(it->to, TAG_HISTOGRAM_ATTRIBUTE, "rpc.system.name", "grpc");
  append_method(it, TAG_HISTOGRAM_ATTRIBUTE, method);
  an_otlp_fixed64(it->to, TAG_COUNT, append_buckets(it, cells + 1, first_octave));
  an_otlp_double(it->to, TAG_TOTAL, (double)cells[0] / (double)((uint64_t)1 << TICK_BITS));
  an_otlp_varint(it->to, TAG_SCALE, SCALE << 1);
  an_otlp_close(it->to, point);
}

/* `of_chain`: how long it had calls in hand, and not how long they took. */
static void append_durations(metrics_batch *it, const char *name, bool of_chain) {
  const an_metrics *metrics = it->instance->metrics;
  metric of = open_metric(it, name, "s", TAG_EXPONENTIAL);
  for (size_t i = 0; i < it->instance->program->method_count; i++) {
    uint64_t cells[1 + BUCKETS];
    for (size_t n = 0; n <= BUCKETS; n++) {
      cells[n] = of_chain ? __atomic_load_n(&stays_of(it->instance, i)[n], __ATOMIC_RELAXED)
                          : tally_total(metrics, metrics->methods_at + i * METHOD_CELLS + TOOK + n);
    }
    append_histogram(it, i, cells, of_chain ? CHAIN_OCTAVE : RPC_OCTAVE);
  }
  close_metric(it, of, false);
}

static void append_bytes(metrics_batch *it) {
  static const char *const directions[] = {"request", "response"};
  const an_metrics *metrics = it->instance->metrics;
  metric of = open_metric(it, "appnet.message.bytes", "By", TAG_SUM);
  for (size_t i = 0; i < 2 * it->instance->program->method_count; i++) {
    const uint64_t bytes = tally_total(metrics, metrics->methods_at + i / 2 * METHOD_CELLS + BYTES + i % 2);
    if (bytes == 0) continue;
    size_t point = open_point(it);
    an_otlp_fixed64(it->to, TAG_VALUE, bytes);
    append_method(it, TAG_NUMBER_ATTRIBUTE, i / 2);
    an_otlp_text_attribute(it->to, TAG_NUMBER_ATTRIBUTE, "appnet.direction", directions[i % 2]);
    an_otlp_close(it->to, point);
  }
  close_metric(it, of, true);
}

/* How much a Map or a Vec holds. */
static uint32_t entries_of(an_instance *instance, const an_variable *variable) {
  an_lock *lock = &instance->guards[variable->element]->lock;
  an_lock_acquire(lock);
  const void *value = *an_variable_at(instance, variable);
  const uint32_t size = variable->type->kind == AN_MAP ? ((const an_map *)value)->size : ((const an_vec *)value)->size;
  an_lock_release(lock);
  return size;
}

static void append_state(metrics_batch *it) {
  const an_program *program = it->instance->program;
  metric of = open_metric(it, "appnet.state.entries", "{entry}", TAG_SUM);
  for (size_t i = 0; i < program->variable_count; i++) {
    const an_variable *variable = &program->variables[i];
    if (variable->type->kind != AN_MAP && variable->type->kind != AN_VEC) continue;
    size_t point = open_point(it);
    an_otlp_fixed64(it->to, TAG_VALUE, entries_of(it->instance, variable));
    an_otlp_text_attribute(it->to, TAG_NUMBER_ATTRIBUTE, "appnet.element", program->elements[variable->element]);
    an_otlp_attribute(it->to, TAG_NUMBER_ATTRIBUTE, "appnet.variable", an_store_name(variable));
    an_otlp_close(it->to, point);
  }
  close_metric(it, of, false);
}

bool an_stands_at_server(const an_instance *instance) {
  const an_view resource = instance->options.resource;
  static const char text[] = "\x0a\x0b" "appnet.side" "\x12\x08\x0a\x06" "server";
  const size_t size = sizeof text - 1;
  for (size_t at = 0; at + size <= resource.size; at++) {
    if (memcmp(resource.data + at, text, size) == 0) return true;
  }
  return false;
}

static void append_metrics(metrics_batch *it) {
  static const an_view nothing = {NULL, 0};
  bool at_server = an_stands_at_server(it->instance);
  append_lost(it, "appnet.chain.starts", "{start}", NULL, nothing, 1);
  append_methods(it, "appnet.calls", "{call}", false);
  append_methods(it, "appnet.calls.in_flight", "{call}", true);
  append_tallies(it, "appnet.refusals", "{call}", AN_TALLY_REFUSALS);
  append_tallies(it, "appnet.replies", "{call}", AN_TALLY_REPLIES);
  append_tallies(it, "appnet.row.hits", "{hit}", AN_TALLY_ROW);
  append_all_lost(it);
  append_bytes(it);
  append_state(it);
  append_durations(it, "appnet.chain.duration", true);
  append_durations(it, at_server ? "rpc.server.call.duration" : "rpc.client.call.duration", false);
}

void an_append_resource(an_buffer *to, uint8_t tag, const an_instance *instance) {
  an_view options = instance->options.resource;
  size_t resource = an_otlp_open(to, tag);
  an_buffer_append(to, options.data, options.size);
  an_otlp_attribute(to, TAG_ATTRIBUTE, "service.instance.id", (an_view){(const uint8_t *)instance->metrics->id, 16});
  an_otlp_close(to, resource);
}

uint8_t *an_metrics_take(an_instance *instance, size_t *size) {
  static const uint8_t head[AN_OTLP_HEAD];
  an_metrics *metrics = instance->metrics;
  an_buffer to = {0};
  metrics_batch it = {&to, instance, instance->services.wall_ns(instance->services.host)};
  uint64_t sum = sum_of_all(instance);
  *size = 0;
  __atomic_store_n(&metrics->taken_ns, instance->services.now_ns(instance->services.host), __ATOMIC_RELAXED);
  if (sum == 0) return NULL;
  an_buffer_append(&to, head, AN_OTLP_HEAD);
  an_append_resource(&to, TAG_METRICS_RESOURCE, instance);
  size_t scopes = an_otlp_open(&to, TAG_SCOPE_METRICS);
  size_t scope = an_otlp_open(&to, TAG_METRICS_SCOPE);
  an_otlp_text(&to, TAG_METRIC_NAME, "appnet");
  an_otlp_close(&to, scope);
  append_metrics(&it);
  an_otlp_close(&to, scopes);
  if (to.failed) {
    an_buffer_free(&to);
    return NULL;
  }
  __atomic_store_n(&metrics->taken_sum, sum, __ATOMIC_RELAXED);
  return an_otlp_whole(&to, TAG_RESOURCE_METRICS, size);
}
