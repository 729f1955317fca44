#include "state_bytes.h"

#include "kept.h"
#include "map.h"
#include "merging.h"
#include "octets.h"
#include "vec.h"

/* ---- writing ------------------------------------------------------------------------------------------- */

static void put_u8(an_buffer *out, uint8_t value) { an_buffer_append(out, &value, 1); }

static void put_u64(an_buffer *out, uint64_t value) {
  uint8_t bytes[8];
  store_le64(bytes, value);
  an_buffer_append(out, bytes, sizeof bytes);
}

static void put_view(an_buffer *out, an_view text) {
  if (text.size > UINT32_MAX) out->failed = true;
  an_buffer_append_u32(out, (uint32_t)text.size);
  an_buffer_append(out, text.data, text.size);
}

void an_write_key(an_buffer *out, const an_type *map, const void *key) {
  if (map->first->kind == AN_STRING) {
    put_view(out, *(const an_view *)key);
  } else {
    put_u64(out, *(const uint64_t *)key + (map->first->moment ? out->ahead : 0));
  }
}

static void put_vec(an_buffer *out, const an_type *type, const an_vec *vec) {
  an_buffer_append_u32(out, vec->size);
  for (uint32_t i = 0; i < vec->size; i++) an_write_value(out, type->first, an_vec_at(vec, type->first->size, i));
}

static void put_map(an_buffer *out, const an_type *type, const an_map *map) {
  an_buffer_append_u32(out, map->size);
  for (uint32_t name = map->oldest; name != 0; name = an_map_entry_at(map, type, name)->newer) {
    const an_map_entry *entry = an_map_entry_at(map, type, name);
    an_write_key(out, type, entry + 1);
    an_write_value(out, type->second, (const uint8_t *)entry + type->offset);
  }
}

void an_write_value(an_buffer *out, const an_type *type, const void *value) {
  switch (type->kind) {
    case AN_BOOL: put_u8(out, *(const bool *)value); break;
    case AN_INT: case AN_UINT: put_u64(out, *(const uint64_t *)value + (type->moment ? out->ahead : 0)); break;
    case AN_FLOAT: put_u64(out, an_float_bits(*(const double *)value)); break;
    case AN_STRING: put_view(out, *(const an_view *)value); break;
    case AN_PAIR:
      an_write_value(out, type->first, value);
      an_write_value(out, type->second, (const uint8_t *)value + type->offset);
      break;
    case AN_VEC: put_vec(out, type, value); break;
    case AN_MAP: put_map(out, type, value); break;
  }
}

size_t an_change_begin(an_buffer *out, an_change change, const an_variable *variable) {
  put_u8(out, (uint8_t)change);
  put_view(out, variable->name);
  put_view(out, variable->kind);
  an_buffer_append_u32(out, 0);
  return out->size;
}

void an_change_end(an_buffer *out, size_t begun) {
  if (out->failed) return;
  if (out->size - begun > UINT32_MAX) out->failed = true;
  store_le32(out->data + begun - 4, (uint32_t)(out->size - begun));
}

void an_write_variable(an_buffer *out, const an_variable *variable, const void *value) {
  size_t begun = an_change_begin(out, AN_CHANGE_VALUE, variable);
  an_write_value(out, variable->type, value);
  an_change_end(out, begun);
}

void an_state_write(an_buffer *out, an_instance *instance) {
  for (size_t i = 0; i < instance->program->variable_count; i++) {
    const an_variable *variable = &instance->program->variables[i];
    an_lock *lock = &instance->guards[variable->element]->lock;
    an_lock_acquire(lock);
    an_write_variable(out, variable, *an_variable_at(instance, variable));
    an_lock_release(lock);
  }
}

/* ---- reading ------------------------------------------------------------------------------------------- */

/* After `failed`, all that is read is zero. Values are made in the arena, and texts in them lie in the bytes. */
typedef struct an_reader {
  an_view rest;
  an_scope *scope;
  uint64_t ahead;
  bool failed;
} an_reader;

static an_view read_bytes(an_reader *from, size_t size) {
  if (from->failed || size > from->rest.size) {
    from->failed = true;
    return (an_view){NULL, 0};
  }
  an_view found = {from->rest.data, size};
  from->rest = (an_view){from->rest.data + size, from->rest.size - size};
  return found;
}

