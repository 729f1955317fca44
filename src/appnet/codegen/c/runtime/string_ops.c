#include "string_ops.h"

/* ---- made anew ------------------------------------------------------------------------------------------ */

uint8_t *an_text_room(an_scope *scope, size_t size) {
  if (size > AN_MOST_TEXT) {
    scope->failed = true;
    return NULL;
  }
  return an_scope_alloc(scope, NULL, size);
}

/* Where what follows the text is to stand. */
static uint8_t *put(uint8_t *to, an_view text) {
  if (text.size > 0) memcpy(to, text.data, text.size);
  return to + text.size;
}

an_view an_concat(an_scope *scope, an_view left, an_view right) {
  if (left.size == 0 || right.size == 0) return left.size == 0 ? right : left;
  const size_t size = an_size_add(left.size, right.size);
  uint8_t *text = an_text_room(scope, size);
  if (text == NULL) return (an_view){NULL, 0};
  put(put(text, left), right);
  return (an_view){text, size};
}

/* The letters from `first` on, 26 of them, become those of the other case. */
static an_view change_case(an_scope *scope, an_view text, uint8_t first) {
  uint8_t *changed = an_text_room(scope, text.size);
  if (changed == NULL) return (an_view){NULL, 0};
  for (size_t i = 0; i < text.size; i++) {
    changed[i] = (uint8_t)(text.data[i] ^ ((uint8_t)(text.data[i] - first) < 26 ? 0x20 : 0));
  }
  return (an_view){changed, text.size};
}

an_view an_lower(an_scope *scope, an_view text) { return change_case(scope, text, 'A'); }
an_view an_upper(an_scope *scope, an_view text) { return change_case(scope, text, 'a'); }

/* ---- search ------------------------------------------------------------------------------------------- */

bool an_matches(an_view text, const an_pattern *pattern) {
  const size_t width = pattern->width;
  size_t state = pattern->start;
  for (size_t i = 0; i < text.size && state != pattern->accepting; i++) {
    state = pattern->table[state * width + pattern->classes[text.data[i]]];
  }
  return pattern->table[state * width + width - 1] == pattern->accepting;
}

/* Looks for one part again and again, in time that is linear in what it looks through. */
typedef struct search {
  an_scope *scope;
  an_view part; /* not empty */
#if defined(AN_FREESTANDING)
  size_t left;  /* bytes that may still be compared at places that look right */
  size_t *back; /* for search_slowly: how much of the part's beginning stands at the end of each of its beginnings */
#endif
} search;

#if defined(AN_FREESTANDING)
static search search_for(an_scope *scope, an_view text, an_view part) {
  return (search){scope, part, 2 * text.size, NULL};
}

static bool search_prepare(search *of) {
  const an_view part = of->part;
  size_t *back = of->back = an_scope_alloc(of->scope, NULL, an_size_mul(part.size, sizeof *back));
  if (back == NULL) return false;
  back[0] = 0;
  for (size_t i = 1, matched = 0; i < part.size; i++) {
    while (matched > 0 && part.data[i] != part.data[matched]) matched = back[matched - 1];
    if (part.data[i] == part.data[matched]) matched++;
    back[i] = matched;
  }
  return true;
}

/* Knuth, Morris, Pratt: linear, whatever the text and the part. */
static const uint8_t *search_slowly(search *of, const uint8_t *at, const uint8_t *end) {
  const an_view part = of->part;
  if (of->back == NULL && !search_prepare(of)) return NULL;
  for (size_t matched = 0; at < end; at++) {
    while (matched > 0 && *at != part.data[matched]) matched = of->back[matched - 1];
    if (*at == part.data[matched]) matched++;
    if (matched == part.size) return at + 1 - part.size;
  }
  return NULL;
}

/* The first place from `at` on that holds the byte, or `end`; eight bytes at a time. */
static const uint8_t *find_byte(const uint8_t *at, const uint8_t *end, uint8_t byte) {
  const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
  for (; end - at >= 8; at += 8) {
    uint64_t word;
    __builtin_memcpy_inline(&word, at, 8);
    word ^= byte * ones;
    uint64_t zeros = (word - ones) & ~word & tops; /* the lowest bit is right; those above it may not be */
    if (zeros != 0) return at + __builtin_ctzll(zeros) / 8;
  }
  while (at < end && *at != byte) at++;
  return at;
}

