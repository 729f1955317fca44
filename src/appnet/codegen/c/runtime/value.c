#include "value.h"

#include "trial.h"

const an_type an_type_bool = {.kind = AN_BOOL, .flat = true, .size = sizeof(bool)};
const an_type an_type_int = {.kind = AN_INT, .flat = true, .size = sizeof(int64_t)};
const an_type an_type_uint = {.kind = AN_UINT, .flat = true, .size = sizeof(uint64_t)};
const an_type an_type_instant = {.kind = AN_INT, .flat = true, .moment = true, .size = sizeof(uint64_t)};
const an_type an_type_float = {.kind = AN_FLOAT, .flat = true, .size = sizeof(double)};
const an_type an_type_string = {
    .kind = AN_STRING, .flat = false, .size = sizeof(an_view), .own = an_text_own, .disown = an_text_disown};

/* ---- heap ------------------------------------------------------------------------------------------- */

struct an_block {
  _Alignas(8) an_block *next;
  uint32_t size_class; /* AN_HEAP_CLASSES: as large as it needs to be, and given back at once */
};

enum { AN_HEAP_SPARE = 64 }; /* blocks of one size kept for later */

static const uint16_t class_sizes[AN_HEAP_CLASSES] = {16,  32,  48,  64,   96,   128,  192,  256,
                                                      384, 512, 768, 1024, 1536, 2048, 3072, 4096};

static uint32_t class_of(size_t size) {
  uint32_t size_class = 0;
  while (size_class < AN_HEAP_CLASSES && class_sizes[size_class] < size) size_class++;
  return size_class;
}

static void *block_alloc(an_heap *heap, size_t size) {
  uint32_t size_class = class_of(size);
  an_block *block = NULL;
  if (size_class < AN_HEAP_CLASSES) {
    size = class_sizes[size_class];
    block = heap->spare[size_class];
    if (block != NULL) {
      heap->spare[size_class] = block->next;
      heap->spare_count[size_class]--;
      return block + 1;
    }
  }
  block = an_alloc(an_size_add(sizeof *block, size));
  if (block == NULL) return NULL;
  block->size_class = size_class;
  return block + 1;
}

void *an_heap_alloc(an_heap *heap, size_t size) {
  void *memory = block_alloc(heap, size);
  if (memory != NULL && heap->trial != NULL) an_trial_made(heap->trial, memory);
  return memory;
}

void an_heap_drop(an_heap *heap, void *memory) {
  if (memory == NULL) return;
  if (heap->trial != NULL) {
    an_trial_dropped(heap->trial, memory);
    return;
  }
  an_block *block = (an_block *)memory - 1;
  block->next = heap->dropped;
  heap->dropped = block;
}

void an_heap_recycle(an_heap *heap) {
  while (heap->dropped != NULL) {
    an_block *block = heap->dropped;
    heap->dropped = block->next;
    uint32_t size_class = block->size_class;
    if (size_class < AN_HEAP_CLASSES && heap->spare_count[size_class] < AN_HEAP_SPARE) {
      block->next = heap->spare[size_class];
      heap->spare[size_class] = block;
      heap->spare_count[size_class]++;
    } else {
      an_free(block);
    }
  }
}

void an_heap_free(an_heap *heap) {
  an_heap_recycle(heap);
  for (uint32_t size_class = 0; size_class < AN_HEAP_CLASSES; size_class++) {
    while (heap->spare[size_class] != NULL) {
      an_block *block = heap->spare[size_class];
      heap->spare[size_class] = block->next;
      an_free(block);
    }
    heap->spare_count[size_class] = 0;
  }
}

/* ---- ownership -------------------------------------------------------------------------------------- */

void *an_scope_alloc(an_scope *scope, an_heap *heap, size_t size) {
  void *memory = heap != NULL ? an_heap_alloc(heap, size) : an_arena_alloc(&scope->call->arena, size);
  if (memory == NULL) scope->failed = true;
  return memory;
}

void an_text_own(an_scope *scope, an_heap *heap, const an_type *type, void *value) {
  an_view *text = value;
  (void)type;
  uint8_t *copy = text->size == 0 ? NULL : an_scope_alloc(scope, heap, text->size);
  if (copy == NULL) {
    *text = (an_view){NULL, 0};
    return;
  }
  memcpy(copy, text->data, text->size);
  text->data = copy;
}

void an_text_disown(an_heap *heap, const an_type *type, void *text) {
  (void)type;
  an_heap_drop(heap, (void *)(uintptr_t)((const an_view *)text)->data);
}

void an_pair_own(an_scope *scope, an_heap *heap, const an_type *type, void *pair) {
  an_own(scope, heap, type->first, pair);
  an_own(scope, heap, type->second, (uint8_t *)pair + type->offset);
}

void an_pair_disown(an_heap *heap, const an_type *type, void *pair) {
  an_disown(heap, type->first, pair);
  an_disown(heap, type->second, (uint8_t *)pair + type->offset);
}

void an_keep(an_scope *scope, const an_type *type, void *value) {
  an_call *call = scope->call;
  if (!call->method->request.streams && !call->method->response.streams) {
    an_own(scope, NULL, type, value);
    return;
  }
  an_arena of_message = call->arena;
  call->arena = call->kept;
  an_own(scope, NULL, type, value);
  call->kept = call->arena;
  call->arena = of_message;
}

void an_store(an_scope *scope, an_heap *heap, const an_type *type, void *place, const void *value) {
  an_heap_note(heap, place, type->size);
  if (heap != NULL) an_disown(heap, type, place);
  memmove(place, value, type->size);
  an_own(scope, heap, type, place);
}

void an_store_text(an_scope *scope, an_heap *heap, an_view *place, an_view value) {
  an_heap_note(heap, place, sizeof *place);
  if (heap != NULL) an_text_disown(heap, &an_type_string, place);
  *place = value;
  an_text_own(scope, heap, &an_type_string, place);
}
