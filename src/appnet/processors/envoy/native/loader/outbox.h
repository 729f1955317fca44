/* Brings a chain's records, spans and metrics to the cluster `appnet-telemetry`, as OTLP/HTTP, in batches.
 *
 * A thread looks every few milliseconds whether there are any and asks Envoy's main thread to call outbox_post.
 * Records and spans are kept until a receiver has answered. While it is away, a post a second finds out whether it is back,
 * and what is new waits in the module, which counts what it has no room for. What is left when a configuration ends is
 * posted by the next one: an upgrade loses nothing. A batch may arrive twice, if it was under way then or its answer was late:
 * the header `appnet-batch` says which it is, so that AppNet's receiver takes it once. */
#ifndef APPNET_OUTBOX_H
#define APPNET_OUTBOX_H

#include "module.h"
#include "otlp_post.h"

typedef struct outbox outbox;

outbox *outbox_open(void *envoy_config, const an_module *module, an_instance *instance, unsigned every_ms); /* NULL: no memory */
void outbox_post(outbox *box);
void outbox_posted(outbox *box, an_otlp_answer answer);
void outbox_close(outbox *box);

#endif
