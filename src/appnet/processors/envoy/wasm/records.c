#include "records.h"

#include "event.h"
#include "gateway.h"
#include "metrics.h"
#include "otlp_answer.h"
#include "proxy_wasm.h"
#include "telemetry.h"

enum { POST_TIMEOUT_MS = 2000, HTTP_CALL_RESPONSE_HEADERS = 6 };
static const uint64_t REST_NS = 1000000000u;
static an_instance *source;
static uint8_t *batch; /* kept until the collector has it */
static size_t batch_size;
static bool batch_counts; /* it has metrics, else records */
static uint8_t *put_off; /* records for which the collector was away */
static size_t put_off_size;
static uint64_t rests_until; /* the collector was away */
static bool counts_away;     /* ... when it was asked last, and for metrics */
static bool batch_under_way, ending, told_last;

/* The four headers of a post as proxy-wasm has maps: count, sizes, then keys and values, each ended by a NUL. */
static size_t put_headers(uint8_t *out) {
  const char *const texts[8] = {":method",    "POST",             ":path",        batch_counts ? "/v1/metrics" : "/v1/logs",
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

static uint8_t *take_records(size_t *size) {
  if (put_off == NULL) return an_records_take(source, size);
  uint8_t *records = put_off;
  *size = put_off_size;
  put_off = NULL;
  return records;
}

/* Metrics first, which are pending once a second: records may come without end. They are last where a collector has no
 * room for metrics alone, and at the end, because they tell what was dropped of the records. */
static void take_next(void) {
  const bool counts = ending ? !told_last : an_metrics_pending(source);
  batch_counts = counts && !ending && !counts_away;
  if (!batch_counts) batch = take_records(&batch_size);
  batch_counts = counts && batch == NULL;
  if (!batch_counts) return;
  batch = an_metrics_take(source, &batch_size);
  told_last = ending;
}

static void post(void) {
  static const char cluster[] = "appnet-telemetry";
  static const uint8_t no_trailers[4];
  uint8_t headers[160];
  uint32_t token;
  if (batch_under_way || source == NULL || (!ending && event_time() < rests_until)) return;
  if (batch == NULL) take_next();
  if (batch == NULL) return;
  size_t headers_size = put_headers(headers);
  batch_under_way = proxy_http_call(cluster, sizeof cluster - 1, headers, headers_size, batch, batch_size, no_trailers,
                                    sizeof no_trailers, POST_TIMEOUT_MS, &token) == 0;
}

static an_otlp_answer answer(void) {
  static const char key[] = ":status";
  uint8_t *status = NULL;
  size_t size = 0;
  if (proxy_get_header_map_value(HTTP_CALL_RESPONSE_HEADERS, key, sizeof key - 1, &status, &size) != 0) return AN_OTLP_AWAY;
  return an_otlp_answered((const char *)status, size);
}

static void take_answer(bool came) {
  batch_under_way = false;
  const bool away = !came || answer() == AN_OTLP_AWAY;
  if (away) rests_until = event_time() + REST_NS;
  counts_away = away && batch_counts;
  if (!ending && away && !batch_counts) {
    put_off = batch;
    put_off_size = batch_size;
    batch = NULL;
  } else if (!ending || came) { /* of metrics, later ones tell all that these did */
    an_free(batch);
    batch = NULL;
  }
  if (ending) post();
}

EXPORT(proxy_on_http_call_response)
void proxy_on_http_call_response(uint32_t root, uint32_t token, uint32_t headers, size_t body_size, uint32_t trailers) {
  (void)root; (void)trailers;
  event_begins();
  if (!gateway_answered(token, headers > 0, body_size)) take_answer(headers > 0);
  if (ending && !batch_under_way && gateway_is_over()) proxy_done();
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
