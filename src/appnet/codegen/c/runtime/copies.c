/* The copies of an instance, as a host asks for them: see sharing.h. Behind steps.c, which it is a part of. */

static an_copy *copy_of(an_instance *instance, size_t copy) { return &instance->copies->copies[copy]; }

/* What ran is taken back, and waits. What is under way stays in `sent`, for its batch may be in the store. */
static void copy_take_back(an_copy *copy) {
  trial_undo(copy);
  copy->undone = true;
  for (an_step *it = copy->open.first; it != NULL; it = it->next) it->progress = AN_WAITS;
  steps_move(&copy->waiting, &copy->open);
}

/* ---- requests -------------------------------------------------------------------------------------------- */

static void ask_to_join(an_copy *copy, an_view parts[AN_REQUEST_PARTS], size_t *count) {
  const an_carrier *carrier = copy->instance->copies->carrier;
  const an_view all[] = {AN_TEXT("join"),          carrier->id, buffer_view(&copy->kinds), buffer_view(&copy->lasting),
                         buffer_view(&copy->first), trial_decimal(&copy->numbers[0], copy->batch), buffer_view(&copy->bound)};
  copy->asked = AN_ASKED_JOIN;
  *count = sizeof all / sizeof *all;
  memcpy(parts, all, sizeof all);
}

static void ask_to_commit(an_copy *copy, an_view alive, an_view parts[AN_REQUEST_PARTS], size_t *count) {
  uint32_t number = 0;
  buffers_swap(&copy->request, &copy->trial.changes);
  buffers_swap(&copy->request_steps, &copy->trial.steps);
  copy->trial.changes.size = copy->trial.steps.size = 0;
  for (an_step *it = copy->open.first; it != NULL; it = it->next) it->number = number++;
  copy->unknown = copy->trial.unknown;
  copy->trial.unknown = 0;
  copy->sent_to = an_trial_now(&copy->trial);
  steps_move(&copy->sent, &copy->open);
  copy->undone = false;
  copy->batch++;
  const an_view all[] = {AN_TEXT("commit"), copy->instance->copies->carrier->id, buffer_view(&copy->birth),
                         trial_decimal(&copy->numbers[0], copy->position), buffer_view(&copy->request),
                         trial_decimal(&copy->numbers[1], copy->batch), alive, buffer_view(&copy->request_steps)};
  copy->asked = AN_ASKED_COMMIT;
  *count = sizeof all / sizeof *all;
  memcpy(parts, all, sizeof all);
}

static void ask_briefly(an_copy *copy, an_view what, an_view parts[AN_REQUEST_PARTS], size_t *count) {
  parts[0] = what;
  parts[1] = copy->instance->copies->carrier->id;
  *count = 2;
}

/* A store that restarts, or whose replica takes over, takes longer; to have it look costs little where there is so little to do. */
enum { SILENT_NS = 10000000 };

/* What a batch says of the instance besides: see commit.lua. */
static an_view says_alive(const an_copy *copy, bool beat) {
  const an_services *services = &copy->instance->services;
  if (beat) return AN_TEXT("1");
  return services->now_ns(services->host) - copy->heard_ns >= SILENT_NS ? AN_TEXT("0") : AN_TEXT("");
}

/* Instants that the copy has are another time now than in the store: it takes them anew. */
static void follow_clock(an_copy *copy) {
  if (!copy->tells_time || !clock_jumped(copy->instance, copy->ahead)) return;
  copy->joined = false;
  copy_take_back(copy);
}

