#include "trial.h"

#include "kept.h"
#include "map.h"
#include "octets.h"
#include "state_bytes.h"

enum { TRIAL_MOST_READ = 16 << 10 }; /* bytes: a step that read more than that counts as one that read everything */

/* ---- texts of requests and answers --------------------------------------------------------------------- */

typedef char trial_digits[24];
typedef char trial_reason[256];

static an_view trial_decimal(trial_digits *digits, uint64_t number) {
  char *end = *digits + sizeof *digits, *at = end;
  do {
    *--at = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  return (an_view){(const uint8_t *)at, (size_t)(end - at)};
}

/* What the store said, as far as there is room. */
static const char *trial_refused(trial_reason *reason, an_view said) {
  const size_t size = said.size < sizeof *reason ? said.size : sizeof *reason - 1;
  memcpy(*reason, said.data, size);
  (*reason)[size] = '\0';
  return *reason;
}

/* ---- taking back --------------------------------------------------------------------------------------- */

typedef struct an_note_end {
  void *place;
  size_t size;
} an_note_end;

void an_trial_note(an_trial *trial, const void *place, size_t size) {
  const an_note_end end = {(void *)(uintptr_t)place, size};
  an_buffer_append(&trial->notes, place, size);
  an_buffer_append(&trial->notes, &end, sizeof end);
}

void an_trial_made(an_trial *trial, void *block) { an_buffer_append(&trial->made, &block, sizeof block); }
void an_trial_dropped(an_trial *trial, void *block) { an_buffer_append(&trial->dropped, &block, sizeof block); }

an_trial_mark an_trial_now(const an_trial *trial) {
  return (an_trial_mark){trial->notes.size, trial->made.size, trial->dropped.size};
}

bool an_trial_failed(const an_trial *trial) {
  return trial->notes.failed || trial->made.failed || trial->dropped.failed || trial->changes.failed || trial->steps.failed ||
         trial->read.failed;
}

static void trial_forget(an_buffer *buffer, size_t size) {
  if (size < buffer->size) memmove(buffer->data, buffer->data + size, buffer->size - size);
  buffer->size -= size;
}

/* Drops the blocks that the first `size` bytes name. */
static void drop_blocks(an_heap *heap, const an_buffer *blocks, size_t size) {
  for (size_t at = 0; at < size; at += sizeof(void *)) {
    void *block;
    memcpy(&block, blocks->data + at, sizeof block);
    an_heap_drop(heap, block);
  }
}

void an_trial_keep(an_trial *trial, an_heap *heap, an_trial_mark mark) {
  drop_blocks(heap, &trial->dropped, mark.dropped);
  trial_forget(&trial->notes, mark.notes);
  trial_forget(&trial->made, mark.made);
  trial_forget(&trial->dropped, mark.dropped);
  an_heap_flush(heap);
}

static void trial_empty(an_buffer *buffer) {
  buffer->size = 0;
  buffer->failed = false;
}

void an_trial_undo(an_trial *trial, an_heap *heap) {
  if (an_trial_failed(trial)) { /* not all was noted: it stays, and whoever asks the store again has what is there */
    an_trial_keep(trial, heap, an_trial_now(trial));
  }
  for (size_t at = trial->notes.size; at > 0;) {
    an_note_end end;
    at -= sizeof end;
    memcpy(&end, trial->notes.data + at, sizeof end);
    at -= end.size;
    memcpy(end.place, trial->notes.data + at, end.size);
  }
  drop_blocks(heap, &trial->made, trial->made.size);
  an_heap_flush(heap);
  trial_empty(&trial->notes);
  trial_empty(&trial->made);
  trial_empty(&trial->dropped);
  trial_empty(&trial->changes);
  trial_empty(&trial->steps);
  trial_empty(&trial->read);
}

void an_trial_free(an_trial *trial) {
  an_buffer_free(&trial->notes);
  an_buffer_free(&trial->made);
  an_buffer_free(&trial->dropped);
  an_buffer_free(&trial->changes);
  an_buffer_free(&trial->steps);
  an_buffer_free(&trial->read);
  an_free(trial->touched);
}

/* ---- what the store is told ------------------------------------------------------------------------------ */

static void trial_put_size(an_buffer *out, size_t size) {
  if (size > UINT32_MAX) out->failed = true;
  an_buffer_append_u32(out, (uint32_t)size);
}

static void trial_put_text(an_buffer *out, an_view text) {
  trial_put_size(out, text.size);
  an_buffer_append(out, text.data, text.size);
}

/* A text whose size is known when it has been written. */
static size_t trial_text_begin(an_buffer *out) {
  trial_put_size(out, 0);
  return out->size;
}

static void trial_text_end(an_buffer *out, size_t begun) {
  if (out->failed) return;
  if (out->size - begun > UINT32_MAX) out->failed = true;
  store_le32(out->data + begun - 4, (uint32_t)(out->size - begun));
}

an_view an_store_name(const an_variable *variable) {
  size_t at = variable->name.size;
  while (at > 0 && variable->name.data[at - 1] != '.') at--;
  return (an_view){variable->name.data + at, variable->name.size - at};
}

static void trial_change_begin(an_buffer *out, an_store_change change, an_view name) {
  const uint8_t kind = (uint8_t)change;
  an_buffer_append(out, &kind, 1);
  trial_put_text(out, name);
}

/* `key`, `value`: NULL where the change has none. `type`: of the value. */
static void trial_change(an_buffer *out, an_store_change change, const an_variable *variable, const void *key,
                       const an_type *type, const void *value) {
  trial_change_begin(out, change, an_store_name(variable));
  if (key != NULL && variable->type->first->kind == AN_STRING) {
    trial_put_text(out, *(const an_view *)key);
  } else {
    size_t begun = trial_text_begin(out);
    if (key != NULL) an_write_key(out, variable->type, key);
    trial_text_end(out, begun);
  }
  size_t begun = trial_text_begin(out);
  if (value != NULL) an_write_value(out, type, value);
  trial_text_end(out, begun);
}

static void trial_entries(an_buffer *out, const an_variable *variable, const an_map *map) {
  const an_type *type = variable->type;
  for (uint32_t name = map->oldest; name != 0; name = an_map_entry_at(map, type, name)->newer) {
    const an_map_entry *entry = an_map_entry_at(map, type, name);
    trial_change(out, AN_STORE_SET, variable, entry + 1, type->second, (const uint8_t *)entry + type->offset);
  }
}

void an_store_write(an_buffer *out, const an_variable *variable, const void *value) {
  if (variable->type->kind == AN_MAP) {
    trial_entries(out, variable, value);
  } else {
    trial_change(out, AN_STORE_VALUE, variable, NULL, variable->type, value);
  }
}

/* The variable in the store that the container is; NULL where it is none. */
static const an_variable *trial_in_store(const an_trial *trial, const void *container) {
  const an_program *program = trial->instance->program;
  for (size_t i = 0; i < program->variable_count; i++) {
    const an_variable *it = &program->variables[i];
    if (it->shared && it->element == trial->element && *an_variable_at(trial->instance, it) == container) return it;
  }
  return NULL;
}

/* An entry that was read and then changed need not be named twice. */
static void trial_forget_read(an_trial *trial, size_t change) {
  an_buffer *read = &trial->read, *changes = &trial->changes;
  if (read->size == trial->last_read || read->failed || changes->failed) return;
  const size_t size = read->size - trial->last_read - 1 - 4; /* name and key */
  if (changes->size - change <= size) return;
  if (memcmp(read->data + trial->last_read + 1, changes->data + change + 1, size) == 0) read->size = trial->last_read;
}

static void trial_entry(an_trial *trial, an_store_change kind, const void *map, const void *key, const an_type *type,
                      const void *value) {
  const an_variable *variable = trial_in_store(trial, map);
  const size_t at = trial->changes.size;
  if (variable == NULL) return;
  trial_change(&trial->changes, kind, variable, key, type, value);
  trial_forget_read(trial, at);
}

void an_trial_set(an_trial *trial, const an_type *type, const void *map, const void *key, const void *value) {
  trial_entry(trial, AN_STORE_SET, map, key, type->second, value);
}

void an_trial_delete(an_trial *trial, const an_type *type, const void *map, const void *key) {
  (void)type;
  trial_entry(trial, AN_STORE_DELETE, map, key, NULL, NULL);
}

void an_trial_whole(an_trial *trial, const an_type *type, const void *container) {
  const an_variable *variable = trial_in_store(trial, container);
  if (variable == NULL) return;
  if (type->kind == AN_VEC) {
    trial->touched[variable - trial->instance->program->variables] = true;
    return;
  }
  trial_change(&trial->changes, AN_STORE_CLEAR, variable, NULL, NULL, NULL);
  trial_entries(&trial->changes, variable, container);
}

void an_trial_value(an_trial *trial, const an_variable *variable, const void *value) {
  trial_change(&trial->changes, AN_STORE_VALUE, variable, NULL, variable->type, value);
}

/* ---- what a step reads ------------------------------------------------------------------------------------ */

static void trial_read_all(an_trial *trial, an_view name) {
  trial->last_read = trial->read.size;
  trial_change_begin(&trial->read, AN_STORE_READ_ALL, name);
  trial_put_size(&trial->read, 0);
  trial_put_size(&trial->read, 0);
  trial->last_read = trial->read.size; /* no change says as much */
}

void an_trial_read_all(an_trial *trial, const char *variable) {
  trial_read_all(trial, (an_view){(const uint8_t *)variable, strlen(variable)});
}

static bool trial_knows(const an_variable *variable, const an_map *map, const void *key) {
  if (variable->part == 0) return true;
  if (variable->type->first->kind == AN_STRING) return an_map_get_text(map, variable->type, *(const an_view *)key) != NULL;
  return an_map_get_number(map, variable->type, *(const uint64_t *)key) != NULL;
}

void an_trial_read(an_trial *trial, const an_type *type, const void *map, const void *key) {
  const an_variable *variable = trial_in_store(trial, map);
  (void)type;
  if (variable == NULL) return;
  if (!trial_knows(variable, map, key)) {
    trial_change(&trial->read, AN_STORE_READ_UNKNOWN, variable, key, NULL, NULL);
    trial->last_read = trial->read.size; /* no change says as much */
    trial->unknown++;
    return;
  }
  if (variable->part == 0 && trial->read.size > TRIAL_MOST_READ) {
    trial->read.size = 0;
    an_trial_read_all(trial, "");
    return;
  }
  trial->last_read = trial->read.size;
  trial_change(&trial->read, AN_STORE_READ, variable, key, NULL, NULL);
}

/* Whether an entry has to go depends on how many there are. With room for all that others may have added, it does not: what came
 * with the answer that was under way as the step ran, and with its own. */
uint32_t an_trial_grows(an_trial *trial, const void *map, uint32_t size, uint32_t capacity) {
  const an_variable *variable = trial_in_store(trial, map);
  if (variable != NULL && variable->part > 0) return trial->room;
  if (variable != NULL && (uint64_t)size + 2 * AN_STORE_LOOKS >= capacity) trial_read_all(trial, an_store_name(variable));
  return capacity;
}

bool an_trial_evicts(an_trial *trial, const an_type *type, const void *map, const void *key) {
  const an_variable *variable = trial_in_store(trial, map);
  if (variable != NULL && variable->part > 0) return false;
  an_trial_delete(trial, type, map, key);
  return true;
}

void an_trial_step(an_trial *trial) {
  trial->read.size = trial->last_read = 0;
  trial->begun = trial->changes.size;
}

void an_trial_step_end(an_trial *trial) {
  trial_put_size(&trial->steps, trial->changes.size - trial->begun);
  trial_put_text(&trial->steps, (an_view){trial->read.data, trial->read.size});
}
