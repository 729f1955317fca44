/* A chain as a host sees it that nobody can call back, such as Go: all that an event may ask for stands in a frame before,
 * and all that came of it stands there after.
 *
 *   an_call_frame frame = {.instance = instance, .method = 0};
 *   frame.now_ns = …; frame.wall_ns = …;             at each event
 *   frame.given = …;                                  of each field of the side that is judged, in its order
 *   table->begin(&frame);                             an unary call: its beginning and its request. Where that is all, it
 *                                                     has ended, and frame.call is NULL
 *   … the request goes on: frame.slots, frame.edits, frame.destination …
 *   table->response(&frame);                          or end_response
 *   table->end(&frame);                               the call has ended, in whatever way
 *
 * Where a direction streams, `open` judges the beginning, then `request` and `response` each message, and `end_response` the
 * end of the responses. Everything is as an_chain has it (chain.h); what `out` says stays until the frame's next event.
 */
#ifndef AN_FRAMES_H
#define AN_FRAMES_H

#include "memory.h"
#include "sharing.h"

/* Version of this table and of all it names, an_chain and an_method included; a host refuses any other. */
#define AN_FRAMES_ABI 4u

typedef struct an_pair {
  an_view key, value;
} an_pair;

enum { AN_MAPS = 3 }; /* an_metadata_map */

typedef enum an_given_as {
  AN_ABSENT = 0,
  AN_ONE = 1,   /* the value; of a message, how many there are is value.u */
  AN_SEVERAL = 2, /* value.s has the address of an_values, and how many */
} an_given_as;

typedef struct an_given {
  an_value value;
  uint64_t as; /* an_given_as */
} an_given;

/* What handlers did to metadata, one for each key, in their order. */
typedef struct an_metadata_edit {
  struct an_metadata_edit *next;
  an_view key;
  an_view value;    /* in the place of all that the key had */
  uint32_t map;     /* an_metadata_map */
  uint32_t removes; /* the key goes */
} an_metadata_edit;

/* What is to be made of the trace that a call is part of. Its context is among the request's metadata, at each event. */
typedef enum an_tracing {
  AN_TRACED_NOT = 0,
  AN_TRACED_AS_TOLD = 1, /* as the context says; without one, not */
  AN_TRACED_DRAWN = 2,   /* where the context leaves it open: yes */
} an_tracing;

typedef struct an_call_frame {
  /* in */
  uint64_t now_ns, wall_ns; /* of the event; 0: let the chain ask the system, if it can */
  an_instance *instance;
  an_call *call;            /* the chain's; NULL before the first event, and after the last */
  const an_given *given;    /* of the message; NULL: no field is there */
  const an_pair *metadata[AN_MAPS]; /* those of one key in their order; see an_frames.wants */
  uint64_t metadata_count[AN_MAPS];
  an_view peer;
  uint64_t message_size;    /* of the message, encoded */
  uint32_t method;          /* its place in an_chain.methods */
  int32_t status;           /* for end_response; for end, of a call that has a span: as the caller has it */
  /* out */
  uint32_t verdict;         /* an_verdict */
  int32_t code;             /* of a refusal */
  an_view text;
  const an_slot *slots;     /* of the side that was judged; of an answer, the response's */
  const an_slot *reply;     /* of an answer */
  const an_entry *own, *trailers; /* of a refusal or an answer */
  an_metadata_edit *edits;
  an_metadata_edit *last_edit;   /* the chain's own */
  uint64_t deadline_ns;     /* AN_NO_DEADLINE, or when the call ends: on the clock of now_ns */
  int64_t destination;      /* the host's number, or -1 */
  uint64_t wait_ms;
  uint32_t touched;         /* a slot is written or cleared */
  uint32_t failed;          /* out of memory: the verdict is a refusal */
  /* in at the first event, out from then on */
  uint32_t trace;           /* an_tracing; afterwards, whether the call has a span */
  /* out */
  uint32_t waits;           /* the event is not over: it waits for the store, and an_stores goes on with it */
  struct fiber *fiber;      /* the chain's own */
} an_call_frame;

/* What an instance is told. */
typedef struct an_setup {
  uint64_t seed;
  uint64_t now_ns, wall_ns; /* of the moment */
  an_view resource;         /* see an_options */
  an_view scope;            /* state goes on from version to version by this name; empty: it does not */
  uint32_t max_message;
  uint32_t backend_count;
} an_setup;

