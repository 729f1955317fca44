#include "map.h"
#include "vec.h"
#include "wire_scan.h"

enum { NUMBER_BYTES = 24 }; /* what a length, or a tag and a number, takes at most */

/* Replaces [start, end) of the message by `head` and then `body`. */
typedef struct an_edit {
  size_t start;
  size_t end;
  unsigned depth; /* of the submessage it belongs to: at the same place the inner insertion comes first */
  uint8_t head[NUMBER_BYTES + AN_PATH_DEPTH * 12];
  size_t head_size;
  an_view body;
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

static size_t put_varint(uint8_t *to, uint64_t value) {
  size_t size = 0;
  for (; value >= 0x80; value >>= 7) to[size++] = (uint8_t)(value | 0x80);
  to[size++] = (uint8_t)value;
  return size;
}

static size_t put_tag(uint8_t *to, uint32_t number, unsigned type) { return put_varint(to, (uint64_t)number << 3 | type); }

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
    case AN_FIELD_BOOL: return put_varint(to, value->b ? 1 : 0);
    case AN_FIELD_INT32: case AN_FIELD_ENUM: return put_varint(to, (uint64_t)(int64_t)wrap32(value->i));
    case AN_FIELD_SINT32: return put_varint(to, (uint32_t)zigzag(wrap32(value->i)));
    case AN_FIELD_SINT64: return put_varint(to, zigzag(value->i));
    case AN_FIELD_UINT32: return put_varint(to, (uint32_t)bits);
    case AN_FIELD_FIXED32: case AN_FIELD_SFIXED32: return put_fixed(to, bits, 4);
    case AN_FIELD_FIXED64: case AN_FIELD_SFIXED64: return put_fixed(to, bits, 8);
    case AN_FIELD_FLOAT:
      narrow = (float)value->f;
      memcpy(&low, &narrow, sizeof low);
      return put_fixed(to, low, 4);
    case AN_FIELD_DOUBLE:
      memcpy(&bits, &value->f, sizeof bits);
      return put_fixed(to, bits, 8);
    case AN_FIELD_STRING: case AN_FIELD_BYTES: return put_varint(to, value->s.size);
    default: return put_varint(to, bits);
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
    head_size += put_varint(head + head_size,
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

static bool replaces_many(const an_plan *plan, const an_slot *slots, size_t rank) {
  size_t index = plan->order[rank];
  return slots[index].written && plan->side->fields[index].many != AN_MANY_NOT;
}

/* Copies a part without the records of fields of many values that are written, and tells the size of what is left;
 * `to` NULL: only tells it. */
static size_t strip_level(an_scan *scan, const an_slot *slots, an_frame part, size_t low, size_t high, unsigned level,
                          uint8_t *to) {
  size_t size = 0;
  for (size_t at = part.start; at < part.end;) {
    an_wire_record record;
    an_frame frame = {0, 0, 0};
    an_wire_next(scan, &record, at, part.end, low, high, level);
    at = record.content;
    bool message = record.role == AN_RECORD_MESSAGE;
    if (!(message ? an_wire_enter(scan, &at, part.end, &frame) : an_wire_skip(scan, &record, &at, part.end))) return size;
    if (record.role == AN_RECORD_FIELD && replaces_many(scan->plan, slots, record.first)) continue;
    size_t left = message ? strip_level(scan, slots, frame, record.first, record.last, level + 1, NULL) : 0;
    if (!message || left == frame.end - frame.start) {
      if (to != NULL) memcpy(to + size, scan->data + record.start, at - record.start);
      size += at - record.start;
      continue;
    }
    uint8_t length[NUMBER_BYTES];
    size_t tag_size = record.content - record.start, length_size = put_varint(length, left);
    if (to != NULL) {
      memcpy(to + size, scan->data + record.start, tag_size);
      memcpy(to + size + tag_size, length, length_size);
      strip_level(scan, slots, frame, record.first, record.last, level + 1, to + size + tag_size + length_size);
    }
    size += tag_size + length_size + left;
  }
  return size;
}

/* The message without the fields of many values that are written. */
static an_splice strip(const an_plan *plan, const an_slot *slots, an_arena *arena, an_view *message) {
  size_t rank = 0, fields = plan->side->field_count;
  while (rank < fields && !replaces_many(plan, slots, rank)) rank++;
  if (rank == fields) return AN_SPLICE_DONE;
  uint8_t *data = an_arena_alloc(arena, message->size + 1);
  if (data == NULL) return AN_SPLICE_NO_MEMORY;
  an_scan scan = {.plan = plan, .data = message->data};
  size_t size = strip_level(&scan, slots, (an_frame){0, 0, message->size}, 0, fields, 0, data);
  *message = (an_view){data, size};
  return AN_SPLICE_DONE;
}

/* ---- edits ----------------------------------------------------------------------------------------------- */

static uint64_t edit_size(const an_edit *edit) { return (uint64_t)edit->head_size + edit->body.size; }

/* What stands between the tags around a field and its bytes. */
static size_t put_head(uint8_t *to, const an_field *field, const an_slot *slot, size_t body_size) {
  uint32_t number = field->numbers[field->depth - 1];
  if (field->many == AN_MANY_NOT) {
    size_t size = put_tag(to, number, an_wire_type(field->kind));
    return size + put_value(to + size, field->kind, &slot->value);
  }
  if (!field->packed || body_size == 0) return 0; /* each has its own tag, or there is none */
  size_t size = put_tag(to, number, WIRE_BYTES);
  return size + put_varint(to + size, body_size);
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
  edit->start = place->found ? place->start : level > 0 ? place->frames[level - 1].end : size;
  edit->end = place->found ? place->end : edit->start;
  uint64_t lengths[AN_PATH_DEPTH]; /* of the missing submessages, by level */
  uint64_t inner = (uint64_t)value_size + edit->body.size;
  uint8_t scratch[NUMBER_BYTES];
  for (unsigned i = field->depth - 1u; i-- > level;) {
    lengths[i] = inner;
    inner += put_tag(scratch, field->numbers[i], WIRE_BYTES) + put_varint(scratch, lengths[i]);
  }
  edit->head_size = 0;
  for (unsigned i = level; i + 1u < field->depth; i++) {
    edit->head_size += put_tag(edit->head + edit->head_size, field->numbers[i], WIRE_BYTES);
    edit->head_size += put_varint(edit->head + edit->head_size, lengths[i]);
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
    an_edit *edit = &edits->edits[edits->count++];
    edit->start = growth->frame.length_at;
    edit->end = growth->frame.start;
    edit->depth = 0;
    edit->head_size = put_varint(edit->head, growth->size);
    edit->body = (an_view){NULL, 0};
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
    at = sorted[i]->end;
  }
  copy_bytes(to, message.data + at, message.size - at);
  *framed = (an_view){data, (size_t)size + 5};
  return AN_SPLICE_DONE;
}

/* Collects the edits for the written slots. */
static an_splice collect_edits(const an_plan *plan, an_view message, const an_slot *slots, const an_place *places,
                               an_arena *arena, an_edits *edits) {
  for (size_t rank = 0; rank < plan->side->field_count; rank++) {
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

an_splice an_wire_splice(const an_plan *plan, an_view message, const an_slot *slots, an_arena *arena, an_view *framed) {
  size_t fields = plan->side->field_count, written = 0, frames = 0;
  for (size_t i = 0; i < fields; i++) {
    if (!slots[i].written) continue;
    written++;
    frames += plan->side->fields[i].depth - 1u;
  }
  an_place *places = an_arena_alloc(arena, an_size_mul(fields, sizeof(an_place)));
  an_edits edits = {.edits = an_arena_alloc(arena, an_size_mul(written + frames, sizeof(an_edit))),
                    .growths = an_arena_alloc(arena, an_size_mul(frames, sizeof(an_growth)))};
  an_edit **sorted = an_arena_alloc(arena, an_size_mul(written + frames, sizeof(an_edit *)));
  if (places == NULL || edits.edits == NULL || edits.growths == NULL || sorted == NULL) return AN_SPLICE_NO_MEMORY;
  an_splice step = strip(plan, slots, arena, &message);
  if (step != AN_SPLICE_DONE) return step;
  for (size_t i = 0; i < fields; i++) {
    places[i].found = false;
    places[i].depth = 0;
  }
  an_scan scan = {.plan = plan, .data = message.data, .places = places};
  an_wire_scan_level(&scan, 0, message.size, 0, fields, 0);
  step = collect_edits(plan, message, slots, places, arena, &edits);
  if (step != AN_SPLICE_DONE) return step;
  sort_edits(sorted, &edits);
  return apply_edits(message, sorted, edits.count, arena, framed);
}
