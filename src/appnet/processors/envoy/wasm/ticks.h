/* What the proxy's timer is for: telemetry goes out, weak state is merged, and calls end at their deadlines, or wait no longer. */
#ifndef AN_TICKS_H
#define AN_TICKS_H

#include "instance.h"

void ticks_begin(an_instance *instance);

/* How many calls have a time at which they are to end, from now on. */
void ticks_for_deadlines(size_t calls);

/* Calls have begun to wait. Once none does, the next tick sees that. */
void ticks_for_waits(void);

/* The host's: ends those whose time has come. */
void end_calls_in_time(void);

#endif
