/* What generated chains, the runtime and the hosts share.
 *
 *   Envoy --(host)--> http_call.c: gRPC framing, holding, judging --> generated chain: slots in, verdict out
 *
 * A host (host_wasm.c, or host_module.c with the loader) turns the proxy's events into the an_*_headers/body/
 * trailers calls below. http_call.c finds the message, scans the fields the chain uses into slots (wire.c), runs
 * the generated handlers, splices what they wrote, and answers with an action. Generated code sees slots only.
 */
#ifndef APPNET_H
#define APPNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Version of the table `an_module` and of everything it names; a loader refuses any other. */
#define AN_MODULE_ABI 2u

typedef struct an_view {
  const uint8_t *data;
  size_t size;
} an_view;

typedef struct an_instance an_instance;
typedef struct an_call an_call;

/* ---- what a host gives ------------------------------------------------------------------------ */

typedef enum an_direction { AN_REQUEST = 0, AN_RESPONSE = 1 } an_direction;

/* header_get on AN_RESPONSE_TRAILERS is used for grpc-status alone. */
typedef enum an_header_map { AN_REQUEST_HEADERS = 0, AN_RESPONSE_HEADERS = 1, AN_RESPONSE_TRAILERS = 2 } an_header_map;

typedef struct an_services {
  void *host;
  uint64_t (*now_ns)(void *host);  /* monotonic clock */
  uint64_t (*wall_ns)(void *host); /* since the Unix epoch, stamps records */
  /* The value stays valid until the event that asked for it returns. False where absent. */
  bool (*header_get)(void *call_host, an_header_map map, an_view key, an_view *value);
  void (*header_set)(void *call_host, an_header_map map, an_view key, an_view value);
} an_services;

typedef struct an_options {
  uint64_t seed;            /* of the elements' random draws */
  uint32_t max_message;     /* bytes; a longer gRPC message is refused with RESOURCE_EXHAUSTED */
  uint32_t backend_count;   /* hosts of the upstream cluster */
  an_view resource;         /* an encoded opentelemetry.proto.resource.v1.Resource, stamped on telemetry */
} an_options;

/* What the host must do with the event it reported. */
typedef enum an_action {
  AN_CONTINUE = 0, /* let pass what is held and what arrived, as it is */
  AN_HOLD = 1,     /* keep back (and buffer) what arrived; the next body event shows it again */
  AN_REPLACE = 2,  /* put an_outcome.body in the place of all body bytes held and arrived, then let pass */
  AN_REPLY = 3,    /* answer the caller with a trailers-only gRPC reply: an_outcome.code, .text; where the response
                    * has begun, end it with them, as far as the proxy can */
  AN_TAKE = 4,     /* the chain has what arrived, and gives it back when it is whole: drop it, let nothing pass yet */
  AN_RESPOND = 5,  /* answer the caller with an_outcome.body, a framed message, and status 0 */
} an_action;

typedef struct an_outcome {
  an_view body;  /* AN_REPLACE */
  int32_t code;  /* AN_REPLY: gRPC status code */
  an_view text;  /* AN_REPLY: grpc-message, not yet percent-encoded */
  bool more;     /* AN_CONTINUE, AN_REPLACE: what follows in this direction has to be shown, too */
} an_outcome;

/* The one symbol that a native chain exports: `const an_module appnet_module`. The wasm host calls the same functions. */
typedef struct an_module {
  uint32_t abi;
  uint32_t size; /* sizeof(an_module) */
  const char *name;
  const char *version;
  an_instance *(*instance_new)(const an_services *services, const an_options *options); /* NULL: out of memory */
  void (*instance_free)(an_instance *instance);
  an_call *(*call_new)(an_instance *instance, void *call_host);
  void (*call_free)(an_call *call); /* also ends a call that was cut off: its resp handlers do not run */
  an_action (*request_headers)(an_call *call, bool end_stream);
  /* chunks: every body byte held so far and then what arrived, in order. */
  an_action (*request_body)(an_call *call, const an_view *chunks, size_t count, bool end_stream);
  an_action (*request_trailers)(an_call *call);
  an_action (*response_headers)(an_call *call, bool end_stream);
  an_action (*response_body)(an_call *call, const an_view *chunks, size_t count, bool end_stream);
  an_action (*response_trailers)(an_call *call);
  /* The proxy answers in the place of a response that had begun: the handlers see an error response. A reply made
   * before any response comes by response_headers like any other. */
  void (*local_reply)(an_call *call, uint32_t http_status);
  const an_outcome *(*outcome)(const an_call *call);
  /* Takes the records gathered so far as an encoded ExportLogsServiceRequest; *size is 0 where there are none.
   * The caller owns the bytes and gives them back to `release`. */
  uint8_t *(*telemetry_take)(an_instance *instance, size_t *size);
  bool (*telemetry_pending)(an_instance *instance);
  /* All state as text (see an_dump_*), for tests and inspection; released as above. */
  uint8_t *(*state_dump)(an_instance *instance, size_t *size);
  void (*release)(uint8_t *bytes);
} an_module;

