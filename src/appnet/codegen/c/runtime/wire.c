#include "wire_scan.h"

/* ---- plans ------------------------------------------------------------------------------------------ */

static int compare_paths(const an_field *left, const an_field *right) {
  for (unsigned i = 0; i < left->depth && i < right->depth; i++) {
    if (left->numbers[i] != right->numbers[i]) return left->numbers[i] < right->numbers[i] ? -1 : 1;
  }
  return (int)left->depth - (int)right->depth;
}

/* The plan of the fields that stand within the field of the number before. */
static bool plan_level(an_plan *plan, const an_side *side, size_t within) {
  plan->side = side;
  plan->order = an_alloc(an_size_mul(side->field_count + 1, sizeof(size_t)));
  if (plan->order == NULL) return false;
  for (size_t i = 0; i < side->field_count; i++) {
    if (side->fields[i].depth == 0 || side->fields[i].depth > AN_PATH_DEPTH) return false;
    if (side->fields[i].within != within) continue;
    size_t at = plan->count++;
    for (; at > 0 && compare_paths(&side->fields[plan->order[at - 1]], &side->fields[i]) > 0; at--) {
      plan->order[at] = plan->order[at - 1];
    }
    if (at > 0 && compare_paths(&side->fields[plan->order[at - 1]], &side->fields[i]) == 0) return false;
    plan->order[at] = i;
  }
  return true;
}

static bool plan_init(an_plan *plan, const an_side *side) {
  if (!plan_level(plan, side, 0)) return false;
  size_t i = 0;
  while (i < side->field_count && side->fields[i].many < AN_MANY_MESSAGES) i++;
  if (i == side->field_count) return true;
  plan->items = an_alloc_zeroed(an_size_mul(side->field_count, sizeof(an_plan)));
  if (plan->items == NULL) return false;
  for (; i < side->field_count; i++) {
    if (side->fields[i].many < AN_MANY_MESSAGES) continue;
    plan->items[i].items = plan->items;
    if (!plan_level(&plan->items[i], side, i + 1)) return false;
  }
  return true;
}

static void plan_free(an_plan *plan) {
  for (size_t i = 0; plan->items != NULL && i < plan->side->field_count; i++) an_free(plan->items[i].order);
  an_free(plan->items);
  an_free(plan->order);
}

bool an_plans_init(an_instance *instance) {
  const an_program *program = instance->program;
  instance->plans = an_alloc_zeroed(an_size_mul(an_size_mul(program->method_count, AN_PLANS) + 1, sizeof(an_plan)));
  if (instance->plans == NULL) return false;
  for (size_t i = 0; i < program->method_count; i++) {
    if (!plan_init(&instance->plans[AN_PLANS * i + AN_PART_REQUEST], &program->methods[i].request)) return false;
    if (!plan_init(&instance->plans[AN_PLANS * i + AN_PART_RESPONSE], &program->methods[i].response)) return false;
    if (!plan_init(&instance->plans[AN_PLANS * i + AN_PART_REPLY], &program->methods[i].reply)) return false;
  }
  return true;
}

void an_plans_free(an_instance *instance) {
  if (instance->plans == NULL) return;
  for (size_t i = 0; i < instance->program->method_count * AN_PLANS; i++) plan_free(&instance->plans[i]);
  an_free(instance->plans);
}

static const an_plan *plan_of_part(const an_call *call, unsigned part) {
  size_t method = (size_t)(call->method - call->instance->program->methods);
  return &call->instance->plans[AN_PLANS * method + part];
}

const an_plan *an_plan_of(const an_call *call, an_direction direction) { return plan_of_part(call, direction); }

const an_plan *an_reply_plan(const an_call *call) { return plan_of_part(call, AN_PART_REPLY); }

/* ---- scanning --------------------------------------------------------------------------------------- */

static bool flawed(an_scan *scan, const char *flaw) {
  scan->flaw = flaw;
  return false;
}

/* Parsers differ in how they read tags and lengths of more than five bytes, so those are refused: what one reads
 * must be what was judged. */
