/* Walking over a message on the wire: what wire.c and wire_splice.c share. */
#ifndef AN_WIRE_SCAN_H
#define AN_WIRE_SCAN_H

#include "wire.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_GROUP = 3, WIRE_GROUP_END = 4, WIRE_FIXED32 = 5 };

/* An occurrence of a submessage: where its length stands, and its content; a group has no length but an end tag. */
typedef struct an_frame {
  size_t length_at;
  size_t start;
  size_t end;
  bool group;
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
  an_collector *collector; /* of the values of the field of rank `collected`; NULL: they are not wanted */
  size_t collected;
  const char *flaw;
  an_frame frames[AN_PATH_DEPTH];
} an_scan;

/* What a record is to a plan: nothing, an occurrence of a field, or of a submessage that has some or is one itself. Or
 * a field with a number that its closed enum has no name for: it counts as unknown to receivers that hold such enums
 * closed, and not to others. */
typedef enum an_wire_role { AN_RECORD_OTHER, AN_RECORD_FIELD, AN_RECORD_MESSAGE, AN_RECORD_UNNAMED } an_wire_role;

typedef struct an_wire_record {
  size_t start;   /* of its tag */
  size_t content; /* what follows the tag */
  uint32_t number;
  unsigned type;
  an_wire_role role;
  size_t first; /* the fields of rank [first, last) have its number */
  size_t last;
  size_t inner; /* of a submessage, those of rank [inner, last) are in it */
} an_wire_record;

unsigned an_wire_type(uint8_t kind);
/* Whether the field may stand in a record of the wire type. */
bool an_wire_accepts(const an_field *field, unsigned type);
/* Whether the message of this number is a group. */
static inline bool an_wire_is_group(const an_field *field, unsigned level) { return (field->groups >> level & 1) != 0; }

/* Reads the tag at `at`, and finds it among the fields of rank [low, high), which share the first `level` numbers of
 * their paths. These four: false with scan->flaw set where the message is malformed. */
bool an_wire_next(an_scan *scan, an_wire_record *record, size_t at, size_t end, size_t low, size_t high, unsigned level);
/* Goes over the content of a record. */
bool an_wire_skip(an_scan *scan, const an_wire_record *record, size_t *at, size_t end);
/* Goes over the submessage of a record, and tells where it is. */
bool an_wire_enter(an_scan *scan, const an_wire_record *record, size_t *at, size_t end, an_frame *frame);
/* Scans [at, end) for the fields of rank [low, high). */
bool an_wire_scan_level(an_scan *scan, size_t at, size_t end, size_t low, size_t high, unsigned level);
/* Copies what stays of a record of a field of many values that is written anew or cleared: what its closed enum has no
 * name for. Tells the size; `to` NULL: only tells it. */
size_t an_wire_kept(const an_scan *scan, const an_field *field, const an_wire_record *record, size_t end, uint8_t *to);
size_t an_put_varint(uint8_t *to, uint64_t value);

#endif
