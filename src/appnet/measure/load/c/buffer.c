#include "buffer.h"

#include <stdio.h>
#include <stdlib.h>

void *need(void *pointer) {
  if (pointer == NULL) {
    fputs("out of memory\n", stderr);
    exit(1);
  }
  return pointer;
}

uint8_t *buffer_grow(buffer *b, size_t more) {
  if (b->capacity - b->size < more) {
    size_t capacity = b->capacity ? b->capacity : 256;
    while (capacity - b->size < more) capacity *= 2;
    b->data = need(realloc(b->data, capacity));
    b->capacity = capacity;
  }
  return b->data + b->size;
}

void buffer_free(buffer *b) {
  free(b->data);
  *b = (buffer){0};
}

view read_file(const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    perror(path);
    exit(2);
  }
  buffer b = {0};
  size_t got;
  while ((got = fread(buffer_grow(&b, 4096), 1, 4096, file)) > 0) b.size += got;
  fclose(file);
  return (view){b.data, b.size};
}
