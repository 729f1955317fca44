/* What a host of wasm calls besides the table's functions: the state that one version hands on to another, whose memory it
 * cannot see. A module has one instance. Bytes that a function gives are there until the next call. */
#include "events.h"
#include "journal.h"
#include "kept.h"

/* ---- what native modules share ----------------------------------------------------------------------------- */

void an_shared_attach(an_shared *shared) { (void)shared; }

const an_keeper *an_keeper_open(an_view scope) {
  (void)scope;
  return NULL;
}

void an_keeper_close(const an_keeper *table) { (void)table; }

uint64_t an_clock_ns(an_clock which) {
  (void)which;
  return 0;
}

/* ---- state ------------------------------------------------------------------------------------------------- */

static an_journal *journal;
static an_buffer written;

/* All of it; NULL: out of memory. */
const uint8_t *isolated_state(an_instance *instance, size_t *size) {
  an_buffer_free(&written);
  an_state_write(&written, instance);
  *size = written.size;
  return written.failed ? NULL : written.data;
}

/* From now on, changes are told; false: out of memory. */
bool isolated_begin(an_instance *instance) {
  if (journal == NULL) journal = an_journal_begin(instance);
  return journal != NULL;
}

/* There is nobody to tell any more. */
void isolated_end(void) {
  an_journal_end(journal);
  journal = NULL;
}

/* What has changed since the last time; NULL: nothing. */
const uint8_t *isolated_changes(size_t *size) {
  const an_view found = journal == NULL ? (an_view){NULL, 0} : an_journal_changes(journal);
  if (journal != NULL) an_journal_empty(journal);
  *size = found.size;
  return found.data;
}

/* Makes what another version gave one's own: all of its state, or changes. False: it cannot be read. */
bool isolated_apply(an_instance *instance, const uint8_t *data, size_t size) {
  const an_view changes = {data, size};
  if (journal != NULL) return an_journal_apply(journal, changes);
  for (size_t i = 0; i < instance->program->element_count && size > 0; i++) {
    instance->guards[i]->heap.evicted = 0; /* by init, of what is forgotten now */
  }
  return an_state_apply(instance, changes, AN_TO_BE_TOLD);
}

/* How many calls there have been: at least so many, as another version has had them. */
uint64_t isolated_calls(an_instance *instance, uint64_t at_least) {
  if (*instance->rpc_count < at_least) *instance->rpc_count = at_least;
  return *instance->rpc_count;
}
