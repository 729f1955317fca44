#include "lists.h"
#include "wire_scan.h"

enum { NUMBER_BYTES = 24 }; /* what a length, or a tag and a number, takes at most */

/* Replaces [start, end) of the message by `head`, then `body`, then the tags that end groups. */
typedef struct an_edit {
  size_t start;
  size_t end;
  unsigned depth; /* of the submessage it belongs to: at the same place the inner insertion comes first */
  uint8_t head[NUMBER_BYTES + AN_PATH_DEPTH * 12];
  size_t head_size;
  an_view body;
  uint8_t tail[AN_PATH_DEPTH * 5];
  size_t tail_size;
} an_edit;

/* A submessage that edits lie in. */
typedef struct an_growth {
  an_frame frame;
  size_t parent; /* index + 1 of the growth it lies in; 0: the message itself */
  uint64_t size; /* of its content, after the edits; sizes are sums modulo 2^64, so shrinking is no special case */
} an_growth;

typedef struct an_edits {
  an_edit *edits;
  size_t count;
  an_growth *growths; /* outer ones before those inside them */
  size_t growth_count;
} an_edits;

size_t an_put_varint(uint8_t *to, uint64_t value) {
  size_t size = 0;
  for (; value >= 0x80; value >>= 7) to[size++] = (uint8_t)(value | 0x80);
  to[size++] = (uint8_t)value;
  return size;
}

static size_t put_tag(uint8_t *to, uint32_t number, unsigned type) { return an_put_varint(to, (uint64_t)number << 3 | type); }

static size_t put_fixed(uint8_t *to, uint64_t bits, unsigned size) {
  for (unsigned i = 0; i < size; i++) to[i] = (uint8_t)(bits >> (8 * i));
  return size;
}

static uint64_t zigzag(int64_t value) { return ((uint64_t)value << 1) ^ (0 - (uint64_t)(value < 0)); }

static int32_t wrap32(int64_t value) {
  uint32_t low = (uint32_t)value;
  int32_t wrapped;
  memcpy(&wrapped, &low, sizeof wrapped);
  return wrapped;
}

/* Writes what stands between a field's tag and, for strings, its bytes. */
static size_t put_value(uint8_t *to, uint8_t kind, const an_value *value) {
  uint64_t bits = value->u;
  float narrow;
  uint32_t low;
  switch (kind) {
    case AN_FIELD_BOOL: return an_put_varint(to, value->b ? 1 : 0);
    case AN_FIELD_INT32: case AN_FIELD_ENUM: return an_put_varint(to, (uint64_t)(int64_t)wrap32(value->i));
    case AN_FIELD_SINT32: return an_put_varint(to, (uint32_t)zigzag(wrap32(value->i)));
    case AN_FIELD_SINT64: return an_put_varint(to, zigzag(value->i));
    case AN_FIELD_UINT32: return an_put_varint(to, (uint32_t)bits);
    case AN_FIELD_FIXED32: case AN_FIELD_SFIXED32: return put_fixed(to, bits, 4);
    case AN_FIELD_FIXED64: case AN_FIELD_SFIXED64: return put_fixed(to, bits, 8);
    case AN_FIELD_FLOAT:
      narrow = (float)value->f;
      memcpy(&low, &narrow, sizeof low);
      return put_fixed(to, low, 4);
    case AN_FIELD_DOUBLE:
      memcpy(&bits, &value->f, sizeof bits);
      return put_fixed(to, bits, 8);
    case AN_FIELD_STRING: case AN_FIELD_BYTES: return an_put_varint(to, value->s.size);
    default: return an_put_varint(to, bits);
  }
}

/* ---- fields of many values ------------------------------------------------------------------------------- */

static bool holds_text(uint8_t kind) { return kind == AN_FIELD_STRING || kind == AN_FIELD_BYTES; }

