/* Where an instance has its variables: in memory of its own, or in memory that a keeper lends to all versions. */
#ifndef AN_KEPT_H
#define AN_KEPT_H

#include "value.h"

/* Stands for all that versions must agree on to share memory: raise it when an_guard, a Map, a Vec, or what they lead to
 * is laid out in another way, or used by other rules. */
#define AN_LAYOUT 3u

bool an_kept_init(an_instance *instance); /* false: out of memory; what there is goes with an_kept_free */
/* Where there is a keeper, variables that others have, too, are theirs from now on: what init set is forgotten. */
void an_kept_share(an_instance *instance);
void an_kept_free(an_instance *instance);

static inline void **an_variable_at(const an_instance *instance, const an_variable *variable) {
  return (void **)(void *)((uint8_t *)instance->state + variable->place);
}

#endif
