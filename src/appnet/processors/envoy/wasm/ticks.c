#include "ticks.h"

#include "event.h"
#include "gateway.h"
#include "proxy_wasm.h"
#include "outbox.h"

enum { PERIOD_MS = 100, DEADLINE_PERIOD_MS = 5 };

EXPORT(proxy_on_tick) void proxy_on_tick(uint32_t root) {
  (void)root;
  event_begins();
  set_wall_clock();
  outbox_post();
  gateway_tick();
  end_calls_in_time();
}

void ticks_begin(an_instance *instance) {
  outbox_open(instance);
  gateway_begin(instance);
  proxy_set_tick_period_milliseconds(gateway_period(PERIOD_MS));
}

void ticks_for_deadlines(size_t calls) {
  static size_t before;
  if ((before == 0) != (calls == 0)) proxy_set_tick_period_milliseconds(gateway_period(calls > 0 ? DEADLINE_PERIOD_MS : PERIOD_MS));
  before = calls;
}