/* Writes a value with its tag, unless `number` is 0; `to` NULL: only tells the size. */
static uint64_t put_item(uint8_t *to, uint32_t number, uint8_t kind, const an_value *value) {
  uint8_t head[NUMBER_BYTES];
  size_t size = number == 0 ? 0 : put_tag(head, number, an_wire_type(kind));
  size += put_value(head + size, kind, value);
  size_t text = holds_text(kind) ? value->s.size : 0;
  if (to != NULL) {
    memcpy(to, head, size);
    if (text > 0) memcpy(to + size, value->s.data, text);
  }
  return (uint64_t)size + text;
}

static uint64_t put_items(uint8_t *to, const an_field *field, const an_vec *items) {
  const size_t item_size = field->type->first->size;
  uint32_t number = field->packed ? 0 : field->numbers[field->depth - 1];
  uint64_t size = 0;
  for (uint32_t i = 0; i < items->size; i++) {
    an_value value = {.s = {NULL, 0}};
    memcpy(&value, an_vec_at(items, item_size, i), item_size);
    size += put_item(to == NULL ? NULL : to + size, number, field->kind, &value);
  }
  return size;
}

static uint64_t put_entries(uint8_t *to, const an_field *field, const an_map *map) {
  const an_type *type = field->type;
  uint64_t size = 0;
  for (uint32_t name = map->oldest; name != 0; name = an_map_entry_at(map, type, name)->newer) {
    const an_map_entry *entry = an_map_entry_at(map, type, name);
    an_value key = {.s = {NULL, 0}}, value = {.s = {NULL, 0}};
    memcpy(&key, entry + 1, holds_text(field->key_kind) ? sizeof key.s : sizeof key.u);
    memcpy(&value, (const uint8_t *)entry + type->offset, type->second->size);
    uint8_t head[NUMBER_BYTES];
    size_t head_size = put_tag(head, field->numbers[field->depth - 1], WIRE_BYTES);
    head_size += an_put_varint(head + head_size,
                            put_item(NULL, 1, field->key_kind, &key) + put_item(NULL, 2, field->kind, &value));
    if (to != NULL) memcpy(to + size, head, head_size);
    size += head_size;
    size += put_item(to == NULL ? NULL : to + size, 1, field->key_kind, &key);
    size += put_item(to == NULL ? NULL : to + size, 2, field->kind, &value);
  }
  return size;
}

static uint64_t put_many(uint8_t *to, const an_field *field, const an_slot *slot) {
  return field->many == AN_MANY_ITEMS ? put_items(to, field, slot->value.many) : put_entries(to, field, slot->value.many);
}

/* The values as they stand on the wire, with their tags unless they are packed. */
static an_splice encode_many(const an_field *field, const an_slot *slot, an_arena *arena, an_view *encoded) {
  uint64_t size = put_many(NULL, field, slot);
  if (size > INT32_MAX) return AN_SPLICE_TOO_LONG;
  uint8_t *data = an_arena_alloc(arena, (size_t)size + 1);
  if (data == NULL) return AN_SPLICE_NO_MEMORY;
  put_many(data, field, slot);
  *encoded = (an_view){data, (size_t)size};
  return AN_SPLICE_DONE;
}

/* Whether what the message has of the field goes: it is cleared, or has many values that are written anew. */
static bool goes(const an_plan *plan, const an_slot *slots, size_t rank) {
  size_t index = plan->order[rank];
  const an_field *field = &plan->side->fields[index];
  return slots[index].cleared || (slots[index].written && (field->many == AN_MANY_ITEMS || field->many == AN_MANY_ENTRIES));
}

static size_t copy_to(uint8_t *to, size_t at, const void *bytes, size_t size) {
  if (to != NULL && size > 0) memcpy(to + at, bytes, size);
  return at + size;
}

