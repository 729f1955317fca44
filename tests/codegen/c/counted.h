/* Counts what a chain's host takes from the heap; included before the chain. */
#include <stdlib.h>

static unsigned long allocations;

static void *counted_malloc(size_t size) {
  allocations++;
  return malloc(size);
}

static void *counted_realloc(void *block, size_t size) {
  allocations++;
  return realloc(block, size);
}

#define malloc counted_malloc
#define realloc counted_realloc
