/* Brings a chain's records, spans and metrics to the cluster `appnet-telemetry`, as OTLP/HTTP, in batches.
 *
 * A thread looks every few milliseconds whether there are any and asks Envoy's main thread to call outbox_post.
 * A batch is kept until it was answered. What is left when a configuration ends is posted by the next one: an upgrade
 * loses no record, though one that was under way may arrive twice. Spans that are not taken are dropped, and counted. */
#ifndef APPNET_OUTBOX_H
#define APPNET_OUTBOX_H

#include "module.h"

typedef struct outbox outbox;

outbox *outbox_open(void *envoy_config, const an_module *module, an_instance *instance, unsigned every_ms); /* NULL: no memory */
void outbox_post(outbox *box);
/* `arrived`: there was an answer; `taken`: that said that all is well. */
void outbox_posted(outbox *box, bool arrived, bool taken);
void outbox_close(outbox *box);

#endif