/* Copies a part without the records that go, and tells the size of what is left; `to` NULL: only tells it. */
static size_t strip_level(an_scan *scan, const an_slot *slots, an_frame part, size_t low, size_t high, unsigned level,
                          uint8_t *to) {
  size_t size = 0;
  for (size_t at = part.start; at < part.end;) {
    an_wire_record record;
    an_frame frame = {0, 0, 0, false};
    an_wire_next(scan, &record, at, part.end, low, high, level);
    at = record.content;
    bool message = record.role == AN_RECORD_MESSAGE, itself = message && record.inner > record.first;
    if (!(message ? an_wire_enter(scan, &record, &at, part.end, &frame) : an_wire_skip(scan, &record, &at, part.end))) {
      return size;
    }
    if ((record.role == AN_RECORD_FIELD || itself) && goes(scan->plan, slots, record.first)) {
      const an_field *field = &scan->plan->side->fields[scan->plan->order[record.first]];
      if (!message) size += an_wire_kept(scan, field, &record, at, to == NULL ? NULL : to + size);
      continue;
    }
    bool inside = message && record.inner < record.last;
    size_t left = inside ? strip_level(scan, slots, frame, record.inner, record.last, level + 1, NULL) : 0;
    if (!inside || left == frame.end - frame.start) {
      size = copy_to(to, size, scan->data + record.start, at - record.start);
      continue;
    }
    size = copy_to(to, size, scan->data + record.start, record.content - record.start);
    uint8_t length[NUMBER_BYTES];
    if (!frame.group) size = copy_to(to, size, length, an_put_varint(length, left));
    if (to != NULL) strip_level(scan, slots, frame, record.inner, record.last, level + 1, to + size);
    size = copy_to(to, size + left, scan->data + frame.end, frame.group ? at - frame.end : 0);
  }
  return size;
}

/* The message without what goes. */
static an_splice strip(const an_plan *plan, const an_slot *slots, an_arena *arena, an_view *message) {
  size_t rank = 0;
  while (rank < plan->count && !goes(plan, slots, rank)) rank++;
  if (rank == plan->count) return AN_SPLICE_DONE;
  uint8_t *data = an_arena_alloc(arena, message->size + 1);
  if (data == NULL) return AN_SPLICE_NO_MEMORY;
  an_scan scan = {.plan = plan, .data = message->data};
  size_t size = strip_level(&scan, slots, (an_frame){0, 0, message->size, false}, 0, plan->count, 0, data);
  *message = (an_view){data, size};
  return AN_SPLICE_DONE;
}

/* ---- edits ----------------------------------------------------------------------------------------------- */

static uint64_t edit_size(const an_edit *edit) { return (uint64_t)edit->head_size + edit->body.size + edit->tail_size; }

/* What stands between the tags around a field and its bytes. */
static size_t put_head(uint8_t *to, const an_field *field, const an_slot *slot, size_t body_size) {
  uint32_t number = field->numbers[field->depth - 1];
  if (field->many == AN_MANY_NOT) {
    size_t size = put_tag(to, number, an_wire_type(field->kind));
    return size + put_value(to + size, field->kind, &slot->value);
  }
  if (!field->packed || body_size == 0) return 0; /* each has its own tag, or there is none */
  size_t size = put_tag(to, number, WIRE_BYTES);
  return size + an_put_varint(to + size, body_size);
}

/* The edit that writes a field, whose bytes are `body`: at its place, or with the submessages that are missing around
 * it. */
static void write_edit(an_edit *edit, const an_field *field, const an_slot *slot, an_view body, const an_place *place,
                       size_t size) {
  unsigned level = place->depth;
  uint8_t *value_head = edit->head + sizeof edit->head - NUMBER_BYTES; /* built at the end, moved to its place below */
  size_t value_size = put_head(value_head, field, slot, body.size);
  edit->body = body;
  edit->depth = level;
  bool found = place->found && field->many == AN_MANY_NOT; /* what is left of many has no names and stays */
  edit->start = found ? place->start : level > 0 ? place->frames[level - 1].end : size;
  edit->end = found ? place->end : edit->start;
  edit->tail_size = 0;
  uint64_t lengths[AN_PATH_DEPTH]; /* of the missing submessages, by level */
  uint64_t inner = (uint64_t)value_size + edit->body.size;
  uint8_t scratch[NUMBER_BYTES];
  for (unsigned i = field->depth - 1u; i-- > level;) {
    lengths[i] = inner;
    inner += put_tag(scratch, field->numbers[i], WIRE_BYTES);
    if (an_wire_is_group(field, i)) {
      edit->tail_size += put_tag(edit->tail + edit->tail_size, field->numbers[i], WIRE_GROUP_END);
      inner += put_tag(scratch, field->numbers[i], WIRE_GROUP_END);
    } else {
      inner += an_put_varint(scratch, lengths[i]);
    }
  }
  edit->head_size = 0;
  for (unsigned i = level; i + 1u < field->depth; i++) {
    bool group = an_wire_is_group(field, i);
    edit->head_size += put_tag(edit->head + edit->head_size, field->numbers[i], group ? WIRE_GROUP : WIRE_BYTES);
    if (!group) edit->head_size += an_put_varint(edit->head + edit->head_size, lengths[i]);
  }
  memmove(edit->head + edit->head_size, value_head, value_size);
  edit->head_size += value_size;
}

