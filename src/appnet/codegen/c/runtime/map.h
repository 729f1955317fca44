/* Maps: hash tables whose entries also stand in the order in which their keys were last set. */
#ifndef AN_MAP_H
#define AN_MAP_H

#include "trial.h"

/* All zero is an empty Map. Entries are named by their place in `entries`, from 1; 0 is none. */
typedef struct an_map {
  uint8_t *entries;
  uint32_t *table; /* 2 * room names, found by hash, then the next ones */
  uint64_t seed;   /* of the hashes, so that nobody can choose keys that collide */
  uint32_t room;   /* a power of two, or 0 */
  uint32_t size;
  uint32_t used;   /* entries that were in use at some time */
  uint32_t spare;  /* those of them that are not, linked by `newer` */
  uint32_t oldest;
  uint32_t newest;
} an_map;

typedef struct an_map_entry {
  uint32_t older;
  uint32_t newer;
  uint32_t hash;
  uint32_t unused;
} an_map_entry;

/* A key stands as 64 bits (an_key_* of scalars), or as a string. */
#define AN_MAP_VALUE_AT(text) ((uint32_t)(sizeof(an_map_entry) + ((text) ? (sizeof(an_view) + 7) / 8 * 8 : 8)))
/* `text`: whether keys are strings. `value_size`: of the C type of a value. */
#define AN_MAP_TYPE(key, text, value, value_size)                                                       \
  {.kind = AN_MAP, .size = sizeof(an_map), .first = (key), .second = (value),                           \
   .offset = AN_MAP_VALUE_AT(text), .stride = AN_MAP_VALUE_AT(text) + (uint32_t)((value_size) + 7) / 8 * 8, \
   .own = an_map_own_all, .disown = an_map_disown}

/* 0.0 and -0.0 are one key, and so are all NaNs. */
static inline uint64_t an_key_float(double key) { return an_float_bits(key == 0.0 ? 0.0 : key); }

static inline uint32_t an_hash_number(uint64_t seed, uint64_t key) {
  uint64_t hash = (key ^ seed) * 0x9fb21c651e98df25u;
  hash = (hash ^ (hash >> 32)) * 0xd6e8feb86659fd93u;
  return (uint32_t)(hash ^ (hash >> 32));
}

static inline uint32_t an_hash_text(uint64_t seed, an_view key) {
  uint64_t hash = seed ^ (uint64_t)key.size * 0x9e3779b97f4a7c15u;
  size_t at = 0;
  for (; key.size - at >= 8; at += 8) {
    uint64_t word;
    memcpy(&word, key.data + at, 8);
    hash = (hash ^ word) * 0x9fb21c651e98df25u;
    hash ^= hash >> 29;
  }
  uint64_t rest = 0;
  for (size_t i = at; i < key.size; i++) rest = rest << 8 | key.data[i];
  return an_hash_number(hash, rest);
}

static inline an_map_entry *an_map_entry_at(const an_map *map, const an_type *type, uint32_t name) {
  return (an_map_entry *)(void *)(map->entries + (size_t)(name - 1) * type->stride);
}

/* Of few keys, most differ from a long one in their size: comparing costs less than a hash of all of it. */
enum { AN_MAP_FEW = 8, AN_MAP_LONG = 64 };
const void *an_map_find_long(const an_map *map, const an_type *type, an_view key);

/* The value of the key, or NULL. It may move when the Map is changed. */
static inline const void *an_map_get_number(const an_map *map, const an_type *type, uint64_t key) {
  if (map->size == 0) return NULL;
  const uint32_t mask = 2 * map->room - 1, hash = an_hash_number(map->seed, key);
  for (uint32_t at = hash & mask; map->table[at] != 0; at = (at + 1) & mask) {
    const an_map_entry *entry = an_map_entry_at(map, type, map->table[at]);
    if (*(const uint64_t *)(const void *)(entry + 1) == key) return (const uint8_t *)entry + type->offset;
  }
  return NULL;
}

static inline const void *an_map_get_text(const an_map *map, const an_type *type, an_view key) {
  if (map->size == 0) return NULL;
  if (map->size <= AN_MAP_FEW && key.size >= AN_MAP_LONG) return an_map_find_long(map, type, key);
  const uint32_t mask = 2 * map->room - 1, hash = an_hash_text(map->seed, key);
  for (uint32_t at = hash & mask; map->table[at] != 0; at = (at + 1) & mask) {
    const an_map_entry *entry = an_map_entry_at(map, type, map->table[at]);
    if (entry->hash == hash && an_equal(*(const an_view *)(const void *)(entry + 1), key)) {
      return (const uint8_t *)entry + type->offset;
    }
  }
  return NULL;
}

/* A handler looks the key up in a Map of state. */
static inline void an_map_read_number(an_heap *heap, const an_type *type, const an_map *map, uint64_t key) {
  if (an_is_tried(heap)) an_trial_read(heap->trial, type, map, &key);
}

static inline void an_map_read_text(an_heap *heap, const an_type *type, const an_map *map, an_view key) {
  if (an_is_tried(heap)) an_trial_read(heap->trial, type, map, &key);
}

/* `type` is the Map's. Keys and values of a Map in the arena are stored as they are, those of state are copied. */
void an_map_set_number(an_scope *scope, an_heap *heap, const an_type *type, an_map *map, uint32_t capacity, uint64_t key,
                       const void *value);
void an_map_set_text(an_scope *scope, an_heap *heap, const an_type *type, an_map *map, uint32_t capacity, an_view key,
                     const void *value);
void an_map_delete_number(an_heap *heap, const an_type *type, an_map *map, uint64_t key);
void an_map_delete_text(an_heap *heap, const an_type *type, an_map *map, an_view key);
/* A Map in the arena that can be changed without changing this one. */
an_map an_map_copy(an_scope *scope, const an_type *type, an_map map);
/* SetState: the `capacity` entries most recently set. */
void an_map_store(an_scope *scope, an_heap *heap, const an_type *type, an_map *place, uint32_t capacity, an_map value);

/* Makes an entry that is there the newest, in a Map that is on no trial. */
void an_map_renew(const an_type *type, an_map *map, uint32_t name);

/* Lets the oldest entries go until it has no more than `capacity`. */
void an_map_trim(an_heap *heap, const an_type *type, an_map *map, uint32_t capacity);
void an_map_own(an_scope *scope, an_heap *heap, const an_type *type, an_map *map, uint32_t capacity);
/* Of an_type. */
void an_map_own_all(an_scope *scope, an_heap *heap, const an_type *type, void *map);
void an_map_disown(an_heap *heap, const an_type *type, void *map);

#endif
