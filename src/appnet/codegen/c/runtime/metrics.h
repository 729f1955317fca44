/* Metrics: what the calls of a chain did, counted as they go and taken by the host as OTLP; docs/telemetry.md has the names.
 *
 * All counts of an instance are cells of 64 bits. Threads count in copies of their own, mostly: a call takes the copy of the
 * thread that it begins in. Counting is one relaxed addition, without a lock or an allocation, and without an order
 * among cells.
 *
 * Counts are cumulative from the making of the instance, which has an id of its own: whoever receives them may miss a
 * post or see it twice and has the same sums. */
#ifndef AN_METRICS_H
#define AN_METRICS_H

#include "trace.h"

#ifndef AN_COUNT
#define AN_COUNT 1 /* 0: nothing is counted, for benchmarks/telemetry.py */
#endif

#ifndef AN_TIMED
#define AN_TIMED 64 /* of so many calls, one tells how long the chain had it in hand; likewise */
#endif

#define AN_METRICS_EVERY_NS ((uint64_t)1000000000u)
#define AN_METRICS_ALIVE_NS (15 * AN_METRICS_EVERY_NS) /* told again, though nothing has changed */

bool an_metrics_init(an_instance *instance);
/* The host has no clock for all calls: how long they take is not told. */
void an_metrics_untimed(an_instance *instance);
void an_metrics_free(an_instance *instance);
/* It is time to take them. */
bool an_metrics_pending(an_instance *instance);
/* An encoded ExportMetricsServiceRequest; NULL with *size 0 where nothing was ever counted, or there is no memory. */
uint8_t *an_metrics_take(an_instance *instance, size_t *size);

size_t an_metrics_cell_count(const an_instance *instance);
/* The cells of a call that begins in this thread. */
uint64_t *an_metrics_cells(const an_instance *instance);

/* The cell is one of an_program.tallies. */
static inline void an_tally(an_call *call, uint32_t cell) {
  if (AN_COUNT) __atomic_fetch_add(&call->cells[cell], 1, __ATOMIC_RELAXED);
  if (AN_TRACE && __builtin_expect(call->trace != NULL, 0)) an_trace_note(call, cell);
}

/* Likewise the first of the cells for each gRPC status: the call ends with call->reply_code. */
static inline void an_tally_refusal(an_call *call, uint32_t first) {
  uint32_t code = (uint32_t)call->reply_code;
  an_tally(call, first + (code < AN_STATUS_COUNT ? code : AN_STATUS_UNKNOWN));
}

/* The call is one of a method of the chain, which is known. */
void an_metrics_begin(an_call *call);
/* A few of the calls are timed: how long the chain has them in hand, event by event, tells the host with its own clock. */
static inline bool an_is_timed(const an_call *call) { return AN_COUNT && __builtin_expect(call->stay_ns != 0, 0); }
void an_metrics_entered(an_call *call, uint64_t now_ns);
void an_metrics_left(an_call *call, uint64_t now_ns);
/* A message of so many bytes is looked at, as it came. */
void an_metrics_message(const an_call *call, an_direction direction, size_t size);
/* It was refused before any element judged it, or could not be read. */
void an_metrics_unjudged(an_call *call, int32_t code);
/* It has ended; nothing where it did not begin. */
void an_metrics_end(const an_call *call);

/* So many more records of a stream were dropped, or entries of an evictor's state let go. */
void an_metrics_dropped(an_instance *instance, size_t stream, uint64_t count);
/* Of state in a store: it answered; others were faster than a batch; or it did not answer, or not what was asked. */
typedef enum an_state_event { AN_STATE_ANSWERED, AN_STATE_CONFLICT, AN_STATE_ERROR, AN_STATE_EVENTS } an_state_event;
void an_metrics_state(an_instance *instance, size_t sharer, an_state_event event);
/* Of a variable that is merged, by its number: it knows all up to now, and knew all up to so many ns before; or the store did
 * not answer, or not what was asked. */
void an_metrics_merged(an_instance *instance, size_t number, uint64_t stale_ns);
void an_metrics_unmerged(an_instance *instance, size_t number);

void an_metrics_spans_dropped(an_instance *instance, uint64_t count);
void an_metrics_evicted(an_instance *instance, size_t evictor, uint64_t count);

/* ---- what other telemetry has as well ---- */

an_view an_method_name(const an_method *method); /* as OpenTelemetry has it: without the slash in front */
const char *an_status_name(int32_t code);
/* Whether the resource says that the chain stands at the server: OpenTelemetry has names for either side. */
bool an_stands_at_server(const an_instance *instance);
/* The resource with the instance's id. */
void an_append_resource(an_buffer *to, uint8_t tag, const an_instance *instance);

#endif
