#include "kept.h"

#include "map.h"
#include "vec.h"

_Static_assert(sizeof(void *) != 8 || (sizeof(an_guard) == 272 && sizeof(an_map) == 48 && sizeof(an_vec) == 24),
               "another layout: raise AN_LAYOUT");

/* `lent` has a byte for each element's guard, then for each variable, then for the two counts: whether it is a keeper's. */
typedef struct an_lent {
  uint8_t *guards, *variables, *rpc_count, *loads;
} an_lent;

static an_lent lent_of(const an_instance *instance) {
  const an_program *program = instance->program;
  uint8_t *variables = instance->lent + program->element_count, *counts = variables + program->variable_count;
  return (an_lent){instance->lent, variables, counts, counts + 1};
}

static size_t loads_size(const an_instance *instance) {
  return an_size_mul((size_t)instance->options.backend_count + 1, sizeof(uint64_t));
}

static an_view kept_text(const char *text) { return (an_view){(const uint8_t *)text, strlen(text)}; }

bool an_kept_init(an_instance *instance) {
  const an_program *program = instance->program;
  bool whole = true;
  instance->lent = an_alloc_zeroed(program->element_count + program->variable_count + 2);
  instance->guards = an_alloc_zeroed(an_size_mul(program->element_count + 1, sizeof(an_guard *)));
  instance->rpc_count = an_alloc_zeroed(sizeof *instance->rpc_count);
  instance->loads = an_alloc_zeroed(loads_size(instance));
  if (instance->lent == NULL || instance->guards == NULL || instance->rpc_count == NULL || instance->loads == NULL) {
    return false;
  }
  for (size_t i = 0; i < program->element_count; i++) {
    instance->guards[i] = an_alloc_zeroed(sizeof(an_guard));
    whole = whole && instance->guards[i] != NULL;
  }
  for (size_t i = 0; i < program->variable_count; i++) {
    const an_variable *variable = &program->variables[i];
    void *value = an_alloc_zeroed(variable->type->size);
    *an_variable_at(instance, variable) = value;
    whole = whole && value != NULL;
  }
  return whole;
}

/* ---- sharing ------------------------------------------------------------------------------------------- */

static void kept_trim(an_heap *heap, const an_variable *variable, void *value) {
  if (variable->type->kind == AN_MAP) an_map_trim(heap, variable->type, value, variable->capacity);
  if (variable->type->kind == AN_VEC) an_vec_trim(heap, variable->type, value, variable->capacity);
}

static void share_variable(an_instance *instance, size_t index, an_guard *own) {
  const an_keeper *keeper = instance->options.keeper;
  const an_variable *variable = &instance->program->variables[index];
  an_guard *guard = instance->guards[variable->element];
  void **place = an_variable_at(instance, variable);
  bool fresh = false;
  void *value = keeper->take(keeper->host, variable->name, variable->kind, AN_LAYOUT, variable->type->size, &fresh);
  if (value == NULL) return; /* no memory: it stays this version's own */
  if (fresh) {
    memcpy(value, *place, variable->type->size);
  } else {
    an_disown(&own->heap, variable->type, *place);
    an_lock_acquire(&guard->lock);
    kept_trim(&guard->heap, variable, value);
    an_heap_flush(&guard->heap);
    an_lock_release(&guard->lock);
  }
  an_free(*place);
  *place = value;
  lent_of(instance).variables[index] = 1;
}

static void share_element(an_instance *instance, size_t element) {
  const an_keeper *keeper = instance->options.keeper;
  const an_program *program = instance->program;
  an_guard *own = instance->guards[element];
  bool fresh = false;
  an_guard *guard = keeper->take(keeper->host, kept_text(program->elements[element]), kept_text("guard"), AN_LAYOUT,
                                 sizeof *guard, &fresh);
  if (guard == NULL) return;
  instance->guards[element] = guard;
  lent_of(instance).guards[element] = 1;
  for (size_t i = 0; i < program->variable_count; i++) {
    const an_variable *it = &program->variables[i];
    /* Versions meet in the store. */
    bool in_store = (it->shared && instance->copies != NULL) || (it->combiner != AN_UNMERGED && instance->merges != NULL);
    if (it->element == element && !in_store) share_variable(instance, i, own);
  }
  if (fresh) an_heap_evicted(&guard->heap, own->heap.evicted); /* else it was of what is forgotten now */
  an_heap_free(&own->heap);
  an_free(own);
}

static void share_count(an_instance *instance, const char *name, const char *kind, size_t size, uint64_t **count, uint8_t *lent) {
  const an_keeper *keeper = instance->options.keeper;
  bool fresh = false;
  uint64_t *shared = keeper->take(keeper->host, kept_text(name), kept_text(kind), AN_LAYOUT, size, &fresh);
  if (shared == NULL) return;
  an_free(*count);
  *count = shared;
  *lent = 1;
}

void an_kept_share(an_instance *instance) {
  if (instance->options.keeper == NULL) return;
  an_lent lent = lent_of(instance);
  for (size_t i = 0; i < instance->program->element_count; i++) share_element(instance, i);
  const char *name = instance->program->name;
  /* One count for the chain, whichever of its modules is the first. */
  share_count(instance, "", "calls", sizeof(uint64_t), &instance->rpc_count, lent.rpc_count);
  share_count(instance, name, "loads", loads_size(instance), &instance->loads, lent.loads);
}

/* ---- the end -------------------------------------------------------------------------------------------- */

typedef struct an_ending {
  an_guard *guard;
  const an_type *type;
} an_ending;

static void clear_variable(void *context, void *value) {
  const an_ending *ending = context;
  if (ending->type->flat || ending->guard == NULL) return; /* without a guard, nothing was ever in it */
  an_lock_acquire(&ending->guard->lock); /* the guard may be in use by a version that does not have the variable */
  an_disown(&ending->guard->heap, ending->type, value);
  an_heap_flush(&ending->guard->heap);
  an_lock_release(&ending->guard->lock);
}

static void clear_guard(void *context, void *guard) {
  (void)context;
  an_heap_free(&((an_guard *)guard)->heap);
}

static void clear_nothing(void *context, void *memory) {
  (void)context;
  (void)memory;
}

static void kept_leave(an_instance *instance, bool lent, void *memory, void (*clear)(void *, void *), void *context) {
  const an_keeper *keeper = instance->options.keeper;
  if (memory == NULL) return;
  if (lent) {
    keeper->leave(keeper->host, memory, clear, context);
  } else {
    clear(context, memory);
    an_free(memory);
  }
}

void an_kept_free(an_instance *instance) {
  const an_program *program = instance->program;
  if (instance->lent != NULL && instance->guards != NULL) {
    an_lent lent = lent_of(instance);
    for (size_t i = 0; i < program->variable_count; i++) {
      const an_variable *variable = &program->variables[i];
      an_ending ending = {instance->guards[variable->element], variable->type};
      kept_leave(instance, lent.variables[i], *an_variable_at(instance, variable), clear_variable, &ending);
    }
    for (size_t i = 0; i < program->element_count; i++) {
      kept_leave(instance, lent.guards[i], instance->guards[i], clear_guard, NULL);
    }
    kept_leave(instance, *lent.rpc_count, instance->rpc_count, clear_nothing, NULL);
    kept_leave(instance, *lent.loads, instance->loads, clear_nothing, NULL);
  } else {
    an_free(instance->rpc_count);
    an_free(instance->loads);
  }
  an_free(instance->guards);
  an_free(instance->lent);
}
