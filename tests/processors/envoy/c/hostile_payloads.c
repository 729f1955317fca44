/* Gives the loader a payload that it takes, then its beginnings, and what differs from it in one byte, and wrong texts of
 * keys: at every byte up to HEAD, and then at each one in STEP. Each lies in memory of its own that ends where it ends.
 * Prints how many were taken and refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.c"
#include "payload.c"
#include "sealed.h"
#include "shared_object.c"
#include "trust.c"

enum { HEAD = 1024 };

static unsigned long taken, refused;
static size_t step;

static size_t next(size_t at) { return at + (at < HEAD ? 1 : step); }

static void *copy(const void *bytes, size_t size) {
  void *it = malloc(size > 0 ? size : 1);
  if (it == NULL) abort();
  if (size > 0) memcpy(it, bytes, size);
  return it;
}

static void give(const uint8_t *bytes, size_t size, const char *name, const char *keys) {
  uint8_t *own = copy(bytes, size);
  char *own_name = copy(name, strlen(name)), *own_keys = copy(keys, strlen(keys) + 1);
  payload out;
  an_view inside = unsealed((an_view){own, size});
  if (inside.data == NULL) inside = (an_view){own, size};
  const char *flaw = payload_read(inside, (an_view){(const uint8_t *)own_name, strlen(name)}, own_keys, &out);
  if (flaw == NULL) {
    taken++;
    if (out.library.data + out.library.size != own + size) abort();
  } else {
    refused++;
  }
  free(own);
  free(own_name);
  free(own_keys);
}

static uint8_t *read_whole(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (file == NULL || fseek(file, 0, SEEK_END) != 0) abort();
  *size = (size_t)ftell(file);
  rewind(file);
  uint8_t *bytes = malloc(*size);
  if (bytes == NULL || fread(bytes, 1, *size, file) != *size) abort();
  fclose(file);
  return bytes;
}

int main(int count, char **arguments) {
  if (count != 5) return 2;
  size_t size;
  uint8_t *bytes = read_whole(arguments[1], &size);
  const char *name = arguments[2], *keys = arguments[3];
  step = strtoul(arguments[4], NULL, 10);
  give(bytes, size, name, keys);
  for (size_t it = 0; it < size; it = next(it)) give(bytes, it, name, keys);
  for (size_t it = 0; it < size; it = next(it)) {
    bytes[it] ^= (uint8_t)(1 + it % 255);
    give(bytes, size, name, keys);
    bytes[it] ^= (uint8_t)(1 + it % 255);
  }
  char *text = copy(keys, strlen(keys) + 1);
  for (size_t it = strlen(keys); it-- > 0;) { /* shorter by one each time */
    text[it] = '\0';
    give(bytes, size, name, text);
  }
  free(text);
  free(bytes);
  printf("%lu %lu\n", taken, refused);
  return 0;
}
