#ifndef APPNET_SETTINGS_H
#define APPNET_SETTINGS_H

#include "chain.h"

/* Where the store is, and how it is used: views of the payload. */
typedef struct store_settings {
  uint32_t timeout_ms;
  uint32_t merge_ms; /* between merges of weak state */
  an_view path;    /* of a Unix socket; an abstract one begins with @ */
  an_view hosts;   /* else a line for each, "HOST PORT\n" */
  an_view service; /* if not empty, the hosts are Sentinels, which know where the store of this name is */
  an_view user, password, database; /* empty: none */
  an_view scope;  /* what keys begin with */
  an_view script;
} store_settings;

#endif
