#include "vec.h"

#include "journal.h"
#include "merging.h"
#include "why.h"
#include "trial.h"

enum { AN_VEC_FIRST_ROOM = 4 };

/* An empty Vec with room for so many items; false when out of memory. */
static bool vec_room(an_scope *scope, an_heap *heap, size_t item_size, uint32_t size, an_vec *vec) {
  uint32_t room = AN_VEC_FIRST_ROOM;
  while (room < size && room < (uint32_t)1 << 31) room *= 2;
  uint8_t *items = an_scope_alloc(scope, heap, room < size ? SIZE_MAX : an_size_mul(room, item_size));
  *vec = (an_vec){items, items == NULL ? 0 : room, 0, 0};
  return items != NULL;
}

/* Copies `count` items, from an index on, to the end of a Vec that has room for them. */
static void vec_extend(an_vec *to, const an_vec *from, size_t item_size, uint32_t start, uint32_t count) {
  for (uint32_t done = 0; done < count;) {
    uint32_t at = (from->head + start + done) & (from->room - 1);
    uint32_t run = from->room - at < count - done ? from->room - at : count - done;
    memcpy(to->items + (size_t)to->size * item_size, from->items + (size_t)at * item_size, (size_t)run * item_size);
    to->size += run;
    done += run;
  }
}

/* A Vec of state is about to change. */
static void vec_note(an_heap *heap, const an_type *type, const an_vec *vec) {
  if (AN_SHARED && heap != NULL) an_merging_value(heap, vec);
  if (!an_is_tried(heap)) return;
  an_heap_note(heap, vec, sizeof *vec);
  an_trial_whole(heap->trial, type, vec);
}

static bool vec_grow(an_scope *scope, an_heap *heap, size_t item_size, an_vec *vec) {
  an_vec grown;
  uint32_t room = vec->room > UINT32_MAX / 2 ? UINT32_MAX : vec->room * 2;
  if (!vec_room(scope, heap, item_size, room, &grown)) return false;
  vec_extend(&grown, vec, item_size, 0, vec->size);
  if (heap != NULL) an_heap_drop(heap, vec->items);
  *vec = grown;
  return true;
}

static void vec_drop_oldest(an_heap *heap, const an_type *type, an_vec *vec) {
  if (heap != NULL) an_disown(heap, type->first, an_vec_at(vec, type->first->size, 0));
  vec->head = (vec->head + 1) & (vec->room - 1);
  vec->size--;
  an_heap_evicted(heap, 1);
}

void an_vec_trim(an_heap *heap, const an_type *type, an_vec *vec, uint32_t capacity) {
  while (vec->size > capacity) vec_drop_oldest(heap, type, vec);
}

void an_vec_append(an_scope *scope, an_heap *heap, const an_type *type, an_vec *vec, uint32_t capacity, const void *item) {
  const size_t item_size = type->first->size;
  if (heap != NULL && heap->journal != NULL) an_journal_item(heap->journal, type, vec, -1, item);
  vec_note(heap, type, vec);
  if (vec->size >= capacity) vec_drop_oldest(heap, type, vec);
  /* State that a version with more room filled since it was trimmed gets smaller step by step. */
  if (heap != NULL && vec->size >= capacity && vec->size > 0) vec_drop_oldest(heap, type, vec);
  if (vec->size == vec->room && !vec_grow(scope, heap, item_size, vec)) return;
  void *place = an_vec_at(vec, item_size, vec->size);
  an_heap_note(heap, place, item_size);
  memcpy(place, item, item_size);
  if (heap != NULL) an_own(scope, heap, type->first, place);
  vec->size++;
}

void an_vec_set(an_scope *scope, an_heap *heap, const an_type *type, an_vec *vec, uint32_t capacity, int64_t index,
                const void *item) {
  if (index == (int64_t)vec->size) {
    an_vec_append(scope, heap, type, vec, capacity, item);
  } else if (index >= 0 && index < (int64_t)vec->size) {
    void *place = an_vec_at(vec, type->first->size, (uint32_t)index);
    if (heap != NULL && heap->journal != NULL) an_journal_item(heap->journal, type, vec, index, item);
    vec_note(heap, type, vec);
    if (heap != NULL) {
      an_store(scope, heap, type->first, place, item);
    } else {
      memcpy(place, item, type->first->size);
    }
  }
}

an_vec an_vec_copy(an_scope *scope, size_t item_size, an_vec vec) {
  an_vec copy = {0};
  if (vec.size > 0 && vec_room(scope, NULL, item_size, vec.size, &copy)) vec_extend(&copy, &vec, item_size, 0, vec.size);
  return copy;
}

void an_vec_own(an_scope *scope, an_heap *heap, const an_type *type, an_vec *vec, uint32_t capacity) {
  const size_t item_size = type->first->size;
  an_vec from = *vec;
  uint32_t kept = from.size < capacity ? from.size : capacity;
  *vec = (an_vec){0};
  if (kept < from.size) an_heap_evicted(heap, from.size - kept);
  if (kept == 0 || !vec_room(scope, heap, item_size, kept, vec)) return;
  vec_extend(vec, &from, item_size, from.size - kept, kept);
  if (type->first->flat) return;
  for (uint32_t i = 0; i < vec->size; i++) an_own(scope, heap, type->first, an_vec_at(vec, item_size, i));
}

void an_vec_own_all(an_scope *scope, an_heap *heap, const an_type *type, void *vec) {
  an_vec_own(scope, heap, type, vec, UINT32_MAX);
}

