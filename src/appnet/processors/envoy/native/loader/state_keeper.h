/* Keeps the state of chains while the process has any version of them. */
#ifndef APPNET_STATE_KEEPER_H
#define APPNET_STATE_KEEPER_H

#include "chain.h"

typedef struct state_keeper state_keeper;

/* Names of different scopes are different ones. NULL: no memory. */
state_keeper *state_keeper_open(an_view scope);
const an_keeper *state_keeper_table(const state_keeper *keeper);
void state_keeper_close(state_keeper *keeper); /* all that was taken through it has been left; NULL is nothing */

#endif
