/* The native host: a chain as a shared library with one symbol, for whatever opens it (loader, tests). */
#include <stdlib.h>

#include "http_call.h"
#include "instance.h"
#include "telemetry.h"

void *an_alloc(size_t size) { return malloc(size); }
void *an_realloc(void *block, size_t size) { return realloc(block, size); }
void an_free(void *block) { free(block); }

static const an_outcome *outcome_of(const an_call *call) { return &call->outcome; }

static void release(uint8_t *bytes) { an_free(bytes); }

__attribute__((visibility("default"))) extern const an_module appnet_module;

const an_module appnet_module = {
    .abi = AN_MODULE_ABI,
    .size = sizeof(an_module),
    .name = APPNET_NAME,
    .version = APPNET_VERSION,
    .instance_new = an_instance_new,
    .instance_free = an_instance_free,
    .call_new = an_call_new,
    .call_free = an_call_free,
    .request_headers = an_request_headers,
    .request_body = an_request_body,
    .request_trailers = an_request_trailers,
    .response_headers = an_response_headers,
    .response_body = an_response_body,
    .response_trailers = an_response_trailers,
    .local_reply = an_local_reply,
    .outcome = outcome_of,
    .telemetry_take = an_records_take,
    .telemetry_pending = an_records_pending,
    .state_dump = an_state_dump,
    .release = release,
};
