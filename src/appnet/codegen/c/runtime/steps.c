#include "steps.h"

#include "journal.h"
#include "kept.h"
#include "map.h"
#include "metadata.h"
#include "metrics.h"
#include "octets.h"
#include "state_bytes.h"
#include "telemetry.h"
#include "text.h"
#include "trial.h"
#include "vec.h"

typedef enum an_progress {
  AN_WAITS,   /* it did not run, or was taken back */
  AN_RAN,     /* its batch is not in the store yet */
  AN_DONE,
  AN_REFUSED, /* the store is away */
} an_progress;

/* Lies in the call's arena: where events that wait give up their stack, others look at it meanwhile. */
struct an_step {
  an_step *next;
  an_call *call;
  const an_step_kind *kind;
  an_progress progress;
  uint32_t number; /* in its batch */
  uint64_t since_ns;
  uint64_t random, random_after; /* of the element's draws, around the first run; 0: there was none */
  uint8_t *call_before;
  uint64_t *cells; /* its tallies */
  an_buffer undo_metadata; /* an_old_metadata */
  an_buffer counts;        /* an_later_count */
  an_buffer *records;      /* by stream; NULL: none yet */
};

typedef struct an_steps_list {
  an_step *first;
  an_step **last;
} an_steps_list;

typedef enum an_asked { AN_ASKED_NOTHING, AN_ASKED_JOIN, AN_ASKED_COMMIT, AN_ASKED_BEAT } an_asked;

/* What of the state steps may have seen otherwise than it is: a set of hashes, so that it may have more than that. */
typedef struct an_spoilt {
  uint64_t bits[1024];
  size_t changes; /* that have spoilt it */
} an_spoilt;

/* Of what the store has of one element. All of it is guarded by the element's lock. */
typedef struct an_copy {
  an_instance *instance;
  const an_sharer *sharer;
  an_guard *guard;
  bool joined; /* it is what the store had at `position`, and the trial */
  bool away;   /* calls do not wait */
  bool paused; /* steps wait for a merge of what they change besides */
  bool tells_time; /* it has Instants */
  bool undone; /* the batch under way was taken back */
  an_asked asked;
  an_trial trial;
  an_trial_mark sent_to; /* what of it is under way */
  an_steps_list waiting, open, sent; /* did not run; ran; are under way */
  uint64_t position, batch, ahead;
  uint32_t part, unknown; /* see an_variable; and what an_trial had of it with the batch under way */
  uint64_t heard_ns; /* when the store last answered */
  an_buffer birth, first, kinds, lasting, bound; /* see commit.lua */
  an_buffer request, request_steps;       /* changes under way, and whose they are: see an_trial */
  an_spoilt spoilt;
  trial_digits numbers[2];
  trial_reason reason;
  uint8_t *values_before; /* of the variables that are no Maps, as the step in hand began */
} an_copy;

struct an_copies {
  const an_carrier *carrier;
  size_t count;
  an_copy copies[];
};

/* ---- lists ---------------------------------------------------------------------------------------------- */

static void steps_clear(an_steps_list *list) { *list = (an_steps_list){NULL, &list->first}; }

static void steps_add(an_steps_list *list, an_step *step) {
  step->next = NULL;
  *list->last = step;
  list->last = &step->next;
}

/* Puts all of one list behind another. */
static void steps_move(an_steps_list *to, an_steps_list *from) {
  if (from->first == NULL) return;
  *to->last = from->first;
  to->last = from->last;
  steps_clear(from);
}

/* The lock is free. Steps are gone once they were woken. */
static void steps_wake(const an_copy *copy, an_step *first) {
  const an_carrier *carrier = copy->instance->copies->carrier;
  while (first != NULL) {
    an_step *next = first->next;
    carrier->wake(first->call->host);
    first = next;
  }
}

/* All of the list have got so far; they are woken by what is returned. */
static an_step *steps_settle(an_steps_list *list, an_progress progress) {
  an_step *first = list->first;
  for (an_step *it = first; it != NULL; it = it->next) it->progress = progress;
  steps_clear(list);
  return first;
}

/* ---- one run -------------------------------------------------------------------------------------------- */

/* Nothing, or so much, is on trial any more. */
static void trial_keep(an_copy *copy) {
  an_trial_keep(&copy->trial, &copy->guard->heap, copy->sent_to);
  if (copy->open.first == NULL && copy->guard->trying == copy) copy->guard->trying = NULL;
}

