/* An instance of a chain (one for each filter configuration; in wasm, for each worker), a call through it, and their
 * memory. */
#ifndef AN_INSTANCE_H
#define AN_INSTANCE_H

#include "platform.h"
#include "program.h"

/* ---- memory that ends with the call --------------------------------------------------------------- */

typedef struct an_chunk {
  struct an_chunk *next;
  size_t size; /* bytes that follow this header */
} an_chunk;

typedef struct an_arena {
  an_instance *instance; /* whose pool lends the chunks */
  an_chunk *chunks;      /* newest first; beyond the block that the call itself carries */
  uint8_t *at;
  uint8_t *end;
} an_arena;

/* What was taken after the mark is given back. */
typedef an_arena an_mark;
void an_arena_release(an_arena *arena, const an_mark *mark);

/* 16-byte aligned, not cleared, valid until the call is freed; NULL when out of memory. */
void *an_arena_alloc(an_arena *arena, size_t size);

/* ---- instance -------------------------------------------------------------------------------------- */

typedef struct an_records an_records; /* telemetry.c */
typedef struct an_metrics an_metrics; /* metrics.c */
typedef struct an_why an_why;         /* why.c */
typedef struct an_traces an_traces;   /* trace.c */
typedef struct an_trace an_trace;     /* trace.h */
typedef struct an_plan an_plan;       /* wire.h */
typedef struct an_guard an_guard;     /* value.h */
typedef struct an_copies an_copies;   /* steps.h */
typedef struct an_step an_step;       /* steps.h */
typedef struct an_merges an_merges;   /* merging.h */

/* Zero-initialised; grows. After `failed` (out of memory, or past `limit` where that is not 0) it takes nothing more. */
typedef struct an_buffer {
  uint8_t *data;
  size_t size;
  size_t capacity;
  size_t limit;
  uint64_t ahead; /* of the clock that Instants in it are told by, to this machine's */
  bool failed;
} an_buffer;

void an_buffer_append(an_buffer *buffer, const void *bytes, size_t size);
void an_buffer_append_u32(an_buffer *buffer, uint32_t value);
void an_buffer_free(an_buffer *buffer);

/* Where a state dump is written. */
struct an_text {
  an_buffer buffer;
};

struct an_instance {
  const an_program *program;
  an_services services;
  an_options options; /* .resource is a copy that the instance owns */
  void *state;        /* program->state_size bytes */
  an_guard **guards;  /* one for each element */
  an_copies *copies;  /* of what is in the store; NULL: the host shares no state */
  an_merges *merges;  /* of what is merged; NULL likewise */
  uint8_t *lent;      /* see kept.c */
  uint64_t *random;   /* one for each element: the state of its splitmix64; drawn by an_random_draw alone */
  uint64_t *rpc_count; /* calls of the chain's methods so far, where they are counted; taken by an_number alone */
  uint64_t *loads;    /* calls in flight, for each of options.backend_count hosts; read by an_backend_load */
  an_records *records;
  an_metrics *metrics;
  an_why *why; /* NULL where the host does not send it */
  an_traces *traces; /* likewise */
  an_plan *plans;    /* of each method the request's, the response's and the reply's: how to look for its fields */
  an_lock pool_lock; /* guards the lists of spare calls and chunks */
  an_call *spare_calls;
  an_chunk *spare_chunks;
  size_t spare_chunk_count;
  /* A call lies with what its host keeps, its rpc-scoped state, its slots and the first block of its arena behind one
   * another: where these begin, and how long all is. */
  size_t call_state_at, call_slots_at, call_block_at, call_bytes;
  size_t slot_count; /* the most fields that one side of a method has */
  size_t reply_slot_count;
};

