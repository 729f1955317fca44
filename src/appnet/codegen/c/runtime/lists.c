#include "lists.h"

#include "wire.h"

/* ---- reading ----------------------------------------------------------------------------------------------- */

typedef struct an_gathered {
  an_collector collector;
  an_scope *scope;
  const an_type *type;
  an_vec items;
  an_map entries;
} an_gathered;

static void gather_clear(an_collector *collector) {
  an_gathered *gathered = (an_gathered *)collector;
  gathered->items = (an_vec){0};
  gathered->entries = (an_map){0};
}

static void gather_item(an_collector *collector, const an_value *key, const an_value *value) {
  an_gathered *gathered = (an_gathered *)collector;
  (void)key;
  an_vec_append(gathered->scope, NULL, gathered->type, &gathered->items, UINT32_MAX, value);
}

static void set_entry(an_scope *scope, const an_type *type, an_map *map, const an_value *key, const an_value *value) {
  if (type->first->kind == AN_STRING) {
    an_map_set_text(scope, NULL, type, map, UINT32_MAX, key->s, value);
  } else {
    an_map_set_number(scope, NULL, type, map, UINT32_MAX, key->u, value);
  }
}

static void gather_entry(an_collector *collector, const an_value *key, const an_value *value) {
  an_gathered *gathered = (an_gathered *)collector;
  set_entry(gathered->scope, gathered->type, &gathered->entries, key, value);
}

static void gather(an_gathered *gathered, an_scope *scope, an_direction direction, size_t index) {
  const an_plan *plan = an_plan_of(scope->call, direction);
  gathered->scope = scope;
  gathered->type = plan->side->fields[index].type;
  if (scope->call->slots[index].present) an_wire_collect(plan, scope->call->message, index, &gathered->collector);
}

an_vec an_read_vec(an_scope *scope, an_direction direction, size_t index) {
  const an_slot *slot = &scope->call->slots[index];
  if (slot->value.many != NULL) return *(const an_vec *)slot->value.many;
  an_gathered gathered = {.collector = {gather_item, gather_clear}};
  gather(&gathered, scope, direction, index);
  return gathered.items;
}

an_map an_read_map(an_scope *scope, an_direction direction, size_t index) {
  const an_slot *slot = &scope->call->slots[index];
  if (slot->value.many != NULL) return *(const an_map *)slot->value.many;
  an_gathered gathered = {.collector = {gather_entry, gather_clear}};
  gather(&gathered, scope, direction, index);
  return gathered.entries;
}

/* ---- writing ----------------------------------------------------------------------------------------------- */

/* The value as a field of the kind holds it: 32-bit kinds keep 32 bits. */
static an_value narrow_value(uint8_t kind, an_value value) {
  switch (kind) {
    case AN_FIELD_INT32: case AN_FIELD_SINT32: case AN_FIELD_SFIXED32: case AN_FIELD_ENUM:
      value.i = (int32_t)(uint32_t)value.u;
      break;
    case AN_FIELD_UINT32: case AN_FIELD_FIXED32: value.u = (uint32_t)value.u; break;
    case AN_FIELD_FLOAT: value.f = (float)value.f; break;
    default: break;
  }
  return value;
}

static void mark_written(const an_side *side, an_slot *slots, size_t index, const void *many) {
  if (side->fields[index].oneofs != NULL) an_wire_clear_rivals(side, slots, index);
  slots[index] = (an_slot){.value.many = many, .present = true, .written = true};
}

void an_write_vec(an_scope *scope, const an_side *side, an_slot *slots, size_t index, an_vec items) {
  const an_field *field = &side->fields[index];
  const size_t item_size = field->type->first->size;
  an_vec *held = an_scope_alloc(scope, NULL, sizeof *held);
  if (held == NULL) return;
  *held = items;
  an_vec_own(scope, NULL, field->type, held, UINT32_MAX);
  for (uint32_t i = 0; i < held->size; i++) {
    an_value value = {.s = {NULL, 0}};
    memcpy(&value, an_vec_at(held, item_size, i), item_size);
    value = narrow_value(field->kind, value);
    memcpy(an_vec_at(held, item_size, i), &value, item_size);
  }
  mark_written(side, slots, index, held);
}

void an_write_map(an_scope *scope, const an_side *side, an_slot *slots, size_t index, an_map entries) {
  const an_field *field = &side->fields[index];
  const an_type *type = field->type;
  an_map *held = an_scope_alloc(scope, NULL, sizeof *held);
  if (held == NULL) return;
  *held = (an_map){0};
  for (uint32_t name = entries.oldest; name != 0; name = an_map_entry_at(&entries, type, name)->newer) {
    const an_map_entry *entry = an_map_entry_at(&entries, type, name);
    an_value key = {.s = {NULL, 0}}, value = {.s = {NULL, 0}};
    memcpy(&key, entry + 1, type->first->kind == AN_STRING ? sizeof key.s : sizeof key.u);
    memcpy(&value, (const uint8_t *)entry + type->offset, type->second->size);
    key = narrow_value(field->key_kind, key);
    value = narrow_value(field->kind, value);
    an_own(scope, NULL, type->first, &key);
    an_own(scope, NULL, type->second, &value);
    set_entry(scope, type, held, &key, &value);
  }
  mark_written(side, slots, index, held);
}

/* ---- decoded messages --------------------------------------------------------------------------------------- */

void an_list_fill(an_scope *scope, const an_field *field, an_slot *slot, const an_value *values, size_t count) {
  const an_type *type = field->type;
  const bool entries = field->many == AN_MANY_ENTRIES;
  union { an_vec items; an_map entries; } *held = an_scope_alloc(scope, NULL, sizeof *held);
  if (held == NULL) return;
  memset(held, 0, sizeof *held);
  for (size_t i = 0; i < count && !scope->failed; i++) {
    if (entries) {
      set_entry(scope, type, &held->entries, &values[2 * i], &values[2 * i + 1]);
    } else {
      an_vec_append(scope, NULL, type, &held->items, UINT32_MAX, &values[i]);
    }
  }
  *slot = (an_slot){.value.many = held, .present = true};
}

static void values_of_map(const an_type *type, const an_map *map, an_value *to) {
  for (uint32_t name = map->oldest; name != 0; name = an_map_entry_at(map, type, name)->newer, to += 2) {
    const an_map_entry *entry = an_map_entry_at(map, type, name);
    memcpy(&to[0], entry + 1, type->first->kind == AN_STRING ? sizeof to->s : sizeof to->u);
    memcpy(&to[1], (const uint8_t *)entry + type->offset, type->second->size);
  }
}

const an_value *an_list_values(an_arena *arena, const an_field *field, const an_slot *slot, size_t *count) {
  const an_type *type = field->type;
  const bool entries = field->many == AN_MANY_ENTRIES;
  const an_vec *items = slot->value.many;
  const an_map *map = slot->value.many;
  const size_t size = slot->value.many == NULL ? 0 : entries ? map->size : items->size;
  *count = size;
  if (size == 0) return NULL;
  an_value *values = an_arena_alloc(arena, an_size_mul(size, (entries ? 2 : 1) * sizeof *values));
  if (values == NULL) {
    *count = SIZE_MAX;
    return NULL;
  }
  memset(values, 0, size * (entries ? 2 : 1) * sizeof *values);
  if (entries) values_of_map(type, map, values);
  for (uint32_t i = 0; !entries && i < items->size; i++) {
    memcpy(&values[i], an_vec_at(items, type->first->size, i), type->first->size);
  }
  return values;
}
