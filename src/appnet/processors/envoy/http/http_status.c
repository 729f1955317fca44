#include "http_status.h"

#include "module.h"
#include "value.h"

int32_t an_status_of_http(uint32_t http_status) {
  switch (http_status) {
    case 400: return GRPC_INTERNAL;
    case 401: return GRPC_UNAUTHENTICATED;
    case 403: return GRPC_PERMISSION_DENIED;
    case 404: return GRPC_UNIMPLEMENTED;
    case AN_HTTP_GIVEN_UP: return GRPC_CANCELLED;
    case 429: case 502: case 503: case 504: return GRPC_UNAVAILABLE;
    default: return GRPC_UNKNOWN;
  }
}

static int32_t parse_status(an_view text) {
  if (text.size == 0 || text.size > 2) return GRPC_UNKNOWN;
  int32_t value = 0;
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') return GRPC_UNKNOWN;
    value = value * 10 + (text.data[i] - '0');
  }
  return value;
}

int32_t an_read_status(an_call *call, an_metadata_map map) {
  an_view text;
  if (an_header_get(call, map, AN_TEXT("grpc-status"), &text)) return parse_status(text);
  if (!an_header_get(call, AN_RESPONSE_METADATA, AN_TEXT(":status"), &text) || text.size != 3) return GRPC_UNKNOWN;
  uint32_t http_status = 0;
  for (size_t i = 0; i < 3; i++) http_status = http_status * 10 + (uint32_t)(text.data[i] - '0');
  return an_status_of_http(http_status);
}
