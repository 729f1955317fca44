/* An event of the proxy's, and what a chain can ask for while it lasts: time, metadata, and memory for what the proxy
 * hands over. */
#ifndef AN_EVENT_H
#define AN_EVENT_H

#include "chain.h"

extern const an_services event_services;

/* The host's: the call is to end at this time. */
void end_call_at(void *call_host, uint64_t at_ns);

/* By the clock of event_services. */
uint64_t event_time(void);

/* What was handed over for the event before is no more. */
void event_begins(void);

/* The event waits: what was handed over for it is kept beside what is there, until it is freed. */
typedef struct scratch_block scratch_block;
void event_memory_keep(scratch_block **kept);
void event_memory_free(scratch_block **kept);

/* Asks the proxy for the wall clock, which event_services derives from the monotonic one from then on. */
void set_wall_clock(void);

/* While request headers are looked at they can be here, all of them: that costs hardly more than one. As proxy-wasm has
 * maps: count, sizes of each key and value, then keys and values, each ended by a NUL. */
void show_request_headers(an_view pairs);
an_view shown_request_headers(void);

#endif
