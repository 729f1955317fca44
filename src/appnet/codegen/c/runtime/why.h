/* Why calls are refused: a handler that can refuse notes what it reads, in memory of its own, and what it has noted leaves
 * the module where it does refuse, as a log record (docs/telemetry.md) beside the records of elements.
 *
 *   an_seen seen;
 *   an_scope scope = {.call = call, .seen = an_seen_begin(&seen)};
 *   an_verdict verdict = NAME_body(&scope);       which notes with AN_SEE and an_see_entry, and sets scope.row
 *   if (an_explains(&scope, verdict)) an_explain(&scope, &NAME_explained);   before what state dropped is let go
 *
 * To note something is to copy a few words: all else is done for refusals only, and of each element for no more than
 * AN_WHY_MOST of them in a second. Those that are left out are counted. */
#ifndef AN_WHY_H
#define AN_WHY_H

#include "value.h"

#ifndef AN_WHY
#define AN_WHY 0 /* whether the host sends why calls are refused */
#endif

enum {
  AN_WHY_MOST = 32,     /* refusals of an element that are told of in a second */
  AN_WHY_BYTES = 4096,  /* of one of them */
  AN_WHY_TEXT = 512,    /* bytes of a text, more of which are cut */
  AN_SEEN_MOST = 24,    /* what is noted of a handler, more of which is left out */
  AN_SEEN_WORDS = 6,    /* a value of more has no room */
};

typedef enum an_site_kind {
  AN_SITE_FIELD, /* of the message in hand */
  AN_SITE_HAS,   /* whether it is there */
  AN_SITE_STATE, /* a variable */
  AN_SITE_ENTRY, /* the entry of a Map at a key, if there is one */
  AN_SITE_WHOLE, /* a Map or Vec, of which what is noted is where it is */
  AN_SITE_ADDED, /* an item was added to a Vec, which is read as a whole as well */
  AN_SITE_ASKED, /* what an operation gave for a key, where it has one: metadata, the clock */
  AN_SITE_DRAW,  /* 64 random bits */
} an_site_kind;

/* A place in a handler that reads something. */
typedef struct an_site {
  uint8_t kind;
  bool secret; /* neither key nor value may leave the module */
  const char *name;
  const an_type *key; /* NULL: there is none */
  const an_type *type; /* of the value; NULL: there is none that can be told */
} an_site;

typedef struct an_read {
  const an_site *site;
  bool none; /* AN_SITE_ENTRY: there is none */
  uint64_t key[2];
  uint64_t value[AN_SEEN_WORDS];
} an_read;

typedef struct an_seen {
  uint32_t count;
  bool cut; /* more was read */
  an_read reads[AN_SEEN_MOST];
} an_seen;

/* A handler that can refuse. */
typedef struct an_explained {
  uint32_t element;
  const char *handler;
} an_explained;

typedef struct an_why an_why; /* why.c */

static inline an_seen *an_seen_begin(an_seen *seen) {
  if (!AN_WHY) return NULL;
  seen->count = 0;
  seen->cut = false;
  return seen;
}

/* Where the next thing that is read is noted; NULL: nowhere. */
static inline an_read *an_see(an_scope *scope, const an_site *site) {
  an_seen *seen = scope->seen;
  if (!AN_WHY || seen == NULL) return NULL;
  if (seen->count == AN_SEEN_MOST) {
    seen->cut = true;
    return NULL;
  }
  an_read *read = &seen->reads[seen->count++];
  read->site = site;
  return read;
}

/* Notes the value, and the key, of a place; both are variables. */
#define AN_SEE(scope, site, seen_value)                                                                     \
  do {                                                                                                      \
    _Static_assert(sizeof(seen_value) <= AN_SEEN_WORDS * 8, "a value that has room");                        \
    an_read *const seen_here = an_see(scope, site);                                                         \
    if (seen_here != NULL) memcpy(seen_here->value, &(seen_value), sizeof(seen_value));                      \
  } while (0)
#define AN_SEE_AT(scope, site, seen_key, seen_value)                                                        \
  do {                                                                                                      \
    _Static_assert(sizeof(seen_value) <= AN_SEEN_WORDS * 8 && sizeof(seen_key) <= 16, "what has room");      \
    an_read *const seen_here = an_see(scope, site);                                                         \
    if (seen_here != NULL) memcpy(seen_here->key, &(seen_key), sizeof(seen_key));                            \
    if (seen_here != NULL) memcpy(seen_here->value, &(seen_value), sizeof(seen_value));                      \
  } while (0)
/* Likewise of what was found in a Map; NULL: nothing. */
#define AN_SEE_ENTRY(scope, site, seen_key, found, value_type)                                              \
  do {                                                                                                      \
    _Static_assert(sizeof(value_type) <= AN_SEEN_WORDS * 8 && sizeof(seen_key) <= 16, "what has room");      \
    an_read *const seen_here = an_see(scope, site);                                                         \
    if (seen_here != NULL) memcpy(seen_here->key, &(seen_key), sizeof(seen_key));                            \
    if (seen_here != NULL) seen_here->none = (found) == NULL;                                                \
    if (seen_here != NULL && (found) != NULL) memcpy(seen_here->value, (found), sizeof(value_type));         \
  } while (0)

/* Likewise the call's own entry, which is an option. */
#define AN_SEE_KEPT(scope, site, option)                                                                    \
  do {                                                                                                      \
    _Static_assert(sizeof((option).value) <= AN_SEEN_WORDS * 8, "a value that has room");                    \
    an_read *const seen_here = an_see(scope, site);                                                         \
    if (seen_here != NULL) seen_here->none = !(option).some;                                                 \
    if (seen_here != NULL) memcpy(seen_here->value, &(option).value, sizeof((option).value));                \
  } while (0)

extern const an_site an_site_draw;

/* The next draw of the element's generator. */
static inline uint64_t an_draw(an_scope *scope, size_t element) {
  const uint64_t draw = an_random_draw(scope->call->instance, element);
  AN_SEE(scope, &an_site_draw, draw);
  return draw;
}

/* A handler is one step, at one time. */
static inline uint64_t an_scope_now(an_scope *scope) {
  if (scope->now_ns == 0) scope->now_ns = an_now(scope->call);
  return scope->now_ns;
}

static inline bool an_explains(const an_scope *scope, an_verdict verdict) {
  return AN_WHY && __builtin_expect(verdict == AN_REFUSE || scope->failed, 0);
}

/* The handler has refused the call, or run out of memory. */
void an_explain(const an_scope *scope, const an_explained *of);

bool an_why_init(an_instance *instance);
void an_why_free(an_instance *instance);
bool an_why_pending(const an_instance *instance);
/* Moves what was told into the batch, as ScopeLogs; it stays where it is when memory runs out. */
void an_why_take(an_instance *instance, an_buffer *batch);

#endif
