#include "http_message.h"

#include "http_status.h"
#include "metadata.h"
#include "metrics.h"
#include "wire.h"

static const char TOO_LONG[] = "message is longer than this proxy accepts";

an_body an_body_of(const an_view *chunks, size_t count) {
  an_body body = {chunks, count, 0};
  for (size_t i = 0; i < count; i++) body.size = an_size_add(body.size, chunks[i].size);
  return body;
}

static void copy_out(const an_body *body, size_t from, uint8_t *to, size_t size) {
  for (size_t i = 0; i < body->count && size > 0; i++) {
    an_view chunk = body->chunks[i];
    if (from >= chunk.size) {
      from -= chunk.size;
      continue;
    }
    size_t part = chunk.size - from < size ? chunk.size - from : size;
    memcpy(to, chunk.data + from, part);
    to += part;
    size -= part;
    from = 0;
  }
}

an_frame_state an_check_frame(an_http_call *call, an_direction direction, const an_body *body, bool ended,
                              size_t *message_size) {
  if (body->size < AN_FRAME_HEADER) {
    if (!ended) return AN_FRAME_PART;
    return an_spoil(call, GRPC_INTERNAL, body->size == 0 ? "has no message" : "ends within a frame header");
  }
  uint8_t header[AN_FRAME_HEADER];
  copy_out(body, 0, header, AN_FRAME_HEADER);
  uint32_t length = an_frame_length(header);
  size_t rest = body->size - AN_FRAME_HEADER;
  if (header[0] > 1) return an_spoil(call, GRPC_INTERNAL, "message has an unknown frame flag");
  call->packed = header[0] == 1;
  if (length > call->base.instance->options.max_message) {
    const an_side *side = an_side_of(call, direction);
    *message_size = length;
    bool must_be_read = side->needs_message && (direction == AN_REQUEST || side->holds);
    if (side->streams && !must_be_read) return AN_FRAME_LONG;
    return an_spoil(call, GRPC_RESOURCE_EXHAUSTED, TOO_LONG);
  }
  if (rest > length && !an_side_of(call, direction)->streams) {
    return an_spoil(call, GRPC_INTERNAL, "has more than its one message");
  }
  if (rest < length) return ended ? an_spoil(call, GRPC_INTERNAL, "ends within its message") : AN_FRAME_PART;
  *message_size = length;
  return AN_FRAME_WHOLE;
}

/* The message, in place where one chunk holds it and the event is its last use, else copied into the arena. */
static bool take_message(an_http_call *call, const an_body *body, size_t size, bool keep) {
  size_t from = AN_FRAME_HEADER;
  for (size_t i = 0; i < body->count && !keep; i++) {
    an_view chunk = body->chunks[i];
    if (from < chunk.size && size <= chunk.size - from) {
      call->base.message = (an_view){chunk.data + from, size};
      return true;
    }
    if (from < chunk.size) break;
    from -= chunk.size;
  }
  uint8_t *copy = an_arena_alloc(&call->base.arena, size);
  if (copy == NULL) return false;
  copy_out(body, AN_FRAME_HEADER, copy, size);
  call->base.message = (an_view){copy, size};
  return true;
}

an_encoding an_named_encoding(an_http_call *call, an_metadata_map map) {
  an_view name = {NULL, 0};
  an_header_get(&call->base, map, AN_TEXT("grpc-encoding"), &name);
  return an_encoding_of(name);
}

/* Puts the content of the compressed message in its place; false with call->flaw set where that cannot be. */
static bool unpack(an_http_call *call, an_direction direction) {
  an_buffer *content = &call->unpacked[direction];
  an_encoding encoding = direction == AN_REQUEST ? call->request_encoding : an_named_encoding(call, AN_RESPONSE_METADATA);
  if (encoding == AN_ENCODING_NONE || encoding == AN_ENCODING_OTHER) {
    bool named = encoding == AN_ENCODING_OTHER;
    bool asks = direction == AN_REQUEST && named; /* a client may try another one; of a server, gRPC calls it a fault */
    an_spoil(call, asks ? GRPC_UNIMPLEMENTED : GRPC_INTERNAL,
             named ? "message is compressed in a way that this proxy cannot read"
                   : "message is compressed, and nothing says how");
    return false;
  }
  content->size = 0;
  content->failed = false;
  content->limit = call->base.instance->options.max_message;
  switch (an_inflate(encoding, call->base.message, content)) {
    case AN_INFLATED: call->base.message = (an_view){content->data, content->size}; return true;
    case AN_INFLATE_TOO_LONG: an_spoil(call, GRPC_RESOURCE_EXHAUSTED, TOO_LONG); return false;
    default: an_spoil(call, GRPC_INTERNAL, "message is malformed: it cannot be decompressed"); return false;
  }
}

bool an_read_message(an_http_call *call, an_direction direction) {
  call->malformed = false;
  an_metrics_message(&call->base, direction, call->base.message.size);
  if (call->too_long) {
    an_spoil(call, GRPC_RESOURCE_EXHAUSTED, TOO_LONG);
    return false;
  }
  if (call->packed && !unpack(call, direction)) return false;
  const char *flaw = an_wire_scan(an_plan_of(&call->base, direction), call->base.message, call->base.slots);
  if (flaw == NULL) return true;
  call->malformed = true;
  an_spoil(call, GRPC_INTERNAL, flaw);
  return false;
}

bool an_scan_message(an_http_call *call, an_direction direction, const an_body *body, size_t size) {
  if (take_message(call, body, size, direction == AN_RESPONSE)) return an_read_message(call, direction);
  an_spoil(call, GRPC_RESOURCE_EXHAUSTED, "out of memory");
  return false;
}
