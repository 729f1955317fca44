/* Brings a chain's records, spans and metrics to the cluster `appnet-telemetry`, as OTLP/HTTP, in batches.
 *
 * They are kept until a receiver has answered. While it is away, a post a second finds out whether it is back, and what is
 * new waits in the chain, which counts what it has no room for. Envoy cancels the posts of a machine that ends. So it leaves
 * what it has, up to 8 MiB, as data that all machines of the chain share, and another posts it: an upgrade loses nothing. A
 * batch may arrive twice, if it was under way then or its answer was late. */
#ifndef AN_OUTBOX_H
#define AN_OUTBOX_H

#include "instance.h"

void outbox_open(an_instance *instance);
/* Posts one batch, where there is any and the receiver may be there. */
void outbox_post(void);
/* The machine ends: what is left goes to others. */
void outbox_close(void);

#endif
