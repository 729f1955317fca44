/* What an instance asks of the store about its weak state, and tells it. Behind merging.c, which it is a part of. */

static void write_key(an_buffer *out, const an_merge *it, an_view key) {
  if (!merge_is_map(it) || it->variable->type->first->kind == AN_STRING) {
    trial_put_text(out, key);
    return;
  }
  const size_t begun = trial_text_begin(out);
  uint64_t number;
  memcpy(&number, key.data, sizeof number);
  an_write_key(out, it->variable->type, &number);
  trial_text_end(out, begun);
}

static void write_text(an_buffer *out, const an_type *type, const void *value) {
  const size_t begun = trial_text_begin(out);
  if (value != NULL) an_write_value(out, type, value);
  trial_text_end(out, begun);
}

static void write_op(an_buffer *out, uint8_t op) { an_buffer_append(out, &op, 1); }

static void write_clock(an_buffer *out, const an_merge *it, const an_touch *touch) {
  const an_view id = it->instance->merges->carrier->id;
  uint8_t bytes[12];
  store_le64(bytes, touch->wall);
  store_le32(bytes + 8, touch->count);
  const size_t begun = trial_text_begin(out);
  an_buffer_append(out, bytes, sizeof bytes);
  an_buffer_append(out, id.data, id.size);
  trial_text_end(out, begun);
}

/* The entry, of a Map, is what the store is told; `now` is NULL where it is gone. */
static void write_entry(an_buffer *out, const an_merge *it, an_view key, const an_touch *touch, const void *now) {
  const an_combiner combiner = it->variable->combiner;
  const an_type *type = merged_type(it);
  if (now == NULL && combiner != AN_LWW && !touch->there) return; /* it came and went */
  write_op(out, now != NULL ? 1 : 2);
  write_key(out, it, key);
  if (combiner == AN_SUM) {
    uint64_t value = 0;
    if (now != NULL) memcpy(&value, now, sizeof value);
    const uint64_t by = number_shifted(type->kind, 0, value, touch_number(touch));
    write_text(out, type, &by);
    trial_put_text(out, now != NULL && !touch->there ? AN_TEXT("1") : NO_TEXT);
  } else {
    write_text(out, type, now);
    if (combiner == AN_LWW) write_clock(out, it, touch);
    if (combiner != AN_LWW) trial_put_text(out, NO_TEXT);
  }
}

/* ---- Vecs that are united ---- */

static bool next_item(an_view *texts, an_view *item) { return texts->size > 0 && change_text(texts, item); }

/* Those of the items that are not among the others, of which each takes one away. */
static void write_without(an_buffer *out, an_merge *it, an_view items, an_view others) {
  an_scope *scope = &it->merging->scope;
  an_map left = {0};
  an_view item;
  for (an_view rest = others; next_item(&rest, &item);) {
    const uint64_t *before = an_map_get_text(&left, &merge_counts_type, item);
    const uint64_t count = (before == NULL ? 0 : *before) + 1;
    an_map_set_text(scope, NULL, &merge_counts_type, &left, UINT32_MAX, item, &count);
  }
  for (an_view rest = items; next_item(&rest, &item);) {
    uint64_t *count = (uint64_t *)(uintptr_t)an_map_get_text(&left, &merge_counts_type, item);
    if (count != NULL && *count > 0) {
      --*count;
    } else {
      trial_put_text(out, item);
    }
  }
  if (scope->failed) out->failed = true;
  scope->failed = false;
}

static void write_union(an_buffer *out, an_merge *it, an_view before) {
  const an_mark mark = it->merging->call->arena;
  an_buffer now = {.ahead = it->merging->ahead};
  merge_items(&now, it);
  const an_view items = buffer_view(&now);
  write_op(out, 3);
  trial_put_text(out, NO_TEXT);
  size_t begun = trial_text_begin(out);
  write_without(out, it, before, items);
  trial_text_end(out, begun);
  begun = trial_text_begin(out);
  write_without(out, it, items, before);
  trial_text_end(out, begun);
  if (now.failed) out->failed = true;
  an_buffer_free(&now);
  an_arena_release(&it->merging->call->arena, &mark);
}

/* ---- all of a batch ---- */

