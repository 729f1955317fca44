/* Included behind a generated file: exports the chain to hosts that have decoded messages. */
#include "chain_calls.h"

__attribute__((visibility("default"))) extern const an_chain appnet_chain;

const an_chain appnet_chain = {
    .abi = AN_CHAIN_ABI,
    .size = sizeof(an_chain),
    .name = APPNET_NAME,
    .version = APPNET_VERSION,
    .methods = APPNET_METHODS,
    .method_count = APPNET_METHOD_COUNT,
    .instance_new = an_chain_instance_new,
    .instance_free = an_instance_free,
    .call_new = an_chain_call_new,
    .call_free = an_call_free,
    .message_new = an_message_new,
    .give_values = an_give_values,
    .judge_open = an_judge_open,
    .judge_request = an_judge_request,
    .judge_response = an_judge_response,
    .end_response = an_end_response,
    .reply = an_reply,
    .values = an_values,
    .refusal = an_refusal,
    .own_metadata = an_own_metadata,
    .own_trailers = an_own_trailers,
    .deadline_ns = an_deadline_ns,
    .destination = an_destination,
    .wait_ms = an_wait_ms,
    .telemetry_take = an_records_take,
    .telemetry_pending = an_records_pending,
    .state_dump = an_state_dump,
    .release = an_release,
};
