/* The native host: a chain as a shared library with a table of functions, for whatever opens it (loader, tests). */
#include "http_call.h"
#include "lifecycle.h"
#include "metrics.h"
#include "steps.h"
#include "telemetry.h"
#include "trace.h"

static const an_outcome *outcome_of(const an_http_call *call) { return &call->outcome; }

uint64_t an_time_within(const an_call *call) { return an_now(call); }

__attribute__((visibility("default"))) extern const an_module appnet_module;

const an_module appnet_module = {
    .abi = AN_MODULE_ABI,
    .size = sizeof(an_module),
    .name = APPNET_NAME,
    .version = APPNET_VERSION,
    .instance_new = an_http_instance_new,
    .instance_free = an_instance_free,
    .call_new = an_http_call_new,
    .call_free = an_http_call_free,
    .request_headers = an_request_headers,
    .request_body = an_request_body,
    .request_trailers = an_request_trailers,
    .response_headers = an_response_headers,
    .response_body = an_response_body,
    .response_trailers = an_response_trailers,
    .local_reply = an_local_reply,
    .response_over = an_response_over,
    .deadline = an_deadline_come,
    .outcome = outcome_of,
    .telemetry_take = an_records_take,
    .telemetry_pending = an_records_pending,
    .metrics_take = an_metrics_take,
    .metrics_pending = an_metrics_pending,
    .spans_take = an_traces_take,
    .spans_pending = an_traces_pending,
    .spans_lost = an_traces_lost,
    .spans_share = an_traces_share,
    .state_dump = an_state_dump,
    .release = an_release,
    .sharing = &an_sharing_table,
};
