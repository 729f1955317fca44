#include "memory.h"

#include "platform.h"
#include "kernel.h"

/* ---- blocks ------------------------------------------------------------------------------------------------ */

/* Blocks are powers of two with their class in front; a freed block waits for the next of its class. Large ones are the
 * kernel's, each for itself, and go back to it. */
enum { BLOCK_HEADER = 16, SMALLEST_CLASS = 5, CLASSES = 18, PIECE = 1 << 18, LARGEST_BLOCK = 1 << 30 };

typedef struct free_block {
  struct free_block *next;
} free_block;

typedef struct block_head {
  uint64_t class; /* CLASSES: as large as `size` says */
  uint64_t size;
} block_head;

/* Memory that some instance has. The list is looked through when versions come and go, never by calls. */
typedef struct kept {
  struct kept *next;
  size_t users;
  size_t size;
  void *memory;
  size_t scope_size, name_size, kind_size;
  uint32_t layout;
  uint8_t texts[]; /* scope, name and kind */
} kept;

struct an_shared {
  an_lock lock;
  free_block *spare[CLASSES];
  uintptr_t next, end; /* what is left of the piece that the kernel gave last */
  an_lock kept_lock;
  kept *kept_first;
};

_Static_assert(sizeof(an_shared) <= AN_SHARED_SIZE, "it fits into what the process gives");
static an_shared own;
static an_shared *shared = &own;

void an_shared_attach(an_shared *given) { shared = given; }

void an_yield(void) { kernel_yield(); }

uint64_t an_clock_ns(an_clock which) { return kernel_clock((int)which); }

static unsigned block_class(size_t size) {
  unsigned class = SMALLEST_CLASS;
  while (((size_t)1 << class) < size) class++;
  return class;
}

static uint8_t *more_memory(size_t size) {
  if (size > shared->end - shared->next) {
    void *piece = kernel_map(PIECE);
    if (piece == NULL) return NULL;
    shared->next = (uintptr_t)piece;
    shared->end = shared->next + PIECE;
  }
  uint8_t *block = (uint8_t *)shared->next;
  shared->next += size;
  return block;
}

void *an_alloc(size_t size) {
  if (size > LARGEST_BLOCK) return NULL;
  const unsigned class = block_class(size + BLOCK_HEADER);
  uint8_t *block = NULL;
  if (class >= CLASSES) {
    const size_t whole = (size + BLOCK_HEADER + 4095) & ~(size_t)4095;
    block = kernel_map(whole);
    if (block == NULL) return NULL;
    *(block_head *)(void *)block = (block_head){CLASSES, whole};
    return block + BLOCK_HEADER;
  }
  an_lock_acquire(&shared->lock);
  block = (uint8_t *)shared->spare[class];
  if (block != NULL) {
    shared->spare[class] = shared->spare[class]->next;
  } else {
    block = more_memory((size_t)1 << class);
  }
  an_lock_release(&shared->lock);
  if (block == NULL) return NULL;
  *(block_head *)(void *)block = (block_head){class, (size_t)1 << class};
  return block + BLOCK_HEADER;
}

void an_free(void *pointer) {
  if (pointer == NULL) return;
  uint8_t *block = (uint8_t *)pointer - BLOCK_HEADER;
  const block_head head = *(block_head *)(void *)block;
  if (head.class >= CLASSES) {
    kernel_unmap(block, head.size);
    return;
  }
  an_lock_acquire(&shared->lock);
  ((free_block *)(void *)block)->next = shared->spare[head.class];
  shared->spare[head.class] = (free_block *)(void *)block;
  an_lock_release(&shared->lock);
}

void *an_realloc(void *pointer, size_t size) {
  if (pointer == NULL) return an_alloc(size);
  const size_t room = ((block_head *)(void *)((uint8_t *)pointer - BLOCK_HEADER))->size - BLOCK_HEADER;
  if (size <= room) return pointer;
  void *larger = an_alloc(size);
  if (larger == NULL) return NULL;
  memcpy(larger, pointer, room);
  an_free(pointer);
  return larger;
}

/* ---- state that outlives versions ------------------------------------------------------------------------- */

typedef struct keeper {
  an_keeper table;
  an_view scope;
} keeper;

static bool same_text(const uint8_t *text, size_t size, an_view other) {
  return size == other.size && (size == 0 || memcmp(text, other.data, size) == 0);
}

static bool is_kept_as(const kept *it, an_view scope, an_view name, an_view kind) {
  return same_text(it->texts, it->scope_size, scope) && same_text(it->texts + it->scope_size, it->name_size, name) &&
         same_text(it->texts + it->scope_size + it->name_size, it->kind_size, kind);
}

static void put_text(uint8_t **to, an_view text) {
  if (text.size > 0) memcpy(*to, text.data, text.size);
  *to += text.size;
}

static kept *make_kept(an_view scope, an_view name, an_view kind, uint32_t layout, size_t size) {
  kept *it = an_alloc_zeroed(sizeof *it + scope.size + name.size + kind.size);
  if (it == NULL) return NULL;
  it->layout = layout;
  it->size = size;
  it->scope_size = scope.size;
  it->name_size = name.size;
  it->kind_size = kind.size;
  uint8_t *texts = it->texts;
  put_text(&texts, scope);
  put_text(&texts, name);
  put_text(&texts, kind);
  it->memory = an_alloc_zeroed(size > 0 ? size : 1);
  if (it->memory != NULL) return it;
  an_free(it);
  return NULL;
}

static void *take_memory(void *host, an_view name, an_view kind, uint32_t layout, size_t size, bool *fresh) {
  const an_view scope = ((const keeper *)host)->scope;
  an_lock_acquire(&shared->kept_lock);
  kept *it = shared->kept_first;
  while (it != NULL && !(it->layout == layout && it->size == size && is_kept_as(it, scope, name, kind))) it = it->next;
  *fresh = it == NULL;
  if (it == NULL) {
    it = make_kept(scope, name, kind, layout, size);
    if (it != NULL) {
      it->next = shared->kept_first;
      shared->kept_first = it;
    }
  }
  if (it != NULL) it->users++;
  void *memory = it == NULL ? NULL : it->memory;
  an_lock_release(&shared->kept_lock);
  return memory;
}

static void give_back(void *host, void *memory, void (*clear)(void *context, void *memory), void *context) {
  (void)host;
  an_lock_acquire(&shared->kept_lock);
  kept **from = &shared->kept_first;
  while (*from != NULL && (*from)->memory != memory) from = &(*from)->next;
  kept *it = *from;
  if (it != NULL && --it->users == 0) {
    *from = it->next;
    clear(context, memory);
    an_free(memory);
    an_free(it);
  }
  an_lock_release(&shared->kept_lock);
}

const an_keeper *an_keeper_open(an_view scope) {
  keeper *it = an_alloc_zeroed(sizeof *it + scope.size);
  if (it == NULL) return NULL;
  uint8_t *text = (uint8_t *)(it + 1);
  if (scope.size > 0) memcpy(text, scope.data, scope.size);
  it->table = (an_keeper){it, take_memory, give_back};
  it->scope = (an_view){text, scope.size};
  return &it->table;
}

void an_keeper_close(const an_keeper *table) {
  if (table != NULL) an_free(table->host);
}
