/* A gRPC status as headers carry it. */
#ifndef AN_GRPC_MESSAGE_H
#define AN_GRPC_MESSAGE_H

#include "module.h"

enum { AN_STATUS_SIZE = 3, AN_MESSAGE_SIZE = 1024 };

/* The code in decimal; how many bytes. */
static inline size_t an_status_text(int32_t code, char out[AN_STATUS_SIZE]) {
  size_t size = 0;
  if (code >= 10) out[size++] = (char)('0' + code / 10 % 10);
  out[size++] = (char)('0' + code % 10);
  return size;
}

/* The text percent-encoded, cut off where it is too long; how many bytes. */
static inline size_t an_message_text(an_view text, char out[AN_MESSAGE_SIZE]) {
  static const char digits[] = "0123456789ABCDEF";
  size_t size = 0;
  for (size_t i = 0; i < text.size && size + 3 <= AN_MESSAGE_SIZE; i++) {
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

#endif
