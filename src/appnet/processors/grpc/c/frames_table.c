/* Included behind a generated file: exports the chain to hosts that keep frames. The file's entry point is this table, so
 * that nobody needs to look for its name. */
#include "events.h"
#include "trace.h"

extern const an_chain appnet_chain;

__attribute__((visibility("default"))) extern const an_frames appnet_frames;

const an_frames appnet_frames = {
    .abi = AN_FRAMES_ABI,
    .size = sizeof(an_frames),
    .frame_size = sizeof(an_call_frame),
    .shared_layout = AN_SHARED_LAYOUT,
    .shared_size = AN_SHARED_SIZE,
    .wants = APPNET_WANTS_REQUEST_METADATA * AN_WANTS_REQUEST_METADATA |
             APPNET_WANTS_RESPONSE_METADATA * AN_WANTS_RESPONSE_METADATA |
             APPNET_WANTS_AUTHORITY * AN_WANTS_AUTHORITY | APPNET_WANTS_PEER * AN_WANTS_PEER |
             APPNET_WANTS_DEADLINE * AN_WANTS_TIMEOUT | APPNET_WANTS_CLOCK * AN_WANTS_CLOCK |
             APPNET_WANTS_SIZE * AN_WANTS_SIZE,
    .chain = &appnet_chain,
    .attach = an_shared_attach,
    .instance_new = frames_instance_new,
    .instance_free = frames_instance_free,
    .open = frames_open,
    .begin = frames_begin,
    .request = frames_request,
    .response = frames_response,
    .end_response = frames_end_response,
    .end = frames_end,
    .values = frames_values,
    .telemetry_take = frames_telemetry_take,
    .finish = frames_finish,
    .metrics_take = frames_metrics_take,
    .spans_take = frames_spans_take,
    .spans_lost = an_traces_lost,
#if AN_SHARED
    .stores = &frames_stores,
#endif
};
