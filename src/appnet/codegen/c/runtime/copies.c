/* The copies of an instance, as a host asks for them: see sharing.h. Behind steps.c, which it is a part of. */

static an_copy *copy_of(an_instance *instance, size_t copy) { return &instance->copies->copies[copy]; }

/* ---- requests -------------------------------------------------------------------------------------------- */

static an_view buffer_view(const an_buffer *buffer) { return (an_view){buffer->data, buffer->size}; }

static void ask_to_join(an_copy *copy, an_view parts[AN_REQUEST_PARTS], size_t *count) {
  const an_carrier *carrier = copy->instance->copies->carrier;
  const an_view all[] = {AN_TEXT("join"),          carrier->id, buffer_view(&copy->kinds), buffer_view(&copy->lasting),
                         buffer_view(&copy->first), trial_decimal(&copy->numbers[0], copy->batch)};
  copy->asked = AN_ASKED_JOIN;
  *count = sizeof all / sizeof *all;
  memcpy(parts, all, sizeof all);
}

static void ask_to_commit(an_copy *copy, bool beat, an_view parts[AN_REQUEST_PARTS], size_t *count) {
  an_buffer spare = copy->request;
  copy->request = copy->trial.changes;
  spare.size = 0;
  copy->trial.changes = spare;
  copy->trial.changes.ahead = copy->request.ahead;
  copy->sent_to = an_trial_now(&copy->trial);
  steps_move(&copy->sent, &copy->open);
  copy->undone = false;
  copy->batch++;
  const an_view all[] = {AN_TEXT("commit"), copy->instance->copies->carrier->id, buffer_view(&copy->birth),
                         trial_decimal(&copy->numbers[0], copy->position), buffer_view(&copy->request),
                         trial_decimal(&copy->numbers[1], copy->batch), beat ? AN_TEXT("1") : AN_TEXT("")};
  copy->asked = AN_ASKED_COMMIT;
  *count = sizeof all / sizeof *all;
  memcpy(parts, all, sizeof all);
}

static void ask_briefly(an_copy *copy, an_view what, an_view parts[AN_REQUEST_PARTS], size_t *count) {
  parts[0] = what;
  parts[1] = copy->instance->copies->carrier->id;
  *count = 2;
}

static bool copy_request(an_instance *instance, size_t number, bool beat, an_view parts[AN_REQUEST_PARTS], size_t *count) {
  an_copy *copy = copy_of(instance, number);
  an_lock_acquire(&copy->guard->lock);
  *count = 0;
  an_step *woken = copy->joined && !others_try(copy) ? steps_settle(&copy->waiting, AN_WAITS) : NULL;
  if (copy->asked != AN_ASKED_NOTHING) {
    /* one at a time */
  } else if (!copy->joined) {
    ask_to_join(copy, parts, count);
  } else if ((copy->open.first != NULL || copy->away) && !an_trial_failed(&copy->trial)) {
    ask_to_commit(copy, beat, parts, count); /* also of nothing: whether the store is back */
  } else if (beat) {
    copy->asked = AN_ASKED_BEAT;
    ask_briefly(copy, AN_TEXT("beat"), parts, count);
  }
  an_lock_release(&copy->guard->lock);
  steps_wake(copy, woken);
  return *count > 0;
}

static void copy_leave(an_instance *instance, size_t number, an_view parts[AN_REQUEST_PARTS], size_t *count) {
  ask_briefly(copy_of(instance, number), AN_TEXT("leave"), parts, count);
}

/* ---- changes of others ----------------------------------------------------------------------------------- */

static bool change_bytes(an_view *from, size_t size, an_view *out) {
  if (size > from->size) return false;
  *out = (an_view){from->data, size};
  *from = (an_view){from->data + size, from->size - size};
  return true;
}

static bool change_text(an_view *from, an_view *out) {
  an_view size;
  return change_bytes(from, 4, &size) && change_bytes(from, load_le32(size.data), out);
}

static bool change_number(an_view *from, uint64_t *out) {
  an_view bytes;
  if (!change_bytes(from, 8, &bytes)) return false;
  *out = load_le32(bytes.data) | (uint64_t)load_le32(bytes.data + 4) << 32;
  return true;
}

static void clear_variable_of(an_copy *copy, const an_variable *variable, void *value) {
  an_disown(&copy->guard->heap, variable->type, value);
  memset(value, 0, variable->type->size);
}

