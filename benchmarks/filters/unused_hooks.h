/* What Envoy wants resolved when it opens a module, and the filters here have no use for. */
#ifndef UNUSED_HOOKS_H
#define UNUSED_HOOKS_H

#define EXPORT __attribute__((visibility("default")))
#define PASS(name) EXPORT int envoy_dynamic_module_on_http_filter_##name(void) { return ENVOY_CONTINUE; }
#define HOOK(name) EXPORT void envoy_dynamic_module_on_http_filter_##name(void) {}

PASS(request_trailers)
PASS(response_body)
PASS(response_trailers)
PASS(local_reply)
HOOK(stream_complete)
HOOK(scheduled)
HOOK(config_scheduled)
HOOK(config_http_callout_done)
HOOK(downstream_above_write_buffer_high_watermark)
HOOK(downstream_below_write_buffer_low_watermark)
HOOK(http_callout_done)
HOOK(http_stream_headers)
HOOK(http_stream_data)
HOOK(http_stream_trailers)
HOOK(http_stream_complete)
HOOK(http_stream_reset)
HOOK(config_http_stream_headers)
HOOK(config_http_stream_data)
HOOK(config_http_stream_trailers)
HOOK(config_http_stream_complete)
HOOK(config_http_stream_reset)
HOOK(per_route_config_destroy)

EXPORT const void *envoy_dynamic_module_on_http_filter_per_route_config_new(void) { return NULL; }

#endif