/* The growth of the innermost submessage that encloses a place, made where it is not there yet; index + 1. */
static size_t find_growth(an_edits *edits, const an_place *place) {
  size_t parent = 0;
  for (unsigned level = 0; level < place->depth; level++) {
    const an_frame *frame = &place->frames[level];
    size_t i = 0;
    while (i < edits->growth_count && edits->growths[i].frame.length_at != frame->length_at) i++;
    if (i == edits->growth_count) {
      edits->growths[i] = (an_growth){*frame, parent, frame->end - frame->start};
      edits->growth_count++;
    }
    parent = i + 1;
  }
  return parent;
}

/* Adds to each submessage what its edits add, innermost first, and an edit for its length. False: it got too long. */
static bool fix_lengths(an_edits *edits) {
  for (size_t i = edits->growth_count; i-- > 0;) {
    an_growth *growth = &edits->growths[i];
    if (growth->size > INT32_MAX) return false;
    if (growth->frame.group) { /* it has no length */
      if (growth->parent != 0) {
        edits->growths[growth->parent - 1].size += growth->size - (growth->frame.end - growth->frame.start);
      }
      continue;
    }
    an_edit *edit = &edits->edits[edits->count++];
    edit->start = growth->frame.length_at;
    edit->end = growth->frame.start;
    edit->depth = 0;
    edit->head_size = an_put_varint(edit->head, growth->size);
    edit->body = (an_view){NULL, 0};
    edit->tail_size = 0;
    if (growth->parent != 0) {
      uint64_t before = growth->frame.end - growth->frame.length_at;
      edits->growths[growth->parent - 1].size += edit->head_size + growth->size - before;
    }
  }
  return true;
}

static bool comes_before(const an_edit *left, const an_edit *right) {
  if (left->start != right->start) return left->start < right->start;
  bool left_inserts = left->start == left->end, right_inserts = right->start == right->end;
  if (left_inserts != right_inserts) return left_inserts; /* at the end of one field, before the next begins */
  return left->depth > right->depth;
}

/* Insertion sort: there are as many edits as written fields and submessages around them. Equal ones keep their order. */
static void sort_edits(an_edit **sorted, an_edits *edits) {
  for (size_t i = 0; i < edits->count; i++) {
    size_t at = i;
    for (; at > 0 && comes_before(&edits->edits[i], sorted[at - 1]); at--) sorted[at] = sorted[at - 1];
    sorted[at] = &edits->edits[i];
  }
}

static uint8_t *copy_bytes(uint8_t *to, const void *bytes, size_t size) {
  if (size > 0) memcpy(to, bytes, size);
  return to + size;
}

static an_splice apply_edits(an_view message, an_edit *const *sorted, size_t count, an_arena *arena, an_view *framed) {
  uint64_t size = message.size;
  for (size_t i = 0; i < count; i++) size += edit_size(sorted[i]) - (sorted[i]->end - sorted[i]->start);
  if (size > INT32_MAX) return AN_SPLICE_TOO_LONG;
  uint8_t *data = an_arena_alloc(arena, (size_t)size + 5);
  if (data == NULL) return AN_SPLICE_NO_MEMORY;
  data[0] = 0;
  for (unsigned i = 0; i < 4; i++) data[1 + i] = (uint8_t)(size >> (24 - 8 * i));
  uint8_t *to = data + 5;
  size_t at = 0;
  for (size_t i = 0; i < count; i++) {
    to = copy_bytes(to, message.data + at, sorted[i]->start - at);
    to = copy_bytes(to, sorted[i]->head, sorted[i]->head_size);
    to = copy_bytes(to, sorted[i]->body.data, sorted[i]->body.size);
    to = copy_bytes(to, sorted[i]->tail, sorted[i]->tail_size);
    at = sorted[i]->end;
  }
  copy_bytes(to, message.data + at, message.size - at);
  *framed = (an_view){data, (size_t)size + 5};
  return AN_SPLICE_DONE;
}