static uint32_t read_u32(an_reader *from) {
  an_view bytes = read_bytes(from, 4);
  return bytes.size == 4 ? load_le32(bytes.data) : 0;
}

static uint64_t read_u64(an_reader *from) {
  uint64_t low = read_u32(from);
  return low | (uint64_t)read_u32(from) << 32;
}

static an_view read_text(an_reader *from) { return read_bytes(from, read_u32(from)); }

static bool read_bool(an_reader *from) {
  an_view byte = read_bytes(from, 1);
  if (byte.size == 1 && byte.data[0] > 1) from->failed = true;
  return byte.size == 1 && byte.data[0] == 1;
}

static double float_of(uint64_t bits) {
  union { uint64_t u; double f; } number = {bits};
  return number.f;
}

/* Every item takes a byte at least, so that no count makes more than its bytes can be. */
static uint32_t read_count(an_reader *from) {
  uint32_t count = read_u32(from);
  if (count > from->rest.size) from->failed = true;
  return from->failed ? 0 : count;
}

static uint64_t read_number_key(an_reader *from, const an_type *key) {
  uint64_t bits = read_u64(from);
  if (key->kind == AN_BOOL && bits > 1) from->failed = true;
  return key->kind == AN_FLOAT ? an_key_float(float_of(bits)) : bits - (key->moment ? from->ahead : 0);
}

static void *read_one(an_reader *from, const an_type *type);

static void read_map_entry(an_reader *from, const an_type *type, an_map *map) {
  an_view text = {NULL, 0};
  uint64_t number = 0;
  const bool is_text = type->first->kind == AN_STRING;
  if (is_text) text = read_text(from);
  if (!is_text) number = read_number_key(from, type->first);
  const void *value = read_one(from, type->second);
  if (from->failed) return;
  if (is_text) an_map_set_text(from->scope, NULL, type, map, UINT32_MAX, text, value);
  if (!is_text) an_map_set_number(from->scope, NULL, type, map, UINT32_MAX, number, value);
}

static void read_into(an_reader *from, const an_type *type, void *value) {
  switch (type->kind) {
    case AN_BOOL: *(bool *)value = read_bool(from); break;
    case AN_INT: case AN_UINT: *(uint64_t *)value = read_u64(from) - (type->moment ? from->ahead : 0); break;
    case AN_FLOAT: *(double *)value = float_of(read_u64(from)); break;
    case AN_STRING: *(an_view *)value = read_text(from); break;
    case AN_PAIR:
      read_into(from, type->first, value);
      read_into(from, type->second, (uint8_t *)value + type->offset);
      break;
    case AN_VEC:
      for (uint32_t count = read_count(from); count > 0 && !from->failed; count--) {
        const void *item = read_one(from, type->first);
        if (!from->failed) an_vec_append(from->scope, NULL, type, value, UINT32_MAX, item);
      }
      break;
    case AN_MAP:
      for (uint32_t count = read_count(from); count > 0 && !from->failed; count--) read_map_entry(from, type, value);
      break;
  }
}

/* A value in the arena; NULL where it failed. */
static void *read_one(an_reader *from, const an_type *type) {
  void *value = from->failed ? NULL : an_scope_alloc(from->scope, NULL, type->size);
  if (value != NULL) {
    memset(value, 0, type->size);
    read_into(from, type, value);
  }
  if (from->scope->failed) from->failed = true;
  return from->failed ? NULL : value;
}

void *an_read_value(an_scope *scope, const an_type *type, an_view bytes, uint64_t ahead) {
  an_reader from = {.rest = bytes, .scope = scope, .ahead = ahead};
  void *value = read_one(&from, type);
  return from.failed || from.rest.size != 0 ? NULL : value;
}

/* ---- changing ------------------------------------------------------------------------------------------ */

typedef struct an_target {
  an_instance *instance;
  const an_variable *variable; /* NULL: there is none of the name and kind */
  an_heap *heap;
  void *value;
} an_target;

static an_target place_of(an_instance *instance, an_view name, an_view kind) {
  for (size_t i = 0; i < instance->program->variable_count; i++) {
    const an_variable *it = &instance->program->variables[i];
    if (!an_equal(it->name, name) || !an_equal(it->kind, kind) || an_store_tells(instance, it)) continue;
    return (an_target){instance, it, &instance->guards[it->element]->heap, *an_variable_at(instance, it)};
  }
  return (an_target){instance, NULL, NULL, NULL};
}

