/* The connection of a chain's strong state to the store: a thread of its own, which sends what the chain asks, one request
 * for each element at a time, and makes the store's answers known to it. Calls wait meanwhile; see streams.h. */
#ifndef APPNET_STORE_H
#define APPNET_STORE_H

#include "module.h"

typedef struct store store;

/* Where the store is, and how it is used: views of the payload. */
typedef struct store_settings {
  uint32_t timeout_ms;
  an_view path; /* of a Unix socket; else host and port */
  an_view host, port;
  an_view user, password, database; /* empty: none */
  an_view scope;  /* what keys begin with */
  an_view script; /* commit.lua */
} store_settings;

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
