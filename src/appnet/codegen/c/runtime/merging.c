/* Behind copies.c, whose readers of changes it uses. */
#include "merging.h"

#include "kept.h"
#include "map.h"
#include "metrics.h"
#include "octets.h"
#include "state_bytes.h"
#include "vec.h"

/* What a variable's `touched` and `sent` have of an entry: this, and behind it what it was before: of numbers 8 bytes, of
 * a Vec that is united its items as texts, of all else nothing. */
typedef struct an_touch {
  uint64_t wall; /* LWW: the clock of the last write */
  uint32_t count;
  uint32_t there; /* it was there before */
} an_touch;

/* What was touched: an_touch by key, as an_map has keys, the last that was touched last. */
typedef struct an_touches {
  an_map map;
  an_heap heap;
} an_touches;

/* A variable that is merged, guarded by its element's lock. `sent` is of whoever asks and answers alone. */
typedef struct an_merge {
  an_instance *instance;
  const an_variable *variable;
  an_merging *merging;
  void *place;
  bool joined, failed;
  enum { AN_MERGE_IDLE, AN_MERGE_MEETS, AN_MERGE_MERGES } asked;
  bool unsure;         /* `request` has a batch of which nobody knows whether it is in the store */
  an_touches touched; /* since the last batch */
  an_touches sent;    /* of the batch under way */
  uint64_t base, sent_base; /* of a number that is no Map: as the store has it, as it was sent */
  uint64_t version, batch;
  uint64_t asked_ns, fresh_ns; /* when it asked; up to when it knows of others */
  an_buffer birth, how, first, request;
  trial_digits numbers[2];
  trial_reason reason;
} an_merge;

/* Of one element. */
struct an_merging {
  an_instance *instance;
  an_guard *guard;
  uint32_t element;
  an_merge *first; /* its variables */
  size_t count;
  an_call *call;   /* lends its arena */
  an_scope scope;
  uint64_t wall;   /* the hybrid clock */
  uint32_t tick;
  bool ticked;     /* for the handler that runs */
  size_t alone;    /* requests under way for which no step may be on trial */
  uint64_t ahead;
};

enum { MERGE_TOMBSTONES = 16384 }; /* as many deletes as the store remembers */

struct an_merges {
  const an_carrier *carrier;
  an_merging **by_element; /* NULL: it merges nothing */
  an_merging *elements;
  size_t element_count;
  bool gone_on; /* with what the version before had */
  size_t count;
  an_merge variables[];
};

static const an_type merge_touched_type = AN_MAP_TYPE(&an_type_string, true, &an_type_string, sizeof(an_view));
static const an_type merge_counts_type = AN_MAP_TYPE(&an_type_string, true, &an_type_uint, sizeof(uint64_t));

static const an_view NO_TEXT = {NULL, 0}; /* the key of what is no Map */

static bool merge_is_map(const an_merge *it) { return it->variable->type->kind == AN_MAP; }

static const an_type *merged_type(const an_merge *it) {
  return merge_is_map(it) ? it->variable->type->second : it->variable->type;
}

/* The combiner looks at numbers. */
static bool merge_counts(const an_merge *it) {
  const an_combiner combiner = it->variable->combiner;
  return combiner == AN_SUM || combiner == AN_MAX || combiner == AN_MIN;
}

/* It is compared: nothing of it is noted. */
static bool merge_is_number(const an_merge *it) { return merge_counts(it) && !merge_is_map(it); }

static bool merge_unites(const an_merge *it) { return it->variable->combiner == AN_UNION && !merge_is_map(it); }

/* ---- numbers ---------------------------------------------------------------------------------------------- */

