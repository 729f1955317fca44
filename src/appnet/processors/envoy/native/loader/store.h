/* The connection of a chain's strong state to the store: a thread of its own, which sends what the chain asks, one request
 * for each element at a time, and makes the store's answers known to it. Calls wait meanwhile; see streams.h. */
#ifndef APPNET_STORE_H
#define APPNET_STORE_H

#include "module.h"
#include "settings.h"

typedef struct store store;

/* `wait` and `wake` as an_carrier has them; `complain` may be called by any thread. NULL: no memory. */
store *store_open(const store_settings *settings, void (*wait)(void *), void (*wake)(void *), void (*complain)(const char *));
const an_carrier *store_carrier(const store *it);
/* The instance is there, made with the carrier: the thread begins. False: it cannot. */
bool store_begin(store *it, const an_module *module, an_instance *instance);
/* Something is to be done by the thread, when it is free. */
void store_do(store *it, void (*work)(void *argument), void *argument);
/* No call of the instance is left: it tells the store so, and the thread ends. NULL is nothing. */
void store_close(store *it);

#endif
