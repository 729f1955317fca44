/* HPACK (RFC 7541): a whole decoder, and literals without indexing for the few headers that are written here. */
#ifndef LOAD_HPACK_H
#define LOAD_HPACK_H

#include "buffer.h"

#define HPACK_TABLE_SIZE 4096u /* the protocol's default, which neither side changes */

typedef struct hpack_entry {
  uint8_t *text; /* the name, then the value */
  size_t name_size;
  size_t value_size;
} hpack_entry;

typedef struct hpack_decoder {
  hpack_entry entries[HPACK_TABLE_SIZE / 32]; /* a ring; the newest is at `newest` */
  size_t newest;
  size_t count;
  size_t size;
  size_t limit;
  buffer name;  /* decoded Huffman text of the header in hand */
  buffer value;
} hpack_decoder;

void hpack_init(hpack_decoder *decoder);
void hpack_free(hpack_decoder *decoder);

/* Calls `found` for each header of the block, in order; the views are valid during the call. False: malformed. */
bool hpack_decode(hpack_decoder *decoder, view block, void (*found)(void *owner, view name, view value), void *owner);

/* Adds a literal header field that must not be indexed. */
void hpack_literal(buffer *out, view name, view value);

#endif
