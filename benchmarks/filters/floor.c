/* A dynamic module of Envoy's that decides nothing: what its callers pay is Envoy's own. With ASKS it says to Envoy all that
 * a chain of the elements acl, rate_limit, headers and firewall has to: it holds the request, looks at a header and at the
 * message, and sets a header each way.
 */
#include "envoy_abi.h"
#include "unused_hooks.h"

#define TEXT(text) ((envoy_buffer){text, sizeof(text) - 1})

enum { MOST_CHUNKS = 32 };
static const char anything;

EXPORT const char *envoy_dynamic_module_on_program_init(void) { return ENVOY_ABI_VERSION; }
EXPORT const void *envoy_dynamic_module_on_http_filter_config_new(void) { return &anything; }
EXPORT void envoy_dynamic_module_on_http_filter_config_destroy(void) {}
EXPORT const void *envoy_dynamic_module_on_http_filter_new(void) { return &anything; }
EXPORT void envoy_dynamic_module_on_http_filter_destroy(void) {}

#if ASKS
EXPORT int envoy_dynamic_module_on_http_filter_request_headers(void *envoy) {
  envoy_buffer key = {NULL, 0};
  ENVOY(http_get_header)(envoy, ENVOY_REQUEST_HEADERS, TEXT("x-key"), &key, 0, NULL);
  ENVOY(http_set_header)(envoy, ENVOY_REQUEST_HEADERS, TEXT("x-tenant"), TEXT("default"));
  return ENVOY_STOP_ITERATION;
}

EXPORT int envoy_dynamic_module_on_http_filter_request_body(void *envoy, const void *stream, bool end) {
  envoy_buffer chunks[MOST_CHUNKS];
  (void)stream;
  if (!end) return ENVOY_STOP_AND_BUFFER;
  if (ENVOY(http_get_body_chunks_size)(envoy, ENVOY_RECEIVED_REQUEST) <= MOST_CHUNKS) {
    ENVOY(http_get_body_chunks)(envoy, ENVOY_RECEIVED_REQUEST, chunks);
  }
  return ENVOY_CONTINUE;
}

EXPORT int envoy_dynamic_module_on_http_filter_response_headers(void *envoy) {
  ENVOY(http_set_header)(envoy, ENVOY_RESPONSE_HEADERS, TEXT("x-served-by"), TEXT("appnet"));
  return ENVOY_CONTINUE;
}
#else
PASS(request_headers)
PASS(request_body)
PASS(response_headers)
#endif
