#include "wire_scan.h"

/* ---- plans ------------------------------------------------------------------------------------------ */

static int compare_paths(const an_field *left, const an_field *right) {
  for (unsigned i = 0; i < left->depth && i < right->depth; i++) {
    if (left->numbers[i] != right->numbers[i]) return left->numbers[i] < right->numbers[i] ? -1 : 1;
  }
  return (int)left->depth - (int)right->depth;
}

static bool plan_init(an_plan *plan, const an_side *side) {
  plan->side = side;
  plan->order = an_alloc(an_size_mul(side->field_count + 1, sizeof(size_t)));
  if (plan->order == NULL) return false;
  for (size_t i = 0; i < side->field_count; i++) {
    if (side->fields[i].depth == 0 || side->fields[i].depth > AN_PATH_DEPTH) return false;
    size_t at = i;
    for (; at > 0 && compare_paths(&side->fields[plan->order[at - 1]], &side->fields[i]) > 0; at--) {
      plan->order[at] = plan->order[at - 1];
    }
    if (at > 0 && compare_paths(&side->fields[plan->order[at - 1]], &side->fields[i]) == 0) return false;
    plan->order[at] = i;
  }
  return true;
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
  for (size_t i = 0; i < instance->program->method_count * AN_PLANS; i++) an_free(instance->plans[i].order);
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

/* Skips a group whose start tag was read, and the groups inside it. */
static bool skip_group(an_scan *scan, size_t *at, size_t end, uint32_t number) {
  uint32_t open[AN_GROUP_DEPTH];
  unsigned depth = 0;
  open[depth++] = number;
  while (depth > 0) {
    unsigned type;
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

/* An entry of a map; what it lacks is zero. */
static bool take_entry(an_scan *scan, size_t rank, const an_field *field, size_t at, size_t end) {
  enum { KEY = 1, VALUE = 2 };
  an_value key = {.s = {NULL, 0}}, value = {.s = {NULL, 0}};
  while (at < end) {
    uint32_t number;
    unsigned type;
    if (!read_tag(scan, &at, end, &number, &type)) return false;
    bool ok;
    if (number == KEY && type == an_wire_type(field->key_kind)) {
      ok = read_value(scan, field->key_kind, &at, end, &key);
    } else if (number == VALUE && type == an_wire_type(field->kind)) {
      ok = read_value(scan, field->kind, &at, end, &value);
    } else if (type == WIRE_GROUP) {
      ok = skip_group(scan, &at, end, number);
    } else {
      ok = type == WIRE_GROUP_END ? flawed(scan, "a group ends that did not begin") : skip_scalar(scan, &at, end, type);
    }
    if (!ok) return false;
  }
  collect(scan, rank, &key, &value);
  return true;
}

/* A record of a field of many values: one of them, numbers that are packed, or an entry. */
static bool take_record(an_scan *scan, size_t rank, const an_field *field, unsigned type, size_t *at, size_t end) {
  an_value value = {.s = {NULL, 0}};
  if (field->many == AN_MANY_ITEMS && type == an_wire_type(field->kind)) {
    if (!read_value(scan, field->kind, at, end, &value)) return false;
    collect(scan, rank, NULL, &value);
    return true;
  }
  size_t length;
  if (!read_length(scan, at, end, &length)) return false;
  size_t inner = *at, inner_end = *at + length;
  *at = inner_end;
  if (field->many == AN_MANY_ENTRIES) return take_entry(scan, rank, field, inner, inner_end);
  while (inner < inner_end) {
    if (!read_value(scan, field->kind, &inner, inner_end, &value)) return false;
    collect(scan, rank, NULL, &value);
  }
  return true;
}

/* ---- wanted fields --------------------------------------------------------------------------------------- */

bool an_wire_accepts(const an_field *field, unsigned type) {
  switch (field->many) {
    case AN_MANY_ENTRIES: return type == WIRE_BYTES;
    case AN_MANY_ITEMS: return type == WIRE_BYTES || type == an_wire_type(field->kind);
    default: return type == an_wire_type(field->kind);
  }
}

/* Reads a wanted field of a wire type that it may have, and notes where it stands. */
static bool take_field(an_scan *scan, size_t rank, unsigned type, size_t tag_at, size_t *at, size_t end, unsigned level) {
  size_t index = scan->plan->order[rank];
  const an_field *field = &scan->plan->side->fields[index];
  an_value value = {.u = 0};
  bool ok = field->many != AN_MANY_NOT ? take_record(scan, rank, field, type, at, end)
                                       : read_value(scan, field->kind, at, end, &value);
  if (!ok) return false;
  if (scan->slots != NULL) scan->slots[index] = (an_slot){.value = value, .present = true, .written = false};
  if (scan->places != NULL) {
    an_place *place = &scan->places[rank];
    place->found = true;
    place->start = tag_at;
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

/* A member of a oneof has come, the fields of rank [first, last): what came of the others, among those of rank
 * [low, high), is no more. Where one of them is written, it has to stand behind this one. */
static void clear_rivals(an_scan *scan, size_t low, size_t high, size_t first, size_t last, unsigned level) {
  const an_plan *plan = scan->plan;
  const uint16_t *oneofs = plan->side->fields[plan->order[first]].oneofs;
  if (oneofs == NULL || oneofs[level] == 0) return;
  for (size_t rank = low; rank < high; rank++) {
    const an_field *other = &plan->side->fields[plan->order[rank]];
    bool rival = (rank < first || rank >= last) && other->oneofs != NULL && other->oneofs[level] == oneofs[level];
    if (!rival) continue;
    if (scan->slots != NULL) clear_slot(plan->side, scan->slots, plan->order[rank]);
    if (scan->collector != NULL && scan->collected == rank) scan->collector->clear(scan->collector);
    if (scan->places == NULL) continue;
    scan->places[rank].found = false;
    scan->places[rank].depth = level;
    memcpy(scan->places[rank].frames, scan->frames, level * sizeof(an_frame));
  }
}

/* Notes the submessage just entered as the place to append the still absent fields of the range to. */
static void note_frame(an_scan *scan, size_t low, size_t high, unsigned depth) {
  if (scan->places == NULL) return;
  for (size_t rank = low; rank < high; rank++) {
    an_place *place = &scan->places[rank];
    if (place->found || place->depth > depth) continue;
    place->depth = depth;
    memcpy(place->frames, scan->frames, depth * sizeof(an_frame));
  }
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
  if (record->first == record->last) {
    record->role = AN_RECORD_OTHER;
  } else if (plan->side->fields[plan->order[record->first]].depth == level + 1) {
    bool fits = an_wire_accepts(&plan->side->fields[plan->order[record->first]], record->type);
    record->role = fits ? AN_RECORD_FIELD : AN_RECORD_OTHER;
  } else {
    record->role = record->type == WIRE_BYTES ? AN_RECORD_MESSAGE : AN_RECORD_OTHER;
  }
  return true;
}

bool an_wire_skip(an_scan *scan, const an_wire_record *record, size_t *at, size_t end) {
  if (record->type == WIRE_GROUP) return skip_group(scan, at, end, record->number);
  if (record->type == WIRE_GROUP_END) return flawed(scan, "a group ends that did not begin");
  return skip_scalar(scan, at, end, record->type);
}

bool an_wire_enter(an_scan *scan, size_t *at, size_t end, an_frame *frame) {
  size_t length, length_at = *at;
  if (!read_length(scan, at, end, &length)) return false;
  *frame = (an_frame){length_at, *at, *at + length};
  *at += length;
  return true;
}

bool an_wire_scan_level(an_scan *scan, size_t at, size_t end, size_t low, size_t high, unsigned level) {
  while (at < end) {
    an_wire_record record;
    if (!an_wire_next(scan, &record, at, end, low, high, level)) return false;
    at = record.content;
    if (record.role != AN_RECORD_OTHER) clear_rivals(scan, low, high, record.first, record.last, level);
    if (record.role == AN_RECORD_OTHER) {
      if (!an_wire_skip(scan, &record, &at, end)) return false;
    } else if (record.role == AN_RECORD_FIELD) {
      if (!take_field(scan, record.first, record.type, record.start, &at, end, level)) return false;
    } else {
      an_frame *frame = &scan->frames[level];
      if (!an_wire_enter(scan, &at, end, frame)) return false;
      note_frame(scan, record.first, record.last, level + 1);
      if (!an_wire_scan_level(scan, frame->start, frame->end, record.first, record.last, level + 1)) return false;
    }
  }
  return true;
}

void an_wire_clear(const an_side *side, an_slot *slots) {
  memset(slots, 0, side->field_count * sizeof(an_slot));
  if (side->absent == NULL) return;
  for (size_t i = 0; i < side->field_count; i++) slots[i].value = side->absent[i];
}

void an_wire_clear_rivals(const an_side *side, an_slot *slots, size_t index) {
  const an_field *field = &side->fields[index];
  for (size_t i = 0; i < side->field_count; i++) {
    const an_field *other = &side->fields[i];
    if (other->oneofs == NULL) continue;
    for (unsigned level = 0; level < field->depth && level < other->depth; level++) {
      if (field->numbers[level] == other->numbers[level]) continue;
      if (field->oneofs[level] != 0 && field->oneofs[level] == other->oneofs[level]) clear_slot(side, slots, i);
      break; /* only what shares the way there is a rival */
    }
  }
}

const char *an_wire_scan(const an_plan *plan, an_view message, an_slot *slots) {
  an_scan scan = {.plan = plan, .data = message.data, .slots = slots};
  an_wire_clear(plan->side, slots);
  an_wire_scan_level(&scan, 0, message.size, 0, plan->side->field_count, 0);
  return scan.flaw;
}

void an_wire_collect(const an_plan *plan, an_view message, size_t index, an_collector *collector) {
  an_scan scan = {.plan = plan, .data = message.data, .collector = collector};
  while (plan->order[scan.collected] != index) scan.collected++;
  an_wire_scan_level(&scan, 0, message.size, 0, plan->side->field_count, 0);
}