static bool copy_request(an_instance *instance, size_t number, bool beat, an_view parts[AN_REQUEST_PARTS], size_t *count) {
  an_copy *copy = copy_of(instance, number);
  an_lock_acquire(&copy->guard->lock);
  *count = 0;
  if (beat && copy->joined && copy->asked == AN_ASKED_NOTHING) follow_clock(copy);
  an_step *woken = copy->joined && !others_try(copy) ? steps_settle(&copy->waiting, AN_WAITS) : NULL;
  if (copy->asked != AN_ASKED_NOTHING) {
    /* one at a time */
  } else if (!copy->joined) {
    ask_to_join(copy, parts, count);
  } else if ((copy->open.first != NULL || copy->away) && !an_trial_failed(&copy->trial)) {
    ask_to_commit(copy, says_alive(copy, beat), parts, count); /* also of nothing: whether the store is back */
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

/* ---- answers --------------------------------------------------------------------------------------------- */

static const char UNREADABLE[] = "the answer of the store is none of its script's";

static const char *copy_joined(an_copy *copy, an_view bytes, an_step **woken) {
  an_view birth, taken;
  uint64_t last;
  if (!change_text(&bytes, &birth) || !change_number(&bytes, &copy->position) || !change_number(&bytes, &last) ||
      !change_text(&bytes, &taken)) {
    return UNREADABLE;
  }
  copy->ahead = clock_ahead(copy->instance);
  copy->trial.changes.ahead = copy->trial.read.ahead = copy->request.ahead = copy->ahead;
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
  for (an_step *step = copy->sent.first; step != NULL; step = step->next) {
    step->progress = in_store && is_taken(taken, step->number) ? AN_DONE : AN_WAITS;
  }
  steps_move(&all, &copy->sent);
  steps_move(&all, &copy->waiting);
  *woken = all.first;
  return NULL;
}

/* What was sent, by what became of it. */
static void settle_sent(an_copy *copy, bool in_store, an_view taken, an_steps_list *settled, an_steps_list *again) {
  an_step *it = copy->sent.first;
  steps_clear(&copy->sent);
  for (an_step *next; it != NULL; it = next) {
    next = it->next;
    const bool done = in_store && is_taken(taken, it->number);
    it->progress = done ? AN_DONE : AN_WAITS;
    steps_add(done ? settled : again, it);
  }
}

/* Makes `others`, then what the store has taken of the batch, then again what ran meanwhile, as far as it can stay. */
static bool copy_follow(an_copy *copy, an_view others, an_view taken, an_view steps, an_view changes, an_steps_list *again) {
  memset(&copy->spoilt, 0, sizeof copy->spoilt);
  spoil_changes(&copy->spoilt, others);
  keep_taken(copy, taken);
  if (!copy->joined || !make_store_changes(copy, others) || !make_store_changes(copy, buffer_view(&copy->request))) return false;
  copy->away = false;
  try_meanwhile(copy, steps, changes, again);
  return true;
}

/* Steps that run again find what the store has told for them, however much that is. */
static void make_room(an_copy *copy, bool again) {
  const uint32_t wanted = copy->part + copy->unknown;
  if (!again) copy->trial.room = copy->part;
  if (again && wanted > copy->trial.room) copy->trial.room = wanted;
}

static const char *copy_committed(an_copy *copy, size_t number, uint8_t status, an_view bytes, an_step **woken) {
  an_steps_list settled, again;
  an_view taken = {NULL, 0};
  const bool told = status <= 1 && change_number(&bytes, &copy->position) && (status == 0 || change_text(&bytes, &taken));
  const bool follows = told && copy->joined;
  if (follows && status == 0 && !copy->undone) {
    copy->away = false;
    make_room(copy, false);
    trial_keep(copy);
    *woken = steps_settle(&copy->sent, AN_DONE);
    return NULL;
  }
  an_buffer changes = {0}, steps = {0};
  buffers_swap(&changes, &copy->trial.changes);
  buffers_swap(&steps, &copy->trial.steps);
  if (copy->undone) steps.size = 0; /* what ran since has not seen the batch, which may be in the store: all of it runs again */
  trial_undo(copy);
  copy->trial.changes.ahead = changes.ahead;
  steps_clear(&settled);
  steps_clear(&again);
  settle_sent(copy, told || status == 0, taken, &settled, &again);
  make_room(copy, again.first != NULL);
  if (status == 1 && again.first != NULL) an_metrics_state(copy->instance, number, AN_STATE_CONFLICT);
  if (follows && copy_follow(copy, bytes, taken, buffer_view(&steps), buffer_view(&changes), &again)) {
    steps_move(&settled, &again);
  } else {
    copy->joined = false;
    steps_move(&again, &copy->open);
    for (an_step *it = again.first; it != NULL; it = it->next) it->progress = AN_WAITS;
    steps_move(&copy->waiting, &again);
  }
  an_buffer_free(&changes);
  an_buffer_free(&steps);
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
    flaw = copy_committed(copy, number, status.data[0], bytes, &woken);
  } else if (asked == AN_ASKED_BEAT && status.data[0] == 2) {
    copy->joined = false;
    copy_take_back(copy);
  }
  an_metrics_state(instance, number, AN_STATE_ANSWERED);
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

static void copy_in_part(an_copy *copy, const an_variable *variable, an_view name) {
  const an_view most = trial_decimal(&copy->numbers[0], variable->capacity);
  copy->part = copy->trial.room = variable->part;
  an_buffer_append(&copy->bound, most.data, most.size);
  an_buffer_append(&copy->bound, " ", 1);
  an_buffer_append(&copy->bound, name.data, name.size);
}

static bool copy_init(an_copy *copy, an_instance *instance, const an_sharer *sharer) {
  const an_program *program = instance->program;
  const an_variable *it;
  size_t scalars = 1;
  *copy = (an_copy){.instance = instance, .sharer = sharer};
  steps_clear(&copy->waiting);
  steps_clear(&copy->open);
  steps_clear(&copy->sent);
  copy->first.ahead = clock_ahead(instance);
  for (size_t i = 0; (it = next_shared(copy, &i)) != NULL;) {
    const an_view name = an_store_name(it);
    if (tells_time(it->type)) copy->tells_time = true;
    an_buffer_append(&copy->kinds, name.data, name.size);
    an_buffer_append(&copy->kinds, ":", 1);
    an_buffer_append(&copy->kinds, it->kind.data, it->kind.size);
    an_buffer_append(&copy->kinds, "\n", 1);
    an_store_write(&copy->first, it, *an_variable_at(instance, it));
    if (it->part > 0) copy_in_part(copy, it, name);
    if (!it->lasting) continue;
    an_buffer_append(&copy->lasting, name.data, name.size);
    an_buffer_append(&copy->lasting, "\n", 1);
  }
  for (size_t i = 0; i < program->variable_count; i++) scalars += program->variables[i].type->size;
  copy->values_before = an_alloc(scalars);
  copy->trial.instance = instance;
  copy->trial.element = sharer->element;
  copy->trial.touched = an_alloc_zeroed(program->variable_count);
  return copy->values_before != NULL && copy->trial.touched != NULL && !copy->first.failed && !copy->kinds.failed &&
         !copy->bound.failed;
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
    an_buffer *buffers[] = {&copy->birth, &copy->first,   &copy->kinds,        &copy->lasting,
                            &copy->bound, &copy->request, &copy->request_steps};
    for (size_t k = 0; k < sizeof buffers / sizeof *buffers; k++) an_buffer_free(buffers[k]);
    an_free(copy->values_before);
  }
  an_free(instance->copies);
  instance->copies = NULL;
}