/* The next draw of an element's generator; safe from any thread without a lock. */
static inline uint64_t an_random_draw(an_instance *instance, size_t element) {
  const uint64_t step = 0x9e3779b97f4a7c15u;
  uint64_t z = __atomic_add_fetch(&instance->random[element], step, __ATOMIC_RELAXED);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* Calls in flight to a host of the upstream cluster; 0 where there is no such host. */
static inline uint64_t an_backend_load(const an_instance *instance, int64_t backend) {
  if (backend < 0 || (uint64_t)backend >= instance->options.backend_count) return 0;
  return __atomic_load_n(&instance->loads[backend], __ATOMIC_RELAXED);
}

/* ---- call ------------------------------------------------------------------------------------------ */

struct an_call {
  an_instance *instance;
  const an_method *method; /* NULL: not a method of the chain */
  void *host;              /* whom services are asked for */
  void *clock;             /* whom the time is asked of: the instance's host, unless a host has one for each call */
  uint64_t rpc_id;         /* counts the chain's calls from 1; 0 where nobody asks */
  an_slot *slots;          /* of the side being judged, in the order of an_side.fields */
  an_slot *reply_slots;    /* of an_method.reply */
  an_view message;         /* in hand: a protobuf message without its gRPC frame, where the host has it encoded */
  size_t decoded_size;     /* of the message in hand, where the host has it decoded */
  uint32_t opened;         /* elements that let the call begin: see program.h */
  uint32_t begun;          /* elements that let a message pass */
  uint32_t forwarded;      /* no more elements than these are passed by a response */
  bool last;               /* the call ends with the response in hand */
  int32_t end_status;      /* with which the call ended, for elements that no response passed */
  int32_t status;          /* gRPC status of the response */
  bool is_error;           /* resp handlers: no message, fields read as defaults */
  bool response_begun;     /* the response has come, so its metadata exists */
  bool made_here;          /* the response is this chain's own: its metadata are `own` */
  bool response_passed;    /* a message of a stream of responses went on: an error can only end it */
  bool trailers_only;      /* all of the response came at once: its metadata are its trailers, too */
  bool trailers_there;     /* the host has its trailers */
  bool shortened;          /* a handler has shortened the deadline */
  uint64_t deadline_ns;    /* AN_NO_DEADLINE where there is none */
  an_entry *told;          /* what the handler that runs has set */
  an_entry *own;           /* of an error, all its metadata; of a reply, the leading */
  an_entry *trailers;      /* those that were set before they came; of a reply, its own */
  void *state;             /* program->call_state_size bytes, zero when the call begins */
  an_arena arena; /* of a stream's call, only what the message in hand needs */
  an_arena kept;  /* of a stream's call, what its rpc-scoped state holds */
  int32_t unread_code; /* other than 0: the message in hand cannot be read, for which this status is the refusal */
  an_view unread_text;
  int32_t reply_code; /* with AN_REFUSE */
  an_view reply_text; /* with AN_REFUSE; in the arena, static, or state that outlives the event */
  bool routed;         /* a handler chose a host, be it none */
  int64_t destination; /* the host that was chosen, or -1 */
  uint64_t wait_ms;    /* before the request goes on */
  uint64_t *cells;     /* where the call is counted: see metrics.h */
  an_step *step;       /* that runs on trial; NULL: none */
  uint64_t began_ns;   /* when an_metrics_begin was called; 0: it was not */
  uint64_t entered_ns; /* of a call that is timed, when the chain took the event in hand; 0: it has none */
  uint64_t stay_ns;    /* how long the chain has had it in hand, from 1 on; 0: the call is not timed */
  an_trace *trace;     /* NULL: the call is not sampled. What is in it so far, for trace.c: */
  uint32_t trace_events, trace_noted, trace_dropped;
  int64_t counted;     /* host that this call counts for in instance->loads, or -1 */
  an_call *next_spare;
};

static inline uint64_t an_now(const an_call *call) { return call->instance->services.now_ns(call->clock); }
static inline uint64_t an_wall_ns(const an_call *call) { return call->instance->services.wall_ns(call->clock); }

/* Seconds since the Unix epoch. */
static inline double an_wall_time(const an_call *call) { return (double)an_wall_ns(call) / 1e9; }

enum { AN_CANCELLED = 1 }; /* gRPC's code for a call whose caller left it */

/* In a struct of the size that calls were laid out for, zero but for the call itself. NULL: out of memory. */
an_call *an_call_new(an_instance *instance, void *host);
void an_call_free(an_call *call); /* the end handlers run here */
/* Has these handlers of its method judge the call. */
an_verdict an_judge(an_call *call, an_verdict (*handlers)(an_call *call));
/* `call_size`: of the host's struct, which begins with an an_call. */
void an_calls_lay_out(an_instance *instance, size_t call_size);
void an_pools_free(an_instance *instance); /* the spare calls and chunks */

/* The call counts for its destination in instance->loads from now on, or no longer. */
void an_call_count(an_call *call);
void an_call_uncount(an_call *call);

#endif
