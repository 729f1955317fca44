/* Calls of hosts that have decoded messages: see an_chain. */
#ifndef AN_CHAIN_CALLS_H
#define AN_CHAIN_CALLS_H

#include "lifecycle.h"
#include "telemetry.h"

an_instance *an_chain_instance_with(const an_services *services, const an_options *options, const an_carrier *carrier);
an_instance *an_chain_instance_new(const an_services *services, const an_options *options);
/* `make` and then `begin`: a host that has to know the call, when it is asked for metadata, comes in between. */
an_call *an_chain_call_new(an_instance *instance, size_t method, void *host);
an_call *an_chain_call_make(an_instance *instance, size_t method, void *host); /* NULL: out of memory */
void an_chain_call_begin(an_call *call);
an_slot *an_message_new(an_call *call, an_direction direction, size_t size);
an_slot *an_message_in(an_call *call, an_direction direction, size_t size); /* of the same event as what came before */
bool an_give_values(an_call *call, an_direction direction, size_t field, const an_value *values, size_t count);
an_verdict an_judge_open(an_call *call);
an_verdict an_judge_request(an_call *call);
an_verdict an_judge_response(an_call *call);
an_verdict an_end_response(an_call *call, int32_t status);
const an_slot *an_reply(an_call *call);
const an_value *an_values(an_call *call, an_part part, size_t field, size_t *count);
int32_t an_refusal(const an_call *call, an_view *text);
const an_entry *an_own_metadata(const an_call *call);
const an_entry *an_own_trailers(const an_call *call);
uint64_t an_deadline_ns(const an_call *call);
int64_t an_destination(const an_call *call);
uint64_t an_wait_ms(const an_call *call);

#endif