/* ---- what a generated chain gives -------------------------------------------------------------- */

/* How a field stands on the wire. */
typedef enum an_field_kind {
  AN_FIELD_BOOL, AN_FIELD_INT32, AN_FIELD_INT64, AN_FIELD_UINT32, AN_FIELD_UINT64, AN_FIELD_SINT32, AN_FIELD_SINT64,
  AN_FIELD_ENUM, AN_FIELD_FIXED32, AN_FIELD_FIXED64, AN_FIELD_SFIXED32, AN_FIELD_SFIXED64, AN_FIELD_FLOAT,
  AN_FIELD_DOUBLE, AN_FIELD_STRING, AN_FIELD_BYTES,
  AN_FIELD_MESSAGE, /* only to be noticed: a member of a oneof that puts an end to the others */
} an_field_kind;

/* How many values a field has: one, the items of a Vec, or the entries of a Map. */
typedef enum an_many { AN_MANY_NOT, AN_MANY_ITEMS, AN_MANY_ENTRIES } an_many;

typedef union an_value {
  bool b;
  int64_t i;  /* every signed kind and enums, sign-extended */
  uint64_t u; /* every unsigned kind */
  double f;
  an_view s;
  const void *many; /* a written an_vec or an_map */
} an_value;

typedef struct an_type an_type;

/* A field that the chain reads or writes: its field numbers from the message inwards. */
typedef struct an_field {
  const uint32_t *numbers;
  uint8_t depth;
  uint8_t kind;     /* an_field_kind; of many values, that of each */
  uint8_t many;     /* an_many */
  uint8_t key_kind; /* of the keys of entries */
  bool packed;      /* items are written as one record */
  const an_type *type;     /* of many values: the Vec's or the Map's */
  const uint16_t *oneofs;  /* for each number, which oneof of its message it is a member of; 0: none; NULL: all 0 */
} an_field;

/* A field's value while handlers run. wire.c fills it from the last occurrence (the default where absent; many values
 * are read when they are asked for), generated code may set `value` and `written`, wire_splice.c splices the written
 * ones. */
typedef struct an_slot {
  an_value value;
  bool present;
  bool written;
} an_slot;

typedef enum an_verdict { AN_FORWARD = 0, AN_REFUSE = 1, AN_ANSWER = 2 } an_verdict;

/* What the handlers of one direction need; decided at compile time, so that nothing is held for nothing. */
typedef struct an_side {
  const an_field *fields;
  const an_value *absent; /* of each field, what it reads as where it is absent; NULL: zero, for all of them */
  size_t field_count;
  bool needs_message; /* a field is read or written: the message must be whole before the handlers run */
  bool needs_status;  /* response only: the gRPC status must be known before the handlers run */
  bool holds;         /* the handlers can refuse, or write a field or metadata: nothing may pass before they ran */
  bool empty;         /* no handler does anything: the direction is not looked at */
  bool streams;       /* any number of messages: the handlers run for each, as soon as it is whole */
} an_side;

typedef struct an_method {
  an_view path; /* "/package.Service/Method" */
  an_side request;
  an_side response;
  an_side reply; /* the fields that replies of elements set */
  /* Runs the elements' req in order. On AN_ANSWER, call->reply_slots hold what the element that replied has written,
   * and call->forwarded counts those before it, whose resp handlers have not run yet. On AN_REFUSE, call->reply_code and reply_text are set, and the resp handlers
   * of the elements that had forwarded have already run on the error response. */
  an_verdict (*on_request)(an_call *call);
  /* Runs resp, in reverse order, of exactly those elements that forwarded the request. call->status is the gRPC
   * status; where call->is_error, slots read as defaults and writes are dropped. AN_REFUSE as above. */
  an_verdict (*on_response)(an_call *call);
} an_method;

typedef struct an_record_stream {
  const char *element;
  const char *variable;
} an_record_stream;

/* An element whose state can have to let go what it holds. */
typedef struct an_evictor {
  const char *element;
  size_t heap; /* where its an_heap stands in the state */
} an_evictor;

typedef struct an_text an_text;

/* Defined once by the generated file as `const an_chain appnet_chain`. */
typedef struct an_chain {
  const char *name;
  const char *version;
  size_t state_size;      /* bytes of all elements' state; lives at instance->state, zeroed before init */
  size_t call_state_size; /* bytes of rpc-scoped state; lives at call->state, zeroed for each call */
  const char *const *elements;
  size_t element_count;   /* each has a lock and a random generator in the instance */
  const an_method *methods;
  size_t method_count;
  const an_record_stream *records;
  size_t record_count;
  const an_evictor *evictors;
  size_t evictor_count;
  void (*init)(an_instance *instance); /* all elements' init, in order */
  void (*destroy)(an_instance *instance);
  void (*dump)(an_instance *instance, an_text *out);
} an_chain;

extern const an_chain appnet_chain;

#endif
