/* Posts of telemetry by OTLP/HTTP: where they go, and what the status says with which they are answered. */
#ifndef AN_OTLP_POST_H
#define AN_OTLP_POST_H

#include "platform.h"

typedef enum an_signal { AN_RECORDS, AN_SPANS, AN_METRICS } an_signal;

static inline const char *an_otlp_path(an_signal signal) {
  static const char *const paths[] = {[AN_RECORDS] = "/v1/logs", [AN_SPANS] = "/v1/traces", [AN_METRICS] = "/v1/metrics"};
  return paths[signal];
}

typedef enum an_otlp_answer {
  AN_OTLP_TAKEN,
  AN_OTLP_AWAY,    /* nobody is there, or has room now: to be posted again */
  AN_OTLP_REFUSED, /* for good */
} an_otlp_answer;

/* Where nobody listens, Envoy itself answers 503. */
static inline an_otlp_answer an_otlp_answered(const char *status, size_t size) {
  static const char again[][4] = {"429", "502", "503", "504"};
  if (size != 3) return AN_OTLP_AWAY;
  for (size_t i = 0; i < sizeof again / sizeof again[0]; i++) {
    if (memcmp(status, again[i], size) == 0) return AN_OTLP_AWAY;
  }
  return status[0] == '2' ? AN_OTLP_TAKEN : AN_OTLP_REFUSED;
}

#endif
