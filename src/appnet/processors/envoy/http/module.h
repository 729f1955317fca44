/* A compiled chain as a host sees it that knows gRPC calls as HTTP events.
 *
 *   Envoy --(host)--> http_call.c: gRPC framing, holding, judging --> generated chain: slots in, verdict out
 *
 * A host (host_wasm.c, or host_module.c with the loader) turns the proxy's events into the calls below. http_call.c has
 * the message found (http_message.c) and the fields the chain uses scanned into slots (wire.c), runs the generated
 * handlers, splices what they wrote, and answers with an action. Generated code sees slots only. Metadata are headers
 * here. */
#ifndef AN_MODULE_H
#define AN_MODULE_H

#include "chain.h"
#include "sharing.h"

/* Version of the table `an_module` and of everything it names; a loader refuses any other. */
#define AN_MODULE_ABI 7u

enum { AN_HTTP_GIVEN_UP = 499 }; /* tells local_reply of a response that its sender gave up */

typedef struct an_http_call an_http_call;

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
  const an_entry *metadata; /* AN_REPLY: all that goes with the status; AN_RESPOND: the headers */
  const an_entry *trailers; /* AN_RESPOND */
  bool more;     /* AN_CONTINUE, AN_REPLACE: what follows in this direction has to be shown, too */
} an_outcome;

/* Beside appnet_chain a native chain exports `const an_module appnet_module`. The wasm host calls the same functions.
 * AN_RESPONSE_TRAILERS are asked for and changed while response_trailers runs. */
typedef struct an_module {
  uint32_t abi;
  uint32_t size; /* sizeof(an_module) */
  const char *name;
  const char *version;
  /* `carrier`: NULL where the host shares no state; else it lasts as long as the instance. NULL: out of memory. */
  an_instance *(*instance_new)(const an_services *services, const an_options *options, const an_carrier *carrier);
  void (*instance_free)(an_instance *instance);
  an_http_call *(*call_new)(an_instance *instance, void *call_host);
  void (*call_free)(an_http_call *call); /* the call is over, in whatever way: its end handlers run */
  an_action (*request_headers)(an_http_call *call, bool end_stream);
  /* chunks: every body byte held so far and then what arrived, in order. */
  an_action (*request_body)(an_http_call *call, const an_view *chunks, size_t count, bool end_stream);
  an_action (*request_trailers)(an_http_call *call);
  an_action (*response_headers)(an_http_call *call, bool end_stream);
  an_action (*response_body)(an_http_call *call, const an_view *chunks, size_t count, bool end_stream);
  an_action (*response_trailers)(an_http_call *call);
  /* The proxy answers in the place of a response that had begun: the handlers see an error response. A reply made
   * before any response comes by response_headers like any other. */
  void (*local_reply)(an_http_call *call, uint32_t http_status);
  /* The caller has all of the response that it gets: the last time that its metadata can be asked for. */
  void (*response_over)(an_http_call *call);
  /* The time that services.end_at told has come: AN_REPLY, or AN_CONTINUE where the call has ended. */
  an_action (*deadline)(an_http_call *call);
  const an_outcome *(*outcome)(const an_http_call *call);
  uint8_t *(*telemetry_take)(an_instance *instance, size_t *size); /* these four as in an_chain */
  bool (*telemetry_pending)(an_instance *instance);
  uint8_t *(*metrics_take)(an_instance *instance, size_t *size); /* likewise an ExportMetricsServiceRequest: all since */
  bool (*metrics_pending)(an_instance *instance);                /* the instance was made. True once in a while */
  /* An encoded ExportTraceServiceRequest and how many spans it has; what of them went nowhere is told to spans_lost. Of the
   * calls whose context does not decide, `share` of 2^32 - 1 have spans: none, unless spans_share is called. */
  uint8_t *(*spans_take)(an_instance *instance, size_t *size, uint64_t *count);
  bool (*spans_pending)(an_instance *instance);
  void (*spans_lost)(an_instance *instance, uint64_t count);
  void (*spans_share)(an_instance *instance, uint32_t share);
  uint8_t *(*state_dump)(an_instance *instance, size_t *size);
  void (*release)(uint8_t *bytes);
  const an_sharing *sharing;
} an_module;

#endif
