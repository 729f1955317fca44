/* Views of bytes and growable buffers; allocation failure ends the process, as nothing could be measured after it. */
#ifndef LOAD_BUFFER_H
#define LOAD_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct view {
  const uint8_t *data;
  size_t size;
} view;

typedef struct buffer {
  uint8_t *data;
  size_t size;
  size_t capacity;
} buffer;

void *need(void *pointer); /* the pointer, unless it is NULL */
uint8_t *buffer_grow(buffer *b, size_t more); /* makes room for `more` bytes behind the end and returns their place */
void buffer_free(buffer *b);
view read_file(const char *path);

static inline void buffer_add(buffer *b, const void *data, size_t size) {
  if (size > 0) {
    memcpy(buffer_grow(b, size), data, size);
    b->size += size;
  }
}

static inline bool view_is(view v, const char *text) {
  return v.size == strlen(text) && memcmp(v.data, text, v.size) == 0;
}

#endif
