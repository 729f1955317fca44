/* The messages of a call in its bodies: found by gRPC's framing, unpacked, and read into the slots.
 *
 * What is wrong with one stands in call->flaw and call->flaw_code; see http_call.h for what is refused.
 */
#ifndef AN_HTTP_MESSAGE_H
#define AN_HTTP_MESSAGE_H

#include "http_call.h"

enum { AN_FRAME_HEADER = 5 }; /* bytes: a flag, and the length of the message */

/* A body's bytes as far as they are there, in order. */
typedef struct an_body {
  const an_view *chunks;
  size_t count;
  size_t size;
} an_body;

typedef enum an_frame_state {
  AN_FRAME_PART,   /* more bytes must come */
  AN_FRAME_WHOLE,
  AN_FRAME_LONG,   /* too long to hold, but nobody has to read it */
  AN_FRAME_FLAWED, /* see call->flaw */
} an_frame_state;

an_body an_body_of(const an_view *chunks, size_t count);

/* The length of the message that stands in a frame header. */
static inline uint32_t an_frame_length(const uint8_t header[AN_FRAME_HEADER]) {
  uint32_t length = 0;
  for (unsigned i = 1; i < AN_FRAME_HEADER; i++) length = length << 8 | header[i];
  return length;
}

/* Notes what is wrong; AN_FRAME_FLAWED. */
static inline an_frame_state an_spoil(an_http_call *call, int32_t code, const char *flaw) {
  call->flaw_code = code;
  call->flaw = flaw;
  return AN_FRAME_FLAWED;
}

static inline const an_side *an_side_of(const an_http_call *call, an_direction direction) {
  return direction == AN_REQUEST ? &call->base.method->request : &call->base.method->response;
}

/* Whether exactly one readable message is there, or of a stream the next. `ended`: no byte follows. */
an_frame_state an_check_frame(an_http_call *call, an_direction direction, const an_body *body, bool ended,
                              size_t *message_size);

/* How the headers say that messages are compressed. */
an_encoding an_named_encoding(an_http_call *call, an_metadata_map map);

/* Fills the slots from the message in hand; whether it could be read. */
bool an_read_message(an_http_call *call, an_direction direction);

/* Takes the whole message, of so many bytes, out of the body and reads it. */
bool an_scan_message(an_http_call *call, an_direction direction, const an_body *body, size_t size);

#endif
