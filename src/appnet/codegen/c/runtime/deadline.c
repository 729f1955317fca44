#include "deadline.h"

#include "text.h"

enum { UNITS = 6, MOST_DIGITS = 8 };

static const struct {
  char letter;
  uint64_t nanoseconds;
} units[UNITS] = {
    {'n', 1}, {'u', 1000}, {'m', 1000000}, {'S', 1000000000}, {'M', 60000000000}, {'H', 3600000000000},
};

/* How long the text says, in nanoseconds; false where it is none. */
static bool parse_timeout(an_view text, uint64_t *nanoseconds) {
  const uint64_t most = (uint64_t)1 << 62;
  if (text.size < 2 || text.size > MOST_DIGITS + 1) return false;
  uint64_t count = 0, unit = 0;
  for (size_t i = 0; i + 1 < text.size; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') return false;
    count = count * 10 + (uint64_t)(text.data[i] - '0');
  }
  for (size_t i = 0; i < UNITS; i++) {
    if (text.data[text.size - 1] == (uint8_t)units[i].letter) unit = units[i].nanoseconds;
  }
  *nanoseconds = unit > 0 && count > most / unit ? most : count * unit;
  return unit > 0;
}

void an_deadline_begin(an_call *call) {
  const an_services *services = &call->instance->services;
  an_view text;
  uint64_t given;
  if (!services->metadata_get(call->host, AN_REQUEST_METADATA, AN_TEXT("grpc-timeout"), &text)) return;
  if (!parse_timeout(text, &given)) return;
  call->deadline_ns = an_now(call) + given;
}

static uint64_t nanoseconds_left(an_call *call) {
  uint64_t now = an_now(call);
  return call->deadline_ns > now ? call->deadline_ns - now : 0;
}

double an_seconds_left(an_call *call) {
  return call->deadline_ns == AN_NO_DEADLINE ? __builtin_inf() : (double)nanoseconds_left(call) / 1e9;
}

void an_shorten(an_call *call, double seconds) {
  if (!(seconds < 4e9)) return; /* nor where it is no number */
  uint64_t at = an_now(call) + (seconds > 0.0 ? (uint64_t)(seconds * 1e9) : 0);
  if (at >= call->deadline_ns) return;
  call->deadline_ns = at;
  call->shortened = true;
  if (call->instance->services.end_at != NULL) call->instance->services.end_at(call->host, at);
}

size_t an_timeout_text(an_call *call, char out[AN_TIMEOUT_SIZE]) {
  if (!call->shortened) return 0;
  uint64_t left = nanoseconds_left(call), count = left;
  size_t unit = 0, size = 0;
  while (count >= 100000000) {
    unit = unit == 3 ? UNITS - 1 : unit + 1; /* minutes are left out: hours fit whatever does not fit seconds */
    count = left / units[unit].nanoseconds;
  }
  char digits[MOST_DIGITS];
  do {
    digits[size++] = (char)('0' + count % 10);
    count /= 10;
  } while (count > 0);
  for (size_t i = 0; i < size; i++) out[i] = digits[size - 1 - i];
  out[size] = units[unit].letter;
  return size + 1;
}
