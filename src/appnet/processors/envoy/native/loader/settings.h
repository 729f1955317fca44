#ifndef APPNET_SETTINGS_H
#define APPNET_SETTINGS_H

#include "chain.h"

/* Where the store is, and how it is used: views of the payload. */
typedef struct store_settings {
  uint32_t timeout_ms;
  an_view path; /* of a Unix socket; else host and port */
  an_view host, port;
  an_view user, password, database; /* empty: none */
  an_view scope;  /* what keys begin with */
  an_view script; /* commit.lua */
} store_settings;

#endif
