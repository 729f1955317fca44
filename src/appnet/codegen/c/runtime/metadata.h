/* Headers and trailers of a call, and what they say of its status. */
#ifndef AN_METADATA_H
#define AN_METADATA_H

#include "instance.h"
#include "text.h"

#define VIEW(text) ((an_view){(const uint8_t *)(text), sizeof(text) - 1})

enum {
  GRPC_UNKNOWN = 2, GRPC_INVALID_ARGUMENT = 3, GRPC_PERMISSION_DENIED = 7, GRPC_RESOURCE_EXHAUSTED = 8,
  GRPC_UNIMPLEMENTED = 12, GRPC_INTERNAL = 13, GRPC_UNAVAILABLE = 14, GRPC_UNAUTHENTICATED = 16,
};

/* A header or trailer as it stands; false where absent. The value stays valid until the event returns. */
bool an_header_get(an_call *call, an_header_map map, an_view key, an_view *value);

/* The gRPC status as the headers or trailers tell it, or as the HTTP status makes it. */
int32_t an_read_status(an_call *call, an_header_map map);

/* gRPC's mapping of an HTTP status to a gRPC one, for responses that carry none. */
int32_t an_status_of_http(uint32_t http_status);

#endif
