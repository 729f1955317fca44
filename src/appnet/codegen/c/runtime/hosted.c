/* Memory where there is a C library. */
#include <stdlib.h>

#include "platform.h"

void *an_alloc(size_t size) { return malloc(size); }
void *an_realloc(void *block, size_t size) { return realloc(block, size); }
void an_free(void *block) { free(block); }