static double merge_float(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint64_t merge_bits(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/* left + right - less, where `less` and `right` are equal exactly left. */
static uint64_t number_shifted(an_kind kind, uint64_t left, uint64_t right, uint64_t less) {
  if (right == less) return left;
  if (kind == AN_FLOAT) return merge_bits(merge_float(left) + (merge_float(right) - merge_float(less)));
  return left + right - less;
}

/* A number that sorts as the value does. */
static uint64_t number_rank(an_kind kind, uint64_t bits) {
  const uint64_t sign = (uint64_t)1 << 63;
  if (kind == AN_UINT) return bits;
  if (kind == AN_FLOAT) bits = an_float_bits(merge_float(bits));
  return kind == AN_FLOAT && (bits & sign) != 0 ? ~bits : bits ^ sign;
}

static uint64_t number_better(const an_merge *it, uint64_t left, uint64_t right) {
  const an_kind kind = merged_type(it)->kind;
  const bool above = number_rank(kind, left) > number_rank(kind, right);
  return above == (it->variable->combiner == AN_MAX) ? left : right;
}

/* What the instance has made of a number, on top of another that the store has now. */
static uint64_t number_rebased(const an_merge *it, uint64_t store, uint64_t now, uint64_t before) {
  if (now == before) return store;
  if (it->variable->combiner == AN_SUM) return number_shifted(merged_type(it)->kind, store, now, before);
  return number_better(it, store, now);
}

static uint64_t number_at(const void *place) { return __atomic_load_n((const uint64_t *)place, __ATOMIC_RELAXED); }

/* ---- noting ----------------------------------------------------------------------------------------------- */

static an_merge *merge_at(const an_merging *merging, const void *place) {
  for (size_t i = 0; i < merging->count; i++) {
    if (merging->first[i].place == place) return &merging->first[i];
  }
  return NULL;
}

/* A key of a Map as the bytes that it lies in. */
static an_view merge_key(const an_type *map, const void *key) {
  return map->first->kind == AN_STRING ? *(const an_view *)key : (an_view){key, sizeof(uint64_t)};
}

static const void *merge_value(const an_merge *it, an_view key) {
  const an_type *type = it->variable->type;
  if (!merge_is_map(it)) return it->place;
  if (type->first->kind == AN_STRING) return an_map_get_text(it->place, type, key);
  uint64_t number;
  memcpy(&number, key.data, sizeof number);
  return an_map_get_number(it->place, type, number);
}

static an_touch *touch_find(const an_touches *touches, an_view key) {
  const an_view *found = an_map_get_text(&touches->map, &merge_touched_type, key);
  return found == NULL ? NULL : (an_touch *)(uintptr_t)found->data;
}

static an_view touch_key(const an_touches *touches, uint32_t name) {
  return *(const an_view *)(const void *)(an_map_entry_at(&touches->map, &merge_touched_type, name) + 1);
}

static uint32_t touch_next(const an_touches *touches, uint32_t name) {
  return an_map_entry_at(&touches->map, &merge_touched_type, name)->newer;
}

/* As an_map_get_text has it: the value stands in its entry. */
static uint32_t touch_name(const an_touches *touches, const void *value) {
  const uint8_t *entry = (const uint8_t *)value - merge_touched_type.offset;
  return (uint32_t)((size_t)(entry - touches->map.entries) / merge_touched_type.stride) + 1;
}

/* What was before. */
static uint64_t touch_number(const an_touch *touch) {
  uint64_t number;
  memcpy(&number, touch + 1, sizeof number);
  return number;
}

static an_view touch_items(const an_touches *touches) {
  const an_view *found = an_map_get_text(&touches->map, &merge_touched_type, NO_TEXT);
  if (found == NULL) return NO_TEXT;
  return (an_view){found->data + sizeof(an_touch), found->size - sizeof(an_touch)};
}

static void touch_put(an_merge *it, an_view key, an_view record) {
  an_merging *merging = it->merging;
  an_touches *touches = &it->touched;
  an_map_set_text(&merging->scope, &touches->heap, &merge_touched_type, &touches->map, UINT32_MAX, key, &record);
  an_heap_flush(&touches->heap);
  if (merging->scope.failed) it->failed = true;
  merging->scope.failed = false;
}

/* The instance has nothing to tell of the entry any more. */
static void touch_drop(an_merge *it, an_view key) {
  an_map_delete_text(&it->touched.heap, &merge_touched_type, &it->touched.map, key);
  an_heap_flush(&it->touched.heap);
}

/* Entries may come and go for as long as the store is away: of those that are gone the oldest are forgotten, as it would. */
static void touches_trim(an_merge *it) {
  const an_touches *touches = &it->touched;
  const size_t most = (size_t)it->variable->capacity + MERGE_TOMBSTONES;
  if (!merge_is_map(it) || touches->map.size < most + MERGE_TOMBSTONES) return;
  for (uint32_t name = touches->map.oldest, next; name != 0 && touches->map.size > most; name = next) {
    const an_view key = touch_key(touches, name);
    next = touch_next(touches, name);
    if (merge_value(it, key) == NULL) touch_drop(it, key);
  }
}

static void merge_items(an_buffer *out, const an_merge *it) {
  const an_type *item = it->variable->type->first;
  const an_vec *vec = it->place;
  for (uint32_t i = 0; i < vec->size; i++) {
    const size_t begun = trial_text_begin(out);
    an_write_value(out, item, an_vec_at(vec, item->size, i));
    trial_text_end(out, begun);
  }
}

static an_touch *touch_note(an_merge *it, an_view key) {
  an_merging *merging = it->merging;
  touches_trim(it);
  const void *now = merge_value(it, key);
  struct { an_touch touch; uint64_t number; } record = {{.there = now != NULL}, 0};
  an_buffer items = {0};
  an_view bytes = {(const uint8_t *)&record, sizeof record.touch};
  if (merge_counts(it)) {
    if (now != NULL) memcpy(&record.number, now, sizeof record.number);
    bytes.size = sizeof record;
  } else if (merge_unites(it)) {
    items.ahead = merging->ahead;
    an_buffer_append(&items, &record.touch, sizeof record.touch);
    merge_items(&items, it);
    if (items.failed) it->failed = true;
    bytes = (an_view){items.data, items.size};
  }
  touch_put(it, key, bytes);
  an_buffer_free(&items);
  return touch_find(&it->touched, key);
}

static void merging_tick(an_merging *merging) {
  const an_services *services = &merging->instance->services;
  const uint64_t wall = services->wall_ns(services->host);
  if (merging->ticked) return;
  merging->ticked = true;
  merging->tick = wall > merging->wall ? 0 : merging->tick + 1;
  if (wall > merging->wall) merging->wall = wall;
}

static void touch_entry(an_merge *it, an_view key) {
  const an_view *found = an_map_get_text(&it->touched.map, &merge_touched_type, key);
  if (found != NULL) an_map_renew(&merge_touched_type, &it->touched.map, touch_name(&it->touched, found));
  an_touch *touch = found == NULL ? touch_note(it, key) : (an_touch *)(uintptr_t)found->data;
  if (touch == NULL || it->variable->combiner != AN_LWW) return;
  if (!it->merging->ticked) merging_tick(it->merging);
  touch->wall = it->merging->wall;
  touch->count = it->merging->tick;
}

void an_merging_entry(an_merging *merging, const an_type *type, const void *map, const void *key) {
  an_merge *it = merge_at(merging, map);
  if (it != NULL) touch_entry(it, merge_key(type, key));
}

void an_merging_whole(an_merging *merging, const void *value) {
  an_merge *it = merge_at(merging, value);
  if (it != NULL) touch_entry(it, NO_TEXT);
}

void an_merging_replaced(an_merging *merging, const an_type *type, const void *map, const void *other) {
  an_merge *it = merge_at(merging, map);
  const an_map *both[] = {map, other};
  for (size_t i = 0; it != NULL && i < 2; i++) {
    for (uint32_t name = both[i]->oldest; name != 0; name = an_map_entry_at(both[i], type, name)->newer) {
      touch_entry(it, merge_key(type, an_map_entry_at(both[i], type, name) + 1));
    }
  }
}

void an_merging_begin(an_instance *instance, an_guard *guard, size_t element) {
  if (instance->merges == NULL) return;
  guard->heap.merging = instance->merges->by_element[element];
  if (guard->heap.merging != NULL) guard->heap.merging->ticked = false;
}

/* What was noted is forgotten. */
static void touches_clear(an_touches *touches) {
  an_map_disown(&touches->heap, &merge_touched_type, &touches->map);
  an_heap_flush(&touches->heap);
  touches->map = (an_map){0};
}
