/* State as bytes: what one version of a chain tells another that shares no memory with it. A sequence of changes, each
 *
 *   u8 an_change | text name | text kind | u32 size | that many bytes
 *
 * with the variable's "ELEMENT.VARIABLE" and its type, as the language writes it. Numbers are little-endian; a text is a
 * u32 size and bytes. A value is a byte for a bool, 8 bytes for a number, a text, a pair's two values, or for a Vec or Map a
 * u32 count and its items, or its keys and values, the oldest first. */
#ifndef AN_STATE_BYTES_H
#define AN_STATE_BYTES_H

#include "value.h"

typedef enum an_change {
  AN_CHANGE_VALUE = 1,  /* value */
  AN_CHANGE_SET = 2,    /* of a Map: key, value */
  AN_CHANGE_DELETE = 3, /* of a Map: key */
  AN_CHANGE_APPEND = 4, /* to a Vec: item */
  AN_CHANGE_ITEM = 5,   /* of a Vec: u64 index, item */
} an_change;

void an_write_value(an_buffer *out, const an_type *type, const void *value);
/* A value of all these bytes, in the arena; NULL where they are none. Its Instants are by a clock so far ahead of this one. */
void *an_read_value(an_scope *scope, const an_type *type, an_view bytes, uint64_t ahead);
/* Of a Map: 64 bits, or an_view. */
void an_write_key(an_buffer *out, const an_type *map, const void *key);
void an_write_variable(an_buffer *out, const an_variable *variable, const void *value);
/* A change up to its size; an_change_end writes that, given what _begin returned. */
size_t an_change_begin(an_buffer *out, an_change change, const an_variable *variable);
void an_change_end(an_buffer *out, size_t begun);

/* Whether telemetry tells of what Maps and Vecs let go for the changes: another version has told of it already. */
typedef enum an_telling { AN_TO_BE_TOLD, AN_ALREADY_TOLD } an_telling;

/* All variables. */
void an_state_write(an_buffer *out, an_instance *instance);
/* Makes the changes to those variables that are of the name and kind. False, and nothing is changed, where the bytes are
 * none, or not of this form; false, too, where memory ended. */
bool an_state_apply(an_instance *instance, an_view changes, an_telling evictions);

#endif
