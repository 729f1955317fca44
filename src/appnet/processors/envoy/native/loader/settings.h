#ifndef APPNET_SETTINGS_H
#define APPNET_SETTINGS_H

#include "chain.h"

/* Where the store is, and how it is used: views of the payload. */
typedef struct store_settings {
  uint32_t timeout_ms;
  uint32_t merge_ms; /* between merges of weak state */
  an_view path; /* of a Unix socket; else host and port */
  an_view host, port;
  an_view user, password, database; /* empty: none */
  an_view scope;  /* what keys begin with */
  an_view script;
} store_settings;

#endif