/* Collects the edits for the written slots. */
static an_splice collect_edits(const an_plan *plan, an_view message, const an_slot *slots, const an_place *places,
                               an_arena *arena, an_edits *edits) {
  for (size_t rank = 0; rank < plan->count; rank++) {
    const an_field *field = &plan->side->fields[plan->order[rank]];
    const an_slot *slot = &slots[plan->order[rank]];
    if (!slot->written) continue;
    an_view body = holds_text(field->kind) && field->many == AN_MANY_NOT ? slot->value.s : (an_view){NULL, 0};
    if (field->many != AN_MANY_NOT) {
      an_splice encoded = encode_many(field, slot, arena, &body);
      if (encoded != AN_SPLICE_DONE) return encoded;
      if (body.size == 0 && field->oneofs == NULL) continue; /* in a oneof's member, which is then the one that counts */
    }
    if (body.size > INT32_MAX) return AN_SPLICE_TOO_LONG;
    an_edit *edit = &edits->edits[edits->count++];
    write_edit(edit, field, slot, body, &places[rank], message.size);
    size_t growth = find_growth(edits, &places[rank]);
    if (growth != 0) edits->growths[growth - 1].size += edit_size(edit) - (edit->end - edit->start);
  }
  return fix_lengths(edits) ? AN_SPLICE_DONE : AN_SPLICE_TOO_LONG;
}

/* Writes into the message what stands in it itself. */
static an_splice edit(const an_plan *plan, an_view message, const an_slot *slots, an_arena *arena, an_view *framed) {
  size_t written = 0, frames = 0;
  for (size_t rank = 0; rank < plan->count; rank++) {
    if (!slots[plan->order[rank]].written) continue;
    written++;
    frames += plan->side->fields[plan->order[rank]].depth - 1u;
  }
  an_place *places = an_arena_alloc(arena, an_size_mul(plan->count, sizeof(an_place)));
  an_edits edits = {.edits = an_arena_alloc(arena, an_size_mul(written + frames, sizeof(an_edit))),
                    .growths = an_arena_alloc(arena, an_size_mul(frames, sizeof(an_growth)))};
  an_edit **sorted = an_arena_alloc(arena, an_size_mul(written + frames, sizeof(an_edit *)));
  if (places == NULL || edits.edits == NULL || edits.growths == NULL || sorted == NULL) return AN_SPLICE_NO_MEMORY;
  for (size_t i = 0; i < plan->count; i++) {
    places[i].found = false;
    places[i].depth = 0;
  }
  an_scan scan = {.plan = plan, .data = message.data, .places = places};
  an_wire_scan_level(&scan, 0, message.size, 0, plan->count, 0);
  an_splice step = collect_edits(plan, message, slots, places, arena, &edits);
  if (step != AN_SPLICE_DONE) return step;
  sort_edits(sorted, &edits);
  return apply_edits(message, sorted, edits.count, arena, framed);
}

/* ---- many messages ----------------------------------------------------------------------------------------- */

/* What is written within many messages. */
typedef struct an_each {
  an_call *call;
  const an_side *side;
  const an_slot *slots; /* of the message itself; of what stands within many, all that they have */
  uint32_t *next;       /* by field: the value of these that is written next */
  bool *touched;        /* fields of many messages in which something is written */
} an_each;

static an_splice splice(an_each *each, const an_plan *plan, an_view message, const an_slot *slots, an_view *framed);