/* The number of entries that are told under one lock: handlers come in between. */
enum { MERGE_AT_ONCE = 128 };

/* What an entry of the batch was when the batch began; NULL: it was gone. Of what is no number, the value that it has by now
 * does as well, since it is told again with the next batch. */
static const void *sent_value(const an_merge *it, an_view key) {
  const an_touch *since = touch_find(&it->touched, key);
  if (since == NULL || (since->there && !merge_counts(it))) return merge_value(it, key);
  return since->there ? (const void *)(since + 1) : NULL;
}

/* Those that are gone, or the others, from an entry of `sent` on: which is the next; 0: none. What handlers have changed since
 * the batch began is told again with the next one. */
static uint32_t write_some(an_buffer *out, an_merge *it, uint32_t name, bool gone) {
  for (size_t count = 0; name != 0 && count < MERGE_AT_ONCE; count++) {
    const an_view key = touch_key(&it->sent, name);
    const void *value = sent_value(it, key);
    if ((value == NULL) == gone) write_entry(out, it, key, touch_find(&it->sent, key), value);
    name = touch_next(&it->sent, name);
  }
  return name;
}

static void write_map(an_buffer *out, an_merge *it) {
  an_lock *lock = &it->merging->guard->lock;
  for (int others = 0; others < 2; others++) {
    for (uint32_t name = it->sent.map.oldest; name != 0;) {
      name = write_some(out, it, name, others == 0);
      an_lock_release(lock);
      an_lock_acquire(lock);
    }
  }
}

static void write_number(an_buffer *out, an_merge *it) {
  const an_type *type = it->variable->type;
  const uint64_t now = it->sent_base = number_at(it->place);
  if (now == it->base) return;
  const uint64_t value = it->variable->combiner == AN_SUM ? number_shifted(type->kind, 0, now, it->base) : now;
  write_op(out, 1);
  trial_put_text(out, NO_TEXT);
  write_text(out, type, &value);
  trial_put_text(out, NO_TEXT);
}

/* What has changed since the last batch goes into the request. */
static void merge_gather(an_merge *it) {
  an_buffer *out = &it->request;
  out->size = 0;
  out->failed = false;
  if (merge_is_number(it)) {
    write_number(out, it);
  } else {
    const an_touches spare = it->sent; /* which is empty */
    it->sent = it->touched;
    it->touched = spare;
    if (merge_is_map(it)) {
      write_map(out, it);
    } else if (it->sent.map.size > 0 && merge_unites(it)) {
      write_union(out, it, touch_items(&it->sent));
    } else if (it->sent.map.size > 0) {
      write_entry(out, it, NO_TEXT, touch_find(&it->sent, NO_TEXT), it->place);
    }
  }
  if (out->failed) it->failed = true;
  if (out->size > 0) it->batch++;
  it->unsure = true;
}

/* What the store gets where it has nothing of the variable: what there was before the changes that it is not told yet. */
static void write_first(an_buffer *out, an_merge *it) {
  const an_type *type = it->variable->type;
  if (merge_is_number(it)) {
    write_op(out, 1);
    trial_put_text(out, NO_TEXT);
    write_text(out, type, &it->base);
    return;
  }
  if (!merge_is_map(it)) {
    write_op(out, 1);
    trial_put_text(out, NO_TEXT);
    const size_t begun = trial_text_begin(out);
    if (!merge_unites(it)) an_write_value(out, type, it->place);
    const bool touched = it->touched.map.size + it->sent.map.size > 0;
    const an_view before = touch_items(it->sent.map.size > 0 ? &it->sent : &it->touched);
    if (merge_unites(it) && touched) an_buffer_append(out, before.data, before.size);
    if (merge_unites(it) && !touched) merge_items(out, it);
    trial_text_end(out, begun);
    return;
  }
  const an_map *map = it->place;
  for (uint32_t name = map->oldest; name != 0; name = an_map_entry_at(map, type, name)->newer) {
    an_map_entry *entry = an_map_entry_at(map, type, name);
    const an_view key = merge_key(type, entry + 1);
    const an_touch *touch = touch_find(&it->sent, key);
    if (touch == NULL) touch = touch_find(&it->touched, key);
    if (touch != NULL && !(touch->there && merge_counts(it))) continue;
    write_op(out, 1);
    write_key(out, it, key);
    write_text(out, type->second, touch != NULL ? (const void *)(touch + 1) : (const uint8_t *)entry + type->offset);
  }
}

