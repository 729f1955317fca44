/* What there is to have where there is no C library: in wasm, an allocator for one thread that grows the memory, which
 * other hosts bring; and what compilers call for plain assignments. */
#include "platform.h"

#if defined(__wasm__)
/* ---- allocator ---------------------------------------------------------------------------------------- */

/* Blocks are powers of two with their class in front; a freed block waits for the next of its class. */
enum { BLOCK_HEADER = 16, SMALLEST_CLASS = 5, CLASSES = 32, PAGE = 65536, LARGEST_BLOCK = 1 << 30 };

typedef struct free_block {
  struct free_block *next;
} free_block;

extern uint8_t __heap_base;
static free_block *spare_blocks[CLASSES];
static uintptr_t heap_next, heap_end;

static unsigned block_class(size_t size) {
  unsigned class = SMALLEST_CLASS;
  while (((size_t)1 << class) < size) class++;
  return class;
}

static uint8_t *more_memory(size_t size) {
  if (heap_next == 0) {
    heap_next = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
    heap_end = __builtin_wasm_memory_size(0) * PAGE;
  }
  if (size > heap_end - heap_next) {
    size_t pages = (size - (heap_end - heap_next) + PAGE - 1) / PAGE;
    if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) return NULL;
    heap_end += pages * PAGE;
  }
  uint8_t *block = (uint8_t *)heap_next;
  heap_next += size;
  return block;
}

void *an_alloc(size_t size) {
  if (size > LARGEST_BLOCK) return NULL;
  unsigned class = block_class(size + BLOCK_HEADER);
  uint8_t *block = (uint8_t *)spare_blocks[class];
  if (block != NULL) {
    spare_blocks[class] = spare_blocks[class]->next;
  } else {
    block = more_memory((size_t)1 << class);
  }
  if (block == NULL) return NULL;
  *(uint32_t *)block = class;
  return block + BLOCK_HEADER;
}

void an_free(void *pointer) {
  if (pointer == NULL) return;
  uint8_t *block = (uint8_t *)pointer - BLOCK_HEADER;
  unsigned class = *(uint32_t *)block;
  ((free_block *)block)->next = spare_blocks[class];
  spare_blocks[class] = (free_block *)block;
}

void *an_realloc(void *pointer, size_t size) {
  if (pointer == NULL) return an_alloc(size);
  size_t room = ((size_t)1 << *(uint32_t *)((uint8_t *)pointer - BLOCK_HEADER)) - BLOCK_HEADER;
  if (size <= room) return pointer;
  void *larger = an_alloc(size);
  if (larger == NULL) return NULL;
  memcpy(larger, pointer, room);
  an_free(pointer);
  return larger;
}

#endif

/* ---- what compilers expect of a C library -------------------------------------------------------------- */

/* Eight bytes at a time; the attribute keeps the compiler from finding calls of these very functions in their loops. */
#define NO_BUILTIN __attribute__((no_builtin))

NO_BUILTIN static void copy_upwards(uint8_t *to, const uint8_t *from, size_t size) {
  for (; size >= 8; size -= 8, to += 8, from += 8) {
    uint64_t word;
    __builtin_memcpy_inline(&word, from, 8);
    __builtin_memcpy_inline(to, &word, 8);
  }
  for (; size > 0; size--) *to++ = *from++;
}

/* What is left at the end is copied together with what stands before it, where there is as much. */
NO_BUILTIN void *(memcpy)(void *restrict to, const void *restrict from, size_t size) {
  uint8_t *target = to;
  const uint8_t *source = from;
  if (size >= 8) {
    size_t last = size - 8;
    for (size_t at = 0; at < last; at += 8) __builtin_memcpy_inline(target + at, source + at, 8);
    __builtin_memcpy_inline(target + last, source + last, 8);
  } else if (size >= 4) {
    __builtin_memcpy_inline(target, source, 4);
    __builtin_memcpy_inline(target + size - 4, source + size - 4, 4);
  } else {
    for (size_t at = 0; at < size; at++) target[at] = source[at];
  }
  return to;
}

NO_BUILTIN void *(memmove)(void *to, const void *from, size_t size) {
  if ((uintptr_t)to <= (uintptr_t)from || (uintptr_t)to >= (uintptr_t)from + size) {
    copy_upwards(to, from, size);
    return to;
  }
  uint8_t *target = (uint8_t *)to + size;
  for (const uint8_t *source = (const uint8_t *)from + size; size > 0; size--) *--target = *--source;
  return to;
}

NO_BUILTIN void *(memset)(void *to, int byte, size_t size) {
  uint8_t *target = to;
  uint64_t word = (uint8_t)byte * 0x0101010101010101u;
  for (; size >= 8; size -= 8, target += 8) __builtin_memcpy_inline(target, &word, 8);
  for (; size > 0; size--) *target++ = (uint8_t)byte;
  return to;
}

NO_BUILTIN int (memcmp)(const void *left, const void *right, size_t size) {
  const uint8_t *a = left, *b = right;
  size_t i = 0;
  for (; size - i >= 8; i += 8) {
    uint64_t one, other;
    __builtin_memcpy_inline(&one, a + i, 8);
    __builtin_memcpy_inline(&other, b + i, 8);
    if (one != other) break;
  }
  for (; i < size; i++) {
    if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
  }
  return 0;
}

size_t strlen(const char *text) {
  size_t size = 0;
  while (text[size] != 0) size++;
  return size;
}