/* The slots of one of many messages, with what is written in it. */
static an_splice fill_item(an_each *each, const an_plan *plan, an_view item, an_slot *slots) {
  an_scope scope = {.call = each->call};
  memset(slots, 0, each->side->field_count * sizeof(an_slot));
  an_wire_scan_item(plan, item, slots);
  for (size_t rank = 0; rank < plan->count; rank++) {
    if (each->slots[plan->order[rank]].cleared) an_wire_remove(each->side, slots, plan->order[rank]);
  }
  for (size_t rank = 0; rank < plan->count; rank++) {
    size_t index = plan->order[rank];
    const an_field *field = &each->side->fields[index];
    const an_slot *all = &each->slots[index];
    if (!all->written || field->kind == AN_FIELD_MESSAGE) continue;
    const an_vec *values = all->value.many;
    const size_t size = field->type->first->size;
    if (field->many == AN_MANY_NOT) {
      an_slot slot = {.present = true, .written = true};
      memcpy(&slot.value, an_vec_at(values, size, each->next[index]++), size);
      an_wire_claim(each->side, slots, index);
      slots[index] = slot;
      continue;
    }
    uint32_t count = an_count_values(&scope, plan, item, index);
    an_vec *part = an_scope_alloc(&scope, NULL, sizeof *part);
    if (part == NULL) return AN_SPLICE_NO_MEMORY;
    *part = (an_vec){0};
    for (uint32_t i = 0; i < count; i++) {
      an_vec_append(&scope, NULL, field->type, part, UINT32_MAX, an_vec_at(values, size, each->next[index]++));
    }
    if (count > 0) slots[index] = (an_slot){.value.many = part, .present = true, .written = true};
  }
  return scope.failed ? AN_SPLICE_NO_MEMORY : AN_SPLICE_DONE;
}

/* Those of a field's messages that count, in order. */
typedef struct an_living {
  an_vec items;
  uint32_t next;
} an_living;

static bool is_touched(const an_each *each, const an_plan *plan, size_t low, size_t high) {
  for (size_t rank = low; rank < high; rank++) {
    if (each->touched[plan->order[rank]]) return true;
  }
  return false;
}

static void append_delimited(an_buffer *out, const an_scan *scan, const an_wire_record *record, const an_frame *frame,
                             size_t end, an_view content) {
  uint8_t length[NUMBER_BYTES];
  an_buffer_append(out, scan->data + record->start, record->content - record->start);
  if (!frame->group) an_buffer_append(out, length, an_put_varint(length, content.size));
  an_buffer_append(out, content.data, content.size);
  if (frame->group) an_buffer_append(out, scan->data + frame->end, end - frame->end);
}

/* Appends the part with the messages that are written in. */
static an_splice write_items(an_each *each, an_scan *scan, an_living *living, an_frame part, size_t low, size_t high,
                             unsigned level, an_buffer *out) {
  const an_plan *plan = scan->plan;
  an_splice step = AN_SPLICE_DONE;
  for (size_t at = part.start; at < part.end && step == AN_SPLICE_DONE;) {
    an_wire_record record;
    an_frame frame = {0, 0, 0, false};
    an_wire_next(scan, &record, at, part.end, low, high, level);
    at = record.content;
    bool touched = (record.role == AN_RECORD_MESSAGE || record.role == AN_RECORD_FIELD) &&
                   is_touched(each, plan, record.first, record.last);
    bool ok = touched ? an_wire_enter(scan, &record, &at, part.end, &frame) : an_wire_skip(scan, &record, &at, part.end);
    if (!ok) return step;
    an_living *those = touched && record.role == AN_RECORD_FIELD ? &living[plan->order[record.first]] : NULL;
    bool lives = those != NULL && those->next < those->items.size &&
                 ((const an_view *)an_vec_at(&those->items, sizeof(an_view), those->next))->data == scan->data + frame.start;
    if (!lives && (those != NULL || !touched)) {
      an_buffer_append(out, scan->data + record.start, at - record.start);
      continue;
    }
    if (those == NULL) {
      an_buffer inner = {.limit = INT32_MAX};
      step = write_items(each, scan, living, frame, record.inner, record.last, level + 1, &inner);
      if (inner.failed) step = AN_SPLICE_NO_MEMORY;
      append_delimited(out, scan, &record, &frame, at, (an_view){inner.data, inner.size});
      an_buffer_free(&inner);
      continue;
    }
    those->next++;
    const an_mark mark = each->call->arena;
    const an_plan *items = &plan->items[plan->order[record.first]];
    an_slot *slots = an_arena_alloc(&each->call->arena, an_size_mul(each->side->field_count, sizeof(an_slot)));
    if (slots == NULL) return AN_SPLICE_NO_MEMORY;
    const an_view item = {scan->data + frame.start, frame.end - frame.start};
    an_view framed = {NULL, 0};
    step = fill_item(each, items, item, slots);
    if (step == AN_SPLICE_DONE) step = splice(each, items, item, slots, &framed);
    if (step == AN_SPLICE_DONE) {
      append_delimited(out, scan, &record, &frame, at, (an_view){framed.data + 5, framed.size - 5});
    }
    an_arena_release(&each->call->arena, &mark);
  }
  return step;
}

