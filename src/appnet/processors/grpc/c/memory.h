/* Memory of all chains in a process, where there is no C library: what every module must lay out alike. And its clocks. */
#ifndef AN_MEMORY_H
#define AN_MEMORY_H

#include "chain.h"

/* Stands for the layout of an_shared and of the blocks in front of memory: raise it when either changes. */
#define AN_SHARED_LAYOUT 1u

/* Memory that the process gives to all modules of one layout, zero at first, for as long as it lives. */
typedef struct an_shared an_shared;
enum { AN_SHARED_SIZE = 4096 };

/* From now on, this module takes memory from there; until then it has some of its own. Before anything else runs. */
void an_shared_attach(an_shared *shared);

/* Keeps state by the names of a scope; all modules that are attached to the same memory see the same. NULL: none left. */
const an_keeper *an_keeper_open(an_view scope);
void an_keeper_close(const an_keeper *keeper); /* all that was taken through it has been left; NULL is nothing */

/* The system's clocks, in nanoseconds; 0 where a module cannot ask. */
typedef enum an_clock { AN_CLOCK_WALL = 0, AN_CLOCK_MONOTONIC = 1 } an_clock;
uint64_t an_clock_ns(an_clock which);

#endif
