/* Strings: conversion from and to numbers, search, and the text form of state. */
#ifndef AN_TEXT_H
#define AN_TEXT_H

#include "value.h"

int64_t an_parse_int(an_view text);
double an_parse_float(an_view text);

/* In the arena; empty when out of memory. */
an_view an_int_text(an_scope *scope, int64_t value);
an_view an_uint_text(an_scope *scope, uint64_t value);
an_view an_float_text(an_scope *scope, double value);
an_view an_concat(an_scope *scope, an_view left, an_view right);

static inline an_view an_bool_text(bool value) { return value ? AN_TEXT("true") : AN_TEXT("false"); }

bool an_contains(an_scope *scope, an_view text, an_view part);

static inline bool an_starts_with(an_view text, an_view part) {
  return text.size >= part.size && an_equal((an_view){text.data, part.size}, part);
}

/* A regular expression as a deterministic automaton; `width` classes of bytes, the last for the end of the text. */
typedef struct an_pattern {
  const uint16_t *table; /* the next state by state and class */
  uint16_t width, start, accepting;
  uint8_t classes[256];
} an_pattern;

bool an_matches(an_view text, const an_pattern *pattern);

/* FNV-1a, 64 bits. */
static inline uint64_t an_hash(an_view text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < text.size; i++) hash = (hash ^ text.data[i]) * 0x100000001b3u;
  return hash;
}

/* Adds the line "NAME = VALUE". Strings are hexadecimal in quotes, floats the 16 digits of their bits. */
void an_dump(an_text *out, an_view name, const an_type *type, const void *value);

#endif
