#include "ticks.h"

#include "event.h"
#include "gateway.h"
#include "proxy_wasm.h"
#include "outbox.h"
#include "turns.h"

enum { PERIOD_MS = 100, DEADLINE_PERIOD_MS = 5 };

static size_t timed_calls;
static uint32_t period; /* as the proxy knows it */

static void set_period(bool may_be_longer) {
  const uint32_t wanted = gateway_period(timed_calls > 0 ? DEADLINE_PERIOD_MS : PERIOD_MS);
  if (wanted == period || (wanted > period && !may_be_longer)) return;
  period = wanted;
  proxy_set_tick_period_milliseconds(wanted);
}

EXPORT(proxy_on_tick) void proxy_on_tick(uint32_t root) {
  (void)root;
  event_begins();
  set_wall_clock();
  outbox_post();
  gateway_tick();
  end_calls_in_time();
  turns_go_on();
  set_period(true);
}

void ticks_begin(an_instance *instance) {
  outbox_open(instance);
  gateway_begin(instance);
  set_period(true);
}

void ticks_for_deadlines(size_t calls) {
  timed_calls = calls;
  set_period(true);
}

void ticks_for_waits(void) { set_period(false); }
