/* Calls in a row through a chain, for how long they take. */
#ifndef AN_LOOP_H
#define AN_LOOP_H

#include "frames.h"

/* Makes `calls` of the chain's first method, each with this message both ways and these metadata, and takes the records
 * away. Gives the CPU time of it all in nanoseconds; 0 where a call was not let through. */
uint64_t an_loop(const an_frames *table, an_view text, const an_pair *metadata, size_t metadata_count, uint64_t calls);

#endif
