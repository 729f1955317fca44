/* Events of calls whose host keeps a frame: see frames.h. */
#ifndef AN_EVENTS_H
#define AN_EVENTS_H

#include "chain_calls.h"
#include "frames.h"
#if AN_SHARED
#include "fibers.h"
#endif

/* Whoever asks for the time: a frame, or an instance that has no call in hand. */
typedef struct frames_clock {
  uint64_t now_ns, wall_ns;
} frames_clock;

/* What the services of an instance are asked of, and what else goes with it. */
typedef struct frames_holder {
  frames_clock clock;
  const an_keeper *keeper;
#if AN_SHARED
  an_carrier carrier;
  fibers fibers;
  uint8_t id[]; /* the carrier's */
#endif
} frames_holder;

/* `it`: zeroed, by an_alloc, and the instance's from now on, also where it fails: NULL. */
an_instance *frames_instance_held(frames_holder *it, const an_setup *setup, const an_carrier *carrier);
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

#if AN_SHARED
extern const an_stores frames_stores;
#endif

#endif
