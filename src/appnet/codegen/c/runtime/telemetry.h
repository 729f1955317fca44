/* Records (append-only Vecs) on their way out: encoded at once as OTLP LogRecords, taken in batches by the host.
 *
 *   an_record record;
 *   an_record_begin(&record, call, stream);       stream: index into program->records
 *   an_record_pair_begin(&record);                a pair nests two values, which may be pairs
 *     an_record_string(&record, text);
 *     an_record_float(&record, 0.5);
 *   an_record_pair_end(&record);
 *   an_record_end(&record);
 *
 * Exactly one value stands between begin and end. The stream is locked meanwhile, so nothing may return in between.
 * Out of memory or past AN_RECORDS_LIMIT the record is dropped and counted; the count is sent as a record of scope
 * "appnet.dropped" whose body is the pair of "ELEMENT.VARIABLE" and a number. In the same way, scope "appnet.evicted"
 * tells for an element how many entries and items full Maps and Vecs of its state let go.
 */
#ifndef AN_TELEMETRY_H
#define AN_TELEMETRY_H

#include "instance.h"

/* Bytes of encoded records that one stream keeps for a host that does not fetch them. */
#define AN_RECORDS_LIMIT ((size_t)4 << 20)

/* Pairs within pairs that a record can hold. */
#define AN_RECORD_DEPTH 16

typedef struct an_record {
  an_instance *instance;
  size_t stream;
  an_buffer *aside;                     /* of a step, where it stands until that is done; NULL: in the stream */
  size_t start;                         /* of this record in the stream's buffer */
  size_t open[3 + AN_RECORD_DEPTH * 2]; /* starts of the messages that are not closed yet */
  unsigned depth;
} an_record;

void an_record_begin(an_record *record, an_call *call, size_t stream);
void an_record_bool(an_record *record, bool value);
void an_record_int(an_record *record, int64_t value);
void an_record_uint(an_record *record, uint64_t value); /* as an int, the same 64 bits */
void an_record_float(an_record *record, double value);
void an_record_string(an_record *record, an_view value); /* as bytes where it is no UTF-8 */
void an_record_bytes(an_record *record, an_view value);
void an_record_pair_begin(an_record *record);
void an_record_pair_end(an_record *record);
void an_record_end(an_record *record);

bool an_is_utf8(an_view text);
/* Encoded records of a step that is done. */
void an_records_add(an_instance *instance, size_t stream, an_view records);

bool an_records_init(an_instance *instance);
void an_records_free(an_instance *instance);
bool an_records_pending(an_instance *instance);
/* See an_chain.telemetry_take. NULL with *size 0 where there is nothing, or no memory to build it (records are kept). */
uint8_t *an_records_take(an_instance *instance, size_t *size);

#endif