static bool read_varint(an_scan *scan, size_t *at, size_t end, unsigned most, uint64_t *value) {
  uint64_t result = 0;
  for (unsigned i = 0; i < most; i++) {
    if (*at >= end) return flawed(scan, "a varint is cut off");
    uint8_t byte = scan->data[(*at)++];
    if (i == 9 && byte > 1) return flawed(scan, "a varint exceeds 64 bits");
    result |= (uint64_t)(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      *value = result;
      return true;
    }
  }
  return flawed(scan, "a varint is too long");
}

static bool read_tag(an_scan *scan, size_t *at, size_t end, uint32_t *number, unsigned *type) {
  uint64_t tag;
  if (!read_varint(scan, at, end, 5, &tag)) return false;
  if (tag > UINT32_MAX) return flawed(scan, "a tag exceeds 32 bits");
  *number = (uint32_t)(tag >> 3);
  *type = (unsigned)(tag & 7);
  if (*number == 0) return flawed(scan, "a field has number 0");
  return *type <= WIRE_FIXED32 || flawed(scan, "a field has an unknown wire type");
}

static bool read_length(an_scan *scan, size_t *at, size_t end, size_t *length) {
  uint64_t value;
  if (!read_varint(scan, at, end, 5, &value)) return false;
  if (value > end - *at) return flawed(scan, "a length runs past the end");
  *length = (size_t)value;
  return true;
}

static bool skip_scalar(an_scan *scan, size_t *at, size_t end, unsigned type) {
  uint64_t ignored;
  size_t length;
  switch (type) {
    case WIRE_VARINT: return read_varint(scan, at, end, 10, &ignored);
    case WIRE_FIXED64: length = 8; break;
    case WIRE_FIXED32: length = 4; break;
    default:
      if (!read_length(scan, at, end, &length)) return false;
  }
  if (length > end - *at) return flawed(scan, "a fixed-size value is cut off");
  *at += length;
  return true;
}

/* Skips a group whose start tag was read, and the groups inside it; *content_end is where its end tag stands. */
static bool enter_group(an_scan *scan, size_t *at, size_t end, uint32_t number, size_t *content_end) {
  uint32_t open[AN_GROUP_DEPTH];
  unsigned depth = 0;
  open[depth++] = number;
  while (depth > 0) {
    unsigned type;
    *content_end = *at;
    if (*at >= end) return flawed(scan, "a group is not closed");
    if (!read_tag(scan, at, end, &number, &type)) return false;
    if (type == WIRE_GROUP) {
      if (depth == AN_GROUP_DEPTH) return flawed(scan, "groups are nested too deep");
      open[depth++] = number;
    } else if (type == WIRE_GROUP_END) {
      if (open[--depth] != number) return flawed(scan, "a group is closed by another's end");
    } else if (!skip_scalar(scan, at, end, type)) {
      return false;
    }
  }
  return true;
}

static bool skip_group(an_scan *scan, size_t *at, size_t end, uint32_t number) {
  size_t content_end;
  return enter_group(scan, at, end, number, &content_end);
}

unsigned an_wire_type(uint8_t kind) {
  switch (kind) {
    case AN_FIELD_FIXED32: case AN_FIELD_SFIXED32: case AN_FIELD_FLOAT: return WIRE_FIXED32;
    case AN_FIELD_FIXED64: case AN_FIELD_SFIXED64: case AN_FIELD_DOUBLE: return WIRE_FIXED64;
    case AN_FIELD_STRING: case AN_FIELD_BYTES: case AN_FIELD_MESSAGE: return WIRE_BYTES;
    default: return WIRE_VARINT;
  }
}

static uint64_t load_fixed(const uint8_t *bytes, unsigned size) {
  uint64_t value = 0;
  for (unsigned i = 0; i < size; i++) value |= (uint64_t)bytes[i] << (8 * i);
  return value;
}

static int64_t unzigzag(uint64_t bits) { return (int64_t)((bits >> 1) ^ (0 - (bits & 1))); }

