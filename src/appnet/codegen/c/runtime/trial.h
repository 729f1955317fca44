/* Steps on trial: handlers that have run on a copy of the store's state, and may have to be taken back.
 *
 * While a step runs, its element's heap has a trial. Whatever changes memory of state in place notes what it held before,
 * and blocks that are dropped stay as they are, so that taking back is copying the notes, the last one first. What changed
 * in variables that are in the store is written down as the store takes it. */
#ifndef AN_TRIAL_H
#define AN_TRIAL_H

#include "value.h"

struct an_trial {
  an_buffer notes;    /* each: the bytes, their place, their size */
  an_buffer made;     /* pointers to blocks */
  an_buffer dropped;
  an_buffer changes;  /* for the store, of steps that were not sent yet */
  an_instance *instance;
  uint32_t element;
  bool *touched;      /* by variable of the program: a Vec in the store that has changed */
};

/* How far it was. */
typedef struct an_trial_mark {
  size_t notes, made, dropped;
} an_trial_mark;

void an_trial_made(an_trial *trial, void *block);
void an_trial_dropped(an_trial *trial, void *block);

/* For Maps and Vecs of state. A Map's are written down at once. */
void an_trial_set(an_trial *trial, const an_type *type, const void *map, const void *key, const void *value);
void an_trial_delete(an_trial *trial, const an_type *type, const void *map, const void *key);
void an_trial_whole(an_trial *trial, const an_type *type, const void *container);
/* A variable in the store that is no Map has another value. */
void an_trial_value(an_trial *trial, const an_variable *variable, const void *value);

an_trial_mark an_trial_now(const an_trial *trial);
/* Memory ran out: it has to be taken back. */
bool an_trial_failed(const an_trial *trial);
/* What happened before the mark stays; `heap` is the element's. */
void an_trial_keep(an_trial *trial, an_heap *heap, an_trial_mark mark);
/* All is as it was when it began. */
void an_trial_undo(an_trial *trial, an_heap *heap);
void an_trial_free(an_trial *trial);

/* A change as the store takes it. */
typedef enum an_store_change { AN_STORE_VALUE = 1, AN_STORE_SET = 2, AN_STORE_DELETE = 3, AN_STORE_CLEAR = 4 } an_store_change;
/* All of a variable, for a store that has nothing of it. */
void an_store_write(an_buffer *out, const an_variable *variable, const void *value);
/* The variable's name within its element. */
an_view an_store_name(const an_variable *variable);

#endif
