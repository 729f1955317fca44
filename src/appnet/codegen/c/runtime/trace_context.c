/* The trace context of a call, as W3C (https://www.w3.org/TR/trace-context/) and B3 write it. A malformed one counts as none. */
#include "trace.h"
#include "value.h"

enum { W3C_SIZE = 55, W3C_SAMPLED = 1, W3C_RANDOM = 2 };

static int context_digit(uint8_t of) {
  return of >= '0' && of <= '9' ? of - '0' : of >= 'a' && of <= 'f' ? of - 'a' + 10 : -1;
}

/* Reads two digits for each byte. */
static bool context_hex(const uint8_t *digits, uint8_t *to, size_t count) {
  for (size_t i = 0; i < count; i++) {
    int high = context_digit(digits[2 * i]), low = context_digit(digits[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    to[i] = (uint8_t)(high << 4 | low);
  }
  return true;
}

static void context_write(char *to, const uint8_t *bytes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    to[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
    to[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
  }
}

/* An id that is all zero is none. */
static bool context_id(const uint8_t *digits, uint8_t *to, size_t count) {
  uint8_t any = 0;
  if (!context_hex(digits, to, count)) return false;
  for (size_t i = 0; i < count; i++) any |= to[i];
  return any != 0;
}

/* The only value of the key; false where there are none, or several. */
static bool context_value(an_call *call, an_view key, an_view *value) {
  const an_services *services = &call->instance->services;
  if (services->metadata_values != NULL) {
    return services->metadata_values(call->host, AN_REQUEST_METADATA, key, value, 1) == 1;
  }
  return services->metadata_get(call->host, AN_REQUEST_METADATA, key, value);
}

/* VERSION-TRACE-SPAN-FLAGS; versions to come may have more behind that. */
static bool context_w3c(an_view text, an_trace_parent *out) {
  uint8_t version;
  const uint8_t *at = text.data;
  if (text.size < W3C_SIZE || at[2] != '-' || at[35] != '-' || at[52] != '-') return false;
  if (!context_hex(at, &version, 1) || version == 0xff) return false;
  if (text.size > W3C_SIZE && (version == 0 || at[W3C_SIZE] != '-')) return false;
  if (!context_id(at + 3, out->trace_id, 16) || !context_id(at + 36, out->span_id, 8)) return false;
  if (!context_hex(at + 53, &out->flags, 1)) return false;
  out->form = AN_TRACE_W3C;
  out->decided = true;
  out->sampled = (out->flags & W3C_SAMPLED) != 0;
  return true;
}

static bool context_declines(an_view text) {
  return text.size >= W3C_SIZE && context_digit(text.data[54]) >= 0 && (context_digit(text.data[54]) & W3C_SAMPLED) == 0;
}

/* 32 digits, or 16: then the rest is zero. */
static bool context_b3_id(an_view text, uint8_t trace_id[16]) {
  memset(trace_id, 0, 16);
  if (text.size == 32) return context_id(text.data, trace_id, 16);
  return text.size == 16 && context_id(text.data, trace_id + 8, 8);
}

/* What is neither yes nor no leaves it open. */
static void context_b3_decision(an_view text, an_trace_parent *out) {
  const bool yes = (text.size == 1 && (text.data[0] == '1' || text.data[0] == 'd')) ||
                   (text.size == 4 && memcmp(text.data, "true", 4) == 0);
  const bool no = (text.size == 1 && text.data[0] == '0') || (text.size == 5 && memcmp(text.data, "false", 5) == 0);
  out->decided = yes || no;
  out->sampled = yes;
}

/* TRACE-SPAN[-DECISION[-PARENT]] */
static bool context_b3(an_view text, an_trace_parent *out) {
  size_t dash = 0;
  if (text.size == 1) { /* the decision alone, of a call without a trace */
    context_b3_decision(text, out);
    return false;
  }
  while (dash < text.size && text.data[dash] != '-') dash++;
  if (text.size < dash + 17 || !context_b3_id((an_view){text.data, dash}, out->trace_id)) return false;
  if (!context_id(text.data + dash + 1, out->span_id, 8)) return false;
  an_view rest = {text.data + dash + 17, text.size - dash - 17};
  out->form = AN_TRACE_B3;
  if (rest.size == 0) return true;
  if (rest.data[0] != '-' || rest.size < 2 || (rest.size > 2 && rest.data[2] != '-')) return false;
  context_b3_decision((an_view){rest.data + 1, 1}, out);
  return true;
}

static bool context_b3_many(an_call *call, an_view trace, an_trace_parent *out) {
  an_view span = {NULL, 0}, decision = {NULL, 0};
  if (!context_b3_id(trace, out->trace_id)) return false;
  if (!context_value(call, AN_TEXT("x-b3-spanid"), &span) || span.size != 16) return false;
  if (!context_id(span.data, out->span_id, 8)) return false;
  out->form = AN_TRACE_B3_MANY;
  if (context_value(call, AN_TEXT("x-b3-sampled"), &decision)) context_b3_decision(decision, out);
  if (context_value(call, AN_TEXT("x-b3-flags"), &decision) && decision.size == 1 && decision.data[0] == '1') {
    out->decided = out->sampled = true; /* to be debugged */
  }
  return true;
}

an_trace_parent an_trace_context(an_call *call, bool all) {
  an_trace_parent found = {0}, none = {0};
  an_view text = {NULL, 0};
  if (context_value(call, AN_TEXT("traceparent"), &text)) {
    if (!all && context_declines(text)) return (an_trace_parent){.decided = true};
    found.there = context_w3c(text, &found);
    if (found.there) return found;
    found = none;
  }
  if (context_value(call, AN_TEXT("x-b3-traceid"), &text)) {
    found.there = context_b3_many(call, text, &found);
  } else if (context_value(call, AN_TEXT("b3"), &text)) {
    found.there = context_b3(text, &found);
  }
  if (found.there) return found;
  return (an_trace_parent){.decided = found.decided && text.size == 1, .sampled = found.sampled};
}

static void context_set(an_call *call, an_view key, const char *text, size_t size) {
  call->instance->services.metadata_set(call->host, AN_REQUEST_METADATA, key, (an_view){(const uint8_t *)text, size});
}

static void context_forget(an_call *call, an_view key) {
  const an_services *services = &call->instance->services;
  if (services->metadata_remove != NULL) services->metadata_remove(call->host, AN_REQUEST_METADATA, key);
}

static void context_pass_w3c(an_call *call, const an_trace *trace) {
  const uint8_t flags = W3C_SAMPLED | (trace->parent.flags & W3C_RANDOM);
  char text[W3C_SIZE] = "00-";
  context_write(text + 3, trace->trace_id, 16);
  text[35] = '-';
  context_write(text + 36, trace->span_id, 8);
  text[52] = '-';
  context_write(text + 53, &flags, 1);
  context_set(call, AN_TEXT("traceparent"), text, W3C_SIZE);
  if (!trace->parent.there) context_forget(call, AN_TEXT("tracestate")); /* it is of another trace, or of none */
}

static void context_pass_b3(an_call *call, const an_trace *trace) {
  char text[51];
  context_write(text, trace->trace_id, 16);
  text[32] = '-';
  context_write(text + 33, trace->span_id, 8);
  text[49] = '-';
  text[50] = '1';
  context_set(call, AN_TEXT("b3"), text, sizeof text);
}

static void context_pass_b3_many(an_call *call, const an_trace *trace) {
  char span_id[16];
  context_write(span_id, trace->span_id, 8);
  context_set(call, AN_TEXT("x-b3-spanid"), span_id, sizeof span_id);
  /* The span tells its parent itself. Here, it would stay where an Envoy that traces puts its own span in place of ours. */
  context_forget(call, AN_TEXT("x-b3-parentspanid"));
  context_set(call, AN_TEXT("x-b3-sampled"), "1", 1);
}

void an_trace_pass(an_call *call) {
  an_trace *trace = call->trace;
  if (trace->passed) return;
  trace->passed = true;
  const an_trace_parent now = an_trace_context(call, true);
  if (now.there != trace->parent.there || memcmp(now.span_id, trace->parent.span_id, 8) != 0) {
    return; /* an element has put another in its place */
  }
  switch (trace->parent.form) {
    case AN_TRACE_W3C: context_pass_w3c(call, trace); break;
    case AN_TRACE_B3: context_pass_b3(call, trace); break;
    case AN_TRACE_B3_MANY: context_pass_b3_many(call, trace); break;
  }
}

bool an_trace_forbidden(an_call *call) {
  an_view decision = {NULL, 0};
  an_trace_parent found = {0};
  if (context_value(call, AN_TEXT("x-b3-sampled"), &decision)) context_b3_decision(decision, &found);
  return found.decided && !found.sampled;
}
