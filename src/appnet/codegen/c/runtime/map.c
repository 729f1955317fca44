#include "map.h"

#include "journal.h"
#include "merging.h"
#include "trial.h"

enum { AN_MAP_FIRST_ROOM = 4 };

static void *map_key(an_map_entry *entry) { return entry + 1; }

static void *map_value(const an_type *type, an_map_entry *entry) { return (uint8_t *)entry + type->offset; }

static bool is_journaled(const an_heap *heap) { return heap != NULL && heap->journal != NULL; }

static bool is_merged(const an_heap *heap) { return AN_SHARED && heap != NULL && heap->merging != NULL; }

static bool keys_are_text(const an_type *type) { return type->first->kind == AN_STRING; }

static size_t map_key_size(const an_type *type) { return keys_are_text(type) ? sizeof(an_view) : sizeof(uint64_t); }

/* The place in the table of the key, or of the first name that is 0. The Map has room. */
static uint32_t map_find(const an_map *map, const an_type *type, const void *key, uint32_t hash) {
  const uint32_t mask = 2 * map->room - 1;
  uint32_t at = hash & mask;
  for (; map->table[at] != 0; at = (at + 1) & mask) {
    an_map_entry *entry = an_map_entry_at(map, type, map->table[at]);
    if (entry->hash != hash) continue;
    bool same = keys_are_text(type) ? an_equal(*(const an_view *)map_key(entry), *(const an_view *)key)
                                    : *(const uint64_t *)map_key(entry) == *(const uint64_t *)key;
    if (same) break;
  }
  return at;
}

const void *an_map_find_long(const an_map *map, const an_type *type, an_view key) {
  for (uint32_t name = map->oldest; name != 0;) {
    an_map_entry *entry = an_map_entry_at(map, type, name);
    if (an_equal(*(const an_view *)map_key(entry), key)) return map_value(type, entry);
    name = entry->newer;
  }
  return NULL;
}

/* The links of an entry are about to change; 0 is none. */
static an_map_entry *linked(an_heap *heap, const an_map *map, const an_type *type, uint32_t name) {
  an_map_entry *entry = an_map_entry_at(map, type, name);
  an_heap_note(heap, entry, sizeof *entry);
  return entry;
}

static void map_link(an_heap *heap, an_map *map, const an_type *type, uint32_t name) {
  an_map_entry *entry = linked(heap, map, type, name);
  entry->older = map->newest;
  entry->newer = 0;
  if (map->newest != 0) {
    linked(heap, map, type, map->newest)->newer = name;
  } else {
    map->oldest = name;
  }
  map->newest = name;
}

static void map_unlink(an_heap *heap, an_map *map, const an_type *type, uint32_t name) {
  const an_map_entry *entry = an_map_entry_at(map, type, name);
  if (entry->older != 0) {
    linked(heap, map, type, entry->older)->newer = entry->newer;
  } else {
    map->oldest = entry->newer;
  }
  if (entry->newer != 0) {
    linked(heap, map, type, entry->newer)->older = entry->older;
  } else {
    map->newest = entry->older;
  }
}

/* Takes a name out of the table, and moves later ones up that were only put there because it stood before them. */
static void table_remove(an_heap *heap, an_map *map, const an_type *type, uint32_t at) {
  const uint32_t mask = 2 * map->room - 1;
  uint32_t hole = at;
  for (uint32_t next = (at + 1) & mask; map->table[next] != 0; next = (next + 1) & mask) {
    uint32_t home = an_map_entry_at(map, type, map->table[next])->hash & mask;
    if (((next - home) & mask) < ((next - hole) & mask)) continue;
    an_heap_note(heap, &map->table[hole], sizeof *map->table);
    map->table[hole] = map->table[next];
    hole = next;
  }
  an_heap_note(heap, &map->table[hole], sizeof *map->table);
  map->table[hole] = 0;
}

static uint32_t table_place_of(const an_map *map, const an_type *type, uint32_t name) {
  const uint32_t mask = 2 * map->room - 1;
  uint32_t at = an_map_entry_at(map, type, name)->hash & mask;
  while (map->table[at] != name) at = (at + 1) & mask;
  return at;
}

static void map_remove(an_heap *heap, const an_type *type, an_map *map, uint32_t at) {
  uint32_t name = map->table[at];
  an_map_entry *entry = an_map_entry_at(map, type, name);
  an_heap_note(heap, map, sizeof *map);
  an_heap_note(heap, entry, sizeof *entry);
  table_remove(heap, map, type, at);
  map_unlink(heap, map, type, name);
  if (heap != NULL) {
    an_disown(heap, type->first, map_key(entry));
    an_disown(heap, type->second, map_value(type, entry));
  }
  entry->newer = map->spare;
  map->spare = name;
  map->size--;
}

