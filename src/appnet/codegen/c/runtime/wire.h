/* Protobuf on the wire: finds the fields that a chain uses without decoding the rest (wire.c), and writes into them
 * (wire_splice.c). */
#ifndef AN_WIRE_H
#define AN_WIRE_H

#include "instance.h"

/* Levels of messages within messages that a field's path may have. */
#define AN_PATH_DEPTH 16
/* Groups within groups that are skipped; beyond it a message is malformed, as protobuf's own parsers have it. */
#define AN_GROUP_DEPTH 100

/* The fields that stand in a message itself, ordered so that those of one submessage stand together. */
struct an_plan {
  const an_side *side;
  size_t *order; /* indices into side->fields */
  size_t count;
  an_plan *items; /* by the index of a field of many messages: the plan of such a message; NULL where there is none */
};

enum { AN_PLANS = 3 }; /* of each method, in the order of an_part */

bool an_plans_init(an_instance *instance); /* false: out of memory, or a path that is empty, too deep or there twice */
void an_plans_free(an_instance *instance);
const an_plan *an_plan_of(const an_call *call, an_direction direction);
const an_plan *an_reply_plan(const an_call *call);

/* The slots of a side whose message has none of its fields. */
void an_wire_clear(const an_side *side, an_slot *slots);

/* Fills a slot for each field of the plan from the message: the last occurrence wins, occurrences of a submessage merge,
 * of a oneof only the last member is there, a field of another wire type counts as unknown, and so does a number that
 * a closed enum has no name for. Strings point into the message. What stands within many messages is left for
 * an_read_vec, but these are looked at, too.
 * NULL, or what is wrong with the message; it is then undefined what the slots hold. */
const char *an_wire_scan(const an_plan *plan, an_view message, an_slot *slots);

/* Fills the slots of the plan's fields from one of many messages, of a message that an_wire_scan accepted. */
void an_wire_scan_item(const an_plan *plan, an_view message, an_slot *slots);

/* Gets the values of a field of many, of messages their bytes; `key` is NULL but for entries. */
typedef struct an_collector {
  void (*take)(struct an_collector *collector, const an_value *key, const an_value *value);
  void (*clear)(struct an_collector *collector); /* those so far are no more: another member of the oneof came */
} an_collector;

/* Hands on the values of the side's field of this index, of a message that an_wire_scan accepted. */
void an_wire_collect(const an_plan *plan, an_view message, size_t index, an_collector *collector);

/* Whether anything is to be done to the message. */
bool an_wire_changed(const an_side *side, const an_slot *slots);

/* The field is written: the messages around it are there from now on, and the other members of its oneofs no longer. */
void an_wire_claim(const an_side *side, an_slot *slots, size_t index);
/* Takes the field away, if it is there. */
void an_wire_remove(const an_side *side, an_slot *slots, size_t index);

/* Whether a closed enum has a name for the number; other fields take all. */
static inline bool an_wire_named(const an_field *field, int64_t number) {
  if (field->names == NULL) return true;
  size_t low = 0, high = field->names->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (field->names->numbers[middle] < number) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < field->names->count && field->names->numbers[low] == number;
}

typedef enum an_splice { AN_SPLICE_DONE, AN_SPLICE_NO_MEMORY, AN_SPLICE_TOO_LONG } an_splice;

/* Takes what slots say is `cleared` from the message, which an_wire_scan accepted, writes those that are `written` into
 * it, and puts a gRPC frame header in front. Each takes the place of its field's last occurrence, many values that of all
 * of them; or it is appended to the submessage it belongs to. Of what stands within many messages each gets its own.
 * Every other byte stays as it was. The result is in the call's arena. */
an_splice an_wire_splice(const an_plan *plan, an_view message, const an_slot *slots, an_call *call, an_view *framed);

#endif