/* The value of a number field from the bits on the wire. */
static an_value number_value(uint8_t kind, uint64_t bits) {
  an_value value = {.u = 0};
  uint32_t low = (uint32_t)bits;
  float narrow;
  switch (kind) {
    case AN_FIELD_BOOL: value.b = bits != 0; break;
    case AN_FIELD_INT32: case AN_FIELD_ENUM: case AN_FIELD_SFIXED32: value.i = (int32_t)low; break;
    case AN_FIELD_SINT32: value.i = (int32_t)unzigzag(low); break;
    case AN_FIELD_SINT64: value.i = unzigzag(bits); break;
    case AN_FIELD_UINT32: case AN_FIELD_FIXED32: value.u = low; break;
    case AN_FIELD_FLOAT:
      memcpy(&narrow, &low, sizeof narrow);
      value.f = narrow;
      break;
    case AN_FIELD_DOUBLE: memcpy(&value.f, &bits, sizeof value.f); break;
    default: value.u = bits; break; /* 64-bit kinds: the same bits, read as signed or not */
  }
  return value;
}

/* Reads a value of the kind, in its own wire type. */
static bool read_value(an_scan *scan, uint8_t kind, size_t *at, size_t end, an_value *value) {
  size_t start = *at, length;
  uint64_t bits = 0;
  switch (an_wire_type(kind)) {
    case WIRE_VARINT:
      if (!read_varint(scan, at, end, 10, &bits)) return false;
      *value = number_value(kind, bits);
      return true;
    case WIRE_BYTES:
      if (!read_length(scan, at, end, &length)) return false;
      value->s = (an_view){scan->data + *at, length};
      *at += length;
      return true;
    default:
      if (!skip_scalar(scan, at, end, an_wire_type(kind))) return false;
      *value = number_value(kind, load_fixed(scan->data + start, (unsigned)(*at - start)));
      return true;
  }
}

/* ---- fields of many values ------------------------------------------------------------------------------- */

static void collect(an_scan *scan, size_t rank, const an_value *key, const an_value *value) {
  if (scan->collector != NULL && scan->collected == rank) scan->collector->take(scan->collector, key, value);
}

static bool skip_record(an_scan *scan, size_t *at, size_t end, uint32_t number, unsigned type) {
  if (type == WIRE_GROUP) return skip_group(scan, at, end, number);
  if (type == WIRE_GROUP_END) return flawed(scan, "a group ends that did not begin");
  return skip_scalar(scan, at, end, type);
}

enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };

/* An entry of a map; what it lacks is zero. *named: whether a closed enum has names for whatever stands as its value:
 * an entry that has another is unknown as a whole. */
static bool read_entry(an_scan *scan, const an_field *field, size_t at, size_t end, an_value *key, an_value *value,
                       bool *named) {
  *key = *value = (an_value){.s = {NULL, 0}};
  *named = true;
  const bool scalar = field->many == AN_MANY_ENTRIES;
  while (at < end) {
    uint32_t number;
    unsigned type;
    if (!read_tag(scan, &at, end, &number, &type)) return false;
    bool ok;
    if (number == ENTRY_KEY && type == an_wire_type(field->key_kind)) {
      ok = read_value(scan, field->key_kind, &at, end, key);
    } else if (scalar && number == ENTRY_VALUE && type == an_wire_type(field->kind)) {
      ok = read_value(scan, field->kind, &at, end, value);
      if (ok && field->names != NULL && !an_wire_named(field, value->i)) *named = false;
    } else {
      ok = skip_record(scan, &at, end, number, type);
    }
    if (!ok) return false;
  }
  return true;
}

static bool take_entry(an_scan *scan, size_t rank, const an_field *field, size_t at, size_t end) {
  an_value key, value;
  bool named;
  if (!read_entry(scan, field, at, end, &key, &value, &named)) return false;
  if (named) collect(scan, rank, &key, &value);
  return true;
}

static void collect_item(an_scan *scan, size_t rank, const an_field *field, const an_value *value) {
  if (field->names == NULL || an_wire_named(field, value->i)) collect(scan, rank, NULL, value);
}

