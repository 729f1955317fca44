#include "journal.h"

#include "kept.h"
#include "merging.h"

/* Maps and Vecs tell of their changes; of all else `last` holds what is known, and it is compared when it is asked for. */
struct an_journal {
  an_instance *instance;
  an_buffer changes;
  an_buffer *last; /* of each variable; empty for Maps and Vecs */
};

static bool tells_of_changes(const an_variable *variable) {
  return variable->type->kind == AN_MAP || variable->type->kind == AN_VEC;
}

static void listen(an_instance *instance, an_journal *journal) {
  for (size_t i = 0; i < instance->program->element_count; i++) instance->guards[i]->heap.journal = journal;
}

/* Compares what does not tell of its changes; writes it down where it is another, and `tell` says so. */
static void compare(an_journal *journal, bool tell) {
  const an_program *program = journal->instance->program;
  for (size_t i = 0; i < program->variable_count; i++) {
    const an_variable *variable = &program->variables[i];
    an_buffer *last = &journal->last[i], now = {0};
    if (tells_of_changes(variable) || an_store_tells(journal->instance, variable)) continue;
    an_write_value(&now, variable->type, *an_variable_at(journal->instance, variable));
    bool same = now.size == last->size && !now.failed && memcmp(now.data, last->data, now.size) == 0;
    if (!same && tell) an_write_variable(&journal->changes, variable, *an_variable_at(journal->instance, variable));
    an_buffer_free(last);
    *last = now;
  }
}

an_journal *an_journal_begin(an_instance *instance) {
  an_journal *journal = an_alloc_zeroed(sizeof *journal);
  if (journal == NULL) return NULL;
  journal->instance = instance;
  journal->last = an_alloc_zeroed(an_size_mul(instance->program->variable_count + 1, sizeof *journal->last));
  if (journal->last == NULL) {
    an_free(journal);
    return NULL;
  }
  compare(journal, false);
  listen(instance, journal);
  return journal;
}

void an_journal_end(an_journal *journal) {
  if (journal == NULL) return;
  listen(journal->instance, NULL);
  for (size_t i = 0; i < journal->instance->program->variable_count; i++) an_buffer_free(&journal->last[i]);
  an_buffer_free(&journal->changes);
  an_free(journal->last);
  an_free(journal);
}

an_view an_journal_changes(an_journal *journal) {
  compare(journal, true);
  if (journal->changes.failed) {
    an_buffer_free(&journal->changes);
    an_state_write(&journal->changes, journal->instance);
  }
  if (journal->changes.failed) return (an_view){NULL, 0};
  return (an_view){journal->changes.data, journal->changes.size};
}

void an_journal_empty(an_journal *journal) {
  journal->changes.size = 0;
  journal->changes.failed = false;
}

bool an_journal_apply(an_journal *journal, an_view changes) {
  listen(journal->instance, NULL);
  bool done = an_state_apply(journal->instance, changes, AN_ALREADY_TOLD);
  compare(journal, false);
  listen(journal->instance, journal);
  return done;
}

/* ---- what Maps and Vecs tell ----------------------------------------------------------------------------- */

/* NULL where it is a container inside another one, or others hear of it otherwise. */
static const an_variable *variable_of(const an_journal *journal, const void *container) {
  const an_program *program = journal->instance->program;
  for (size_t i = 0; i < program->variable_count; i++) {
    const an_variable *it = &program->variables[i];
    if (*an_variable_at(journal->instance, it) == container) return an_store_tells(journal->instance, it) ? NULL : it;
  }
  return NULL;
}

void an_journal_map(an_journal *journal, const an_type *type, const an_map *map, const void *key, const void *value) {
  const an_variable *variable = variable_of(journal, map);
  if (variable == NULL) return;
  an_buffer *out = &journal->changes;
  size_t begun = an_change_begin(out, value != NULL ? AN_CHANGE_SET : AN_CHANGE_DELETE, variable);
  an_write_key(out, type, key);
  if (value != NULL) an_write_value(out, type->second, value);
  an_change_end(out, begun);
}

void an_journal_item(an_journal *journal, const an_type *type, const an_vec *vec, int64_t index, const void *item) {
  const an_variable *variable = variable_of(journal, vec);
  if (variable == NULL) return;
  an_buffer *out = &journal->changes;
  size_t begun = an_change_begin(out, index < 0 ? AN_CHANGE_APPEND : AN_CHANGE_ITEM, variable);
  uint64_t number = (uint64_t)index;
  if (index >= 0) an_write_value(out, &an_type_uint, &number);
  an_write_value(out, type->first, item);
  an_change_end(out, begun);
}

void an_journal_whole(an_journal *journal, const void *container) {
  const an_variable *variable = variable_of(journal, container);
  if (variable != NULL) an_write_variable(&journal->changes, variable, container);
}
