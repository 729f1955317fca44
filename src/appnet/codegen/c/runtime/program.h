/* What a generated file gives to the runtime: its methods with their handlers, its elements, and their state. */
#ifndef AN_PROGRAM_H
#define AN_PROGRAM_H

#include "chain.h"

/* The handlers of an an_method:
 *
 * on_open runs the elements' open in order, as far as the headers go before a message has come, and the req that need
 * nothing else. on_request runs the others' req, for each message, and with the first one what of open had to wait for
 * it. call->opened counts the elements, from the first on, that let the call begin; call->begun those that let a message
 * pass. On AN_ANSWER, call->reply_slots hold what the element that replied has written, and call->forwarded counts those
 * before it, whose resp handlers have not run yet. On AN_REFUSE, call->reply_code and reply_text are set, and the resp
 * handlers of the elements that had forwarded have already run on the error response.
 *
 * on_response runs resp, in reverse order, of exactly those elements that forwarded the request, and no more than
 * call->forwarded. call->status is the gRPC status; where call->is_error, slots read as defaults and writes are dropped.
 * call->last: the call ends with this response. AN_REFUSE as above.
 *
 * Where call->unread_code is set, the message cannot be read. Elements that look at none of its fields see it pass. One that
 * does refuses it, unless it sees a response that it could neither refuse nor change: then its resp does not run.
 *
 * on_trailers notes what end asks for of the trailers of a stream that no handler sees end, since all went well.
 *
 * on_end runs end, once, of the elements that let the call begin. call->end_status is the status for those that no
 * response of it has passed. */

typedef struct an_record_stream {
  const char *element;
  const char *variable;
} an_record_stream;

/* How copies of weak state are merged. */
typedef enum an_combiner { AN_UNMERGED, AN_LWW, AN_SUM, AN_MAX, AN_MIN, AN_UNION } an_combiner;

/* A state variable that handlers change: it outlives calls and, where the host keeps it, versions. */
typedef struct an_variable {
  an_view name; /* "ELEMENT.VARIABLE" */
  an_view kind; /* its type, as the language writes it: another version's variable of this name and kind is the same */
  const an_type *type;
  uint32_t element;
  uint32_t capacity; /* of a Map or Vec */
  uint32_t part;     /* of a Map in the store, how many entries instances keep; 0: all */
  size_t place;      /* where the state has the pointer to the value */
  bool tried;        /* steps change it: see steps.h */
  bool shared;       /* it is in the store, where the host shares state */
  bool lasting;      /* there, it outlives all instances */
  an_combiner combiner; /* it is merged with the store's, where the host shares state */
} an_variable;

/* An element that has state in the store. */
typedef struct an_sharer {
  uint32_t element;
  bool goes_on; /* while the store is away, its handlers run on what the instance has; else they refuse */
  bool meets;   /* its steps also change state that the versions of a process have in common */
} an_sharer;

typedef struct an_text an_text;

enum { AN_STATUS_UNKNOWN = 2, AN_STATUS_COUNT = 17 }; /* gRPC's codes, from 0 on */

typedef enum an_tally_kind {
  AN_TALLY_ROW,      /* a row of the handler's match-action table was taken */
  AN_TALLY_REPLIES,  /* the element answered a call */
  AN_TALLY_REFUSALS, /* it refused one: AN_STATUS_COUNT cells, one for each status */
} an_tally_kind;

/* What is counted in a cell, or in cells from this one on: see metrics.h. */
typedef struct an_tally_entry {
  an_tally_kind kind;
  uint32_t cell;
  uint32_t method;
  uint32_t element;
  const char *handler; /* NULL: no element's */
  const char *row;     /* as `appnetctl show --what table` numbers it; NULL: none */
} an_tally_entry;

/* Defined once by the generated file as `const an_program appnet_program`. */
typedef struct an_program {
  const char *name;
  size_t state_size;      /* bytes of all elements' state; lives at instance->state, zeroed before init but for pointers */
  size_t call_state_size; /* bytes of rpc-scoped state; lives at call->state, zeroed for each call */
  const char *const *elements;
  size_t element_count;   /* each has a guard and a random generator in the instance */
  const an_variable *variables;
  size_t variable_count;
  const an_sharer *sharers;
  size_t sharer_count;
  const an_method *methods;
  size_t method_count;
  const an_record_stream *records;
  size_t record_count;
  bool deadlines; /* handlers ask for the deadline, or shorten it */
  struct {
    bool counts; /* the chain counts its calls: they have no numbers unless somebody asks for them */
    bool takes;  /* a module before it in the proxy has told the call's number */
    bool gives;  /* modules behind it need to be told */
  } numbers;
  bool clocks; /* the chain asks for the time, so that every host gives it */
  const uint32_t *evictors; /* elements whose state can have to let go what it holds */
  size_t evictor_count;
  const an_tally_entry *tallies;
  size_t tally_count;
  size_t tally_cells;
  void (*init)(an_instance *instance); /* all elements' init, in order */
  void (*destroy)(an_instance *instance); /* what is no variable: read-only state */
  void (*dump)(an_instance *instance, an_text *out);
} an_program;

extern const an_program appnet_program;

#endif
