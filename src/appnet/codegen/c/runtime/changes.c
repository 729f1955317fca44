/* Changes of what an instance has of the store's state, as the store tells them. Behind steps.c, which it is a part of. */

/* What this machine's wall clock is ahead of the one that Instants are told by. */
static uint64_t clock_ahead(const an_instance *instance) {
  const an_services *services = &instance->services;
  return services->wall_ns(services->host) - services->now_ns(services->host);
}

/* The wall clock was set, or the other one stood still while the machine slept. */
static bool clock_jumped(const an_instance *instance, uint64_t ahead) {
  static const uint64_t jump = 1000000000u;
  return clock_ahead(instance) - ahead + jump > 2 * jump;
}

static bool tells_time(const an_type *type) {
  return type != NULL && (type->moment || tells_time(type->first) || tells_time(type->second));
}

static an_view buffer_view(const an_buffer *buffer) { return (an_view){buffer->data, buffer->size}; }

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
  an_heap_note(&copy->guard->heap, value, variable->type->size);
  an_disown(&copy->guard->heap, variable->type, value);
  memset(value, 0, variable->type->size);
}

static bool change_entry(an_copy *copy, an_scope *scope, const an_variable *it, bool set, an_view key, an_view bytes) {
  const an_type *type = it->type;
  an_heap *heap = &copy->guard->heap;
  void *map = *an_variable_at(copy->instance, it);
  const uint32_t capacity = it->part > 0 ? copy->trial.room : it->capacity;
  const bool is_text = type->first->kind == AN_STRING;
  uint64_t number = 0;
  const void *value = set ? an_read_value(scope, type->second, bytes, copy->ahead) : NULL;
  if (set && value == NULL) return false;
  if (!is_text) {
    an_view rest = key;
    if (!change_number(&rest, &number) || rest.size != 0) return false;
    if (type->first->moment) number -= copy->ahead;
  }
  if (set && is_text) an_map_set_text(scope, heap, type, map, capacity, key, value);
  if (set && !is_text) an_map_set_number(scope, heap, type, map, capacity, number, value);
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
