/* Protobuf on the wire: finds the fields that a chain uses without decoding the rest, and writes into them. */
#ifndef AN_WIRE_H
#define AN_WIRE_H

#include "instance.h"

/* Levels of messages within messages that a field's path may have. */
#define AN_PATH_DEPTH 16
/* Groups within groups that are skipped; beyond it a message is malformed, as protobuf's own parsers have it. */
#define AN_GROUP_DEPTH 100

/* The fields of one side, ordered so that those of one submessage stand together. */
struct an_plan {
  const an_side *side;
  size_t *order; /* indices into side->fields */
};

/* Of each method, the plan of its replies stands behind those of AN_REQUEST and AN_RESPONSE. */
enum { AN_REPLY_PLAN = 2, AN_PLANS = 3 };

bool an_plans_init(an_instance *instance); /* false: out of memory, or a path that is empty, too deep or there twice */
void an_plans_free(an_instance *instance);

/* The slots of a side whose message has none of its fields. */
void an_wire_clear(const an_side *side, an_slot *slots);

/* Fills a slot for each field of the plan's side from the message: the last occurrence wins, occurrences of a
 * submessage merge, a field of another wire type counts as unknown. Strings point into the message.
 * NULL, or what is wrong with the message; it is then undefined what the slots hold. */
const char *an_wire_scan(const an_plan *plan, an_view message, an_slot *slots);

typedef enum an_splice { AN_SPLICE_DONE, AN_SPLICE_NO_MEMORY, AN_SPLICE_TOO_LONG } an_splice;

/* Writes the slots that are `written` into the message, which an_wire_scan accepted, and puts a gRPC frame header
 * in front. Each takes the place of its field's last occurrence, or is appended to the submessage it belongs to;
 * every other byte stays as it was. The result is in the arena. */
an_splice an_wire_splice(const an_plan *plan, an_view message, const an_slot *slots, an_arena *arena, an_view *framed);

#endif