/* A record of a field of many values: one of them, numbers that are packed, or an entry. */
static bool take_record(an_scan *scan, size_t rank, const an_field *field, unsigned type, size_t *at, size_t end) {
  an_value value = {.s = {NULL, 0}};
  if (field->many == AN_MANY_ITEMS && type == an_wire_type(field->kind)) {
    if (!read_value(scan, field->kind, at, end, &value)) return false;
    collect_item(scan, rank, field, &value);
    return true;
  }
  size_t length;
  if (!read_length(scan, at, end, &length)) return false;
  size_t inner = *at, inner_end = *at + length;
  *at = inner_end;
  if (field->many == AN_MANY_ENTRIES) return take_entry(scan, rank, field, inner, inner_end);
  while (inner < inner_end) {
    if (!read_value(scan, field->kind, &inner, inner_end, &value)) return false;
    collect_item(scan, rank, field, &value);
  }
  return true;
}

static bool enter(an_scan *scan, bool group, uint32_t number, size_t *at, size_t end, an_frame *frame) {
  size_t start = *at, size;
  if (group) {
    *frame = (an_frame){start, start, start, true};
    return enter_group(scan, at, end, number, &frame->end);
  }
  if (!read_length(scan, at, end, &size)) return false;
  *frame = (an_frame){start, *at, *at + size, false};
  *at += size;
  return true;
}

/* One of many messages. It is looked at when the message that has it is, so that it can be read later without a flaw. */
static bool take_one(an_scan *scan, size_t rank, const an_wire_record *record, size_t *at, size_t end) {
  size_t index = scan->plan->order[rank];
  const an_field *field = &scan->plan->side->fields[index];
  an_frame frame;
  if (!enter(scan, record->type == WIRE_GROUP, record->number, at, end, &frame)) return false;
  an_value key = {.s = {NULL, 0}}, none;
  bool named;
  if (field->many == AN_MANY_KEYED_MESSAGES &&
      !read_entry(scan, field, frame.start, frame.end, &key, &none, &named)) {
    return false;
  }
  if (scan->places == NULL && scan->collector == NULL) {
    const an_plan *items = &scan->plan->items[index];
    an_scan inner = {.plan = items, .data = scan->data};
    if (!an_wire_scan_level(&inner, frame.start, frame.end, 0, items->count, 0)) return flawed(scan, inner.flaw);
  }
  const an_value content = {.s = {scan->data + frame.start, frame.end - frame.start}};
  collect(scan, rank, &key, &content);
  return true;
}

/* ---- wanted fields --------------------------------------------------------------------------------------- */

bool an_wire_accepts(const an_field *field, unsigned type) {
  if (field->kind == AN_FIELD_MESSAGE) {
    return type == (an_wire_is_group(field, field->depth - 1u) ? WIRE_GROUP : WIRE_BYTES);
  }
  switch (field->many) {
    case AN_MANY_ENTRIES: return type == WIRE_BYTES;
    case AN_MANY_ITEMS: return type == WIRE_BYTES || type == an_wire_type(field->kind);
    default: return type == an_wire_type(field->kind);
  }
}

/* Reads a wanted field of a wire type that it may have, and notes where it stands. */
static bool take_field(an_scan *scan, const an_wire_record *record, size_t *at, size_t end, unsigned level) {
  size_t rank = record->first, index = scan->plan->order[rank];
  const an_field *field = &scan->plan->side->fields[index];
  an_value value = {.u = 0};
  bool ok = field->kind == AN_FIELD_MESSAGE ? take_one(scan, rank, record, at, end)
            : field->many != AN_MANY_NOT    ? take_record(scan, rank, field, record->type, at, end)
                                            : read_value(scan, field->kind, at, end, &value);
  if (!ok) return false;
  if (scan->slots != NULL) scan->slots[index] = (an_slot){.value = value, .present = true};
  if (scan->places != NULL) {
    an_place *place = &scan->places[rank];
    place->found = true;
    place->start = record->start;
    place->end = *at;
    place->depth = level;
    memcpy(place->frames, scan->frames, level * sizeof(an_frame));
  }
  return true;
}

static void clear_slot(const an_side *side, an_slot *slots, size_t index) {
  slots[index] = (an_slot){.value = {.u = 0}};
  if (side->absent != NULL) slots[index].value = side->absent[index];
}

