/* A compiled chain as a host sees it that has decoded messages: a gRPC library, or any other. Slots in, verdict out.
 *
 *   an_instance *instance = chain->instance_new(&services, &options);
 *   an_call *call = chain->call_new(instance, method, host);      the method's index in chain->methods
 *   chain->judge_open(call);                                      the call begins: AN_FORWARD or AN_REFUSE, and where no
 *                                                                 field of the request matters, all that judge_request
 *                                                                 can give. Unless request.holds, the headers go on
 *   an_slot *slots = chain->message_new(call, AN_REQUEST, size);  a slot for each of method.request.fields; the host
 *                                                                 fills those that the message has
 *   switch (chain->judge_request(call)) {
 *     case AN_FORWARD: what slots say is `cleared` is taken from the message, then those `written` go into it, and it
 *                      goes on
 *     case AN_REFUSE:  chain->refusal(call, &text): the call ends with this status, and nothing of it goes on
 *     case AN_ANSWER:  the answer is a new response: what of chain->reply(call) is written, then what of
 *                      message_new's slots is, which are the response's now; the request does not go on
 *   }
 *   slots = chain->message_new(call, AN_RESPONSE, size);          when a response comes; filled likewise
 *   chain->judge_response(call);                                  AN_FORWARD or AN_REFUSE
 *   chain->end_response(call, status);                            in the place of these two, for an error response
 *   chain->call_free(call);                                       the call has ended, in whatever way: end runs here
 *
 * Trailing metadata are asked for once the response has ended: an error's before its leading ones, so that a host may
 * show the same ones as both.
 *
 * Of a direction that streams, each message is judged so, in order; a stream of requests without any is judged once, by
 * message_new and judge_request, before it ends; end_response tells the status of a stream of responses, be it 0. A side
 * that is `empty` need not be judged, and where a side does not need its message, no slot has to be filled. Calls may run in any thread, the events of one call one after another.
 *
 * Bytes that the host puts into slots or hands out as metadata must stay as they are until the host has read what came
 * of the judgement; what the chain gives is there until the call's next event.
 */
#ifndef AN_CHAIN_H
#define AN_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Version of the table `an_chain` and of everything it names; a host refuses any other. */
#define AN_CHAIN_ABI 3u

typedef struct an_view {
  const uint8_t *data;
  size_t size;
} an_view;

typedef struct an_instance an_instance; /* of a chain: its state */
typedef struct an_call an_call;

typedef enum an_direction { AN_REQUEST = 0, AN_RESPONSE = 1 } an_direction;

/* ---- what a host gives ------------------------------------------------------------------------ */

/* The leading metadata of both directions, and the trailing metadata of the response. */
typedef enum an_metadata_map {
  AN_REQUEST_METADATA = 0,
  AN_RESPONSE_METADATA = 1,
  AN_RESPONSE_TRAILERS = 2,
} an_metadata_map;

/* One of the metadata that elements gave to an error or a reply; NULL ends the list. */
typedef struct an_entry {
  struct an_entry *next;
  an_view key; /* in lower case */
  an_view value;
} an_entry;

/* Called while a function of the table runs, by the same thread. A host whose language is not to be called back brings C
 * functions of its own behind the table, which read and write what it left with `host` and `call_host`. */
typedef struct an_services {
  void *host;
  uint64_t (*now_ns)(void *host);  /* monotonic clock */
  uint64_t (*wall_ns)(void *host); /* since the Unix epoch */
  /* Keys come in lower case; of the request, ":authority" and "grpc-timeout" are asked for as well. Gives the first
   * value of the key, which stays valid until the event that asked for it returns. False where absent. */
  bool (*metadata_get)(void *call_host, an_metadata_map map, an_view key, an_view *value);
  void (*metadata_set)(void *call_host, an_metadata_map map, an_view key, an_view value); /* in the place of all values */
  /* Any of the following may be NULL. */
  /* As many of the key's values, in their order, as there is room for; how many there are. NULL: one at most. */
  size_t (*metadata_values)(void *call_host, an_metadata_map map, an_view key, an_view *values, size_t room);
  void (*metadata_remove)(void *call_host, an_metadata_map map, an_view key);
  bool (*peer)(void *call_host, an_view *identity); /* who the caller proved to be by mutual TLS */
  /* The call is to end with DEADLINE_EXCEEDED at this time of now_ns; NULL: the host asks for `deadline_ns`. */
  void (*end_at)(void *call_host, uint64_t at_ns);
} an_services;

