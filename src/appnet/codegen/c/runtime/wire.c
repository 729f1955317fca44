#include "wire.h"

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
  const an_chain *chain = instance->chain;
  instance->plans = an_alloc_zeroed(an_size_mul(an_size_mul(chain->method_count, AN_PLANS) + 1, sizeof(an_plan)));
  if (instance->plans == NULL) return false;
  for (size_t i = 0; i < chain->method_count; i++) {
    if (!plan_init(&instance->plans[AN_PLANS * i + AN_REQUEST], &chain->methods[i].request)) return false;
    if (!plan_init(&instance->plans[AN_PLANS * i + AN_RESPONSE], &chain->methods[i].response)) return false;
    if (!plan_init(&instance->plans[AN_PLANS * i + AN_REPLY_PLAN], &chain->methods[i].reply)) return false;
  }
  return true;
}

void an_plans_free(an_instance *instance) {
  if (instance->plans == NULL) return;
  for (size_t i = 0; i < instance->chain->method_count * AN_PLANS; i++) an_free(instance->plans[i].order);
  an_free(instance->plans);
}

/* ---- scanning --------------------------------------------------------------------------------------- */

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_GROUP = 3, WIRE_GROUP_END = 4, WIRE_FIXED32 = 5 };

/* An occurrence of a submessage: where its length stands, and its content. */
typedef struct an_frame {
  size_t length_at;
  size_t start;
  size_t end;
} an_frame;

/* Where a field stands, or, where it is absent, the deepest submessage on its path that is there. */
typedef struct an_place {
  bool found;
  size_t start; /* of its last occurrence, tag included */
  size_t end;
  unsigned depth; /* submessages that enclose it */
  an_frame frames[AN_PATH_DEPTH];
} an_place;

typedef struct an_scan {
  const an_plan *plan;
  const uint8_t *data;
  an_slot *slots;   /* NULL: values are not wanted */
  an_place *places; /* by place in the plan's order; NULL: places are not wanted */
  const char *flaw;
  an_frame frames[AN_PATH_DEPTH];
} an_scan;

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