static bool change_entry(an_copy *copy, an_scope *scope, const an_variable *it, bool set, an_view key, an_view bytes) {
  const an_type *type = it->type;
  an_heap *heap = &copy->guard->heap;
  void *map = *an_variable_at(copy->instance, it);
  const bool is_text = type->first->kind == AN_STRING;
  uint64_t number = 0;
  const void *value = set ? an_read_value(scope, type->second, bytes, copy->ahead) : NULL;
  if (set && value == NULL) return false;
  if (!is_text) {
    an_view rest = key;
    if (!change_number(&rest, &number) || rest.size != 0) return false;
    if (type->first->moment) number -= copy->ahead;
  }
  if (set && is_text) an_map_set_text(scope, heap, type, map, it->capacity, key, value);
  if (set && !is_text) an_map_set_number(scope, heap, type, map, it->capacity, number, value);
  if (!set && is_text) an_map_delete_text(heap, type, map, key);
  if (!set && !is_text) an_map_delete_number(heap, type, map, number);
  return true;
}

static bool make_store_change(an_copy *copy, an_scope *scope, uint8_t kind, an_view name, an_view key, an_view bytes) {
  const an_variable *it;
  for (size_t i = 0; (it = next_shared(copy, &i)) != NULL && !an_equal(an_store_name(it), name);) {}
  if (it == NULL) return true; /* another version's */
  const bool is_map = it->type->kind == AN_MAP;
  void *place = *an_variable_at(copy->instance, it);
  if (is_map && kind == AN_STORE_CLEAR) {
    clear_variable_of(copy, it, place);
    return true;
  }
  if (is_map) return (kind == AN_STORE_SET || kind == AN_STORE_DELETE) && change_entry(copy, scope, it, kind == AN_STORE_SET, key, bytes);
  void *value = kind == AN_STORE_VALUE ? an_read_value(scope, it->type, bytes, copy->ahead) : NULL;
  if (value == NULL) return false;
  if (it->type->kind == AN_VEC) {
    an_vec_store(scope, &copy->guard->heap, it->type, place, it->capacity, *(const an_vec *)value);
  } else {
    an_store(scope, &copy->guard->heap, it->type, place, value);
  }
  return true;
}

/* Nothing is on trial. False: the bytes are no changes, or memory ended. */
static bool make_store_changes(an_copy *copy, an_view changes) {
  an_call *call = an_call_new(copy->instance, NULL); /* lends its arena */
  an_scope scope = {.call = call};
  const uint64_t evicted = copy->guard->heap.evicted;
  bool whole = call != NULL;
  while (whole && changes.size > 0) {
    const an_mark start = call->arena;
    an_view kind, name, key, value;
    whole = change_bytes(&changes, 1, &kind) && change_text(&changes, &name) && change_text(&changes, &key) &&
            change_text(&changes, &value) && make_store_change(copy, &scope, kind.data[0], name, key, value);
    whole = whole && !scope.failed;
    an_heap_flush(&copy->guard->heap);
    an_arena_release(&call->arena, &start);
  }
  copy->guard->heap.evicted = evicted; /* whoever made the change has told of it */
  an_call_free(call);
  return whole;
}

/* ---- answers --------------------------------------------------------------------------------------------- */

static const char UNREADABLE[] = "the answer of the store is none of its script's";

/* What ran is taken back, and waits. What is under way stays in `sent`, for its batch may be in the store. */
static void copy_take_back(an_copy *copy) {
  trial_undo(copy);
  copy->undone = true;
  for (an_step *it = copy->open.first; it != NULL; it = it->next) it->progress = AN_WAITS;
  steps_move(&copy->waiting, &copy->open);
}

static const char *copy_joined(an_copy *copy, an_view bytes, an_step **woken) {
  an_view birth;
  uint64_t last;
  if (!change_text(&bytes, &birth) || !change_number(&bytes, &copy->position) || !change_number(&bytes, &last)) return UNREADABLE;
  const an_services *services = &copy->instance->services;
  copy->ahead = services->wall_ns(services->host) - services->now_ns(services->host);
  copy->trial.changes.ahead = copy->request.ahead = copy->ahead;
  const an_variable *it;
  for (size_t i = 0; (it = next_shared(copy, &i)) != NULL;) {
    if (it->type->kind == AN_MAP) clear_variable_of(copy, it, *an_variable_at(copy->instance, it));
  }
  copy->birth.size = 0;
  an_buffer_append(&copy->birth, birth.data, birth.size);
  if (!make_store_changes(copy, bytes) || copy->birth.failed) return UNREADABLE;
  copy->joined = true;
  copy->away = false;
  const bool in_store = copy->batch > 0 && last >= copy->batch;
  an_steps_list all;
  steps_clear(&all);
  for (an_step *step = copy->sent.first; step != NULL; step = step->next) step->progress = in_store ? AN_DONE : AN_WAITS;
  steps_move(&all, &copy->sent);
  steps_move(&all, &copy->waiting);
  *woken = all.first;
  return NULL;
}