static bool is_container(const an_type *type) { return type->kind == AN_MAP || type->kind == AN_VEC; }

/* What steps have changed besides is as it was: another version may have heard of the changes. */
static void trial_tell_undone(const an_copy *copy) {
  const an_program *program = copy->instance->program;
  for (size_t i = 0; i < program->variable_count; i++) {
    const an_variable *it = &program->variables[i];
    if (it->element != copy->sharer->element || !it->tried || !is_container(it->type)) continue;
    an_journal_whole(copy->guard->heap.journal, *an_variable_at(copy->instance, it));
  }
}

static void trial_undo(an_copy *copy) {
  if (an_trial_failed(&copy->trial)) copy->joined = false; /* not all of it can be */
  const bool any = copy->trial.notes.size > 0;
  an_trial_undo(&copy->trial, &copy->guard->heap);
  if (any && copy->guard->heap.journal != NULL) trial_tell_undone(copy);
  if (copy->guard->trying == copy) copy->guard->trying = NULL;
}

static const an_variable *next_shared(const an_copy *copy, size_t *index) {
  const an_program *program = copy->instance->program;
  for (; *index < program->variable_count; ++*index) {
    const an_variable *it = &program->variables[*index];
    if (it->element == copy->sharer->element && it->shared) return &program->variables[(*index)++];
  }
  return NULL;
}

/* Handlers write scalars in place: all that steps of the element change are noted. */
static void trial_begin(an_copy *copy) {
  const an_program *program = copy->instance->program;
  uint8_t *before = copy->values_before;
  an_trial_step(&copy->trial);
  for (size_t i = 0; i < program->variable_count; i++) {
    const an_variable *it = &program->variables[i];
    const void *value = *an_variable_at(copy->instance, it);
    if (it->element != copy->sharer->element || is_container(it->type) || !it->tried) continue;
    an_trial_note(&copy->trial, value, it->type->size);
    memcpy(before, value, it->type->size);
    before += it->type->size;
  }
  copy->guard->heap.trial = &copy->trial;
  copy->guard->trying = copy;
}

static void trial_end(an_copy *copy) {
  const an_program *program = copy->instance->program;
  const uint8_t *before = copy->values_before;
  copy->guard->heap.trial = NULL;
  for (size_t i = 0; i < program->variable_count; i++) {
    const an_variable *it = &program->variables[i];
    const void *value = *an_variable_at(copy->instance, it);
    if (it->element != copy->sharer->element || !it->tried) continue;
    if (is_container(it->type)) {
      if (copy->trial.touched[i]) an_trial_value(&copy->trial, it, value);
      copy->trial.touched[i] = false;
    } else {
      if (it->shared && memcmp(before, value, it->type->size) != 0) an_trial_value(&copy->trial, it, value);
      before += it->type->size;
    }
  }
  an_trial_step_end(&copy->trial);
}

/* The call as it was before the handler ran; what it took of the arena stays taken. */
static void call_restore(an_step *step) {
  an_call *call = step->call;
  const an_arena arena = call->arena, kept = call->kept;
  if (step->call_before == NULL) return;
  memcpy(call, step->call_before, call->instance->call_block_at);
  call->arena = arena;
  call->kept = kept;
}

static bool step_begin(an_step *step) {
  an_call *call = step->call;
  const size_t cells = an_metrics_cell_count(call->instance) * sizeof(uint64_t);
  step->call_before = an_arena_alloc(&call->arena, call->instance->call_block_at);
  step->cells = an_arena_alloc(&call->arena, cells);
  if (step->call_before == NULL || step->cells == NULL) return false;
  memcpy(step->call_before, call, call->instance->call_block_at);
  return true;
}

/* Runs the handler, with the draws that it has had before if it runs again; the lock is held. */
static an_verdict run_drawing(const an_copy *copy, an_step *step, an_verdict (*run)(an_call *)) {
  uint64_t *const random = &step->call->instance->random[copy->sharer->element];
  const uint64_t now = *random;
  const bool again = step->random != 0;
  if (again) *random = step->random;
  step->random = *random;
  an_verdict verdict = run(step->call);
  if (again) {
    *random = now;
  } else {
    step->random_after = *random;
  }
  return verdict;
}

