/* Strings and bytes: joined, searched, changed and taken apart. Texts that are made stand in the arena; one of more than
 * AN_MOST_TEXT bytes is not made, as if memory had run out. */
#ifndef AN_STRING_OPS_H
#define AN_STRING_OPS_H

#include "vec.h"

enum {
  AN_MOST_TEXT = 64 << 20,
  AN_MOST_PARTS = 65536, /* of what is split: the last has the rest */
};

/* Room for a text that is made; NULL sets `failed`. */
uint8_t *an_text_room(an_scope *scope, size_t size);

an_view an_concat(an_scope *scope, an_view left, an_view right);
/* ASCII letters alone. */
an_view an_lower(an_scope *scope, an_view text);
an_view an_upper(an_scope *scope, an_view text);
/* Each place of `part` from the left, none of which overlap; an empty part has none. */
an_view an_replace(an_scope *scope, an_view text, an_view part, an_view by);
/* Views of the text: one more than there are separators; an empty separator is nowhere. */
an_vec an_split(an_scope *scope, an_view text, an_view separator);
an_view an_join(an_scope *scope, an_vec parts, an_view separator);

bool an_contains(an_scope *scope, an_view text, an_view part);

static inline bool an_starts_with(an_view text, an_view part) {
  return text.size >= part.size && an_equal((an_view){text.data, part.size}, part);
}

static inline bool an_ends_with(an_view text, an_view part) {
  return text.size >= part.size && (part.size == 0 || memcmp(text.data + text.size - part.size, part.data, part.size) == 0);
}

/* The bytes from `start` up to `end`, as far as there are any. */
static inline an_view an_substring(an_view text, int64_t start, int64_t end) {
  if (start < 0) start = 0;
  if (end > (int64_t)text.size) end = (int64_t)text.size;
  return start < end ? (an_view){text.data + start, (size_t)(end - start)} : (an_view){NULL, 0};
}

static inline bool an_is_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

static inline an_view an_trim(an_view text) {
  while (text.size > 0 && an_is_space(text.data[text.size - 1])) text.size--;
  while (text.size > 0 && an_is_space(text.data[0])) {
    text.data++;
    text.size--;
  }
  return text;
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

#endif