static void steps_set(an_steps_list *list, an_progress progress) {
  for (an_step *it = list->first; it != NULL; it = it->next) it->progress = progress;
}

static const char *copy_committed(an_copy *copy, uint8_t status, an_view bytes, an_step **woken) {
  an_steps_list settled, again;
  const bool in_store = status == 0;
  const bool follows = status <= 1 && copy->joined && change_number(&bytes, &copy->position);
  if (in_store && follows && !copy->undone && bytes.size == 0) {
    copy->away = false;
    trial_keep(copy);
    *woken = steps_settle(&copy->sent, AN_DONE);
    return NULL;
  }
  trial_undo(copy);
  steps_clear(&settled);
  steps_clear(&again);
  steps_set(&copy->sent, in_store ? AN_DONE : AN_WAITS);
  steps_move(in_store ? &settled : &again, &copy->sent);
  steps_set(&copy->open, AN_WAITS);
  steps_move(&again, &copy->open);
  /* What follows what the copy is: the changes of others, or its own, which were taken back. */
  if (follows && copy->joined && make_store_changes(copy, in_store ? buffer_view(&copy->request) : bytes)) {
    copy->away = false;
    steps_move(&settled, &again);
  } else {
    copy->joined = false;
    steps_move(&copy->waiting, &again);
  }
  *woken = settled.first;
  return status <= 2 ? NULL : UNREADABLE;
}

static void copy_settle_lists(an_steps_list *list, an_steps_list *stay, an_steps_list *settled) {
  an_step *it = list->first;
  steps_clear(list);
  while (it != NULL) {
    an_step *next = it->next;
    const bool stays = it->kind->lasts && it->kind->strong;
    if (!stays) it->progress = it->kind->strong ? AN_REFUSED : AN_WAITS;
    steps_add(stays ? stay : settled, it);
    it = next;
  }
}

/* Calls wait no longer. What an end has to do waits on, unless its element goes on, on what the store has to give anew. */
static an_step *copy_give_up(an_copy *copy) {
  an_steps_list stay, settled, all;
  steps_clear(&stay);
  steps_clear(&settled);
  steps_clear(&all);
  copy_take_back(copy);
  copy->away = true;
  if (copy->sharer->goes_on) copy->joined = false;
  /* Of an end that is under way, the next answer says what became of it. */
  steps_move(&all, &copy->waiting);
  if (copy->sharer->goes_on) {
    steps_move(&all, &copy->sent);
    return steps_settle(&all, AN_WAITS);
  }
  copy_settle_lists(&all, &stay, &settled);
  steps_move(&copy->waiting, &stay);
  steps_move(&all, &copy->sent);
  copy_settle_lists(&all, &copy->sent, &settled);
  return settled.first;
}

static const char *copy_answer(an_instance *instance, size_t number, an_view bytes) {
  an_copy *copy = copy_of(instance, number);
  an_step *woken = NULL;
  an_view status = {NULL, 0};
  const char *flaw = NULL;
  an_lock_acquire(&copy->guard->lock);
  const an_asked asked = copy->asked;
  copy->asked = AN_ASKED_NOTHING;
  copy->heard_ns = instance->services.now_ns(instance->services.host);
  if (!change_bytes(&bytes, 1, &status)) {
    flaw = UNREADABLE;
  } else if (status.data[0] == 3) {
    flaw = trial_refused(&copy->reason, bytes);
  } else if (asked == AN_ASKED_JOIN) {
    flaw = status.data[0] == 0 ? copy_joined(copy, bytes, &woken) : UNREADABLE;
  } else if (asked == AN_ASKED_COMMIT) {
    flaw = copy_committed(copy, status.data[0], bytes, &woken);
  } else if (asked == AN_ASKED_BEAT && status.data[0] == 2) {
    copy->joined = false;
    copy_take_back(copy);
  }
  an_metrics_state(instance, number, AN_STATE_ANSWERED);
  if (asked == AN_ASKED_COMMIT && status.size == 1 && status.data[0] == 1) an_metrics_state(instance, number, AN_STATE_CONFLICT);
  if (flaw != NULL) an_metrics_state(instance, number, AN_STATE_ERROR);
  if (flaw != NULL) {
    copy->joined = false;
    woken = copy_give_up(copy);
  }
  an_lock_release(&copy->guard->lock);
  steps_wake(copy, woken);
  return flaw;
}

static void copy_unanswered(an_instance *instance, size_t number) {
  an_copy *copy = copy_of(instance, number);
  an_lock_acquire(&copy->guard->lock);
  if (copy->asked != AN_ASKED_NOTHING) an_metrics_state(instance, number, AN_STATE_ERROR);
  copy->asked = AN_ASKED_NOTHING;
  copy->joined = false;
  copy_take_back(copy);
  an_lock_release(&copy->guard->lock);
}

