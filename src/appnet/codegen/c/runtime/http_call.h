/* A unary gRPC call as the proxy reports it: finds the message, judges it, says what the host must do.
 *
 * Every function may come in any order and with any bytes. Nothing of a request passes before it was judged, and
 * what cannot be read is refused:
 *
 *   a message is longer than options.max_message      RESOURCE_EXHAUSTED, as soon as its frame header is there
 *   it is compressed                                  UNIMPLEMENTED
 *   it is missing, cut off, malformed, or not alone   INTERNAL
 *   the content-type is not application/grpc          INVALID_ARGUMENT
 *
 * A request is judged when it has ended, a response when its status is known: by then nothing can follow that
 * would have been judged otherwise. A side that needs neither is judged at its headers.
 */
#ifndef AN_HTTP_CALL_H
#define AN_HTTP_CALL_H

#include "instance.h"

/* See an_module. */
an_action an_request_headers(an_call *call, bool end_stream);
an_action an_request_body(an_call *call, const an_view *chunks, size_t count, bool end_stream);
an_action an_request_trailers(an_call *call);
an_action an_response_headers(an_call *call, bool end_stream);
an_action an_response_body(an_call *call, const an_view *chunks, size_t count, bool end_stream);
an_action an_response_trailers(an_call *call);
void an_local_reply(an_call *call, uint32_t http_status);

#endif
