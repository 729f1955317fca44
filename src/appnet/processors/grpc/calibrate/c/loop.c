#define _POSIX_C_SOURCE 200809L
#include "loop.h"

#include <time.h>

enum { BETWEEN_RECORDS = 100, CALL_NS = 1000 };

static uint64_t thread_ns(void) {
  struct timespec at;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
  return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static bool call(const an_frames *table, an_call_frame *frame) {
  frame->call = NULL;
  frame->now_ns += CALL_NS;
  frame->wall_ns += CALL_NS;
  table->begin(frame);
  const bool begun = frame->verdict == AN_FORWARD;
  if (begun && frame->call != NULL) table->finish(frame);
  const bool whole = frame->verdict == AN_FORWARD;
  if (frame->call != NULL) table->end(frame);
  return begun && whole;
}

__attribute__((visibility("default"))) uint64_t an_loop(const an_frames *table, an_view text, const an_pair *metadata,
                                                         size_t metadata_count, uint64_t calls) {
  an_setup setup = {.seed = 1, .now_ns = 1, .wall_ns = 1, .max_message = 1 << 20};
  an_instance *instance = table->instance_new(&setup);
  if (instance == NULL) return 0;
  an_given given = {.as = AN_ONE};
  given.value.s = text;
  an_call_frame frame = {.now_ns = 1, .wall_ns = 1, .instance = instance, .given = &given, .message_size = text.size + 2};
  frame.metadata[AN_REQUEST_METADATA] = metadata;
  frame.metadata_count[AN_REQUEST_METADATA] = metadata_count;
  bool whole = true;
  const uint64_t began = thread_ns();
  for (uint64_t i = 0; i < calls; i++) {
    whole = call(table, &frame) && whole;
    if (i % BETWEEN_RECORDS != 0 || !table->chain->telemetry_pending(instance)) continue;
    setup.now_ns = frame.now_ns;
    setup.wall_ns = frame.wall_ns;
    size_t size = 0;
    uint8_t *records = table->telemetry_take(instance, &setup, &size);
    if (records != NULL) table->chain->release(records);
  }
  const uint64_t took = thread_ns() - began;
  table->instance_free(instance);
  return whole ? took : 0;
}
