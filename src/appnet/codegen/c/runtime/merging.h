/* Weak state: an instance works on its own copy, and a thread of the host's merges it with what is in the store
 * (src/appnet/state/merge.lua). No call waits for that.
 *
 * While a handler runs that changes weak state, its element's heap has the element's an_merging: which entries it touches is
 * noted, and what they were before, where the combiner needs that. Of numbers that are no Map nothing is noted: they are
 * compared with what they were at the last merge. */
#ifndef AN_MERGING_H
#define AN_MERGING_H

#include "sharing.h"
#include "value.h"

/* An entry of a Map is about to be set or deleted. */
void an_merging_entry(an_merging *merging, const an_type *type, const void *map, const void *key);
/* A Vec, or what is no container, is about to change. */
void an_merging_whole(an_merging *merging, const void *value);
/* The Map is about to become another. */
void an_merging_replaced(an_merging *merging, const an_type *type, const void *map, const void *other);

/* Where a handler changes what is merged. The lock of its element is held. */
void an_merging_begin(an_instance *instance, an_guard *guard, size_t element);
static inline void an_merging_end(an_guard *guard) { guard->heap.merging = NULL; }

static inline void an_merging_value(an_heap *heap, const void *value) {
  if (heap->merging != NULL) an_merging_whole(heap->merging, value);
}

/* As an_copies_*. */
bool an_merges_init(an_instance *instance, const an_carrier *carrier);
void an_merges_begin(an_instance *instance);
void an_merges_free(an_instance *instance);

/* Whether what another version of the chain tells of the variable does not matter, for the store tells all. */
bool an_store_tells(const an_instance *instance, const an_variable *variable);
/* The copies are what the version before had, and what that has not merged yet it merges itself. */
void an_merges_go_on(an_instance *instance);

/* As an_sharing has them, of the variable that has this number. */
size_t an_merge_count(const an_instance *instance);
const an_variable *an_merge_variable(const an_instance *instance, size_t number);
bool an_merge_take(an_instance *instance, size_t number, bool due, an_view parts[AN_REQUEST_PARTS], size_t *count);
const char *an_merge_answer(an_instance *instance, size_t number, an_view bytes);
void an_merge_unanswered(an_instance *instance, size_t number);
uint64_t an_merge_asked_since(an_instance *instance, size_t number);
void an_merge_leave(an_instance *instance, an_view parts[AN_REQUEST_PARTS], size_t *count);

#endif
