/* The runtime: the same for all chains, and so compiled once for each host, with what hosts add to it. A generated file
 * defines `appnet_program` and, where it has methods, macros that say before run time what a host needs to know:
 *
 *   APPNET_NAME, APPNET_VERSION    strings
 *   APPNET_METHODS, APPNET_METHOD_COUNT  its table of methods
 *   APPNET_WANTS_REQUEST_BODY      1 where a method's request side needs the message
 *   APPNET_WANTS_LATE_REQUEST_HEADERS  1 where request handlers that wait for the message read metadata
 *   APPNET_WANTS_RESPONSE          1 where a method's response side is not empty
 *   APPNET_WANTS_RESPONSE_END      1 where a method's response side needs the message or the status
 *   APPNET_WANTS_DEADLINES         1 where a handler can shorten the time that a call has
 *   APPNET_WANTS_REPLY             1 where an element answers requests with messages
 */
#include "instance.c"
#include "kept.c"
#include "lifecycle.c"
#include "wire.c"
#include "wire_splice.c"
#include "response.c"
#include "value.c"
#include "vec.c"
#include "map.c"
#include "state_bytes.c"
#include "trial.c"
#include "steps.c"
#include "changes.c"
#include "conflicts.c"
#include "copies.c"
#include "merging.c"
#include "merge_requests.c"
#include "merge_answers.c"
#include "merges.c"
#include "sharing.c"
#include "journal.c"
#include "lists.c"
#include "text.c"
#include "string_ops.c"
#include "metadata.c"
#include "number.c"
#include "deadline.c"
#include "otlp.c"
#include "telemetry.c"
#include "metrics.c"
#include "trace_context.c"
#include "trace.c"
#include "why.c"
#include "sha256.c"
#include "base64.c"
#include "crypto.c"
#include "compress.c"
#include "options.c"
#include "chain_calls.c"