/* What frames must have, or need not: a host that gives less than is wanted runs another program. */
typedef enum an_wants {
  AN_WANTS_REQUEST_METADATA = 1 << 0,
  AN_WANTS_RESPONSE_METADATA = 1 << 1, /* and trailers; or they are changed */
  AN_WANTS_AUTHORITY = 1 << 2,         /* ":authority" among the request's */
  AN_WANTS_PEER = 1 << 3,
  AN_WANTS_TIMEOUT = 1 << 4,           /* "grpc-timeout" among the request's */
  AN_WANTS_CLOCK = 1 << 5,
  AN_WANTS_SIZE = 1 << 6, /* message_size */
} an_wants;

/* What host and chain tell one another about the store of shared state. */
typedef struct an_exchange {
  uint64_t now_ns, wall_ns; /* in, as a frame has them */
  uint64_t due;             /* in: see an_sharing.request_take */
  uint64_t count;           /* out: how many parts there are */
  an_view parts[AN_REQUEST_PARTS];
  an_view answer;           /* in */
  an_view flaw;             /* out: what is wrong with the answer; empty: nothing */
} an_exchange;

/* How a host shares state: as an_sharing has it (sharing.h), which says what each function does. Where a handler of an event
 * waits for the store, the event returns with frame.waits: the frame, and what was lent to the event, stay as they are. Once
 * a function of this table has had an effect, `woken` gives the frames whose events go on, until it gives NULL; `resume`
 * goes on with one of them, in any thread, and may return with frame.waits again. */
typedef struct an_stores {
  an_instance *(*instance_new)(const an_setup *setup, const uint8_t *id, size_t size); /* id: see an_carrier */
  uint64_t (*count)(an_instance *instance);
  void (*names)(an_instance *instance, size_t copy, an_exchange *it); /* parts: the element, and the variable or nothing */
  uint64_t (*take)(an_instance *instance, size_t copy, an_exchange *it); /* whether there is a request */
  void (*answer)(an_instance *instance, size_t copy, an_exchange *it);
  void (*unanswered)(an_instance *instance, size_t copy, an_exchange *it);
  void (*away)(an_instance *instance, size_t copy, an_exchange *it);
  uint64_t (*waits_since)(an_instance *instance, size_t copy, an_exchange *it);
  void (*leave)(an_instance *instance, size_t copy, an_exchange *it);
  an_call_frame *(*woken)(an_instance *instance);
  void (*resume)(an_call_frame *frame);
} an_stores;

typedef struct an_frames {
  uint32_t abi;
  uint32_t size;          /* sizeof(an_frames) */
  uint32_t frame_size;    /* sizeof(an_call_frame) */
  uint32_t shared_layout; /* AN_SHARED_LAYOUT */
  uint32_t shared_size;
  uint32_t wants;
  const an_chain *chain;
  void (*attach)(an_shared *shared);
  an_instance *(*instance_new)(const an_setup *setup); /* NULL: out of memory */
  void (*instance_free)(an_instance *instance);
  void (*open)(an_call_frame *frame);
  void (*begin)(an_call_frame *frame);
  void (*request)(an_call_frame *frame);
  void (*response)(an_call_frame *frame);
  void (*end_response)(an_call_frame *frame);
  void (*end)(an_call_frame *frame);
  const an_value *(*values)(an_call_frame *frame, an_part part, size_t field, size_t *count);
  uint8_t *(*telemetry_take)(an_instance *instance, const an_setup *clock, size_t *size);
  void (*finish)(an_call_frame *frame); /* response, and end where that leaves nothing to do: then call is NULL */
  /* An encoded ExportMetricsServiceRequest: all counts since the instance was made. NULL where it is too early for
   * another one, unless it is the last. */
  uint8_t *(*metrics_take)(an_instance *instance, const an_setup *clock, uint32_t last, size_t *size);
  /* The spans since the last time as an encoded ExportTraceServiceRequest, and how many; NULL where there are none. */
  uint8_t *(*spans_take)(an_instance *instance, const an_setup *clock, uint64_t *count, size_t *size);
  void (*spans_lost)(an_instance *instance, uint64_t count); /* so many that were taken went nowhere */
  const an_stores *stores; /* NULL: the module cannot share state */
} an_frames;

#endif