/* Memory by name that outlives an instance, so that the next version of a chain goes on where this one is. Whoever takes
 * memory of the same name, kind, layout and size has the same memory, at the same time as well. Instances are made one
 * after another; they may end in any thread. */
typedef struct an_keeper {
  void *host;
  /* `fresh`: nobody has it, so it is all zero. NULL: out of memory. `layout` stands for what a kind does not say. */
  void *(*take)(void *host, an_view name, an_view kind, uint32_t layout, size_t size, bool *fresh);
  /* The instance needs it no longer. If nobody does, `clear` is called before the memory goes. */
  void (*leave)(void *host, void *memory, void (*clear)(void *context, void *memory), void *context);
} an_keeper;

#define AN_NO_DEADLINE UINT64_MAX

typedef struct an_options {
  uint64_t seed;            /* of the elements' random draws */
  uint32_t max_message;     /* bytes; a longer gRPC message that is not decoded yet is refused with RESOURCE_EXHAUSTED */
  uint32_t backend_count;   /* hosts of the upstream cluster */
  an_view resource;         /* an encoded opentelemetry.proto.resource.v1.Resource, stamped on telemetry */
  const an_keeper *keeper;  /* NULL: state ends with the instance */
} an_options;

/* ---- methods and their fields ------------------------------------------------------------------- */

/* How a field stands on the wire. */
typedef enum an_field_kind {
  AN_FIELD_BOOL, AN_FIELD_INT32, AN_FIELD_INT64, AN_FIELD_UINT32, AN_FIELD_UINT64, AN_FIELD_SINT32, AN_FIELD_SINT64,
  AN_FIELD_ENUM, AN_FIELD_FIXED32, AN_FIELD_FIXED64, AN_FIELD_SFIXED32, AN_FIELD_SFIXED64, AN_FIELD_FLOAT,
  AN_FIELD_DOUBLE, AN_FIELD_STRING, AN_FIELD_BYTES,
  AN_FIELD_MESSAGE, /* a message, which is there or not, or many, of which there are `value.u` */
} an_field_kind;

/* How many values a field has: one, the items of a Vec, the entries of a Map, messages, or messages by a key. */
typedef enum an_many {
  AN_MANY_NOT, AN_MANY_ITEMS, AN_MANY_ENTRIES, AN_MANY_MESSAGES, AN_MANY_KEYED_MESSAGES,
} an_many;

typedef union an_value {
  bool b;
  int64_t i;  /* every signed kind and enums, sign-extended */
  uint64_t u; /* every unsigned kind */
  double f;
  an_view s;
  const void *many; /* the runtime's own: give_values and values are there for hosts */
} an_value;

typedef struct an_type an_type; /* the runtime's own */

/* The numbers that a closed enum has names for, in ascending order. */
typedef struct an_names {
  const int32_t *numbers;
  size_t count;
} an_names;

/* A field that the chain reads, asks for or changes: its field numbers from the message inwards.
 *
 * One that stands `within` another, which is of many messages, has its numbers from such a message inwards; of a map's,
 * from the entry inwards, so that they begin with 2. Its slot has a Vec: what each of them has, one after the other. */
typedef struct an_field {
  const uint32_t *numbers;
  uint8_t depth;
  uint8_t kind;     /* an_field_kind; of many values, that of each */
  uint8_t many;     /* an_many; of one that stands within many messages, in each of them */
  uint8_t key_kind; /* of the keys of entries */
  bool packed;      /* items are written as one record */
  uint16_t groups;  /* bit i: the message of number i stands between a group's tags */
  uint16_t within;  /* 1 + the index of the field of many messages that it stands in; 0: in the message itself */
  const an_type *type;     /* of many values: the Vec's or the Map's */
  const uint16_t *oneofs;  /* for each number, which oneof of its message it is a member of; 0: none; NULL: all 0 */
  const an_names *names;   /* of a closed enum: a number that it has no name for counts as an unknown field */
} an_field;

/* A field's value while handlers run: the default where it is absent. */
typedef struct an_slot {
  an_value value;
  bool present;
  bool written;
  bool cleared; /* what the message has of it, and all that is in it, goes before anything is written */
} an_slot;

typedef enum an_verdict { AN_FORWARD = 0, AN_REFUSE = 1, AN_ANSWER = 2 } an_verdict;