/* What is written to the field has to stand behind the record in hand. */
static void stand_behind(an_scan *scan, size_t rank, unsigned level) {
  if (scan->places == NULL) return;
  scan->places[rank].found = false;
  scan->places[rank].depth = level;
  memcpy(scan->places[rank].frames, scan->frames, level * sizeof(an_frame));
}

static uint16_t oneof_of(const an_field *field, unsigned level) {
  return field->oneofs == NULL || level >= field->depth ? 0 : field->oneofs[level];
}

/* A member of a oneof has come, the fields of rank [first, last): what came of the others, among those of rank
 * [low, high), is no more. Where one of them is written, it has to stand behind this one. */
static void clear_rivals(an_scan *scan, const an_wire_record *record, size_t low, size_t high, unsigned level) {
  const an_plan *plan = scan->plan;
  uint16_t oneof = oneof_of(&plan->side->fields[plan->order[record->first]], level);
  if (oneof == 0) return;
  for (size_t rank = low; rank < high; rank++) {
    if (rank >= record->first && rank < record->last) continue;
    if (oneof_of(&plan->side->fields[plan->order[rank]], level) != oneof) continue;
    if (scan->slots != NULL) clear_slot(plan->side, scan->slots, plan->order[rank]);
    if (scan->collector != NULL && scan->collected == rank) scan->collector->clear(scan->collector);
    stand_behind(scan, rank, level);
  }
}

/* A number without a name: some receivers take it for the field's value, so what is written to the field, or to
 * another member of its oneof, has to stand behind it. */
static void note_unnamed(an_scan *scan, const an_wire_record *record, size_t low, size_t high, unsigned level) {
  const an_plan *plan = scan->plan;
  uint16_t oneof = oneof_of(&plan->side->fields[plan->order[record->first]], level);
  for (size_t rank = low; rank < high; rank++) {
    bool rival = oneof != 0 && oneof_of(&plan->side->fields[plan->order[rank]], level) == oneof;
    if (rank == record->first || rival) stand_behind(scan, rank, level);
  }
}

/* Notes the submessage just entered: that it is there, and as the place to append the still absent fields of the range
 * to. */
static void note_frame(an_scan *scan, const an_wire_record *record, unsigned depth) {
  if (scan->slots != NULL && record->inner > record->first) {
    scan->slots[scan->plan->order[record->first]].present = true;
  }
  if (scan->places == NULL) return;
  for (size_t rank = record->first; rank < record->last; rank++) {
    an_place *place = &scan->places[rank];
    if (place->found || place->depth > depth) continue;
    place->depth = depth;
    memcpy(place->frames, scan->frames, depth * sizeof(an_frame));
  }
}

/* What a record of fields is that are wanted. */
static an_wire_role role_of(an_scan *scan, an_wire_record *record, size_t end, unsigned level) {
  const an_plan *plan = scan->plan;
  const an_field *field = &plan->side->fields[plan->order[record->first]];
  if (field->depth > level + 1 || (field->kind == AN_FIELD_MESSAGE && field->many == AN_MANY_NOT)) {
    record->inner = record->first + (field->depth == level + 1);
    return record->type == (an_wire_is_group(field, level) ? WIRE_GROUP : WIRE_BYTES) ? AN_RECORD_MESSAGE
                                                                                      : AN_RECORD_OTHER;
  }
  if (!an_wire_accepts(field, record->type)) return AN_RECORD_OTHER;
  if (field->names == NULL || field->many != AN_MANY_NOT) return AN_RECORD_FIELD;
  size_t at = record->content;
  an_scan ahead = {.data = scan->data};
  an_value value;
  bool unnamed = read_value(&ahead, field->kind, &at, end, &value) && !an_wire_named(field, value.i);
  return unnamed ? AN_RECORD_UNNAMED : AN_RECORD_FIELD;
}

bool an_wire_next(an_scan *scan, an_wire_record *record, size_t at, size_t end, size_t low, size_t high, unsigned level) {
  const an_plan *plan = scan->plan;
  record->start = at;
  if (!read_tag(scan, &at, end, &record->number, &record->type)) return false;
  record->content = at;
  record->first = low;
  while (record->first < high && plan->side->fields[plan->order[record->first]].numbers[level] != record->number) {
    record->first++;
  }
  record->last = record->first;
  while (record->last < high && plan->side->fields[plan->order[record->last]].numbers[level] == record->number) {
    record->last++;
  }
  record->role = record->first == record->last ? AN_RECORD_OTHER : role_of(scan, record, end, level);
  return true;
}

