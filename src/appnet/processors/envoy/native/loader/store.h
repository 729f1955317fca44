/* The connection of a chain's shared state to the store: a thread of its own, which sends what the chain asks, one request
 * at a time for each copy, and makes the store's answers known to it. Calls wait meanwhile for what is strong; see streams.h. */
#ifndef APPNET_STORE_H
#define APPNET_STORE_H

#include "module.h"
#include "settings.h"

typedef struct store store;

/* `wait` and `wake` as an_carrier has them; `complain` may be called by any thread. NULL: no memory. */
store *store_open(const store_settings *settings, void (*wait)(void *), void (*wake)(void *), void (*complain)(const char *));
const an_carrier *store_carrier(const store *it);
/* The instance is there, made with the carrier: the thread begins, and joins the others if that takes no longer than a call
 * may wait. False: it cannot. */
bool store_begin(store *it, const an_module *module, an_instance *instance);
/* Whether calls wait for it at all, once it has begun. */
bool store_holds_calls(const store *it);
/* Something is to be done by the thread, when it is free. */
void store_do(store *it, void (*work)(void *argument), void *argument);
/* No call of the instance is left: it tells the store so, and the thread ends. NULL is nothing. */
void store_close(store *it);

#endif