/* Runs the handler on trial; the lock is held. */
static an_verdict step_try(an_copy *copy, an_step *step, an_verdict (*run)(an_call *)) {
  an_call *call = step->call;
  uint64_t *const real_cells = call->cells;
  memset(step->cells, 0, an_metrics_cell_count(call->instance) * sizeof(uint64_t));
  call->cells = step->cells;
  call->step = step;
  an_metadata_apart(call);
  trial_begin(copy);
  for (const char *const *it = step->kind->reads; *it != NULL; it++) an_trial_read_all(&copy->trial, *it);
  an_verdict verdict = run_drawing(copy, step, run);
  trial_end(copy);
  call->step = NULL;
  call->cells = real_cells;
  step->progress = AN_RAN;
  return verdict;
}

/* ---- what a step does besides, when it is done ------------------------------------------------------------- */

typedef struct an_old_metadata {
  an_metadata_map map;
  bool was_there;
  an_view key, value;
} an_old_metadata;

typedef struct an_later_count {
  an_kind kind;
  void *place;
  union { int64_t i; uint64_t u; double f; } by;
} an_later_count;

void an_step_metadata(an_call *call, an_metadata_map map, an_view key) {
  if (call->step == NULL) return;
  an_scope scope = {.call = call};
  an_old_metadata old = {.map = map, .key = an_keep_text(&scope, key)};
  old.was_there = an_metadata_whole(call, map, key, &old.value);
  an_buffer_append(&call->step->undo_metadata, &old, sizeof old);
}

static void metadata_restore(an_step *step) {
  const an_services *services = &step->call->instance->services;
  an_buffer *all = &step->undo_metadata;
  for (size_t at = all->size; at > 0;) {
    an_old_metadata old;
    at -= sizeof old;
    memcpy(&old, all->data + at, sizeof old);
    if (old.was_there) {
      services->metadata_set(step->call->host, old.map, old.key, old.value);
    } else if (services->metadata_remove != NULL) {
      services->metadata_remove(step->call->host, old.map, old.key);
    }
  }
  all->size = 0;
}

static void count_later(an_step *step, an_later_count count) { an_buffer_append(&step->counts, &count, sizeof count); }

void an_step_count_int(an_call *call, int64_t *place, int64_t by) {
  if (call->step == NULL) {
    an_count_int(place, by);
  } else {
    count_later(call->step, (an_later_count){.kind = AN_INT, .place = place, .by = {.i = by}});
  }
}

void an_step_count_uint(an_call *call, uint64_t *place, uint64_t by) {
  if (call->step == NULL) {
    an_count_uint(place, by);
  } else {
    count_later(call->step, (an_later_count){.kind = AN_UINT, .place = place, .by = {.u = by}});
  }
}

void an_step_count_float(an_call *call, double *place, double by) {
  if (call->step == NULL) {
    an_count_float(place, by);
  } else {
    count_later(call->step, (an_later_count){.kind = AN_FLOAT, .place = place, .by = {.f = by}});
  }
}

an_buffer *an_step_records(an_call *call, size_t stream) {
  an_step *step = call->step;
  const size_t count = call->instance->program->record_count;
  if (step == NULL) return NULL;
  if (step->records == NULL) step->records = an_alloc_zeroed(count * sizeof *step->records);
  return step->records == NULL ? NULL : &step->records[stream];
}

static void step_forget(an_step *step) {
  step->undo_metadata.size = 0;
  step->counts.size = 0;
  for (size_t i = 0; step->records != NULL && i < step->call->instance->program->record_count; i++) {
    step->records[i].size = 0;
  }
}

/* What it counted and recorded is so. */
static void step_tell(an_step *step) {
  an_call *call = step->call;
  for (size_t i = 0; i < an_metrics_cell_count(call->instance); i++) {
    if (step->cells[i] != 0) __atomic_fetch_add(&call->cells[i], step->cells[i], __ATOMIC_RELAXED);
  }
  for (size_t at = 0; at < step->counts.size; at += sizeof(an_later_count)) {
    an_later_count it;
    memcpy(&it, step->counts.data + at, sizeof it);
    if (it.kind == AN_INT) an_count_int(it.place, it.by.i);
    if (it.kind == AN_UINT) an_count_uint(it.place, it.by.u);
    if (it.kind == AN_FLOAT) an_count_float(it.place, it.by.f);
  }
  for (size_t i = 0; step->records != NULL && i < call->instance->program->record_count; i++) {
    an_records_add(call->instance, i, (an_view){step->records[i].data, step->records[i].size});
  }
}

