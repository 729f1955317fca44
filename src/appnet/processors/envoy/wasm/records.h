/* Brings a chain's records and metrics to the cluster `appnet-telemetry`, as OTLP/HTTP, in batches. */
#ifndef AN_RECORDS_H
#define AN_RECORDS_H

#include "instance.h"

void records_begin(an_instance *instance);
void records_flush(void);
/* Posts what is left; whether nothing is under way any more. Otherwise proxy_done is called when it has arrived. */
bool records_end(void);

#endif
