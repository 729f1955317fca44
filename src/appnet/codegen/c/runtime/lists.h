/* Fields of many values, as generated code reads and writes them: repeated ones are Vecs, maps are Maps. */
#ifndef AN_LISTS_H
#define AN_LISTS_H

#include "map.h"
#include "vec.h"

/* Of the message in hand, the field of this index; strings point into the message. */
an_vec an_read_vec(an_scope *scope, an_direction direction, size_t index);
an_map an_read_map(an_scope *scope, an_direction direction, size_t index);

/* Sets the slot of the side's field of this index; the values are copied, as the field's kind holds them. */
void an_write_vec(an_scope *scope, const an_side *side, an_slot *slots, size_t index, an_vec items);
void an_write_map(an_scope *scope, const an_side *side, an_slot *slots, size_t index, an_map entries);

/* For hosts that have decoded messages: the slot of a field of many gets these values, and gives them as an array in the
 * arena; entries are key and value in turn. */
void an_list_fill(an_scope *scope, const an_field *field, an_slot *slot, const an_value *values, size_t count);
/* NULL with *count 0: none; with SIZE_MAX: out of memory. */
const an_value *an_list_values(an_arena *arena, const an_field *field, const an_slot *slot, size_t *count);

#endif
