/* What the store answers about weak state. Behind merge_requests.c, as a part of merging.c. */

/* The batch under way is not in the store: what it told is to be told again. */
static void merge_fold_back(an_merge *it) {
  an_touches sent = it->sent;
  it->sent = (an_touches){0};
  for (uint32_t name = sent.map.oldest; name != 0; name = touch_next(&sent, name)) {
    const an_view key = touch_key(&sent, name);
    const an_view *record = an_map_get_text(&sent.map, &merge_touched_type, key);
    const an_touch *later = touch_find(&it->touched, key);
    const bool written = later != NULL;
    const an_touch clock = written ? *later : (an_touch){0};
    touch_put(it, key, *record);
    an_touch *touch = touch_find(&it->touched, key);
    if (touch == NULL || !written) continue;
    touch->wall = clock.wall;
    touch->count = clock.count;
  }
  touches_clear(&sent);
  an_heap_free(&sent.heap);
}

/* Room for one more: the entry that goes for it is told of. */
static void merge_make_room(an_merge *it, const void *there) {
  const an_type *type = it->variable->type;
  const an_map *map = it->place;
  if (there != NULL || map->size < it->variable->capacity || map->oldest == 0) return;
  touch_entry(it, merge_key(type, an_map_entry_at(map, type, map->oldest) + 1));
}

static void map_put(an_merge *it, an_view key, const void *value) {
  const an_type *type = it->variable->type;
  an_heap *heap = &it->merging->guard->heap;
  an_scope *scope = &it->merging->scope;
  uint64_t number = 0;
  if (type->first->kind == AN_STRING) {
    an_map_set_text(scope, heap, type, it->place, it->variable->capacity, key, value);
  } else {
    memcpy(&number, key.data, sizeof number);
    an_map_set_number(scope, heap, type, it->place, it->variable->capacity, number, value);
  }
}

static void map_drop(an_merge *it, an_view key) {
  const an_type *type = it->variable->type;
  an_heap *heap = &it->merging->guard->heap;
  uint64_t number = 0;
  if (type->first->kind == AN_STRING) {
    an_map_delete_text(heap, type, it->place, key);
  } else {
    memcpy(&number, key.data, sizeof number);
    an_map_delete_number(heap, type, it->place, number);
  }
}

/* Whether the entry, which the instance has deleted, was changed by others meanwhile: it stays then, unless clocks decide. */
static bool by_others(const an_merge *it, const an_touch *touch, an_view key, uint64_t store) {
  if (it->variable->combiner == AN_LWW) return false;
  return merge_counts(it) ? !touch->there || store != touch_number(touch) : touch_find(&it->sent, key) == NULL;
}

/* An entry of a Map is another in the store, or gone: `value` is NULL. */
static void take_map_entry(an_merge *it, an_view key, const void *value) {
  an_touch *touch = touch_find(&it->touched, key);
  const void *now = merge_value(it, key);
  if (touch == NULL) {
    if (value == NULL) {
      map_drop(it, key);
    } else {
      merge_make_room(it, now);
      map_put(it, key, value);
    }
    return;
  }
  uint64_t store = 0, here = 0;
  if (merge_counts(it) && value != NULL) memcpy(&store, value, sizeof store);
  if (merge_counts(it) && now != NULL) memcpy(&here, now, sizeof here);
  if (now == NULL && value != NULL && by_others(it, touch, key, store)) {
    const uint64_t left = it->variable->combiner == AN_SUM ? number_rebased(it, store, 0, touch_number(touch)) : store;
    map_put(it, key, merge_counts(it) ? &left : value);
    if (it->variable->combiner != AN_SUM) touch_drop(it, key);
  } else if (merge_counts(it) && now != NULL && (value != NULL || it->variable->combiner == AN_SUM)) {
    const uint64_t rebased = number_rebased(it, store, here, touch_number(touch));
    memcpy((void *)(uintptr_t)now, &rebased, sizeof rebased); /* it stays where it is among the others */
  }
  touch = touch_find(&it->touched, key);
  if (touch != NULL) touch->there = value != NULL;
  if (touch != NULL && merge_counts(it)) memcpy(touch + 1, &store, sizeof store);
}

