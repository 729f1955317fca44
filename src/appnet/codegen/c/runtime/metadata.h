/* gRPC metadata of a call, as the language has it. */
#ifndef AN_METADATA_H
#define AN_METADATA_H

#include "value.h"
#include "vec.h"

/* Keys match in lower case. Reserved keys (pseudo-headers, grpc-* but for grpc-retry-pushback-ms, te, content-type, dst)
 * and what HTTP cannot carry are not set; what carries a status, and the headers by which Envoy delays requests, are not
 * read either. Values stay valid until the event returns. Hosts may forget headers that have passed: only a side that
 * `holds` can rely on the response's.
 *
 * A response has its leading metadata in headers, and its trailing metadata in trailers. Where all of it comes at once, as
 * an error does that no message went before, they are one. What the chain makes itself has what its elements gave it. */
bool an_metadata_get(an_call *call, an_direction direction, an_view key, an_view *value); /* several values: joined by ',' */
void an_metadata_set(an_call *call, an_direction direction, an_view key, an_view value);
void an_metadata_delete(an_call *call, an_direction direction, an_view key);
an_vec an_metadata_all(an_scope *scope, an_direction direction, an_view key); /* Vec<string> */
bool an_trailer_get(an_call *call, an_view key, an_view *value);
void an_trailer_set(an_call *call, an_view key, an_view value);

/* What end is to see of the key: it lasts as long as the call. */
an_view an_trailer_noted(an_call *call, an_view key);

/* The host has the response's trailers now: what handlers have set goes there. */
void an_trailers_come(an_call *call);

/* ---- what a handler sets goes with the error or reply that it sends then ---- */

void an_tell(an_call *call, an_view key, an_view value);
void an_untell(an_call *call, an_view key);

/* The handler has ended so. */
static inline an_verdict an_told(an_call *call, an_verdict verdict) {
  if (verdict == AN_ANSWER) call->own = call->told;
  if (verdict != AN_REFUSE) call->told = NULL; /* an_refuse has taken it */
  return verdict;
}

/* ---- */

/* The request goes to the host that the text names, to any where it names none. */
void an_route(an_call *call, an_view host);

/* The request waits for so many seconds more: a day at most, in whole milliseconds. */
static inline void an_delay(an_call *call, double seconds) {
  if (seconds > 0.0) call->wait_ms += (uint64_t)((seconds < 86400.0 ? seconds : 86400.0) * 1e3);
}

/* The value; empty where absent. */
static inline an_view an_metadata(an_scope *scope, an_direction direction, an_view key) {
  an_view value;
  return an_metadata_get(scope->call, direction, key, &value) ? value : (an_view){NULL, 0};
}

static inline an_view an_trailer(an_scope *scope, an_view key) {
  an_view value;
  return an_trailer_get(scope->call, key, &value) ? value : (an_view){NULL, 0};
}

/* The host that the caller named, and who it proved to be; empty where that is not known. */
an_view an_authority(an_scope *scope);
an_view an_peer(an_scope *scope);

#endif
