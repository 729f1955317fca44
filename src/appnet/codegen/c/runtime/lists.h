/* Fields of many values, as generated code reads and writes them: repeated ones are Vecs, maps are Maps. */
#ifndef AN_LISTS_H
#define AN_LISTS_H

#include "map.h"
#include "vec.h"
#include "wire.h"

/* Of the message in hand, the field of this index; strings point into the message. */
an_vec an_read_vec(an_scope *scope, an_direction direction, size_t index);
an_map an_read_map(an_scope *scope, an_direction direction, size_t index);

/* The same of a field that stands within many messages: what each of them has, one after the other. */
an_vec an_read_each(an_scope *scope, an_direction direction, size_t index);
/* How many messages the field has. */
uint64_t an_count_messages(an_scope *scope, an_direction direction, size_t index);

/* Those of a field's messages that count, as a Vec of their bytes: of a map's entries, the last for each key. `message`
 * is one that the plan is of. */
an_vec an_messages_of(an_scope *scope, const an_plan *plan, an_view message, size_t index);
uint32_t an_count_values(an_scope *scope, const an_plan *plan, an_view message, size_t index);

/* Sets the slot of the side's field of this index; the values are copied, as the field's kind holds them. */
void an_write_vec(an_scope *scope, const an_side *side, an_slot *slots, size_t index, an_vec items);
void an_write_map(an_scope *scope, const an_side *side, an_slot *slots, size_t index, an_map entries);

/* The same in the message in hand, for a field that stands within many messages, where these have as many. */
void an_write_each(an_scope *scope, an_direction direction, size_t index, an_vec items);

/* For hosts that have decoded messages: the slot of a field of many gets these values, and gives them as an array in the
 * arena; entries are key and value in turn. */
void an_list_fill(an_scope *scope, const an_field *field, an_slot *slot, const an_value *values, size_t count);
/* How many values a slot has; 1 where its field has one. */
size_t an_list_size(const an_field *field, const an_slot *slot);
/* NULL with *count 0: none; with SIZE_MAX: out of memory. */
const an_value *an_list_values(an_arena *arena, const an_field *field, const an_slot *slot, size_t *count);

#endif