void an_vec_disown(an_heap *heap, const an_type *type, void *value) {
  const an_vec *vec = value;
  if (!type->first->flat) {
    for (uint32_t i = 0; i < vec->size; i++) an_disown(heap, type->first, an_vec_at(vec, type->first->size, i));
  }
  an_heap_drop(heap, vec->items);
}

void an_vec_store(an_scope *scope, an_heap *heap, const an_type *type, an_vec *place, uint32_t capacity, an_vec value) {
  vec_note(heap, type, place);
  an_vec_disown(heap, type, place);
  *place = value;
  an_vec_own(scope, heap, type, place, capacity);
  if (heap != NULL && heap->journal != NULL) an_journal_whole(heap->journal, place);
}

/* ---- entries of a Map --------------------------------------------------------------------------------- */

static void entry_key(const an_type *key, const an_map_entry *entry, void *place) {
  if (key->kind == AN_BOOL) {
    *(bool *)place = *(const uint64_t *)(const void *)(entry + 1) != 0;
  } else {
    memcpy(place, entry + 1, key->size);
  }
}

an_vec an_map_entries(an_scope *scope, const an_type *type, const an_type *pair, an_map map) {
  an_vec entries = {0};
  if (map.size == 0 || !vec_room(scope, NULL, pair->size, map.size, &entries)) return entries;
  for (uint32_t name = map.oldest; name != 0; name = an_map_entry_at(&map, type, name)->newer) {
    const an_map_entry *entry = an_map_entry_at(&map, type, name);
    uint8_t *place = entries.items + (size_t)entries.size++ * pair->size;
    entry_key(type->first, entry, place);
    memcpy(place + pair->offset, (const uint8_t *)entry + type->offset, type->second->size);
  }
  return entries;
}

/* ---- random choice, quantiles --------------------------------------------------------------------------- */

an_vec an_vec_choices(an_scope *scope, size_t element, size_t item_size, an_vec vec, int64_t count) {
  an_vec chosen = an_vec_copy(scope, item_size, vec);
  if (count >= (int64_t)vec.size) return chosen;
  uint8_t *spare = an_scope_alloc(scope, NULL, item_size);
  if (spare == NULL || chosen.size != vec.size) return (an_vec){0};
  for (uint32_t i = 0; (int64_t)i < count; i++) {
    uint64_t draw = an_draw(scope, element);
    void *one = an_vec_at(&chosen, item_size, i);
    void *other = an_vec_at(&chosen, item_size, i + (uint32_t)(draw % (chosen.size - i)));
    memcpy(spare, one, item_size);
    memmove(one, other, item_size);
    memcpy(other, spare, item_size);
  }
  chosen.size = count < 0 ? 0 : (uint32_t)count;
  return chosen;
}

/* A number that sorts as the double does, -0.0 before 0.0 and NaN last. */
static int64_t quantile_rank(double value) {
  uint64_t bits = an_float_bits(value);
  return (int64_t)(bits >> 63 == 0 ? bits : 0x7fffffffffffffffu - bits);
}

static double quantile_value(int64_t rank) {
  union { uint64_t u; double f; } bits = {rank >= 0 ? (uint64_t)rank : 0x7fffffffffffffffu - (uint64_t)rank};
  return bits.f;
}

static void sift_down(int64_t *heap, size_t at, size_t size) {
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= size) return;
    if (child + 1 < size && heap[child + 1] > heap[child]) child++;
    if (heap[at] >= heap[child]) return;
    int64_t swapped = heap[at];
    heap[at] = heap[child];
    heap[child] = swapped;
    at = child;
  }
}

/* Heapsort: no input makes it slow. */
static void sort_ranks(int64_t *ranks, size_t size) {
  for (size_t at = size / 2; at-- > 0;) sift_down(ranks, at, size);
  for (size_t last = size; last-- > 1;) {
    int64_t most = ranks[0];
    ranks[0] = ranks[last];
    ranks[last] = most;
    sift_down(ranks, 0, last);
  }
}

double an_vec_quantile(an_scope *scope, an_vec vec, double q) {
  if (vec.size == 0) return 0.0;
  int64_t *ranks = an_scope_alloc(scope, NULL, an_size_mul(vec.size, sizeof *ranks));
  if (ranks == NULL) return 0.0;
  for (uint32_t i = 0; i < vec.size; i++) {
    ranks[i] = quantile_rank(*(const double *)an_vec_at(&vec, sizeof(double), i));
  }
  sort_ranks(ranks, vec.size);
  double share = q > 0.0 ? (q < 1.0 ? q : 1.0) : 0.0;
  return quantile_value(ranks[(size_t)(share * (double)(vec.size - 1))]);
}

/* ---- backends ----------------------------------------------------------------------------------------- */

an_vec an_backends(an_scope *scope) {
  const uint32_t count = scope->call->instance->options.backend_count;
  an_vec hosts = {0};
  if (count == 0 || !vec_room(scope, NULL, sizeof(int64_t), count, &hosts)) return hosts;
  for (uint32_t i = 0; i < count; i++) ((int64_t *)(void *)hosts.items)[i] = (int64_t)i;
  hosts.size = count;
  return hosts;
}

an_vec an_backends_load(an_scope *scope, an_vec hosts) {
  an_vec loads = {0};
  if (hosts.size == 0 || !vec_room(scope, NULL, sizeof(double), hosts.size, &loads)) return loads;
  for (uint32_t i = 0; i < hosts.size; i++) {
    int64_t host = *(const int64_t *)an_vec_at(&hosts, sizeof host, i);
    ((double *)(void *)loads.items)[i] = (double)an_backend_load(scope->call->instance, host);
  }
  loads.size = hosts.size;
  return loads;
}
