#include "ticks.h"

#include "event.h"
#include "proxy_wasm.h"
#include "records.h"

#if APPNET_WANTS_RECORDS
enum { PERIOD_MS = 100 };
#else
enum { PERIOD_MS = 0 };
#endif
enum { DEADLINE_PERIOD_MS = 5 };

#if APPNET_WANTS_RECORDS || APPNET_WANTS_DEADLINES
EXPORT(proxy_on_tick) void proxy_on_tick(uint32_t root) {
  (void)root;
  event_begins();
#if APPNET_WANTS_RECORDS
  records_flush();
#endif
  end_calls_in_time();
}
#endif

void ticks_begin(an_instance *instance) {
#if APPNET_WANTS_RECORDS
  records_begin(instance);
  proxy_set_tick_period_milliseconds(PERIOD_MS);
#else
  (void)instance;
#endif
}

void ticks_for_deadlines(size_t calls) {
  static size_t before;
  if ((before == 0) != (calls == 0)) proxy_set_tick_period_milliseconds(calls > 0 ? DEADLINE_PERIOD_MS : PERIOD_MS);
  before = calls;
}
