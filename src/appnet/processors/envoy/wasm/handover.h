/* State that goes from one version of a chain to the next, each of which is a machine of its own.
 *
 * What machines of a chain share, whatever their version, is data and queues by the id of the machine. When a version
 * begins, Envoy tries it on the main thread before any worker hears of it; from there it asks the machines of older versions
 * to write all of their state down. The worker does as it is asked first, and gets the new version then. At its first call
 * the new machine takes what was written. As long as both have calls each tells the other of its changes after every event,
 * and looks for the other's before: they run in one thread, and so state is the same at all times.
 *
 * What is merged with other instances, they tell one another by the store alone, once the new machine has begun.
 *
 * Where several workers share a proxy, each has state of its own, and hands it to one machine of the next version. */
#ifndef AN_HANDOVER_H
#define AN_HANDOVER_H

#include "instance.h"

/* The version has begun: `options` tell it from others that have the same code. */
void handover_begin(an_instance *instance, an_view options);
/* Before and after an event of a call. */
void handover_before(void);
void handover_after(void);
/* There are messages for this machine. */
void handover_listen(void);
/* Whether another version has begun after this one. */
bool handover_is_replaced(void);
/* The machine has had its last call. */
void handover_end(void);

#endif
