/* Steps: handlers that touch strong state. A step runs at once on the instance's copy of what the store has, on trial, and
 * its verdict leaves when the store has taken it. If another instance was faster, its changes are made to the copy first,
 * and the step runs again: it sees the same call and draws the same numbers, and nothing of the first run is left. */
#ifndef AN_STEPS_H
#define AN_STEPS_H

#include "sharing.h"
#include "value.h"

/* A handler. `strong`: it touches state that is in the store; else only some that a step changes besides. `lasts`: it is
 * an end, which nobody waits for: it runs when the store is back. `reads`: the variables that it touches in another way than
 * at keys of a Map, and NULL; an empty name is all that there is. */
typedef struct an_step_kind {
  uint32_t sharer;
  bool strong;
  bool lasts;
  const char *const *reads;
} an_step_kind;

/* Runs a handler as a step; where the host shares nothing, under the element's lock. `run` needs none. */
an_verdict an_step_run(an_call *call, const an_step_kind *kind, an_verdict (*run)(an_call *call));

/* In metadata.c: the lists that the call has are its own from now on; and all values of a key of the host's. */
void an_metadata_apart(an_call *call);
bool an_metadata_whole(an_call *call, an_metadata_map map, an_view key, an_view *value);

/* Metadata of the host's is about to be changed: a step that is taken back has it again. */
void an_step_metadata(an_call *call, an_metadata_map map, an_view key);

/* Counters: of a step, when it is done. */
void an_step_count_int(an_call *call, int64_t *place, int64_t by);
void an_step_count_uint(an_call *call, uint64_t *place, uint64_t by);
void an_step_count_float(an_call *call, double *place, double by);

/* The buffer of a step's records of a stream, which are sent when it is done; NULL where no step runs. */
an_buffer *an_step_records(an_call *call, size_t stream);

/* `carrier` lasts as long as the instance, whose init has run. False: out of memory. */
bool an_copies_init(an_instance *instance, const an_carrier *carrier);
void an_copies_begin(an_instance *instance); /* the guards are those that it will have */
void an_copies_free(an_instance *instance); /* no call is left */

extern const an_sharing an_sharing_table;

#endif
