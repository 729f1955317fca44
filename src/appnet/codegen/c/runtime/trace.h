/* Traces: a span for each call of the chain that is sampled, with an event for each row of an element's match-action table
 * that was taken, and for what the element made of the call. docs/telemetry.md has the names.
 *
 * Who calls decides: a context that says "sampled" (W3C traceparent, or else B3) makes a span in its trace, and what goes
 * on names that span as its parent. Calls whose context says nothing of it, or that have none, are sampled by a share of
 * all, which the instance or its host draws. No value of a field, of metadata or of state is in a span.
 *
 *   an_trace_begin(call, drawn); the call has come: sampled, it has call->trace now
 *   an_trace_pass(call);         its headers go on
 *   an_trace_note(call, cell);   something was counted: an_tally does that
 *   an_trace_ended(call, status) its status as the caller has it
 *   an_trace_end(call);          it is over: the span waits to be taken */
#ifndef AN_TRACE_H
#define AN_TRACE_H

#include "instance.h"

#ifndef AN_TRACE
#define AN_TRACE 0 /* whether the host sends spans */
#endif

enum {
  AN_TRACE_EVENTS = 32,   /* of a span; more are counted */
  AN_TRACE_VERDICTS = 4,  /* of these, which rows leave free */
  AN_TRACE_BYTES = 16384, /* of an encoded span */
};

/* In the place of a cell: no element judged the call, which was refused with the status in the low bits. */
#define AN_TRACE_UNJUDGED 0x80000000u

typedef enum an_trace_form { AN_TRACE_W3C, AN_TRACE_B3, AN_TRACE_B3_MANY } an_trace_form;

typedef struct an_trace_event {
  uint64_t at_ns; /* on the monotonic clock */
  uint32_t cell;
  uint32_t first; /* how many were noted before it: repetitions of one another are one event */
} an_trace_event;

/* The context that came with a call. */
typedef struct an_trace_parent {
  uint8_t trace_id[16];
  uint8_t span_id[8];
  an_trace_form form;
  uint8_t flags;
  bool there;
  bool decided; /* it says whether the call is sampled */
  bool sampled;
} an_trace_parent;

struct an_trace {
  an_trace_parent parent;
  uint8_t trace_id[16];
  uint8_t span_id[8];
  int32_t status;
  bool passed; /* what goes on names the span */
  uint64_t wall_ns, began_ns;
  an_trace_event events[AN_TRACE_EVENTS]; /* call->trace_events of them are taken: a step that is taken back gives them back */
};

/* trace_context.c: what came with the call; unless it is asked for `all`, a context that says "not sampled" may be read no
 * further. And whether a caller that has no trace forbids one. */
an_trace_parent an_trace_context(an_call *call, bool all);
bool an_trace_forbidden(an_call *call);

bool an_traces_init(an_instance *instance);
void an_traces_free(an_instance *instance);
/* Of the calls whose context does not decide, so many of 2^32 - 1 are sampled; all of them, if it is that many. */
void an_traces_share(an_instance *instance, uint32_t share);

bool an_trace_drawn(const an_call *call); /* by the share */
void an_trace_begin(an_call *call, bool drawn);
void an_trace_pass(an_call *call); /* again: nothing */
void an_trace_note(an_call *call, uint32_t cell);
void an_trace_ended(an_call *call, int32_t status);
void an_trace_end(an_call *call);

bool an_traces_pending(an_instance *instance);
/* An encoded ExportTraceServiceRequest, and how many spans it has; NULL where there are none, or no memory for it. */
uint8_t *an_traces_take(an_instance *instance, size_t *size, uint64_t *count);
/* So many spans that were taken went nowhere. */
void an_traces_lost(an_instance *instance, uint64_t count);

#endif
