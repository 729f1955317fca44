/* What a filter configuration brings (filters.py writes it):
 *
 *   "APPNETM1" | u32 size of options | options | SHA-256 of the library | library
 *
 * The size is little-endian; options.h says what the options are. */
#ifndef APPNET_PAYLOAD_H
#define APPNET_PAYLOAD_H

#include "chain.h"

typedef struct payload {
  an_options options; /* .resource lies in the payload */
  an_view library;
} payload;

/* NULL, or what is wrong with it. The library is the one that was hashed, and whole. */
const char *payload_read(an_view bytes, payload *out);

#endif
