/* A gRPC status as headers carry it, and as callers see it who know HTTP alone. */
#ifndef AN_GRPC_MESSAGE_H
#define AN_GRPC_MESSAGE_H

#include "module.h"
#include "value.h"

enum { AN_STATUS_SIZE = 3, AN_MESSAGE_SIZE = 1024 };

/* The code in decimal; how many bytes. */
static inline size_t an_status_text(int32_t code, char out[AN_STATUS_SIZE]) {
  size_t size = 0;
  if (code >= 10) out[size++] = (char)('0' + code / 10 % 10);
  out[size++] = (char)('0' + code % 10);
  return size;
}

/* The text percent-encoded, cut off where there is no room for more; how many bytes. */
static inline size_t an_message_into(an_view text, char *out, size_t room) {
  static const char digits[] = "0123456789ABCDEF";
  size_t size = 0;
  for (size_t i = 0; i < text.size && size + 3 <= room; i++) {
    uint8_t c = text.data[i];
    if (c >= 0x20 && c <= 0x7e && c != '%') {
      out[size++] = (char)c;
      continue;
    }
    out[size++] = '%';
    out[size++] = digits[c >> 4];
    out[size++] = digits[c & 15];
  }
  return size;
}

/* The HTTP status that says the same to a caller that does not speak gRPC. */
static inline uint32_t an_http_status_of(int32_t code) {
  static const uint16_t statuses[] = {200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401};
  return code >= 0 && (size_t)code < sizeof statuses / sizeof *statuses ? statuses[code] : 500;
}

/* Whether a content type is gRPC's. */
static inline bool an_is_grpc(an_view type) {
  const an_view grpc = AN_TEXT("application/grpc");
  if (type.size < grpc.size || !an_equal((an_view){type.data, grpc.size}, grpc)) return false;
  return type.size == grpc.size || type.data[grpc.size] == '+' || type.data[grpc.size] == ';';
}

static inline size_t an_message_text(an_view text, char out[AN_MESSAGE_SIZE]) {
  return an_message_into(text, out, AN_MESSAGE_SIZE);
}

#endif
