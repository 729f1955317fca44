#include "posts.h"

#include "proxy_wasm.h"

bool post(an_view path, an_view type, an_view authorization, an_view body, uint32_t timeout_ms, uint32_t *token) {
  static const char cluster[] = "appnet-telemetry";
  static const uint8_t no_trailers[4];
  const an_view texts[] = {AN_TEXT(":method"), AN_TEXT("POST"), AN_TEXT(":path"), path, AN_TEXT(":authority"), AN_TEXT("appnet-telemetry"),
                           AN_TEXT("content-type"), type, AN_TEXT("authorization"), authorization};
  const size_t count = sizeof texts / sizeof *texts - (authorization.size == 0 ? 2 : 0);
  an_buffer headers = {0}; /* as proxy-wasm has maps: count, sizes, then keys and values, each ended by a NUL */
  an_buffer_append_u32(&headers, (uint32_t)(count / 2));
  for (size_t i = 0; i < count; i++) an_buffer_append_u32(&headers, (uint32_t)texts[i].size);
  for (size_t i = 0; i < count; i++) {
    an_buffer_append(&headers, texts[i].data, texts[i].size);
    an_buffer_append(&headers, "", 1);
  }
  const bool posted = !headers.failed && proxy_http_call(cluster, sizeof cluster - 1, headers.data, headers.size, body.data, body.size,
                                                         no_trailers, sizeof no_trailers, timeout_ms, token) == 0;
  an_buffer_free(&headers);
  return posted;
}
