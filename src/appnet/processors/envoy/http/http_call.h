/* A gRPC call as the proxy reports it: has its messages found (http_message.h), judges them, says what the host must do.
 *
 * Every function may come in any order and with any bytes. No message passes before it was judged, nor do the headers
 * where handlers can still refuse the call or change them; and what cannot be read is refused:
 *
 *   a message is longer than options.max_message      RESOURCE_EXHAUSTED, as soon as its frame header is there;
 *                                                     on a stream where nobody has to read it, it passes
 *   it is compressed by anything but gzip or deflate  UNIMPLEMENTED, or INTERNAL of a response
 *   it is missing, cut off, malformed, or not alone   INTERNAL
 *   the content-type is not application/grpc          INVALID_ARGUMENT
 *
 * The handlers that look at a message refuse what cannot be read (an_call.unread_code); those that only look at
 * responses do not run on it. What is compressed goes on as it came, unless a handler writes a field.
 *
 * A request is judged when it has ended, a response when its status is known: by then nothing can follow that
 * would have been judged otherwise. A side that needs neither is judged at its headers. A stream of requests that ends
 * without a message is judged once, as if an empty one had come.
 */
#ifndef AN_HTTP_CALL_H
#define AN_HTTP_CALL_H

#include "inflate.h"
#include "instance.h"
#include "module.h"

/* How far one direction of a call has come. */
typedef enum an_phase {
  AN_PHASE_START = 0, /* headers not seen */
  AN_PHASE_WAITING,   /* the message or the status is not whole yet */
  AN_PHASE_STREAMING, /* messages are judged one by one */
  AN_PHASE_JUDGED,    /* handlers ran, or there was nothing to judge: everything else passes */
  AN_PHASE_REPLIED,   /* AN_REPLY was answered; nothing of the call may pass any more */
} an_phase;

struct an_http_call {
  an_call base;
  an_phase request_phase;
  an_phase response_phase;
  bool response_held;       /* its headers wait for the judgement, and so does the body */
  bool headers_left;        /* the request's headers have gone on */
  bool request_message;     /* a message of the request was judged */
  bool message_whole;       /* `base.message` is the response's and stands in the slots, waiting for the status */
  bool too_long;            /* the message in hand is one that passes without being held */
  an_encoding request_encoding;
  bool packed;              /* the message in hand is compressed */
  bool malformed;           /* the flaw is one of the protobuf message itself */
  const char *flaw;         /* why the response's message cannot be read; NULL while nothing is wrong */
  int32_t flaw_code;        /* gRPC status that says so */
  an_buffer seen;           /* response bytes gathered where nothing is held */
  an_buffer parts[2];       /* of a stream, for each direction: the start of a message that is not whole yet */
  an_buffer unpacked[2];    /* for each direction: the content of a compressed message */
  uint64_t passing_by[2];   /* of a stream, for each direction: bytes to come of a long message that nobody has to read */
  an_buffer passing;        /* of a stream: messages that go on in the place of what arrived */
  an_outcome outcome;
};

/* The host's: the monotonic clock as it goes on within an event, while now_ns may tell when the event began. */
uint64_t an_time_within(const an_call *call);

/* See an_module. */
an_instance *an_http_instance_new(const an_services *services, const an_options *options, const an_carrier *carrier);
an_http_call *an_http_call_new(an_instance *instance, void *host);
void an_http_call_free(an_http_call *call);
an_action an_request_headers(an_http_call *call, bool end_stream);
an_action an_request_body(an_http_call *call, const an_view *chunks, size_t count, bool end_stream);
an_action an_request_trailers(an_http_call *call);
an_action an_response_headers(an_http_call *call, bool end_stream);
an_action an_response_body(an_http_call *call, const an_view *chunks, size_t count, bool end_stream);
an_action an_response_trailers(an_http_call *call);
void an_local_reply(an_http_call *call, uint32_t http_status);
void an_response_over(an_http_call *call);
an_action an_deadline_come(an_http_call *call);

#endif
