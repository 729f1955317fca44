/* Events of calls whose host keeps a frame: see frames.h. */
#ifndef AN_EVENTS_H
#define AN_EVENTS_H

#include "chain_calls.h"
#include "frames.h"

an_instance *frames_instance_new(const an_setup *setup);
void frames_instance_free(an_instance *instance);
void frames_open(an_call_frame *frame);
void frames_begin(an_call_frame *frame);
void frames_request(an_call_frame *frame);
void frames_response(an_call_frame *frame);
void frames_end_response(an_call_frame *frame);
void frames_end(an_call_frame *frame);
void frames_finish(an_call_frame *frame);
const an_value *frames_values(an_call_frame *frame, an_part part, size_t field, size_t *count);
uint8_t *frames_telemetry_take(an_instance *instance, const an_setup *clock, size_t *size);
uint8_t *frames_metrics_take(an_instance *instance, const an_setup *clock, uint32_t last, size_t *size);
uint8_t *frames_spans_take(an_instance *instance, const an_setup *clock, uint64_t *count, size_t *size);

#endif
