/* gRPC metadata of a call, as the language has it. */
#ifndef AN_METADATA_H
#define AN_METADATA_H

#include "value.h"

/* Keys match in lower case, reserved keys (grpc-*, te, content-type, dst) and what HTTP cannot carry are not set, those by
 * which Envoy delays requests are not read either, an error made by the chain has none. Values stay valid until the event
 * returns. Hosts may forget headers that have passed: only a side that `holds` can rely on the response's. */
bool an_metadata_get(an_call *call, an_direction direction, an_view key, an_view *value);
void an_metadata_set(an_call *call, an_direction direction, an_view key, an_view value);

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

#endif
