/* Steps on trial: handlers that have run on a copy of the store's state, and may have to be taken back.
 *
 * While a step runs, its element's heap has a trial. Whatever changes memory of state in place notes what it held before,
 * and blocks that are dropped stay as they are, so that taking back is copying the notes, the last one first. What changed
 * in variables that are in the store is written down as the store takes it. */
#ifndef AN_TRIAL_H
#define AN_TRIAL_H

#include "sharing.h"
#include "value.h"

struct an_trial {
  an_buffer notes;    /* each: the bytes, their place, their size */
  an_buffer made;     /* pointers to blocks */
  an_buffer dropped;
  an_buffer changes;  /* for the store, of steps that were not sent yet */
  an_buffer steps;    /* of each of them: u32 size of its changes, and as a text what it read besides */
  an_buffer read;     /* of the step in hand */
  size_t last_read;   /* where the last of these begins */
  size_t begun;       /* where its changes begin */
  an_instance *instance;
  uint32_t element;
  bool *touched;      /* by variable of the program: a Vec in the store that has changed */
  uint32_t room;      /* entries that a Map may have now that is known in part */
  uint32_t unknown;   /* of its entries, how many steps that were not sent yet have taken for absent */
};

/* How far it was. */
typedef struct an_trial_mark {
  size_t notes, made, dropped;
} an_trial_mark;

/* Not where hosts carry nothing to a store: what steps need is not even linked there. */
static inline bool an_is_tried(const an_heap *heap) { return AN_SHARED && heap != NULL && heap->trial != NULL; }

void an_trial_made(an_trial *trial, void *block);
void an_trial_dropped(an_trial *trial, void *block);

/* What decides whether others were faster: what a step has read, unless it has changed the same. Of a Map an entry, also one
 * that is not there; or all of a variable; or with an empty name all that there is. */
void an_trial_read(an_trial *trial, const an_type *type, const void *map, const void *key);
void an_trial_read_all(an_trial *trial, const char *variable);
/* A Map of so many entries is about to have one more; how many it may have. */
uint32_t an_trial_grows(an_trial *trial, const void *map, uint32_t size, uint32_t capacity);
/* The oldest entry of a Map is about to go; whether it does so in the store. */
bool an_trial_evicts(an_trial *trial, const an_type *type, const void *map, const void *key);

/* For Maps and Vecs of state. A Map's are written down at once. */
void an_trial_set(an_trial *trial, const an_type *type, const void *map, const void *key, const void *value);
void an_trial_delete(an_trial *trial, const an_type *type, const void *map, const void *key);
void an_trial_whole(an_trial *trial, const an_type *type, const void *container);
/* A variable in the store that is no Map has another value. */
void an_trial_value(an_trial *trial, const an_variable *variable, const void *value);
/* A step begins, and ends. */
void an_trial_step(an_trial *trial);
void an_trial_step_end(an_trial *trial);

an_trial_mark an_trial_now(const an_trial *trial);
/* Memory ran out: it has to be taken back. */
bool an_trial_failed(const an_trial *trial);
/* What happened before the mark stays; `heap` is the element's. */
void an_trial_keep(an_trial *trial, an_heap *heap, an_trial_mark mark);
/* All is as it was when it began. */
void an_trial_undo(an_trial *trial, an_heap *heap);
void an_trial_free(an_trial *trial);

/* A change as the store takes it, or what a step has read. */
typedef enum an_store_change {
  AN_STORE_VALUE = 1,
  AN_STORE_SET = 2,
  AN_STORE_DELETE = 3,
  AN_STORE_CLEAR = 4,
  AN_STORE_READ = 5,
  AN_STORE_READ_ALL = 6,
  AN_STORE_READ_UNKNOWN = 247, /* an entry that the instance does not know, and took for absent */
} an_store_change;
/* Among so many changes of others, the store finds those that a step knows nothing of; see LOOKS in commit.lua. */
enum { AN_STORE_LOOKS = 1024 };
/* All of a variable, for a store that has nothing of it. */
void an_store_write(an_buffer *out, const an_variable *variable, const void *value);
/* The variable's name within its element. */
an_view an_store_name(const an_variable *variable);

#endif
