#include "lists.h"

#include "wire.h"

/* ---- reading ----------------------------------------------------------------------------------------------- */

/* `before`: items that another message had, which stay. */
typedef struct an_gathered {
  an_collector collector;
  an_scope *scope;
  const an_type *type;
  an_vec items;
  an_map entries;
  uint32_t before;
} an_gathered;

static void gather_clear(an_collector *collector) {
  an_gathered *gathered = (an_gathered *)collector;
  gathered->items.size = gathered->before;
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

/* ---- many messages ------------------------------------------------------------------------------------------- */

static const an_type vec_of_texts = AN_VEC_TYPE(&an_type_string);
static const an_type texts_by_text = AN_MAP_TYPE(&an_type_string, true, &an_type_string, sizeof(an_view));
static const an_type texts_by_number = AN_MAP_TYPE(&an_type_uint, false, &an_type_string, sizeof(an_view));

an_vec an_messages_of(an_scope *scope, const an_plan *plan, an_view message, size_t index) {
  const an_field *field = &plan->side->fields[index];
  an_gathered gathered = {.collector = {gather_item, gather_clear}, .scope = scope, .type = &vec_of_texts};
  if (field->many == AN_MANY_MESSAGES) {
    an_wire_collect(plan, message, index, &gathered.collector);
    return gathered.items;
  }
  gathered.collector.take = gather_entry;
  gathered.type = (field->key_kind == AN_FIELD_STRING) ? &texts_by_text : &texts_by_number;
  an_wire_collect(plan, message, index, &gathered.collector);
  an_vec found = {0};
  for (uint32_t name = gathered.entries.oldest; name != 0;) {
    const an_map_entry *entry = an_map_entry_at(&gathered.entries, gathered.type, name);
    an_vec_append(scope, NULL, &vec_of_texts, &found, UINT32_MAX, (const uint8_t *)entry + gathered.type->offset);
    name = entry->newer;
  }
  return found;
}

static void count_value(an_collector *collector, const an_value *key, const an_value *value) {
  (void)key;
  (void)value;
  ((an_gathered *)collector)->items.size++;
}

uint32_t an_count_values(an_scope *scope, const an_plan *plan, an_view message, size_t index) {
  an_gathered counted = {.collector = {count_value, gather_clear}, .scope = scope};
  an_wire_collect(plan, message, index, &counted.collector);
  return counted.items.size;
}

/* What is read of a field in each of many messages; of a field of messages, how many there are. */
typedef struct an_sought {
  an_gathered found;
  const an_side *side;
  size_t index;
  an_slot *slots;               /* of one of them */
  size_t around[AN_PATH_DEPTH]; /* the fields of many messages that it stands within, innermost first */
  unsigned levels;
} an_sought;

static void seek_in(an_sought *sought, const an_plan *plan, an_view message) {
  const an_field *field = &sought->side->fields[sought->index];
  an_gathered *found = &sought->found;
  if (field->kind == AN_FIELD_MESSAGE) {
    found->items.size += an_messages_of(found->scope, plan, message, sought->index).size;
  } else if (field->many == AN_MANY_NOT) {
    an_wire_scan_item(plan, message, sought->slots);
    an_vec_append(found->scope, NULL, found->type, &found->items, UINT32_MAX, &sought->slots[sought->index].value);
  } else {
    found->before = found->items.size;
    an_wire_collect(plan, message, sought->index, &found->collector);
  }
}

static void seek(an_sought *sought, const an_plan *plan, an_view message, unsigned levels) {
  if (levels == 0) {
    seek_in(sought, plan, message);
    return;
  }
  const size_t index = sought->around[levels - 1];
  an_vec items = an_messages_of(sought->found.scope, plan, message, index);
  for (uint32_t i = 0; i < items.size; i++) {
    seek(sought, &plan->items[index], *(const an_view *)an_vec_at(&items, sizeof(an_view), i), levels - 1);
  }
}

/* What the message in hand has of the field, where no handler has changed it. */
static an_vec sought_in_message(an_scope *scope, an_direction direction, size_t index) {
  const an_plan *plan = an_plan_of(scope->call, direction);
  const an_side *side = plan->side;
  an_sought sought = {.found = {.collector = {gather_item, gather_clear}, .scope = scope}, .side = side, .index = index};
  sought.found.type = side->fields[index].type;
  size_t outermost = index;
  for (uint16_t around = side->fields[index].within; around != 0; around = side->fields[around - 1].within) {
    outermost = around - 1u;
    if (sought.levels == AN_PATH_DEPTH) return sought.found.items;
    sought.around[sought.levels++] = outermost;
  }
  if (!scope->call->slots[outermost].present || scope->call->message.data == NULL) return sought.found.items;
  sought.slots = an_scope_alloc(scope, NULL, an_size_mul(side->field_count, sizeof(an_slot)));
  if (sought.slots != NULL) seek(&sought, plan, scope->call->message, sought.levels);
  return sought.found.items;
}

an_vec an_read_each(an_scope *scope, an_direction direction, size_t index) {
  const an_slot *slot = &scope->call->slots[index];
  if (slot->value.many != NULL) return *(const an_vec *)slot->value.many;
  return sought_in_message(scope, direction, index);
}

uint64_t an_count_messages(an_scope *scope, an_direction direction, size_t index) {
  const an_slot *slot = &scope->call->slots[index];
  if (slot->value.u != 0) return slot->value.u;
  return slot->cleared && !slot->present ? 0 : sought_in_message(scope, direction, index).size;
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

/* An empty Vec or Map makes no messages around it, but where a oneof tells which one counts. */
static void mark_written(const an_side *side, an_slot *slots, size_t index, const void *many, uint32_t size) {
  if (size > 0 || side->fields[index].oneofs != NULL) an_wire_claim(side, slots, index);
  slots[index] = (an_slot){.value.many = many, .present = true, .written = true};
}

/* A copy of the items, as the field holds them; NULL where memory has run out, or a closed enum has no name for one. */
static an_vec *held_items(an_scope *scope, const an_field *field, an_vec items) {
  const size_t item_size = field->type->first->size;
  an_vec *held = an_scope_alloc(scope, NULL, sizeof *held);
  if (held == NULL) return NULL;
  *held = items;
  an_vec_own(scope, NULL, field->type, held, UINT32_MAX);
  for (uint32_t i = 0; i < held->size; i++) {
    an_value value = {.s = {NULL, 0}};
    memcpy(&value, an_vec_at(held, item_size, i), item_size);
    value = narrow_value(field->kind, value);
    if (field->names != NULL && !an_wire_named(field, value.i)) return NULL;
    memcpy(an_vec_at(held, item_size, i), &value, item_size);
  }
  return held;
}

void an_write_vec(an_scope *scope, const an_side *side, an_slot *slots, size_t index, an_vec items) {
  const an_vec *held = held_items(scope, &side->fields[index], items);
  if (held != NULL) mark_written(side, slots, index, held, held->size);
}

/* Whether a field stands within the same many messages, in another member of a oneof. */
static bool is_rival_in_each(const an_field *field, const an_field *other) {
  if (other->within != field->within || field->oneofs == NULL || other->oneofs == NULL) return false;
  unsigned level = 0;
  while (level < field->depth && level < other->depth && field->numbers[level] == other->numbers[level]) level++;
  if (level == field->depth || level == other->depth) return false;
  return field->oneofs[level] != 0 && field->oneofs[level] == other->oneofs[level];
}

/* None of the `count` messages has the field any more. */
static void clear_in_each(an_scope *scope, const an_side *side, an_slot *slot, size_t index, uint32_t count) {
  const an_field *field = &side->fields[index];
  *slot = (an_slot){.cleared = true};
  if (field->kind == AN_FIELD_MESSAGE) return;
  an_vec *none = an_scope_alloc(scope, NULL, sizeof *none);
  if (none == NULL) return;
  *none = (an_vec){0};
  an_value absent = {.s = {NULL, 0}};
  if (side->absent != NULL) absent = side->absent[index];
  for (uint32_t i = 0; i < count && field->many == AN_MANY_NOT; i++) {
    an_vec_append(scope, NULL, field->type, none, UINT32_MAX, &absent);
  }
  slot->value.many = none;
}

/* The field of those that stand within the messages which this one is, or stands in; NULL: it stands elsewhere. */
static const an_field *standing_within(const an_side *side, size_t index, uint16_t within) {
  const an_field *field = &side->fields[index];
  while (field->within != 0 && field->within != within) field = &side->fields[field->within - 1];
  return field->within == within ? field : NULL;
}

void an_write_each(an_scope *scope, an_direction direction, size_t index, an_vec items) {
  const an_side *side = an_plan_of(scope->call, direction)->side;
  const an_field *field = &side->fields[index];
  an_slot *slots = scope->call->slots;
  if (items.size == 0 || an_read_each(scope, direction, index).size != items.size) return;
  const an_vec *held = held_items(scope, field, items);
  if (held == NULL) return;
  /* Where it is many in each, those that have some have no rival. */
  for (size_t i = 0; i < side->field_count && field->oneofs != NULL && field->many == AN_MANY_NOT; i++) {
    const an_field *other = standing_within(side, i, field->within);
    if (other == NULL || !is_rival_in_each(field, other)) continue;
    clear_in_each(scope, side, &slots[i], i, other == &side->fields[i] ? held->size : 0);
  }
  slots[index] = (an_slot){.value.many = held, .present = true, .written = true};
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
    if (field->names != NULL && !an_wire_named(field, value.i)) return;
    an_own(scope, NULL, type->first, &key);
    an_own(scope, NULL, type->second, &value);
    set_entry(scope, type, held, &key, &value);
  }
  mark_written(side, slots, index, held, held->size);
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

size_t an_list_size(const an_field *field, const an_slot *slot) {
  const bool each = field->within != 0;
  if (field->many == AN_MANY_NOT && !each) return 1;
  if (slot->value.many == NULL) return 0;
  if (field->many == AN_MANY_ENTRIES) return ((const an_map *)slot->value.many)->size;
  return ((const an_vec *)slot->value.many)->size;
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
  const size_t size = an_list_size(field, slot);
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