static void take_number(an_merge *it, uint64_t store) {
  uint64_t now = number_at(it->place), rebased;
  do {
    rebased = number_rebased(it, store, now, it->sent_base);
  } while (!__atomic_compare_exchange_n((uint64_t *)it->place, &now, rebased, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  it->base = it->sent_base = store;
}

static bool take_items(an_merge *it, an_view store) {
  an_merging *merging = it->merging;
  an_scope *scope = &merging->scope;
  const an_type *type = it->variable->type;
  an_buffer now = {.ahead = merging->ahead}, kept = {0}, record = {0};
  an_view items = store, item;
  if (it->touched.map.size > 0) {
    const an_view before = touch_items(&it->touched);
    an_buffer out = {0};
    merge_items(&now, it);
    write_without(&out, it, before, buffer_view(&now));
    write_without(&kept, it, store, buffer_view(&out));
    write_without(&kept, it, buffer_view(&now), before);
    items = buffer_view(&kept);
    const an_touch touch = {.there = 1};
    an_buffer_append(&record, &touch, sizeof touch);
    an_buffer_append(&record, store.data, store.size);
    touch_put(it, NO_TEXT, buffer_view(&record));
    if (out.failed || now.failed || kept.failed || record.failed) it->failed = true;
    an_buffer_free(&out);
  }
  an_vec vec = {0};
  bool whole = true;
  while (whole && next_item(&items, &item)) {
    const void *value = an_read_value(scope, type->first, item, merging->ahead);
    whole = value != NULL;
    if (whole) an_vec_append(scope, NULL, type, &vec, UINT32_MAX, value);
  }
  if (whole && items.size == 0) an_vec_store(scope, &merging->guard->heap, type, it->place, it->variable->capacity, vec);
  whole = whole && items.size == 0;
  an_buffer_free(&now);
  an_buffer_free(&kept);
  an_buffer_free(&record);
  return whole;
}

static bool take_value(an_merge *it, an_view bytes) {
  an_merging *merging = it->merging;
  an_heap *heap = &merging->guard->heap;
  const an_type *type = it->variable->type;
  if (merge_unites(it)) return take_items(it, bytes);
  const void *value = an_read_value(&merging->scope, type, bytes, merging->ahead);
  if (value == NULL) return false;
  if (merge_is_number(it)) {
    uint64_t number;
    memcpy(&number, value, sizeof number);
    take_number(it, number);
  } else if (it->touched.map.size == 0 && type->kind == AN_VEC) {
    an_vec_store(&merging->scope, heap, type, it->place, it->variable->capacity, *(const an_vec *)value);
  } else if (it->touched.map.size == 0) {
    an_store(&merging->scope, heap, type, it->place, value);
  }
  return true;
}

static bool take_change(an_merge *it, bool gone, an_view key, an_view bytes) {
  an_merging *merging = it->merging;
  const an_type *type = it->variable->type;
  if (!merge_is_map(it)) return !gone && key.size == 0 && take_value(it, bytes);
  const void *value = gone ? NULL : an_read_value(&merging->scope, type->second, bytes, merging->ahead);
  if (!gone && value == NULL) return false;
  uint64_t number;
  if (type->first->kind != AN_STRING) {
    an_view rest = key;
    if (!change_number(&rest, &number) || rest.size != 0) return false;
    if (type->first->moment) number -= merging->ahead;
    key = (an_view){(const uint8_t *)&number, sizeof number};
  }
  take_map_entry(it, key, value);
  return true;
}

/* Handlers come in between, unless it is `all` that there is. False: the bytes are no changes, or memory ended. */
static bool take_changes(an_merge *it, an_view bytes, bool all) {
  an_merging *merging = it->merging;
  an_heap *heap = &merging->guard->heap;
  uint64_t evicted = heap->evicted;
  bool whole = true;
  for (size_t count = 1; whole && bytes.size > 0; count++) {
    merging->ticked = false;
    const an_mark mark = merging->call->arena;
    an_view op, key, value;
    whole = change_bytes(&bytes, 1, &op) && change_text(&bytes, &key) && change_text(&bytes, &value) &&
            take_change(it, op.data[0] == 2, key, value) && !merging->scope.failed;
    an_heap_flush(heap);
    an_arena_release(&merging->call->arena, &mark);
    if (all || !whole || count % MERGE_AT_ONCE != 0) continue;
    heap->evicted = evicted;
    an_lock_release(&merging->guard->lock);
    an_lock_acquire(&merging->guard->lock);
    evicted = heap->evicted;
  }
  merging->scope.failed = false;
  heap->evicted = evicted; /* the store tells whoever made it full */
  return whole;
}

/* The store tells all that there is: what it does not tell of is gone. */
static void take_nothing(an_merge *it) {
  const an_type *type = it->variable->type;
  an_map *map = it->place;
  if (!merge_is_map(it)) return;
  for (uint32_t name = map->oldest; name != 0;) {
    an_map_entry *entry = an_map_entry_at(map, type, name);
    const uint32_t next = entry->newer;
    uint64_t number;
    an_view key = merge_key(type, entry + 1);
    if (type->first->kind != AN_STRING) {
      memcpy(&number, key.data, sizeof number);
      key.data = (const uint8_t *)&number;
    }
    if (touch_find(&it->touched, key) == NULL) map_drop(it, key);
    name = next;
  }
  for (uint32_t name = it->touched.map.oldest; name != 0;) {
    const uint32_t next = touch_next(&it->touched, name);
    take_map_entry(it, touch_key(&it->touched, name), NULL);
    name = next;
  }
  an_heap_flush(&it->merging->guard->heap);
}

/* The latest clock that the store has seen: what is written from now on is later. */
static void take_clock(an_merging *merging, an_view clock) {
  an_view rest = clock, count;
  uint64_t wall;
  if (!change_number(&rest, &wall) || !change_bytes(&rest, 4, &count)) return;
  const uint32_t tick = load_le32(count.data);
  if (wall < merging->wall || (wall == merging->wall && tick <= merging->tick)) return;
  merging->wall = wall;
  merging->tick = tick;
}

static bool take_rest(an_merge *it, an_view bytes, bool all) {
  an_view evicted, clock;
  if (!change_bytes(&bytes, 4, &evicted) || !change_text(&bytes, &clock)) return false;
  if (all) take_nothing(it);
  if (!take_changes(it, bytes, all)) return false;
  take_clock(it->merging, clock);
  const uint32_t count = load_le32(evicted.data);
  if (count > 0) an_heap_evicted(&it->merging->guard->heap, count);
  return true;
}

static bool take_met(an_merge *it, an_view bytes) {
  an_view birth;
  uint64_t last;
  if (!change_text(&bytes, &birth) || !change_number(&bytes, &it->version) || !change_number(&bytes, &last)) return false;
  it->birth.size = 0;
  an_buffer_append(&it->birth, birth.data, birth.size);
  const bool in_store = it->unsure && it->request.size > 0 && last >= it->batch;
  if (!in_store) {
    merge_fold_back(it);
    it->sent_base = it->base;
  }
  it->unsure = false;
  if (it->birth.failed || !take_rest(it, bytes, true)) return false;
  it->joined = true;
  return true;
}

static bool take_merged(an_merge *it, an_view bytes) {
  uint64_t version;
  if (!change_number(&bytes, &version)) return false;
  it->unsure = false;
  if (!take_rest(it, bytes, false)) return false;
  it->version = version;
  const uint64_t stale = it->asked_ns - it->fresh_ns;
  if (it->fresh_ns != 0) an_metrics_merged(it->instance, (size_t)(it - it->instance->merges->variables), stale);
  return true;
}

const char *an_merge_answer(an_instance *instance, size_t number, an_view bytes) {
  an_merge *it = &instance->merges->variables[number];
  const char *flaw = NULL;
  an_view status = NO_TEXT;
  an_lock_acquire(&it->merging->guard->lock);
  const bool meets = it->asked == AN_MERGE_MEETS;
  if (it->asked == AN_MERGE_IDLE) {
    /* it has ended: what it is told does not matter */
  } else if (!change_bytes(&bytes, 1, &status) || status.data[0] == 1) {
    flaw = UNREADABLE;
  } else if (status.data[0] == 0) {
    const bool taken = meets ? take_met(it, bytes) : take_merged(it, bytes);
    if (!taken) flaw = UNREADABLE;
    if (taken) it->fresh_ns = it->asked_ns;
  } else if (meets || status.data[0] == 3) {
    flaw = trial_refused(&it->reason, bytes);
  }
  if (flaw != NULL) an_metrics_unmerged(instance, number);
  if (flaw != NULL || (!meets && status.size > 0 && status.data[0] != 0)) it->joined = false;
  merge_end(it);
  an_lock_release(&it->merging->guard->lock);
  if (!it->unsure) touches_clear(&it->sent); /* nobody else looks at it */
  return flaw;
}

/* A batch that may be in the store is sent again as it is, and counts once. */
void an_merge_unanswered(an_instance *instance, size_t number) {
  an_merge *it = &instance->merges->variables[number];
  an_lock_acquire(&it->merging->guard->lock);
  if (it->asked != AN_MERGE_IDLE) an_metrics_unmerged(instance, number);
  merge_end(it);
  an_lock_release(&it->merging->guard->lock);
}

uint64_t an_merge_asked_since(an_instance *instance, size_t number) {
  an_merge *it = &instance->merges->variables[number];
  an_lock_acquire(&it->merging->guard->lock);
  const uint64_t since = it->asked == AN_MERGE_IDLE ? 0 : it->asked_ns;
  an_lock_release(&it->merging->guard->lock);
  return since;
}
