/* What a filter configuration brings (filters.py writes it):
 *
 *   "APPNETM4" | signature | u32 size of options | options | u32 size of state | state | library
 *
 * Sizes are little-endian; options.h says what the options are. The state is empty where the chain has no store; else
 *
 *   u32 milliseconds that calls wait | u32 milliseconds between merges
 *   | texts: path of a socket, hosts, service, user, password, database, scope, script
 *
 * a text being a u32 size and bytes. What is signed, by Ed25519:
 *
 *   PAYLOAD_DOMAIN | u32 size of the filter's name | name | all that stands behind the signature
 *
 * so that no filter runs what was made for another. */
#ifndef APPNET_PAYLOAD_H
#define APPNET_PAYLOAD_H

#include "chain.h"
#include "settings.h"

#define PAYLOAD_DOMAIN "AppNet native module, payload 4\n"

typedef struct payload {
  an_options options; /* .resource lies in the payload */
  uint32_t trace_share;
  bool shares; /* there is a store */
  store_settings store;
  an_view library;
} payload;

/* NULL, or what is wrong with it as a payload for the filter of this name; `trusted_keys` as trust.h has them. Nothing
 * behind the signature is looked into before it has been verified. */
const char *payload_read(an_view bytes, an_view name, const char *trusted_keys, payload *out);

#endif