static void ask_to_meet(an_merge *it, an_view parts[AN_REQUEST_PARTS], size_t *count) {
  it->first.size = 0;
  it->first.failed = false;
  write_first(&it->first, it);
  const an_variable *variable = it->variable;
  const an_view all[] = {AN_TEXT("meet"), it->instance->merges->carrier->id, an_store_name(variable), variable->kind,
                         variable->lasting ? AN_TEXT("1") : NO_TEXT, buffer_view(&it->first),
                         trial_decimal(&it->numbers[0], it->batch)};
  it->asked = AN_MERGE_MEETS;
  *count = sizeof all / sizeof *all;
  memcpy(parts, all, sizeof all);
}

static void ask_to_merge(an_merge *it, an_view parts[AN_REQUEST_PARTS], size_t *count) {
  if (!it->unsure) merge_gather(it);
  const an_view all[] = {AN_TEXT("merge"), it->instance->merges->carrier->id, buffer_view(&it->how),
                         buffer_view(&it->birth), trial_decimal(&it->numbers[0], it->version), buffer_view(&it->request),
                         trial_decimal(&it->numbers[1], it->batch)};
  it->asked = AN_MERGE_MERGES;
  *count = sizeof all / sizeof *all;
  memcpy(parts, all, sizeof all);
}

/* Memory ran out while something was noted: it is given up, and the store tells all that there is. */
static void merge_give_up(an_merge *it) {
  touches_clear(&it->touched);
  touches_clear(&it->sent);
  if (merge_is_number(it)) it->base = number_at(it->place);
  it->unsure = it->failed = it->joined = false;
}

/* What is on trial may be taken back: of what steps change, nothing is told or taken meanwhile. */
static bool merge_alone(an_merge *it) {
  an_merging *merging = it->merging;
  an_guard *guard = merging->guard;
  const bool alone = !it->variable->tried || guard->trying == NULL || guard->trying == merging;
  for (size_t i = 0; it->variable->tried && i < copy_count(it->instance); i++) {
    an_copy *copy = copy_of(it->instance, i);
    if (copy->sharer->element == merging->element) copy->paused = !alone;
  }
  return alone;
}

static void merge_begin(an_merge *it) {
  it->asked_ns = it->instance->services.now_ns(it->instance->services.host);
  if (!it->variable->tried) return;
  it->merging->alone++;
  it->merging->guard->trying = it->merging;
}

static void merge_end(an_merge *it) {
  an_merging *merging = it->merging;
  if (it->asked != AN_MERGE_IDLE && it->variable->tried && --merging->alone == 0) merging->guard->trying = NULL;
  it->asked = AN_MERGE_IDLE;
}

/* The store's Instants are another time now: those of the element are told anew. */
static void merging_follow_clock(an_merging *merging) {
  merging->ahead = clock_ahead(merging->instance);
  for (size_t i = 0; i < merging->count; i++) {
    an_merge *it = &merging->first[i];
    it->request.ahead = it->first.ahead = merging->ahead;
    it->joined = false;
  }
}

bool an_merge_take(an_instance *instance, size_t number, bool due, an_view parts[AN_REQUEST_PARTS], size_t *count) {
  an_merge *it = &instance->merges->variables[number];
  an_lock_acquire(&it->merging->guard->lock);
  *count = 0;
  if (it->asked == AN_MERGE_IDLE && (due || !it->joined || it->failed) && merge_alone(it)) {
    if (it->failed) merge_give_up(it);
    if (it->joined && tells_time(it->variable->type) && clock_jumped(instance, it->merging->ahead)) merging_follow_clock(it->merging);
    merge_begin(it);
    if (!it->joined) {
      ask_to_meet(it, parts, count);
    } else {
      ask_to_merge(it, parts, count);
    }
  }
  an_lock_release(&it->merging->guard->lock);
  return *count > 0;
}

void an_merge_leave(an_instance *instance, an_view parts[AN_REQUEST_PARTS], size_t *count) {
  parts[0] = AN_TEXT("part");
  parts[1] = instance->merges->carrier->id;
  *count = 2;
}
