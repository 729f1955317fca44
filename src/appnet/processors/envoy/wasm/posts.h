/* Posts to the control plane, behind the cluster `appnet-telemetry`. */
#ifndef AN_POSTS_H
#define AN_POSTS_H

#include "instance.h"

/* Whether it is under way: then proxy_on_http_call_response is told the token. `authorization`: of no bytes for none. */
bool post(an_view path, an_view type, an_view authorization, an_view body, uint32_t timeout_ms, uint32_t *token);

#endif
