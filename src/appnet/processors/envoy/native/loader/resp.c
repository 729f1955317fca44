#include "resp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_REPLY = 1 << 28, MOST_LINE = 1 << 16, ROOM_KEPT = 1 << 20 };

void bytes_add(bytes *to, const void *data, size_t size) {
  if (to->failed || size == 0) return;
  if (size > to->room - to->size) {
    size_t room = to->room == 0 ? 4096 : to->room;
    while (room - to->size < size && room < SIZE_MAX / 2) room *= 2;
    uint8_t *more = realloc(to->data, room);
    if (more == NULL || room - to->size < size) {
      if (more != NULL) to->data = more;
      to->failed = true;
      return;
    }
    to->data = more;
    to->room = room;
  }
  memcpy(to->data + to->size, data, size);
  to->size += size;
}

void bytes_drop(bytes *from, size_t size) {
  if (size < from->size) memmove(from->data, from->data + size, from->size - size);
  from->size -= size;
  if (from->size == 0 && from->room > ROOM_KEPT) bytes_free(from); /* a large answer is rare */
}

void bytes_free(bytes *it) {
  free(it->data);
  *it = (bytes){0};
}

static void add_size(bytes *to, char mark, size_t size) {
  char text[32];
  int length = snprintf(text, sizeof text, "%c%zu\r\n", mark, size);
  bytes_add(to, text, (size_t)length);
}

void resp_command(bytes *to, size_t parts) { add_size(to, '*', parts); }

void resp_part(bytes *to, an_view part) {
  add_size(to, '$', part.size);
  bytes_add(to, part.data, part.size);
  bytes_add(to, "\r\n", 2);
}

resp_kind resp_read(an_view from, an_view *text, size_t *taken) {
  const uint8_t *end = from.size == 0 ? NULL : memmem(from.data, from.size, "\r\n", 2);
  if (end == NULL) return from.size > MOST_LINE ? RESP_FLAWED : RESP_NOT_YET;
  const size_t line = (size_t)(end - from.data);
  *text = (an_view){from.data + 1, line - 1};
  *taken = line + 2;
  switch (from.data[0]) {
    case '+': case ':': return RESP_TEXT;
    case '-': return RESP_ERROR;
    case '_': return RESP_NOTHING;
    case '$': case '*': break;
    default: return RESP_FLAWED;
  }
  if (line >= 2 && from.data[1] == '-') return RESP_NOTHING;
  if (from.data[0] == '*') return RESP_LIST;
  size_t size = 0;
  for (size_t i = 1; i < line; i++) {
    if (from.data[i] < '0' || from.data[i] > '9' || size > MOST_REPLY) return RESP_FLAWED;
    size = size * 10 + (from.data[i] - '0');
  }
  if (line < 2 || size > MOST_REPLY) return RESP_FLAWED;
  if (from.size - *taken < size + 2) return RESP_NOT_YET;
  *text = (an_view){from.data + *taken, size};
  *taken += size + 2;
  return RESP_TEXT;
}