/* The message with what is written within its many messages. */
static an_splice write_each(an_each *each, const an_plan *plan, an_view *message) {
  if (!is_touched(each, plan, 0, plan->count)) return AN_SPLICE_DONE;
  an_scope scope = {.call = each->call};
  an_arena *arena = &each->call->arena;
  an_living *living = an_arena_alloc(arena, an_size_mul(each->side->field_count, sizeof(an_living)));
  if (living == NULL) return AN_SPLICE_NO_MEMORY;
  memset(living, 0, each->side->field_count * sizeof(an_living));
  for (size_t rank = 0; rank < plan->count; rank++) {
    size_t index = plan->order[rank];
    if (each->touched[index]) living[index].items = an_messages_of(&scope, plan, *message, index);
  }
  if (scope.failed) return AN_SPLICE_NO_MEMORY;
  an_buffer out = {.limit = INT32_MAX};
  an_scan scan = {.plan = plan, .data = message->data};
  const an_frame whole = {0, 0, message->size, false};
  an_splice step = write_items(each, &scan, living, whole, 0, plan->count, 0, &out);
  uint8_t *data = out.failed || step != AN_SPLICE_DONE ? NULL : an_arena_alloc(arena, out.size + 1);
  if (step == AN_SPLICE_DONE && data == NULL) step = AN_SPLICE_NO_MEMORY;
  if (data != NULL) {
    copy_bytes(data, out.data, out.size);
    *message = (an_view){data, out.size};
  }
  an_buffer_free(&out);
  return step;
}

static an_splice splice(an_each *each, const an_plan *plan, an_view message, const an_slot *slots, an_view *framed) {
  an_splice step = strip(plan, slots, &each->call->arena, &message);
  if (step == AN_SPLICE_DONE) step = write_each(each, plan, &message);
  return step == AN_SPLICE_DONE ? edit(plan, message, slots, &each->call->arena, framed) : step;
}

an_splice an_wire_splice(const an_plan *plan, an_view message, const an_slot *slots, an_call *call, an_view *framed) {
  const an_side *side = plan->side;
  an_each each = {.call = call, .side = side, .slots = slots};
  if (plan->items == NULL) {
    an_splice step = strip(plan, slots, &call->arena, &message);
    return step == AN_SPLICE_DONE ? edit(plan, message, slots, &call->arena, framed) : step;
  }
  each.next = an_arena_alloc(&call->arena, an_size_mul(side->field_count, sizeof(uint32_t)));
  each.touched = an_arena_alloc(&call->arena, side->field_count);
  if (each.next == NULL || each.touched == NULL) return AN_SPLICE_NO_MEMORY;
  memset(each.next, 0, side->field_count * sizeof(uint32_t));
  memset(each.touched, 0, side->field_count);
  for (size_t i = 0; i < side->field_count; i++) {
    if (!slots[i].written && !slots[i].cleared) continue;
    for (uint16_t around = side->fields[i].within; around != 0; around = side->fields[around - 1].within) {
      each.touched[around - 1] = true;
    }
  }
  return splice(&each, plan, message, slots, framed);
}
