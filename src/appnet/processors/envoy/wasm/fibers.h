/* Events that wait in the middle: the hook that the proxy has called returns, and another one goes on with the event later.
 *
 * A machine has one stack of frames, which only returning empties. So modules with such events are compiled once more
 * (src/appnet/processors/envoy/unwinding.py): as an event waits, each of its frames writes its locals down and returns, and as it goes
 * on, each is called again and continues behind its last call. What lies in memory of these frames is copied: events have a
 * stack of their own there, on which one runs at a time. Nobody else may point into it while an event waits. */
#ifndef AN_WASM_FIBERS_H
#define AN_WASM_FIBERS_H

#include "platform.h"

typedef struct fiber fiber;

/* Runs the event until it is over, which true says, or waits: *left is what has to go on then. */
bool fiber_run(void (*event)(void *argument), void *argument, fiber **left);
/* Goes on; true: it is over, and the fiber is gone. Else *left is another one. */
bool fiber_go_on(fiber *it, fiber **left);
/* From within an event: returns when it goes on. */
void fiber_wait(void);

#endif
