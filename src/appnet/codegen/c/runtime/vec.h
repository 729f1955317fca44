/* Vecs: rings, so that dropping the oldest item is one step. */
#ifndef AN_VEC_H
#define AN_VEC_H

#include "map.h"
#include "value.h"

/* All zero is an empty Vec. */
typedef struct an_vec {
  uint8_t *items;
  uint32_t room; /* a power of two, or 0 */
  uint32_t head; /* of the oldest item */
  uint32_t size;
} an_vec;

#define AN_VEC_TYPE(item) \
  {.kind = AN_VEC, .size = sizeof(an_vec), .first = (item), .own = an_vec_own_all, .disown = an_vec_disown}

/* The item at an index below the size. */
static inline void *an_vec_at(const an_vec *vec, size_t item_size, uint32_t index) {
  return vec->items + (size_t)((vec->head + index) & (vec->room - 1)) * item_size;
}

/* The item, or NULL where the index is out of range. */
static inline const void *an_vec_get(const an_vec *vec, size_t item_size, int64_t index) {
  return index < 0 || index >= (int64_t)vec->size ? NULL : an_vec_at(vec, item_size, (uint32_t)index);
}

/* `type` is the Vec's. An item of a Vec in the arena is stored as it is, one of state is copied. */
void an_vec_append(an_scope *scope, an_heap *heap, const an_type *type, an_vec *vec, uint32_t capacity, const void *item);
void an_vec_set(an_scope *scope, an_heap *heap, const an_type *type, an_vec *vec, uint32_t capacity, int64_t index,
                const void *item);
/* A Vec in the arena that can be changed without changing this one. */
an_vec an_vec_copy(an_scope *scope, size_t item_size, an_vec vec);
/* SetState: the last `capacity` items. */
void an_vec_store(an_scope *scope, an_heap *heap, const an_type *type, an_vec *place, uint32_t capacity, an_vec value);

/* Lets the oldest items go until it has no more than `capacity`. */
void an_vec_trim(an_heap *heap, const an_type *type, an_vec *vec, uint32_t capacity);
void an_vec_own(an_scope *scope, an_heap *heap, const an_type *type, an_vec *vec, uint32_t capacity);
/* Of an_type. */
void an_vec_own_all(an_scope *scope, an_heap *heap, const an_type *type, void *vec);
void an_vec_disown(an_heap *heap, const an_type *type, void *vec);

/* The entries of a Map as pairs (`pair`: their type), that least recently set first. They share what the Map refers to. */
an_vec an_map_entries(an_scope *scope, const an_type *type, const an_type *pair, an_map map);

/* n of the items, chosen by the element's draws. */
an_vec an_vec_choices(an_scope *scope, size_t element, size_t item_size, an_vec vec, int64_t count);
/* The item at rank floor(q * (size - 1)) of a Vec of doubles. */
double an_vec_quantile(an_scope *scope, an_vec vec, double q);

an_vec an_backends(an_scope *scope);                 /* Vec<int> */
an_vec an_backends_load(an_scope *scope, an_vec hosts); /* Vec<int> to Vec<float> */

#endif
