/* The variables of an instance that are merged. Behind merge_answers.c, as a part of merging.c. */

size_t an_merge_count(const an_instance *instance) { return instance->merges == NULL ? 0 : instance->merges->count; }

const an_variable *an_merge_variable(const an_instance *instance, size_t number) {
  return instance->merges->variables[number].variable;
}

static char number_letter(an_kind kind) { return kind == AN_FLOAT ? 'f' : kind == AN_UINT ? 'u' : 'i'; }

static bool merge_init(an_merge *it, an_instance *instance, const an_variable *variable, an_merging *merging) {
  static const char *const names[] = {"", "LWW", "sum", "max", "min", "union"};
  const bool container = variable->type->kind == AN_MAP || variable->type->kind == AN_VEC;
  *it = (an_merge){.instance = instance, .variable = variable, .merging = merging, .place = *an_variable_at(instance, variable)};
  const char *name = names[variable->combiner];
  const char number[] = {' ', number_letter(merged_type(it)->kind), ' '};
  an_buffer_append(&it->how, name, strlen(name));
  an_buffer_append(&it->how, number, sizeof number);
  const an_view capacity = trial_decimal(&it->numbers[0], container ? variable->capacity : 0);
  an_buffer_append(&it->how, capacity.data, capacity.size);
  if (merge_is_number(it)) it->base = it->sent_base = number_at(it->place);
  it->request.ahead = it->first.ahead = merging->ahead;
  return !it->how.failed;
}

static bool merging_init(an_merging *it, an_instance *instance, uint32_t element) {
  *it = (an_merging){.instance = instance, .element = element, .call = an_call_new(instance, NULL)};
  it->scope = (an_scope){.call = it->call};
  it->ahead = clock_ahead(instance);
  return it->call != NULL;
}

static bool merges_fill(an_merges *all, an_instance *instance) {
  const an_program *program = instance->program;
  for (size_t i = 0; i < program->variable_count; i++) {
    const an_variable *variable = &program->variables[i];
    if (variable->combiner == AN_UNMERGED) continue;
    an_merging **merging = &all->by_element[variable->element];
    if (*merging == NULL) { /* an element's variables stand together */
      *merging = &all->elements[all->element_count++];
      if (!merging_init(*merging, instance, variable->element)) return false;
      (*merging)->first = &all->variables[all->count];
    }
    (*merging)->count++;
    if (!merge_init(&all->variables[all->count++], instance, variable, *merging)) return false;
  }
  return true;
}

bool an_merges_init(an_instance *instance, const an_carrier *carrier) {
  const an_program *program = instance->program;
  size_t count = 0;
  for (size_t i = 0; i < program->variable_count; i++) count += program->variables[i].combiner != AN_UNMERGED;
  if (carrier == NULL || count == 0) return true;
  an_merges *all = instance->merges = an_alloc_zeroed(sizeof *all + count * sizeof *all->variables);
  if (all == NULL) return false;
  all->carrier = carrier;
  all->by_element = an_alloc_zeroed(program->element_count * sizeof *all->by_element);
  all->elements = an_alloc_zeroed(program->element_count * sizeof *all->elements);
  return all->by_element != NULL && all->elements != NULL && merges_fill(all, instance);
}

/* The guards, which may be the keeper's, are known. */
void an_merges_begin(an_instance *instance) {
  for (size_t i = 0; instance->merges != NULL && i < instance->merges->element_count; i++) {
    an_merging *it = &instance->merges->elements[i];
    it->guard = instance->guards[it->element];
  }
}

bool an_store_tells(const an_instance *instance, const an_variable *variable) {
  const an_merges *all = instance->merges;
  if (variable->combiner == AN_UNMERGED) return variable->shared && instance->copies != NULL;
  if (all == NULL) return false;
  for (size_t i = 0; i < all->count && !all->gone_on; i++) {
    if (all->variables[i].variable == variable) return all->variables[i].joined;
  }
  return true;
}

void an_merges_go_on(an_instance *instance) {
  an_merges *all = instance->merges;
  if (all == NULL) return;
  all->gone_on = true;
  for (size_t i = 0; i < all->count; i++) {
    an_merge *it = &all->variables[i];
    if (!it->joined && merge_is_number(it)) it->base = it->sent_base = number_at(it->place);
  }
}

void an_merges_free(an_instance *instance) {
  an_merges *all = instance->merges;
  if (all == NULL) return;
  for (size_t i = 0; i < all->count; i++) {
    an_merge *it = &all->variables[i];
    if (it->asked != AN_MERGE_IDLE) an_merge_unanswered(instance, i);
    touches_clear(&it->touched);
    touches_clear(&it->sent);
    an_heap_free(&it->touched.heap);
    an_heap_free(&it->sent.heap);
    an_buffer_free(&it->birth);
    an_buffer_free(&it->how);
    an_buffer_free(&it->first);
    an_buffer_free(&it->request);
  }
  for (size_t i = 0; i < all->element_count; i++) {
    an_call_free(all->elements[i].call);
  }
  an_free(all->by_element);
  an_free(all->elements);
  an_free(all);
  instance->merges = NULL;
}