/* What the handlers of one direction need; decided at compile time, so that nothing is held for nothing. */
typedef struct an_side {
  const an_field *fields;
  const an_value *absent; /* of each field, what it reads as where it is absent; NULL: zero, for all of them */
  size_t field_count;
  bool needs_message; /* a field is read or written: the message must be whole before the handlers run */
  bool needs_status;  /* response only: the gRPC status must be known before the handlers run */
  bool holds;         /* the handlers can refuse, or write what has to wait for it: headers may not pass before they ran */
  bool empty;         /* no handler does anything: the direction is not looked at */
  bool streams;       /* any number of messages: the handlers run for each, as soon as it is whole */
  bool quiet;         /* it streams, but no handler looks at messages */
} an_side;

typedef struct an_method {
  an_view path; /* "/package.Service/Method" */
  an_side request;
  an_side response;
  an_side reply; /* the fields that replies of elements set */
  /* The runtime's own: the generated handlers, see program.h. Hosts judge by the functions of an_chain. */
  an_verdict (*on_open)(an_call *call);
  an_verdict (*on_request)(an_call *call);
  an_verdict (*on_response)(an_call *call);
  void (*on_end)(an_call *call); /* NULL: no handler asks how calls end */
  void (*on_trailers)(an_call *call); /* of a stream that ended with status 0; NULL: no end asks for them */
} an_method;

/* ---- the table ---------------------------------------------------------------------------------- */

/* Whose fields a function of the table means. */
typedef enum an_part { AN_PART_REQUEST = 0, AN_PART_RESPONSE = 1, AN_PART_REPLY = 2 } an_part;

/* The symbol that a chain exports: `const an_chain appnet_chain`. */
typedef struct an_chain {
  uint32_t abi;
  uint32_t size; /* sizeof(an_chain) */
  const char *name;
  const char *version;
  const an_method *methods;
  size_t method_count;
  an_instance *(*instance_new)(const an_services *services, const an_options *options); /* NULL: out of memory */
  void (*instance_free)(an_instance *instance); /* after its last call */
  an_call *(*call_new)(an_instance *instance, size_t method, void *call_host); /* NULL: out of memory */
  void (*call_free)(an_call *call); /* also ends a call that was cut off: of its handlers only end runs */
  /* The slots of the message that is judged next, as an empty message has them. Ends the event before. `size`: how many
   * bytes the message has, encoded as it came. Of a message that is there the slot is `present`, of many it has their
   * number as well, and of a Map's those that count, one for each key. */
  an_slot *(*message_new)(an_call *call, an_direction direction, size_t size);
  /* Fills the slot of a field of many, or within many messages: `count` items, or entries as key and value in turn.
   * False: out of memory. */
  bool (*give_values)(an_call *call, an_direction direction, size_t field, const an_value *values, size_t count);
  an_verdict (*judge_open)(an_call *call); /* AN_ANSWER: as after judge_request */
  an_verdict (*judge_request)(an_call *call);
  an_verdict (*judge_response)(an_call *call);
  an_verdict (*end_response)(an_call *call, int32_t status);
  const an_slot *(*reply)(an_call *call);
  /* The values of a field of many that is written, as give_values takes them. NULL with *count SIZE_MAX: out of
   * memory. */
  const an_value *(*values)(an_call *call, an_part part, size_t field, size_t *count);
  int32_t (*refusal)(const an_call *call, an_view *text); /* gRPC status code, and message */
  const an_entry *(*own_metadata)(const an_call *call);   /* of a refusal, or the leading of an answer */
  const an_entry *(*own_trailers)(const an_call *call);   /* the trailing of an answer */
  uint64_t (*deadline_ns)(const an_call *call);           /* where a handler has shortened it; else AN_NO_DEADLINE */
  int64_t (*destination)(const an_call *call);            /* the host that the request goes to, or -1 */
  uint64_t (*wait_ms)(const an_call *call);               /* how long the request waits before it goes on */
  /* Takes the records gathered so far as an encoded ExportLogsServiceRequest; *size is 0 where there are none.
   * The caller owns the bytes and gives them back to `release`. */
  uint8_t *(*telemetry_take)(an_instance *instance, size_t *size);
  bool (*telemetry_pending)(an_instance *instance);
  /* All state as text (see an_dump), for tests and inspection; released as above. */
  uint8_t *(*state_dump)(an_instance *instance, size_t *size);
  void (*release)(uint8_t *bytes);
} an_chain;

#endif
