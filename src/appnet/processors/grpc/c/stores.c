/* The table of an_stores, and what a chain is given to share state by: see frames.h. */
#include "events.h"
#include "steps.h"

static void carrier_wait(void *frame) { fibers_wait(frame); }

static void carrier_wake(void *frame) {
  frames_holder *it = ((an_call_frame *)frame)->instance->services.host;
  fibers_wake(&it->fibers, frame);
}

/* The host looks for requests whenever an event waits. */
static void carrier_ready(void *host, size_t copy) {
  (void)host;
  (void)copy;
}

static an_instance *stores_instance_new(const an_setup *setup, const uint8_t *id, size_t size) {
  frames_holder *it = an_alloc_zeroed(sizeof *it + size);
  if (it == NULL) return NULL;
  if (size > 0) memcpy(it->id, id, size);
  it->carrier = (an_carrier){it, {it->id, size}, carrier_wait, carrier_wake, carrier_ready};
  return frames_instance_held(it, setup, &it->carrier);
}

static void tell_time(an_instance *instance, const an_exchange *exchange) {
  frames_holder *it = instance->services.host;
  it->clock = (frames_clock){exchange->now_ns, exchange->wall_ns};
}

static uint64_t stores_count(an_instance *instance) { return an_sharing_table.count(instance); }

static void stores_names(an_instance *instance, size_t copy, an_exchange *it) {
  it->parts[0] = an_sharing_table.element(instance, copy);
  it->parts[1] = an_sharing_table.variable(instance, copy);
  it->count = 2;
}

static uint64_t stores_take(an_instance *instance, size_t copy, an_exchange *it) {
  size_t count = 0;
  tell_time(instance, it);
  const bool asks = an_sharing_table.request_take(instance, copy, it->due != 0, it->parts, &count);
  it->count = count;
  return asks;
}

static void stores_answer(an_instance *instance, size_t copy, an_exchange *it) {
  tell_time(instance, it);
  const char *flaw = an_sharing_table.answer(instance, copy, it->answer);
  it->flaw = (an_view){(const uint8_t *)flaw, flaw == NULL ? 0 : strlen(flaw)};
}

static void stores_unanswered(an_instance *instance, size_t copy, an_exchange *it) {
  tell_time(instance, it);
  an_sharing_table.unanswered(instance, copy);
}

static void stores_away(an_instance *instance, size_t copy, an_exchange *it) {
  tell_time(instance, it);
  an_sharing_table.away(instance, copy);
}

static uint64_t stores_waits_since(an_instance *instance, size_t copy, an_exchange *it) {
  tell_time(instance, it);
  return an_sharing_table.waits_since(instance, copy);
}

static void stores_leave(an_instance *instance, size_t copy, an_exchange *it) {
  size_t count = 0;
  tell_time(instance, it);
  an_sharing_table.leave(instance, copy, it->parts, &count);
  it->count = count;
}

static an_call_frame *stores_woken(an_instance *instance) {
  frames_holder *it = instance->services.host;
  return fibers_woken(&it->fibers);
}

static void stores_resume(an_call_frame *frame) {
  frames_holder *it = frame->instance->services.host;
  fibers_resume(&it->fibers, frame);
}

const an_stores frames_stores = {
    stores_instance_new, stores_count, stores_names,       stores_take,  stores_answer, stores_unanswered,
    stores_away,         stores_waits_since, stores_leave, stores_woken, stores_resume,
};
