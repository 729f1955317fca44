/* The runtime for the native host, without it: the same for all chains, and so compiled once.
 *
 * A printed chain is compiled with its host, whose source it includes last, after it defined `appnet_chain` and these
 * macros, which say what the host needs to know before run time:
 *
 *   APPNET_NAME, APPNET_VERSION    strings, as in appnet_chain
 *   APPNET_WANTS_REQUEST_BODY      1 where a method's request side needs the message
 *   APPNET_WANTS_LATE_REQUEST_HEADERS  1 where request handlers that wait for the message read metadata
 *   APPNET_WANTS_RESPONSE          1 where a method's response side is not empty
 *   APPNET_WANTS_RESPONSE_END      1 where a method's response side needs the message or the status
 *   APPNET_WANTS_RECORDS           1 where the chain has record streams
 */
#include "instance.c"
#include "wire.c"
#include "wire_splice.c"
#include "lists.c"
#include "metadata.c"
#include "http_call.c"
#include "telemetry.c"
#include "value.c"
#include "vec.c"
#include "map.c"
#include "text.c"
#include "sha256.c"
#include "crypto.c"
#include "compress.c"
