/* Numbers as text and text as numbers, and the text form of state. */
#ifndef AN_TEXT_H
#define AN_TEXT_H

#include "value.h"

int64_t an_parse_int(an_view text);
double an_parse_float(an_view text);

/* In the arena; empty when out of memory. */
an_view an_int_text(an_scope *scope, int64_t value);
an_view an_uint_text(an_scope *scope, uint64_t value);
an_view an_float_text(an_scope *scope, double value);

static inline an_view an_bool_text(bool value) { return value ? AN_TEXT("true") : AN_TEXT("false"); }

/* Adds the line "NAME = VALUE". Strings are hexadecimal in quotes, floats the 16 digits of their bits. */
void an_dump(an_text *out, an_view name, const an_type *type, const void *value);

#endif
