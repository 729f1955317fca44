/* Wakes filters when the time of their calls is up: Envoy's ABI has no timers for filters, but lets any thread have a
 * filter's own thread call it. */
#ifndef TIMERS_H
#define TIMERS_H

#include <stdint.h>

typedef struct timers timers; /* those of a configuration, with a thread of their own once there is one */
typedef struct timer timer;

timers *timers_open(void); /* NULL: out of memory */
void timers_close(timers *all); /* after the last timer has ended */

/* At this time of CLOCK_MONOTONIC, in nanoseconds, envoy_dynamic_module_on_http_filter_scheduled is called. NULL: out of
 * memory. */
timer *timer_start(timers *all, void *envoy_filter, uint64_t at_ns);
void timer_move(timer *it, uint64_t at_ns);
void timer_end(timer *it); /* by the filter's own thread */

#endif