/* The first place of the part between the two, or NULL: compares wherever the first and the last byte fit, and goes on
 * slowly where these fit too often for that. */
static const uint8_t *search_next(search *of, const uint8_t *at, const uint8_t *end) {
  const an_view part = of->part;
  if ((size_t)(end - at) < part.size) return NULL;
  const uint8_t first = part.data[0], last = part.data[part.size - 1];
  const uint8_t *stop = end - part.size + 1;
  for (; (at = find_byte(at, stop, first)) < stop; at++) {
    if (at[part.size - 1] != last) continue;
    if (of->left < part.size) return search_slowly(of, at, end);
    of->left -= part.size;
    if (memcmp(at, part.data, part.size) == 0) return at;
  }
  return NULL;
}
#else
static search search_for(an_scope *scope, an_view text, an_view part) {
  (void)text;
  return (search){scope, part};
}

/* The first place of the part between the two, or NULL; linear, as glibc has it. */
static const uint8_t *search_next(search *of, const uint8_t *at, const uint8_t *end) {
  return memmem(at, (size_t)(end - at), of->part.data, of->part.size);
}
#endif

bool an_contains(an_scope *scope, an_view text, an_view part) {
  if (part.size == 0 || text.size < part.size) return part.size == 0;
  search of = search_for(scope, text, part);
  return search_next(&of, text.data, text.data + text.size) != NULL;
}

/* ---- changed and taken apart ------------------------------------------------------------------------------ */

static size_t count_places(an_scope *scope, an_view text, an_view part) {
  search of = search_for(scope, text, part);
  size_t count = 0;
  const uint8_t *end = text.data + text.size;
  for (const uint8_t *at = text.data; (at = search_next(&of, at, end)) != NULL; at += part.size) count++;
  return count;
}

an_view an_replace(an_scope *scope, an_view text, an_view part, an_view by) {
  if (part.size == 0 || text.size < part.size) return text;
  const size_t count = count_places(scope, text, part);
  if (count == 0) return text;
  const size_t size = an_size_add(text.size - count * part.size, an_size_mul(count, by.size));
  uint8_t *changed = an_text_room(scope, size), *to = changed;
  if (changed == NULL) return (an_view){NULL, 0};
  search of = search_for(scope, text, part);
  const uint8_t *at = text.data, *end = text.data + text.size;
  for (size_t i = 0; i < count; i++) {
    const uint8_t *found = search_next(&of, at, end);
    if (found == NULL) return (an_view){NULL, 0}; /* out of memory */
    to = put(put(to, (an_view){at, (size_t)(found - at)}), by);
    at = found + part.size;
  }
  put(to, (an_view){at, (size_t)(end - at)});
  return (an_view){changed, size};
}

static void add_part(an_scope *scope, an_vec *parts, const uint8_t *start, const uint8_t *end) {
  static const an_type texts = AN_VEC_TYPE(&an_type_string);
  const an_view part = {start, (size_t)(end - start)};
  an_vec_append(scope, NULL, &texts, parts, AN_MOST_PARTS, &part);
}

an_vec an_split(an_scope *scope, an_view text, an_view separator) {
  an_vec parts = {0};
  const uint8_t *at = text.data, *end = text.size == 0 ? at : at + text.size;
  if (separator.size > 0 && text.size >= separator.size) {
    search of = search_for(scope, text, separator);
    const uint8_t *found;
    for (uint32_t count = 1; count < AN_MOST_PARTS && (found = search_next(&of, at, end)) != NULL; count++) {
      add_part(scope, &parts, at, found);
      at = found + separator.size;
    }
  }
  add_part(scope, &parts, at, end);
  return parts;
}

an_view an_join(an_scope *scope, an_vec parts, an_view separator) {
  if (parts.size == 0) return (an_view){NULL, 0};
  size_t size = an_size_mul(parts.size - 1, separator.size);
  for (uint32_t i = 0; i < parts.size; i++) {
    size = an_size_add(size, ((const an_view *)an_vec_at(&parts, sizeof(an_view), i))->size);
  }
  uint8_t *joined = an_text_room(scope, size), *to = joined;
  if (joined == NULL) return (an_view){NULL, 0};
  for (uint32_t i = 0; i < parts.size; i++) {
    if (i > 0) to = put(to, separator);
    to = put(to, *(const an_view *)an_vec_at(&parts, sizeof(an_view), i));
  }
  return (an_view){joined, size};
}
