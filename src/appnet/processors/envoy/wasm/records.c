#include "records.h"

#include "event.h"
#include "proxy_wasm.h"
#include "telemetry.h"

#if APPNET_WANTS_RECORDS
enum { POST_TIMEOUT_MS = 2000 };
static an_instance *source;
static uint8_t *batch; /* kept until the collector has it */
static size_t batch_size;
static bool batch_under_way, ending;

/* The four headers of a post as proxy-wasm has maps: count, sizes, then keys and values, each ended by a NUL. */
static size_t put_headers(uint8_t *out) {
  static const char *const texts[8] = {":method",    "POST",             ":path",        "/v1/logs",
                                       ":authority", "appnet-telemetry", "content-type", "application/x-protobuf"};
  uint32_t number = 4;
  size_t at = sizeof number;
  memcpy(out, &number, sizeof number);
  for (unsigned i = 0; i < 8; i++, at += sizeof number) {
    number = (uint32_t)strlen(texts[i]);
    memcpy(out + at, &number, sizeof number);
  }
  for (unsigned i = 0; i < 8; i++) {
    size_t size = strlen(texts[i]) + 1;
    memcpy(out + at, texts[i], size);
    at += size;
  }
  return at;
}

static void post(void) {
  static const char cluster[] = "appnet-telemetry";
  static const uint8_t no_trailers[4];
  uint8_t headers[160];
  uint32_t token;
  if (batch_under_way || source == NULL) return;
  if (batch == NULL) batch = an_records_take(source, &batch_size);
  if (batch == NULL) return;
  size_t headers_size = put_headers(headers);
  batch_under_way = proxy_http_call(cluster, sizeof cluster - 1, headers, headers_size, batch, batch_size, no_trailers,
                                    sizeof no_trailers, POST_TIMEOUT_MS, &token) == 0;
}

EXPORT(proxy_on_http_call_response)
void proxy_on_http_call_response(uint32_t root, uint32_t token, uint32_t headers, size_t body_size, uint32_t trailers) {
  (void)root; (void)token; (void)body_size; (void)trailers;
  event_begins();
  batch_under_way = false;
  if (headers > 0) { /* none: it did not arrive, the next tick posts it again */
    an_free(batch);
    batch = NULL;
  }
  if (!ending) return;
  post();
  if (!batch_under_way) proxy_done();
}

void records_begin(an_instance *instance) { source = instance; }

void records_flush(void) {
  set_wall_clock();
  post();
}

bool records_end(void) {
  ending = true;
  post();
  return !batch_under_way;
}
#endif
