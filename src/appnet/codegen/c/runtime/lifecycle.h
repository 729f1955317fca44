/* Instances: made, shown, and ended. */
#ifndef AN_LIFECYCLE_H
#define AN_LIFECYCLE_H

#include "instance.h"
#include "sharing.h"

/* `call_size`: of the host's struct of a call, which begins with an an_call. `carrier`: NULL where
 * the host shares no state; else it lasts as long as the instance. NULL: out of memory. */
an_instance *an_instance_new(const an_services *services, const an_options *options, const an_carrier *carrier,
                             size_t call_size);
void an_instance_free(an_instance *instance); /* NULL is nothing */
/* See an_chain.state_dump; NULL with *size 0 where there is no state, or no memory to write it. */
uint8_t *an_state_dump(an_instance *instance, size_t *size);
/* What an_state_dump or an_records_take gave is not needed any more. */
void an_release(uint8_t *bytes);

#endif