static void map_drop_oldest(an_heap *heap, const an_type *type, an_map *map) {
  if (map->oldest == 0) return;
  const void *key = map_key(an_map_entry_at(map, type, map->oldest));
  const bool goes = !an_is_tried(heap) || an_trial_evicts(heap->trial, type, map, key);
  if (is_merged(heap)) an_merging_entry(heap->merging, type, map, key);
  map_remove(heap, type, map, table_place_of(map, type, map->oldest));
  if (goes) an_heap_evicted(heap, 1);
}

void an_map_trim(an_heap *heap, const an_type *type, an_map *map, uint32_t capacity) {
  while (map->size > capacity) map_drop_oldest(heap, type, map);
}

/* ---- room ------------------------------------------------------------------------------------------- */

/* An empty Map with room for so many entries; false when out of memory. */
static bool map_room(an_scope *scope, an_heap *heap, const an_type *type, uint32_t size, an_map *map) {
  uint32_t room = AN_MAP_FIRST_ROOM;
  while (room < size && room < (uint32_t)1 << 30) room *= 2;
  *map = (an_map){0};
  if (room < size) {
    scope->failed = true;
    return false;
  }
  uint8_t *entries = an_scope_alloc(scope, heap, an_size_mul(room, type->stride));
  uint32_t *table = an_scope_alloc(scope, heap, an_size_mul(room, 2 * sizeof *table));
  if (entries == NULL || table == NULL) {
    if (heap != NULL) an_heap_drop(heap, entries);
    if (heap != NULL) an_heap_drop(heap, table);
    return false;
  }
  memset(table, 0, (size_t)room * 2 * sizeof *table);
  map->entries = entries;
  map->table = table;
  map->room = room;
  map->seed = (scope->call->instance->options.seed ^ (uint64_t)(uintptr_t)table) * 0x9e3779b97f4a7c15u;
  return true;
}

/* Appends the `count` entries most recently set, in their order, to a Map that has room for them and no other. */
static void map_extend(an_map *to, const an_type *type, const an_map *from, uint32_t count) {
  uint32_t name = from->oldest;
  for (uint32_t skipped = from->size; skipped > count; skipped--) name = an_map_entry_at(from, type, name)->newer;
  to->seed = from->seed;
  while (name != 0) {
    const an_map_entry *entry = an_map_entry_at(from, type, name);
    an_map_entry *copy = an_map_entry_at(to, type, ++to->used);
    memcpy(copy, entry, type->stride);
    const uint32_t mask = 2 * to->room - 1;
    uint32_t at = copy->hash & mask;
    while (to->table[at] != 0) at = (at + 1) & mask;
    to->table[at] = to->used;
    map_link(NULL, to, type, to->used);
    to->size++;
    name = entry->newer;
  }
}

static bool map_grow(an_scope *scope, an_heap *heap, const an_type *type, an_map *map) {
  an_map grown;
  if (!map_room(scope, heap, type, map->room + 1, &grown)) return false;
  if (map->size > 0) map_extend(&grown, type, map, map->size);
  an_heap_note(heap, map, sizeof *map);
  if (heap != NULL) {
    an_heap_drop(heap, map->entries);
    an_heap_drop(heap, map->table);
  }
  *map = grown;
  return true;
}

/* ---- set and delete ----------------------------------------------------------------------------------- */

static uint32_t map_take_name(an_map *map, const an_type *type) {
  uint32_t name = map->spare;
  if (name == 0) return ++map->used;
  map->spare = an_map_entry_at(map, type, name)->newer;
  return name;
}

static uint32_t map_hash(const an_map *map, const an_type *type, const void *key) {
  return keys_are_text(type) ? an_hash_text(map->seed, *(const an_view *)key)
                             : an_hash_number(map->seed, *(const uint64_t *)key);
}

void an_map_renew(const an_type *type, an_map *map, uint32_t name) {
  if (map->newest == name) return;
  map_unlink(NULL, map, type, name);
  map_link(NULL, map, type, name);
}

/* Gives an entry another value and makes it the newest. */
static void map_renew(an_scope *scope, an_heap *heap, const an_type *type, an_map *map, uint32_t name, const void *value) {
  if (map->newest != name) {
    an_heap_note(heap, map, sizeof *map);
    map_unlink(heap, map, type, name);
    map_link(heap, map, type, name);
  }
  void *place = map_value(type, an_map_entry_at(map, type, name));
  if (heap != NULL) {
    an_store(scope, heap, type->second, place, value);
  } else {
    memcpy(place, value, type->second->size);
  }
}