static void copy_away(an_instance *instance, size_t number) {
  an_copy *copy = copy_of(instance, number);
  an_lock_acquire(&copy->guard->lock);
  an_step *woken = copy_give_up(copy);
  an_lock_release(&copy->guard->lock);
  steps_wake(copy, woken);
}

static uint64_t copy_oldest(const an_steps_list *list, const an_copy *copy, uint64_t so_far) {
  for (const an_step *it = list->first; it != NULL; it = it->next) {
    if (it->kind->lasts && it->kind->strong && !copy->sharer->goes_on) continue;
    return so_far == 0 || it->since_ns < so_far ? it->since_ns : so_far;
  }
  return so_far;
}

static uint64_t copy_waits_since(an_instance *instance, size_t number) {
  an_copy *copy = copy_of(instance, number);
  an_lock_acquire(&copy->guard->lock);
  uint64_t since = copy_oldest(&copy->sent, copy, copy_oldest(&copy->open, copy, copy_oldest(&copy->waiting, copy, 0)));
  if (since != 0 && since < copy->heard_ns) since = copy->heard_ns; /* others are faster, but it is there */
  an_lock_release(&copy->guard->lock);
  return since;
}

/* ---- instances ------------------------------------------------------------------------------------------- */

static size_t copy_count(const an_instance *instance) { return instance->copies == NULL ? 0 : instance->copies->count; }

static bool copy_init(an_copy *copy, an_instance *instance, const an_sharer *sharer) {
  const an_program *program = instance->program;
  const an_services *services = &instance->services;
  const an_variable *it;
  size_t scalars = 1;
  *copy = (an_copy){.instance = instance, .sharer = sharer};
  steps_clear(&copy->waiting);
  steps_clear(&copy->open);
  steps_clear(&copy->sent);
  copy->first.ahead = services->wall_ns(services->host) - services->now_ns(services->host);
  for (size_t i = 0; (it = next_shared(copy, &i)) != NULL;) {
    const an_view name = an_store_name(it);
    an_buffer_append(&copy->kinds, name.data, name.size);
    an_buffer_append(&copy->kinds, ":", 1);
    an_buffer_append(&copy->kinds, it->kind.data, it->kind.size);
    an_buffer_append(&copy->kinds, "\n", 1);
    an_store_write(&copy->first, it, *an_variable_at(instance, it));
    if (!it->lasting) continue;
    an_buffer_append(&copy->lasting, name.data, name.size);
    an_buffer_append(&copy->lasting, "\n", 1);
  }
  for (size_t i = 0; i < program->variable_count; i++) scalars += program->variables[i].type->size;
  copy->values_before = an_alloc(scalars);
  copy->trial.instance = instance;
  copy->trial.element = sharer->element;
  copy->trial.touched = an_alloc_zeroed(program->variable_count);
  return copy->values_before != NULL && copy->trial.touched != NULL && !copy->first.failed && !copy->kinds.failed;
}

bool an_copies_init(an_instance *instance, const an_carrier *carrier) {
  const an_program *program = instance->program;
  if (carrier == NULL || carrier->wait == NULL || program->sharer_count == 0) return true;
  an_copies *copies = an_alloc_zeroed(sizeof *copies + program->sharer_count * sizeof *copies->copies);
  if (copies == NULL) return false;
  copies->carrier = carrier;
  instance->copies = copies;
  for (size_t i = 0; i < program->sharer_count; i++) {
    copies->count++;
    if (!copy_init(&copies->copies[i], instance, &program->sharers[i])) return false;
  }
  return true;
}

/* The guards, which may be the keeper's, are known. */
void an_copies_begin(an_instance *instance) {
  for (size_t i = 0; i < copy_count(instance); i++) {
    an_copy *copy = &instance->copies->copies[i];
    copy->guard = instance->guards[copy->sharer->element];
  }
}

void an_copies_free(an_instance *instance) {
  for (size_t i = 0; i < copy_count(instance); i++) {
    an_copy *copy = &instance->copies->copies[i];
    if (copy->guard != NULL) {
      an_lock_acquire(&copy->guard->lock);
      trial_undo(copy);
      an_lock_release(&copy->guard->lock);
    }
    an_trial_free(&copy->trial);
    an_buffer *buffers[] = {&copy->birth, &copy->first, &copy->kinds, &copy->lasting, &copy->request};
    for (size_t k = 0; k < sizeof buffers / sizeof *buffers; k++) an_buffer_free(buffers[k]);
    an_free(copy->values_before);
  }
  an_free(instance->copies);
  instance->copies = NULL;
}
