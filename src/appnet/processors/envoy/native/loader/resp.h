/* The protocol of Redis and Valkey, as far as the store needs it. */
#ifndef APPNET_RESP_H
#define APPNET_RESP_H

#include "chain.h"

/* Grows; `failed`: no memory. */
typedef struct bytes {
  uint8_t *data;
  size_t size, room;
  bool failed;
} bytes;

void bytes_add(bytes *to, const void *data, size_t size);
void bytes_drop(bytes *from, size_t size); /* the first ones */
void bytes_free(bytes *it);

/* A command of so many parts; the parts follow. */
void resp_command(bytes *to, size_t parts);
void resp_part(bytes *to, an_view part);

typedef enum resp_kind { RESP_NOT_YET, RESP_TEXT, RESP_ERROR, RESP_NOTHING, RESP_LIST, RESP_FLAWED } resp_kind;

/* The first reply in the bytes: a text (also a status or a number), an error, or how many replies follow that are the items
 * of a list, in *text, and how many bytes it takes. */
resp_kind resp_read(an_view from, an_view *text, size_t *taken);

#endif