static void map_set(an_scope *scope, an_heap *heap, const an_type *type, an_map *map, uint32_t capacity, const void *key,
                    const void *value) {
  if (is_journaled(heap)) an_journal_map(heap->journal, type, map, key, value);
  if (an_is_tried(heap)) an_trial_set(heap->trial, type, map, key, value);
  if (is_merged(heap)) an_merging_entry(heap->merging, type, map, key);
  if (map->size > 0) {
    uint32_t name = map->table[map_find(map, type, key, map_hash(map, type, key))];
    if (name != 0) {
      map_renew(scope, heap, type, map, name, value);
      return;
    }
  }
  if (an_is_tried(heap)) capacity = an_trial_grows(heap->trial, map, map->size, capacity);
  if (map->size >= capacity) map_drop_oldest(heap, type, map);
  /* State that a version with more room filled since it was trimmed gets smaller step by step. */
  if (heap != NULL && map->size >= capacity) map_drop_oldest(heap, type, map);
  if (map->size == map->room && !map_grow(scope, heap, type, map)) return;
  uint32_t hash = map_hash(map, type, key);
  uint32_t at = map_find(map, type, key, hash);
  an_heap_note(heap, map, sizeof *map);
  uint32_t name = map_take_name(map, type);
  an_map_entry *entry = an_map_entry_at(map, type, name);
  an_heap_note(heap, entry, type->stride);
  an_heap_note(heap, &map->table[at], sizeof *map->table);
  entry->hash = hash;
  memcpy(map_key(entry), key, map_key_size(type));
  memcpy(map_value(type, entry), value, type->second->size);
  if (heap != NULL) {
    an_own(scope, heap, type->first, map_key(entry));
    an_own(scope, heap, type->second, map_value(type, entry));
  }
  map->table[at] = name;
  map->size++;
  map_link(heap, map, type, name);
  if (scope->failed) map_remove(heap, type, map, at); /* its key may not be what it was */
}

static void map_delete(an_heap *heap, const an_type *type, an_map *map, const void *key) {
  if (an_is_tried(heap)) an_trial_read(heap->trial, type, map, key);
  if (is_merged(heap)) an_merging_entry(heap->merging, type, map, key);
  if (map->size == 0) return;
  if (is_journaled(heap)) an_journal_map(heap->journal, type, map, key, NULL);
  uint32_t at = map_find(map, type, key, map_hash(map, type, key));
  if (map->table[at] == 0) return;
  if (an_is_tried(heap)) an_trial_delete(heap->trial, type, map, key);
  map_remove(heap, type, map, at);
}

void an_map_set_number(an_scope *scope, an_heap *heap, const an_type *type, an_map *map, uint32_t capacity, uint64_t key,
                       const void *value) {
  map_set(scope, heap, type, map, capacity, &key, value);
}

void an_map_set_text(an_scope *scope, an_heap *heap, const an_type *type, an_map *map, uint32_t capacity, an_view key,
                     const void *value) {
  map_set(scope, heap, type, map, capacity, &key, value);
}

void an_map_delete_number(an_heap *heap, const an_type *type, an_map *map, uint64_t key) {
  map_delete(heap, type, map, &key);
}

void an_map_delete_text(an_heap *heap, const an_type *type, an_map *map, an_view key) {
  map_delete(heap, type, map, &key);
}

/* ---- whole Maps ------------------------------------------------------------------------------------- */

an_map an_map_copy(an_scope *scope, const an_type *type, an_map map) {
  an_map copy = {0};
  if (map.size > 0 && map_room(scope, NULL, type, map.size, &copy)) map_extend(&copy, type, &map, map.size);
  return copy;
}

void an_map_own(an_scope *scope, an_heap *heap, const an_type *type, an_map *map, uint32_t capacity) {
  an_map from = *map;
  uint32_t kept = from.size < capacity ? from.size : capacity;
  *map = (an_map){0};
  if (kept < from.size) an_heap_evicted(heap, from.size - kept);
  if (kept == 0 || !map_room(scope, heap, type, kept, map)) return;
  map_extend(map, type, &from, kept);
  for (uint32_t name = map->oldest; name != 0; name = an_map_entry_at(map, type, name)->newer) {
    an_own(scope, heap, type->first, map_key(an_map_entry_at(map, type, name)));
    an_own(scope, heap, type->second, map_value(type, an_map_entry_at(map, type, name)));
  }
}

void an_map_own_all(an_scope *scope, an_heap *heap, const an_type *type, void *map) {
  an_map_own(scope, heap, type, map, UINT32_MAX);
}

void an_map_disown(an_heap *heap, const an_type *type, void *value) {
  const an_map *map = value;
  for (uint32_t name = map->oldest; name != 0; name = an_map_entry_at(map, type, name)->newer) {
    an_disown(heap, type->first, map_key(an_map_entry_at(map, type, name)));
    an_disown(heap, type->second, map_value(type, an_map_entry_at(map, type, name)));
  }
  an_heap_drop(heap, map->entries);
  an_heap_drop(heap, map->table);
}

void an_map_store(an_scope *scope, an_heap *heap, const an_type *type, an_map *place, uint32_t capacity, an_map value) {
  an_heap_note(heap, place, sizeof *place);
  if (is_merged(heap)) an_merging_replaced(heap->merging, type, place, &value);
  an_map_disown(heap, type, place);
  *place = value;
  an_map_own(scope, heap, type, place, capacity);
  if (is_journaled(heap)) an_journal_whole(heap->journal, place);
  if (an_is_tried(heap)) an_trial_whole(heap->trial, type, place);
}