bool an_wire_skip(an_scan *scan, const an_wire_record *record, size_t *at, size_t end) {
  return skip_record(scan, at, end, record->number, record->type);
}

bool an_wire_enter(an_scan *scan, const an_wire_record *record, size_t *at, size_t end, an_frame *frame) {
  return enter(scan, record->type == WIRE_GROUP, record->number, at, end, frame);
}

bool an_wire_scan_level(an_scan *scan, size_t at, size_t end, size_t low, size_t high, unsigned level) {
  while (at < end) {
    an_wire_record record;
    if (!an_wire_next(scan, &record, at, end, low, high, level)) return false;
    at = record.content;
    bool ok = true;
    switch (record.role) {
      case AN_RECORD_UNNAMED:
        note_unnamed(scan, &record, low, high, level);
        ok = an_wire_skip(scan, &record, &at, end);
        break;
      case AN_RECORD_FIELD:
        clear_rivals(scan, &record, low, high, level);
        ok = take_field(scan, &record, &at, end, level);
        break;
      case AN_RECORD_MESSAGE: {
        an_frame *frame = &scan->frames[level];
        clear_rivals(scan, &record, low, high, level);
        ok = an_wire_enter(scan, &record, &at, end, frame);
        if (!ok) break;
        note_frame(scan, &record, level + 1);
        if (record.inner == record.last) break;
        ok = an_wire_scan_level(scan, frame->start, frame->end, record.inner, record.last, level + 1);
        break;
      }
      default: ok = an_wire_skip(scan, &record, &at, end);
    }
    if (!ok) return false;
  }
  return true;
}

size_t an_wire_kept(const an_scan *scan, const an_field *field, const an_wire_record *record, size_t end, uint8_t *to) {
  if (field->names == NULL) return 0;
  an_scan again = {.data = scan->data};
  size_t at = record->content, length = 0, size = 0;
  an_value key, value;
  bool named = true;
  if (field->many == AN_MANY_ITEMS && record->type == WIRE_BYTES) { /* packed: each that stays has a record of its own */
    read_length(&again, &at, end, &length);
    for (size_t packed_end = at + length; at < packed_end;) {
      size_t from = at;
      read_value(&again, field->kind, &at, packed_end, &value);
      if (an_wire_named(field, value.i)) continue;
      uint8_t tag[10];
      size_t tag_size = an_put_varint(tag, (uint64_t)record->number << 3 | WIRE_VARINT);
      if (to != NULL) memcpy(to + size, tag, tag_size);
      if (to != NULL) memcpy(to + size + tag_size, scan->data + from, at - from);
      size += tag_size + (at - from);
    }
    return size;
  }
  if (field->many == AN_MANY_ITEMS) {
    read_value(&again, field->kind, &at, end, &value);
    named = an_wire_named(field, value.i);
  } else if (field->many == AN_MANY_ENTRIES) {
    read_length(&again, &at, end, &length);
    read_entry(&again, field, at, at + length, &key, &value, &named);
  }
  if (named) return 0;
  if (to != NULL) memcpy(to, scan->data + record->start, end - record->start);
  return end - record->start;
}

void an_wire_clear(const an_side *side, an_slot *slots) {
  memset(slots, 0, side->field_count * sizeof(an_slot));
  if (side->absent == NULL) return;
  for (size_t i = 0; i < side->field_count; i++) {
    if (side->fields[i].within == 0) slots[i].value = side->absent[i];
  }
}

bool an_wire_changed(const an_side *side, const an_slot *slots) {
  for (size_t i = 0; i < side->field_count; i++) {
    if (slots[i].written || slots[i].cleared) return true;
  }
  return false;
}

/* ---- slots that handlers change --------------------------------------------------------------------------- */

/* Of the fields that stand within the same messages as this one, that which the one of the index is, or stands in; NULL:
 * it stands elsewhere. */