static unsigned wire_type(uint8_t kind) {
  switch (kind) {
    case AN_FIELD_FIXED32: case AN_FIELD_SFIXED32: case AN_FIELD_FLOAT: return WIRE_FIXED32;
    case AN_FIELD_FIXED64: case AN_FIELD_SFIXED64: case AN_FIELD_DOUBLE: return WIRE_FIXED64;
    case AN_FIELD_STRING: case AN_FIELD_BYTES: return WIRE_BYTES;
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

/* Reads the value of a wanted field of the right wire type and notes where the field stands. */
static bool take_field(an_scan *scan, size_t rank, size_t tag_at, size_t *at, size_t end, unsigned level) {
  size_t index = scan->plan->order[rank];
  uint8_t kind = scan->plan->side->fields[index].kind;
  an_value value = {.u = 0};
  size_t start = *at, length;
  uint64_t bits = 0;
  switch (wire_type(kind)) {
    case WIRE_VARINT:
      if (!read_varint(scan, at, end, 10, &bits)) return false;
      value = number_value(kind, bits);
      break;
    case WIRE_BYTES:
      if (!read_length(scan, at, end, &length)) return false;
      value.s = (an_view){scan->data + *at, length};
      *at += length;
      break;
    default:
      if (!skip_scalar(scan, at, end, wire_type(kind))) return false;
      value = number_value(kind, load_fixed(scan->data + start, (unsigned)(*at - start)));
  }
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

/* Scans [at, end) for the fields of rank [low, high), which share the first `level` numbers of their paths. */
static bool scan_level(an_scan *scan, size_t at, size_t end, size_t low, size_t high, unsigned level) {
  const an_plan *plan = scan->plan;
  while (at < end) {
    size_t tag_at = at;
    uint32_t number;
    unsigned type;
    if (!read_tag(scan, &at, end, &number, &type)) return false;
    size_t first = low;
    while (first < high && plan->side->fields[plan->order[first]].numbers[level] != number) first++;
    size_t last = first;
    while (last < high && plan->side->fields[plan->order[last]].numbers[level] == number) last++;
    if (type == WIRE_GROUP) {
      if (!skip_group(scan, &at, end, number)) return false;
    } else if (type == WIRE_GROUP_END) {
      return flawed(scan, "a group ends that did not begin");
    } else if (first == last) {
      if (!skip_scalar(scan, &at, end, type)) return false;
    } else if (plan->side->fields[plan->order[first]].depth == level + 1) {
      bool wanted = type == wire_type(plan->side->fields[plan->order[first]].kind);
      if (!(wanted ? take_field(scan, first, tag_at, &at, end, level) : skip_scalar(scan, &at, end, type))) return false;
    } else if (type != WIRE_BYTES) {
      if (!skip_scalar(scan, &at, end, type)) return false;
    } else {
      size_t length, length_at = at;
      if (!read_length(scan, &at, end, &length)) return false;
      scan->frames[level] = (an_frame){length_at, at, at + length};
      note_frame(scan, first, last, level + 1);
      if (!scan_level(scan, at, at + length, first, last, level + 1)) return false;
      at += length;
    }
  }
  return true;
}

void an_wire_clear(const an_side *side, an_slot *slots) {
  memset(slots, 0, side->field_count * sizeof(an_slot));
  if (side->absent == NULL) return;
  for (size_t i = 0; i < side->field_count; i++) slots[i].value = side->absent[i];
}

const char *an_wire_scan(const an_plan *plan, an_view message, an_slot *slots) {
  an_scan scan = {.plan = plan, .data = message.data, .slots = slots};
  an_wire_clear(plan->side, slots);
  scan_level(&scan, 0, message.size, 0, plan->side->field_count, 0);
  return scan.flaw;
}

/* ---- splicing --------------------------------------------------------------------------------------- */

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

static uint64_t edit_size(const an_edit *edit) { return (uint64_t)edit->head_size + edit->body.size; }

/* The edit that writes a field: at its place, or with the submessages that are missing around it. */
static void write_edit(an_edit *edit, const an_field *field, const an_slot *slot, const an_place *place, size_t size) {
  unsigned level = place->depth;
  uint8_t *value_head = edit->head + sizeof edit->head - NUMBER_BYTES; /* built at the end, moved to its place below */
  size_t value_size = put_tag(value_head, field->numbers[field->depth - 1], wire_type(field->kind));
  value_size += put_value(value_head + value_size, field->kind, &slot->value);
  bool text = field->kind == AN_FIELD_STRING || field->kind == AN_FIELD_BYTES;
  edit->body = text ? slot->value.s : (an_view){NULL, 0};
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

/* Collects the edits for the written slots; false where a submessage gets too long. */
static bool collect_edits(const an_plan *plan, an_view message, const an_slot *slots, const an_place *places,
                          an_edits *edits) {
  for (size_t rank = 0; rank < plan->side->field_count; rank++) {
    size_t index = plan->order[rank];
    if (!slots[index].written) continue;
    bool text = wire_type(plan->side->fields[index].kind) == WIRE_BYTES;
    if (text && slots[index].value.s.size > INT32_MAX) return false;
    an_edit *edit = &edits->edits[edits->count++];
    write_edit(edit, &plan->side->fields[index], &slots[index], &places[rank], message.size);
    size_t growth = find_growth(edits, &places[rank]);
    if (growth != 0) edits->growths[growth - 1].size += edit_size(edit) - (edit->end - edit->start);
  }
  return fix_lengths(edits);
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
  for (size_t i = 0; i < fields; i++) {
    places[i].found = false;
    places[i].depth = 0;
  }
  an_scan scan = {.plan = plan, .data = message.data, .places = places};
  scan_level(&scan, 0, message.size, 0, fields, 0);
  if (!collect_edits(plan, message, slots, places, &edits)) return AN_SPLICE_TOO_LONG;
  sort_edits(sorted, &edits);
  return apply_edits(message, sorted, edits.count, arena, framed);
}
