/* Compressed gRPC messages, unpacked: `gzip` (RFC 1952) and `deflate`, by which HTTP means zlib's format (RFC 1950). */
#ifndef AN_INFLATE_H
#define AN_INFLATE_H

#include "instance.h"

typedef enum an_encoding { AN_ENCODING_NONE, AN_ENCODING_OTHER, AN_ENCODING_GZIP, AN_ENCODING_DEFLATE } an_encoding;

/* What `grpc-encoding` names. */
an_encoding an_encoding_of(an_view name);

typedef enum an_inflation {
  AN_INFLATED,
  AN_INFLATE_MALFORMED, /* it breaks the format, its checksum is wrong, or bytes follow it */
  AN_INFLATE_TOO_LONG,  /* it is longer than out->limit, or than there is memory for */
} an_inflation;

/* Appends the whole content to the buffer, whose limit bounds it. */
an_inflation an_inflate(an_encoding encoding, an_view packed, an_buffer *out);

#endif