static const an_field *beside(const an_side *side, size_t index, const an_field *field) {
  const an_field *other = &side->fields[index];
  while (other->within != field->within && other->within != 0) other = &side->fields[other->within - 1];
  return other->within == field->within ? other : NULL;
}

static bool begins_with(const an_field *field, const an_field *start) {
  if (field->depth < start->depth) return false;
  for (unsigned i = 0; i < start->depth; i++) {
    if (field->numbers[i] != start->numbers[i]) return false;
  }
  return true;
}

/* The message has the field no more, nor what is in it. */
static void lose(const an_side *side, an_slot *slots, const an_field *lost) {
  for (size_t i = 0; i < side->field_count; i++) {
    const an_field *other = beside(side, i, lost);
    if (other == NULL || !begins_with(other, lost)) continue;
    bool there = slots[i].present || slots[i].cleared;
    slots[i] = (an_slot){.value = {.u = 0}};
    if (other != &side->fields[i]) continue;
    if (side->absent != NULL) slots[i].value = side->absent[i];
    slots[i].cleared = there && other->depth == lost->depth;
  }
}

/* Whether two fields of the message are in different members of a oneof; *level: which number tells. */
static bool are_rivals(const an_field *field, const an_field *other, unsigned *level) {
  if (field->oneofs == NULL || other->oneofs == NULL) return false;
  for (unsigned i = 0; i < field->depth && i < other->depth; i++) {
    if (field->numbers[i] == other->numbers[i]) continue;
    *level = i;
    return field->oneofs[i] != 0 && field->oneofs[i] == other->oneofs[i];
  }
  return false;
}

/* What the message had of the oneof's members before must not come back. */
static void clear_members(const an_side *side, an_slot *slots, const an_field *field, unsigned level) {
  for (size_t i = 0; i < side->field_count; i++) {
    const an_field *other = &side->fields[i];
    if (other->within != field->within || other->depth != level + 1u || other == field) continue;
    unsigned parting;
    if (begins_with(field, other) || (are_rivals(field, other, &parting) && parting == level)) slots[i].cleared = true;
  }
}

void an_wire_claim(const an_side *side, an_slot *slots, size_t index) {
  const an_field *field = &side->fields[index];
  for (size_t i = 0; i < side->field_count; i++) {
    const an_field *other = &side->fields[i];
    unsigned level;
    if (other->within != field->within) continue;
    if (other->kind == AN_FIELD_MESSAGE && other->many == AN_MANY_NOT && i != index && begins_with(field, other)) {
      slots[i].present = true;
    } else if (are_rivals(field, other, &level)) {
      bool there = slots[i].present;
      lose(side, slots, other);
      if (there && other->depth == level + 1u) clear_members(side, slots, field, level);
    }
  }
}

void an_wire_remove(const an_side *side, an_slot *slots, size_t index) {
  const an_field *field = &side->fields[index];
  if (!slots[index].present) return;
  lose(side, slots, field);
  if (field->oneofs != NULL && field->oneofs[field->depth - 1] != 0) {
    clear_members(side, slots, field, field->depth - 1u);
  }
}

/* ---- whole messages ------------------------------------------------------------------------------------------ */

const char *an_wire_scan(const an_plan *plan, an_view message, an_slot *slots) {
  an_scan scan = {.plan = plan, .data = message.data, .slots = slots};
  an_wire_clear(plan->side, slots);
  an_wire_scan_level(&scan, 0, message.size, 0, plan->count, 0);
  return scan.flaw;
}

void an_wire_scan_item(const an_plan *plan, an_view message, an_slot *slots) {
  an_scan scan = {.plan = plan, .data = message.data, .slots = slots};
  for (size_t rank = 0; rank < plan->count; rank++) clear_slot(plan->side, slots, plan->order[rank]);
  an_wire_scan_level(&scan, 0, message.size, 0, plan->count, 0);
}

void an_wire_collect(const an_plan *plan, an_view message, size_t index, an_collector *collector) {
  an_scan scan = {.plan = plan, .data = message.data, .collector = collector};
  while (plan->order[scan.collected] != index) scan.collected++;
  an_wire_scan_level(&scan, 0, message.size, 0, plan->count, 0);
}