static void step_end(an_step *step) {
  an_buffer_free(&step->undo_metadata);
  an_buffer_free(&step->counts);
  for (size_t i = 0; step->records != NULL && i < step->call->instance->program->record_count; i++) {
    an_buffer_free(&step->records[i]);
  }
  an_free(step->records);
}

/* ---- steps ---------------------------------------------------------------------------------------------- */

static an_verdict run_locked(an_call *call, an_guard *guard, an_verdict (*run)(an_call *)) {
  an_lock_acquire(&guard->lock);
  an_verdict verdict = run(call);
  an_heap_flush(&guard->heap);
  an_lock_release(&guard->lock);
  return verdict;
}

/* It never ran: unless others have drawn since, the next draws are those that it had. */
static void undraw(const an_step *step, uint64_t *random) {
  uint64_t after = step->random_after;
  if (step->random == 0) return;
  __atomic_compare_exchange_n(random, &after, step->random, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static an_verdict step_refused(an_call *call, uint32_t element) {
  static const char before[] = "state of ", after[] = " is unavailable";
  const char *name = call->instance->program->elements[element];
  an_scope scope = {.call = call};
  const size_t size = strlen(name);
  uint8_t *text = an_arena_alloc(&call->arena, sizeof before + size + sizeof after);
  call->told = NULL;
  if (text == NULL) return an_refuse(&scope, 14, AN_TEXT("state is unavailable"));
  memcpy(text, before, sizeof before - 1);
  memcpy(text + sizeof before - 1, name, size);
  memcpy(text + sizeof before - 1 + size, after, sizeof after - 1);
  return an_refuse(&scope, 14, (an_view){text, sizeof before + size + sizeof after - 2});
}

/* Whether another version has steps on trial that could change the same memory, or it is merged now. */
static bool others_try(const an_copy *copy) {
  if (copy->paused) return true;
  return copy->sharer->meets && copy->guard->trying != NULL && copy->guard->trying != copy;
}

/* What becomes of the step now, under the lock: it ran on trial or waits, and is in a list then; or it is settled. */
static an_verdict step_start(an_copy *copy, an_step *step, an_verdict (*run)(an_call *)) {
  an_verdict verdict = AN_FORWARD;
  const bool refuses = step->kind->strong && !copy->sharer->goes_on;
  if (copy->away && !(refuses && step->kind->lasts)) {
    step->progress = refuses ? AN_REFUSED : AN_DONE;
    if (refuses) return AN_REFUSE;
    verdict = run_drawing(copy, step, run);
    an_heap_flush(&copy->guard->heap);
  } else if (!copy->joined || others_try(copy)) {
    step->progress = AN_WAITS;
    steps_add(&copy->waiting, step);
  } else {
    verdict = step_try(copy, step, run);
    steps_add(&copy->open, step);
  }
  return verdict;
}

/* Until the call is woken. */
AN_APART static void an_step_wait(const an_carrier *carrier, an_call *call) {
  an_may_wait();
  carrier->wait(call->host);
}

an_verdict an_step_run(an_call *call, const an_step_kind *kind, an_verdict (*run)(an_call *call)) {
  an_instance *instance = call->instance;
  const uint32_t element = instance->program->sharers[kind->sharer].element;
  if (instance->copies == NULL) return run_locked(call, instance->guards[element], run);
  an_copy *copy = &instance->copies->copies[kind->sharer];
  const an_carrier *carrier = instance->copies->carrier;
  an_step *step = an_arena_alloc(&call->arena, sizeof *step);
  if (step == NULL) return step_refused(call, element);
  *step = (an_step){.call = call, .kind = kind, .since_ns = an_now(call)};
  if (!step_begin(step)) return step_refused(call, element);
  an_verdict verdict;
  for (;;) {
    an_lock_acquire(&copy->guard->lock);
    const bool apart = copy->away;
    verdict = step_start(copy, step, run);
    an_lock_release(&copy->guard->lock);
    if (apart && step->progress >= AN_DONE) break; /* it ran as any other handler */
    carrier->ready(carrier->host, kind->sharer);
    an_step_wait(carrier, call);
    if (step->progress == AN_DONE) {
      step_tell(step);
      break;
    }
    metadata_restore(step);
    step_forget(step);
    call_restore(step);
    if (step->progress == AN_REFUSED) break;
  }
  if (step->progress == AN_REFUSED) {
    undraw(step, &instance->random[element]);
    verdict = step_refused(call, element);
  }
  step_end(step);
  return verdict;
}