static void store_whole(an_reader *from, const an_target *place, const void *value) {
  const an_type *type = place->variable->type;
  const uint32_t capacity = place->variable->capacity;
  switch (type->kind) {
    case AN_MAP: an_map_store(from->scope, place->heap, type, place->value, capacity, *(const an_map *)value); break;
    case AN_VEC: an_vec_store(from->scope, place->heap, type, place->value, capacity, *(const an_vec *)value); break;
    default: an_store(from->scope, place->heap, type, place->value, value); break;
  }
}

static void change_map(an_reader *from, an_change change, const an_target *place, bool apply) {
  const an_type *type = place->variable->type;
  const uint32_t capacity = place->variable->capacity;
  const bool is_text = type->first->kind == AN_STRING;
  an_view text = is_text ? read_text(from) : (an_view){NULL, 0};
  uint64_t number = is_text ? 0 : read_number_key(from, type->first);
  const void *value = change == AN_CHANGE_SET ? read_one(from, type->second) : NULL;
  if (from->failed || !apply) return;
  if (value == NULL) {
    if (is_text) an_map_delete_text(place->heap, type, place->value, text);
    if (!is_text) an_map_delete_number(place->heap, type, place->value, number);
  } else {
    if (is_text) an_map_set_text(from->scope, place->heap, type, place->value, capacity, text, value);
    if (!is_text) an_map_set_number(from->scope, place->heap, type, place->value, capacity, number, value);
  }
}

static void change_vec(an_reader *from, an_change change, const an_target *place, bool apply) {
  const an_type *type = place->variable->type;
  const uint32_t capacity = place->variable->capacity;
  uint64_t index = change == AN_CHANGE_ITEM ? read_u64(from) : 0;
  const void *item = read_one(from, type->first);
  if (from->failed || !apply) return;
  if (change == AN_CHANGE_ITEM) {
    an_vec_set(from->scope, place->heap, type, place->value, capacity, (int64_t)index, item);
  } else {
    an_vec_append(from->scope, place->heap, type, place->value, capacity, item);
  }
}

static void make_change(an_reader *from, uint8_t change, const an_target *place, bool apply) {
  const an_type *type = place->variable->type;
  if (change == AN_CHANGE_VALUE) {
    const void *value = read_one(from, type);
    if (!from->failed && apply) store_whole(from, place, value);
  } else if (type->kind == AN_MAP && (change == AN_CHANGE_SET || change == AN_CHANGE_DELETE)) {
    change_map(from, (an_change)change, place, apply);
  } else if (type->kind == AN_VEC && (change == AN_CHANGE_APPEND || change == AN_CHANGE_ITEM)) {
    change_vec(from, (an_change)change, place, apply);
  } else {
    from->failed = true;
  }
  if (from->rest.size != 0) from->failed = true;
}

/* Reads all changes and, if `apply`, makes them. */
static bool run_changes(an_instance *instance, an_scope *scope, an_view changes, bool apply, an_telling evictions) {
  an_reader all = {.rest = changes, .scope = scope};
  const an_mark start = scope->call->arena;
  while (all.rest.size > 0 && !all.failed) {
    an_view kind_of_change = read_bytes(&all, 1);
    an_view name = read_text(&all), kind = read_text(&all), content = read_text(&all);
    const an_target place = place_of(instance, name, kind);
    if (all.failed || place.variable == NULL) continue;
    an_reader one = {.rest = content, .scope = scope};
    an_lock *lock = &instance->guards[place.variable->element]->lock;
    an_lock_acquire(lock);
    const uint64_t evicted = place.heap->evicted;
    make_change(&one, kind_of_change.data[0], &place, apply);
    if (evictions == AN_ALREADY_TOLD) place.heap->evicted = evicted;
    an_heap_flush(place.heap);
    an_lock_release(lock);
    an_arena_release(&scope->call->arena, &start);
    all.failed = one.failed;
  }
  return !all.failed && !scope->failed;
}

bool an_state_apply(an_instance *instance, an_view changes, an_telling evictions) {
  an_call *call = an_call_new(instance, NULL); /* lends its arena */
  an_scope scope = {.call = call};
  bool done = call != NULL && run_changes(instance, &scope, changes, false, evictions) &&
              run_changes(instance, &scope, changes, true, evictions);
  an_call_free(call);
  return done;
}
