/* What changes in an instance's state from one event to the next, so that another version can make the same changes. */
#ifndef AN_JOURNAL_H
#define AN_JOURNAL_H

#include "map.h"
#include "state_bytes.h"
#include "vec.h"

/* NULL: out of memory. Its instance runs in one thread. */
an_journal *an_journal_begin(an_instance *instance);
void an_journal_end(an_journal *journal); /* NULL is nothing */

/* The changes since it began or was last emptied, as state_bytes.h has them; valid until the next change. After running out
 * of memory it is all of the state, if that can be had. */
an_view an_journal_changes(an_journal *journal);
void an_journal_empty(an_journal *journal);

/* As an_state_apply, of what another version did, without writing these changes down. */
bool an_journal_apply(an_journal *journal, an_view changes);

/* For Maps and Vecs of state that change; `value` or `item` is the new one. */
void an_journal_map(an_journal *journal, const an_type *type, const an_map *map, const void *key, const void *value);
void an_journal_item(an_journal *journal, const an_type *type, const an_vec *vec, int64_t index, const void *item);
void an_journal_whole(an_journal *journal, const void *container);

#endif
