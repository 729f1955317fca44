/* Events that can wait in the middle, on stacks of their own: the host's call returns, and another one goes on with the
 * event, in whatever thread. */
#ifndef AN_FIBERS_H
#define AN_FIBERS_H

#include "frames.h"

typedef struct fiber fiber;

/* Of an instance. */
typedef struct fibers {
  an_lock lock;
  fiber *spare;
  uint32_t spare_count;
  fiber *woken, *last_woken; /* of events that wait no longer, and were not resumed yet */
} fibers;

/* Runs an event of the frame until it is over, or waits: then frame->waits. False: no memory for a stack, so it did not
 * run. */
bool fibers_run(fibers *all, an_call_frame *frame, void (*event)(an_call_frame *frame));
void fibers_resume(fibers *all, an_call_frame *frame);
an_call_frame *fibers_woken(fibers *all); /* NULL: there is none */
/* As an_carrier has them, of the frame's event. */
void fibers_wait(an_call_frame *frame);
void fibers_wake(fibers *all, an_call_frame *frame);
void fibers_free(fibers *all); /* no event waits */

#endif
