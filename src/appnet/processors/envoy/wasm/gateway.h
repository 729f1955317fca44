/* Shares a chain's state with others: a module cannot open connections, and so posts what the state asks of its store to the
 * gateway that the control plane has behind the cluster `appnet-telemetry` (src/appnet/state/gateway.py). Strong state has posts
 * of its own, which go out as soon as a call waits for one. */
#ifndef AN_GATEWAY_H
#define AN_GATEWAY_H

#include "sharing.h"

/* Takes what a configuration says of the gateway off its end: it stands behind the chain's options, and is
 *
 *   u32 milliseconds that a call waits | u32 milliseconds between merges | the pass that the gateway asks for
 */
an_view gateway_settings(an_view *configuration);

/* NULL where the settings name no gateway: nothing is shared. */
const an_carrier *gateway_carrier(an_view settings);
void gateway_begin(an_instance *instance);
/* How often it wants the timer, in milliseconds, given how often others do. */
uint32_t gateway_period(uint32_t others);
void gateway_tick(void);
#if AN_FIBERS
/* Posts what calls have begun to wait for. */
void gateway_go(void);
#endif
/* Whether the answer is to a post of its own. With the answer to the last words, the machine ends. */
bool gateway_answered(uint32_t token, bool came, size_t body_size);
/* Posts the last words. `replaced`: another version goes on with the state. */
void gateway_end(bool replaced);
/* Whether all has been said. */
bool gateway_is_over(void);

#endif
