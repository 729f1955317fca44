/* An instance of a chain (one for each filter configuration; in wasm, for each worker) and a call through it. */
#ifndef AN_INSTANCE_H
#define AN_INSTANCE_H

#include "appnet.h"
#include "platform.h"

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
typedef struct an_plan an_plan;       /* wire.h */

/* Zero-initialised; grows. After `failed` (out of memory, or past `limit` where that is not 0) it takes nothing more. */
typedef struct an_buffer {
  uint8_t *data;
  size_t size;
  size_t capacity;
  size_t limit;
  bool failed;
} an_buffer;

void an_buffer_append(an_buffer *buffer, const void *bytes, size_t size);
void an_buffer_free(an_buffer *buffer);

/* Where a state dump is written. */
struct an_text {
  an_buffer buffer;
};

struct an_instance {
  const an_chain *chain;
  an_services services;
  an_options options; /* .resource is a copy that the instance owns */
  void *state;        /* chain->state_size bytes */
  an_lock *locks;     /* one for each element */
  uint64_t *random;   /* one for each element: the state of its splitmix64; drawn by an_random_draw alone */
  uint64_t rpc_count; /* calls of the chain's methods so far */
  uint64_t *loads;    /* calls in flight, for each of options.backend_count hosts; read by an_backend_load */
  an_records *records;
  an_plan *plans;    /* of each method the request's, the response's and the reply's: how to look for its fields */
  an_lock pool_lock; /* guards the lists of spare calls and chunks */
  an_call *spare_calls;
  an_chunk *spare_chunks;
  size_t spare_chunk_count;
  size_t call_bytes; /* of an an_call with its state, slots and first arena block */
  size_t slot_count; /* the most fields that one side of a method has */
  size_t reply_slot_count;
};

an_instance *an_instance_new(const an_services *services, const an_options *options);
void an_instance_free(an_instance *instance);
/* Frees an instance whose chain was not initialised. */
void an_instance_drop(an_instance *instance);
/* See an_module.state_dump; NULL with *size 0 where there is no state, or no memory to write it. */
uint8_t *an_state_dump(an_instance *instance, size_t *size);

static inline uint64_t an_now(const an_instance *instance) { return instance->services.now_ns(instance->services.host); }

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

/* How far one direction of a call has come. */
typedef enum an_phase {
  AN_PHASE_START = 0, /* headers not seen */
  AN_PHASE_WAITING,   /* the message or the status is not whole yet */
  AN_PHASE_STREAMING, /* messages are judged one by one */
  AN_PHASE_JUDGED,    /* handlers ran, or there was nothing to judge: everything else passes */
  AN_PHASE_REPLIED,   /* AN_REPLY was answered; nothing of the call may pass any more */
} an_phase;

struct an_call {
  /* what generated code reads and writes */
  an_instance *instance;
  const an_method *method; /* NULL: not a method of the chain */
  uint64_t rpc_id;         /* counts the chain's calls from 1 */
  an_slot *slots;          /* of the side being judged, in the order of an_side.fields */
  an_slot *reply_slots;    /* of an_method.reply */
  uint32_t forwarded;      /* elements that forwarded the request, set by on_request */
  int32_t status;          /* gRPC status of the response */
  bool is_error;           /* resp handlers: no message, fields read as defaults */
  void *state;             /* chain->call_state_size bytes, zero when the call begins */
  an_arena arena; /* of a stream's call, only what the message in hand needs */
  an_arena kept;  /* of a stream's call, what its rpc-scoped state holds */
  int32_t reply_code; /* with AN_REFUSE */
  an_view reply_text; /* with AN_REFUSE; in the arena, static, or state that outlives the event */

  /* what http_call.c keeps */
  void *host;
  an_phase request_phase;
  an_phase response_phase;
  bool response_begun;      /* response headers were seen, so response metadata exists */
  bool made_here;           /* the response is this chain's own: it has no metadata */
  bool response_held;       /* they wait for the judgement, and so does the body */
  bool message_whole;       /* `message` is the response's and stands in the slots, waiting for the status */
  const char *flaw;         /* why the response's message cannot be read; NULL while nothing is wrong */
  int32_t flaw_code;        /* gRPC status that says so */
  an_view message;          /* in hand: a protobuf message without its gRPC frame */
  an_buffer seen;           /* response bytes gathered where nothing is held */
  an_buffer parts[2];       /* of a stream, for each direction: the start of a message that is not whole yet */
  an_buffer passing;        /* of a stream: messages that go on in the place of what arrived */
  int64_t destination;      /* host that a handler chose by the metadata `dst`, or -1 */
  int64_t counted;          /* host that this call counts for in instance->loads, or -1 */
  an_outcome outcome;
  an_call *next_spare;
};

an_call *an_call_new(an_instance *instance, void *host);
void an_call_free(an_call *call);

/* The call counts for its destination in instance->loads from now on, or no longer. */
void an_call_count(an_call *call);
void an_call_uncount(an_call *call);

/* gRPC metadata of the direction, as the language has it: keys match in lower case, reserved keys (grpc-*, te,
 * content-type) and what HTTP cannot carry are not set, an error made by the chain has none. Values stay valid until
 * the event returns. Hosts may forget headers that have passed: only a side that `holds` can rely on the response's. */
bool an_metadata_get(an_call *call, an_direction direction, an_view key, an_view *value);
void an_metadata_set(an_call *call, an_direction direction, an_view key, an_view value);

/* Turns the call into an error response made by the chain, for the resp handlers that follow a refusal:
 * is_error and status are set and the slots of the response read as defaults. */
void an_call_fail(an_call *call, int32_t status);

/* The handler's reply begins anew, with no field written. */
void an_reply_begin(an_call *call);

#endif
