/* Work that can be left in the middle and gone on with later, also by another thread: on a stack of its own. */
#ifndef APPNET_FIBER_H
#define APPNET_FIBER_H

#include <stdbool.h>

typedef struct fiber fiber;

/* Begins the work. True: it is done already. Else *started is what has to be resumed; NULL: no memory, nothing was done. */
bool fiber_start(void (*work)(void *argument), void *argument, fiber **started);
/* Goes on; true: it is done, and the fiber is gone. */
bool fiber_resume(fiber *it);
/* From within the work: returns when it is resumed. */
void fiber_leave(fiber *it);
/* The one whose work the thread does; NULL: none. */
fiber *fiber_current(void);

#endif
