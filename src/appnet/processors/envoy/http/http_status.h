/* The status of a call as HTTP carries it. */
#ifndef AN_HTTP_STATUS_H
#define AN_HTTP_STATUS_H

#include "instance.h"

enum {
  GRPC_CANCELLED = 1, GRPC_UNKNOWN = 2, GRPC_INVALID_ARGUMENT = 3, GRPC_PERMISSION_DENIED = 7, GRPC_RESOURCE_EXHAUSTED = 8,
  GRPC_UNIMPLEMENTED = 12, GRPC_INTERNAL = 13, GRPC_UNAVAILABLE = 14, GRPC_UNAUTHENTICATED = 16,
};

/* A header or trailer as it stands; false where absent. The value stays valid until the event returns. */
static inline bool an_header_get(an_call *call, an_metadata_map map, an_view key, an_view *value) {
  return call->instance->services.metadata_get(call->host, map, key, value);
}

/* The gRPC status as the headers or trailers tell it, or as the HTTP status makes it. */
int32_t an_read_status(an_call *call, an_metadata_map map);

/* gRPC's mapping of an HTTP status to a gRPC one, for responses that carry none. */
int32_t an_status_of_http(uint32_t http_status);

#endif
