#include "http_call.h"

#include "deadline.h"
#include "grpc_message.h"
#include "http_message.h"
#include "http_status.h"
#include "lifecycle.h"
#include "metadata.h"
#include "metrics.h"
#include "number.h"
#include "response.h"
#include "text.h"
#include "trace.h"
#include "wire.h"

static const char OUT_OF_MEMORY[] = "out of memory";

/* ---- calls ------------------------------------------------------------------------------------------ */

an_instance *an_http_instance_new(const an_services *services, const an_options *options, const an_carrier *carrier) {
  return an_instance_new(services, options, carrier, sizeof(an_http_call));
}

an_http_call *an_http_call_new(an_instance *instance, void *host) {
  return (an_http_call *)an_call_new(instance, host);
}

static bool speaks_grpc(an_http_call *call) {
  an_view type;
  return an_header_get(&call->base, AN_REQUEST_METADATA, AN_TEXT("content-type"), &type) && an_is_grpc(type);
}

/* As the caller has it, as far as it got: an end without a status is a cancellation. */
static int32_t status_of(an_http_call *call) {
  static const an_metadata_map maps[] = {AN_RESPONSE_TRAILERS, AN_RESPONSE_METADATA};
  an_view status;
  for (size_t i = 0; i < 2; i++) {
    if (an_header_get(&call->base, maps[i], AN_TEXT("grpc-status"), &status)) return an_read_status(&call->base, maps[i]);
  }
  if (speaks_grpc(call) || !an_header_get(&call->base, AN_RESPONSE_METADATA, AN_TEXT(":status"), &status)) return AN_CANCELLED;
  return status.size == 3 && status.data[0] == '2' ? 0 : an_read_status(&call->base, AN_RESPONSE_METADATA);
}

void an_response_over(an_http_call *call) {
  if (AN_TRACE && call->base.trace != NULL) an_trace_ended(&call->base, status_of(call));
}

void an_http_call_free(an_http_call *call) {
  if (call == NULL) return;
  an_buffer_free(&call->seen);
  an_buffer_free(&call->parts[AN_REQUEST]);
  an_buffer_free(&call->parts[AN_RESPONSE]);
  an_buffer_free(&call->passing);
  an_buffer_free(&call->unpacked[AN_REQUEST]);
  an_buffer_free(&call->unpacked[AN_RESPONSE]);
  an_call_free(&call->base);
}

/* The chain has an event of the call in hand, and is done with it. */
static void enters(an_http_call *call) {
  if (an_is_timed(&call->base)) an_metrics_entered(&call->base, an_time_within(&call->base));
}

static an_action left(an_http_call *call, an_action action) {
  if (an_is_timed(&call->base)) an_metrics_left(&call->base, an_time_within(&call->base));
  return action;
}

/* ---- replies ---------------------------------------------------------------------------------------- */

static an_action http_reply(an_http_call *call, int32_t code, an_view text) {
  call->outcome.code = code;
  call->outcome.text = text;
  call->outcome.metadata = NULL;
  return AN_REPLY;
}

/* What elements gave to an error of theirs, or to one that they have seen, goes with it. */
static an_action with_own(an_http_call *call, an_action reply) {
  call->outcome.metadata = call->base.own;
  call->outcome.trailers = call->base.trailers;
  return reply;
}

/* "appnet: " and the parts, in the arena; a fixed text where memory has run out. */
static an_view http_text(an_http_call *call, const char *subject, const char *flaw) {
  const char *parts[] = {"appnet: ", subject, " ", flaw};
  size_t size = 0;
  for (size_t i = 0; i < 4; i++) size += strlen(parts[i]);
  uint8_t *text = an_arena_alloc(&call->base.arena, size);
  if (text == NULL) return AN_TEXT("appnet: out of memory");
  uint8_t *to = text;
  for (size_t i = 0; i < 4; i++) {
    memcpy(to, parts[i], strlen(parts[i]));
    to += strlen(parts[i]);
  }
  return (an_view){text, size};
}

/* The elements' own. */
static an_action refusal_of(an_http_call *call) {
  return with_own(call, http_reply(call, call->base.reply_code, call->base.reply_text));
}

static bool response_refused(an_http_call *call) { return an_judge(&call->base, call->base.method->on_response) == AN_REFUSE; }

/* No message can be had from the request: the elements that let the call pass already see an error response. */
static an_action refuse_request(an_http_call *call, int32_t code, const char *flaw) {
  an_view text = http_text(call, "request", flaw);
  call->request_phase = AN_PHASE_REPLIED;
  an_metrics_unjudged(&call->base, code);
  an_call_fail(&call->base, code);
  if (response_refused(call)) return refusal_of(call);
  return http_reply(call, code, text);
}

/* The handlers that follow have a message in hand that cannot be read, as call->flaw says. */
static void mark_unread(an_http_call *call, an_direction direction) {
  static const char *const subjects[2][2] = {{"request", "request message is malformed:"},
                                             {"response", "response message is malformed:"}};
  call->base.unread_code = call->flaw_code;
  call->base.unread_text = http_text(call, subjects[direction][call->malformed], call->flaw);
  an_wire_clear(an_side_of(call, direction), call->base.slots);
}

/* What a direction that handlers forwarded becomes: as it was, or with the written fields. */
static an_action pass_message(an_http_call *call, an_direction direction, an_splice *splice) {
  const an_plan *plan = an_plan_of(&call->base, direction);
  *splice = AN_SPLICE_DONE;
  if (!an_wire_changed(plan->side, call->base.slots)) return AN_CONTINUE;
  *splice = an_wire_splice(plan, call->base.message, call->base.slots, &call->base, &call->outcome.body);
  return AN_REPLACE;
}

static const char *splice_flaw(an_splice splice) {
  return splice == AN_SPLICE_TOO_LONG ? "message is too long after writing" : OUT_OF_MEMORY;
}

/* The request waits so much longer, whatever chain before this one had it wait: the header is AppNet's alone. */
static void mark_wait(an_http_call *call, an_scope *scope) {
  const an_view key = AN_TEXT("x-envoy-fault-delay-request");
  an_view before = {NULL, 0};
  an_header_get(&call->base, AN_REQUEST_METADATA, key, &before);
  an_view milliseconds = an_uint_text(scope, an_number_in(before) + call->base.wait_ms);
  call->base.instance->services.metadata_set(call->base.host, AN_REQUEST_METADATA, key, milliseconds);
  call->base.wait_ms = 0;
}

/* Tells Envoy where the request goes and how long it waits: for both it looks at headers, which no server sees. */
static void mark_request(an_http_call *call) {
  if (call->headers_left) return;
  call->headers_left = true;
  if (AN_TRACE && call->base.trace != NULL) an_trace_pass(&call->base);
  an_scope scope = {.call = &call->base};
  const an_services *services = &call->base.instance->services;
  if (call->base.routed) {
    an_view host = call->base.destination < 0 ? AN_TEXT("any") : an_int_text(&scope, call->base.destination);
    services->metadata_set(call->base.host, AN_REQUEST_METADATA, AN_TEXT("x-appnet-host"), host);
  }
  if (call->base.wait_ms > 0) mark_wait(call, &scope);
  char timeout[AN_TIMEOUT_SIZE];
  an_view left = {(const uint8_t *)timeout, an_timeout_text(&call->base, timeout)};
  if (left.size > 0) services->metadata_set(call->base.host, AN_REQUEST_METADATA, AN_TEXT("grpc-timeout"), left);
}

/* The headers of the request go on. */
static void headers_pass(an_http_call *call) {
  mark_request(call);
  an_call_count(&call->base);
}

/* The request goes on as far as it was judged: all of it, or of a stream one more message. */
static void request_passes(an_http_call *call) {
  call->request_message = true;
  headers_pass(call);
}

/* ---- streams: each message is judged as it comes --------------------------------------------------------- */

static const char *name_of(an_direction direction) { return direction == AN_REQUEST ? "request" : "response"; }

/* The whole call ends. */
static an_action end_stream_with(an_http_call *call, int32_t code, an_view text) {
  call->request_phase = call->response_phase = AN_PHASE_REPLIED;
  an_call_uncount(&call->base);
  return http_reply(call, code, text);
}

static an_action end_stream_refused(an_http_call *call) {
  return with_own(call, end_stream_with(call, call->base.reply_code, call->base.reply_text));
}

/* What arrived cannot be read, as call->flaw says of `subject`: the elements that the call passed see an error
 * response. */
static an_action end_spoilt_stream(an_http_call *call, const char *subject) {
  int32_t code = call->flaw_code;
  an_view text = http_text(call, subject, call->flaw);
  an_metrics_unjudged(&call->base, code);
  an_call_fail(&call->base, code);
  if (response_refused(call)) return end_stream_refused(call);
  return with_own(call, end_stream_with(call, code, text));
}

/* Judges the message in the whole frame; *passed is what goes on in its place. */
static an_action judge_of_stream(an_http_call *call, an_direction direction, an_view framed, an_view *passed) {
  *passed = framed;
  call->base.message = (an_view){framed.data + AN_FRAME_HEADER, framed.size - AN_FRAME_HEADER};
  if (an_side_of(call, direction)->needs_message && !an_read_message(call, direction)) mark_unread(call, direction);
  const an_method *method = call->base.method;
  an_verdict verdict = an_judge(&call->base, direction == AN_REQUEST ? method->on_request : method->on_response);
  call->base.unread_code = 0;
  if (verdict == AN_REFUSE) return end_stream_refused(call);
  if (direction == AN_REQUEST) request_passes(call);
  an_splice splice;
  an_action action = pass_message(call, direction, &splice);
  if (splice != AN_SPLICE_DONE) {
    an_spoil(call, GRPC_RESOURCE_EXHAUSTED, splice_flaw(splice));
    return end_spoilt_stream(call, name_of(direction));
  }
  if (action == AN_REPLACE) *passed = call->outcome.body;
  if (direction == AN_RESPONSE) call->base.response_passed = true;
  return action;
}

/* The stream of requests has ended without a message: it is judged once all the same. */
static an_action judge_no_message(an_http_call *call) {
  an_wire_clear(&call->base.method->request, call->base.slots);
  call->base.message = (an_view){NULL, 0};
  if (an_judge(&call->base, call->base.method->on_request) == AN_REFUSE) return end_stream_refused(call);
  request_passes(call);
  return AN_CONTINUE;
}

static an_action stream_response_headers(an_http_call *call) {
  call->response_phase = AN_PHASE_STREAMING;
  call->outcome.more = true;
  return call->base.method->response.holds ? AN_HOLD : AN_CONTINUE;
}

/* How many bytes of so many belong to the long message that was judged by its header. */
static size_t pass_by(an_http_call *call, an_direction direction, size_t size) {
  size_t part = call->passing_by[direction] < size ? (size_t)call->passing_by[direction] : size;
  call->passing_by[direction] -= part;
  return part;
}

/* Judges the messages in `all`, as many as are whole; what goes on is in call->passing, but for the bytes from
 * *passed to *judged, which go on as they are. */
static an_action judge_messages(an_http_call *call, an_direction direction, an_view all, bool ended, size_t *passed,
                                size_t *judged) {
  while (*judged < all.size) {
    an_view rest = {all.data + *judged, all.size - *judged}, framed, instead;
    if (call->passing_by[direction] > 0) {
      *judged += pass_by(call, direction, rest.size);
      continue;
    }
    an_body body = an_body_of(&rest, 1);
    size_t size = 0;
    an_frame_state state = an_check_frame(call, direction, &body, ended, &size);
    if (state == AN_FRAME_FLAWED) return end_spoilt_stream(call, name_of(direction));
    if (state == AN_FRAME_PART) return AN_CONTINUE;
    framed = (an_view){rest.data, AN_FRAME_HEADER + size};
    call->too_long = state == AN_FRAME_LONG;
    if (call->too_long) {
      call->passing_by[direction] = framed.size;
      framed.size = pass_by(call, direction, rest.size);
    }
    an_mark mark = call->base.arena;
    an_view waiting = call->base.message; /* a response to the whole stream, which its status will have judged */
    an_action action = judge_of_stream(call, direction, framed, &instead);
    if (action == AN_REPLY) return action;
    if (call->message_whole) {
      call->base.message = waiting;
      an_wire_scan(an_plan_of(&call->base, AN_RESPONSE), waiting, call->base.slots);
    }
    if (action == AN_REPLACE) {
      an_buffer_append(&call->passing, all.data + *passed, *judged - *passed);
      an_buffer_append(&call->passing, instead.data, instead.size);
      *passed = *judged + framed.size;
    }
    *judged += framed.size;
    an_arena_release(&call->base.arena, &mark);
  }
  return AN_CONTINUE;
}

static an_action stream_body(an_http_call *call, an_direction direction, const an_view *chunks, size_t count,
                             bool ended) {
  an_buffer *part = &call->parts[direction];
  bool in_place = part->size == 0 && count == 1, nothing_kept = part->size == 0;
  for (size_t i = 0; i < count && !in_place; i++) an_buffer_append(part, chunks[i].data, chunks[i].size);
  an_view all = in_place ? chunks[0] : (an_view){part->data, part->size};
  size_t passed = 0, judged = 0;
  call->passing.size = 0;
  an_action action = judge_messages(call, direction, all, ended, &passed, &judged);
  if (action == AN_REPLY) return action;
  bool as_arrived = nothing_kept && passed == 0 && judged == all.size && !part->failed;
  if (!as_arrived) {
    an_buffer_append(&call->passing, all.data + passed, judged - passed);
    if (in_place) an_buffer_append(part, all.data + judged, all.size - judged);
  }
  if (part->failed || call->passing.failed) {
    an_spoil(call, GRPC_RESOURCE_EXHAUSTED, OUT_OF_MEMORY);
    return end_spoilt_stream(call, name_of(direction));
  }
  if (!in_place) {
    part->size -= judged;
    if (judged > 0 && part->size > 0) memmove(part->data, part->data + judged, part->size);
  }
  call->outcome.more = !ended;
  if (ended && direction == AN_REQUEST) {
    if (!call->request_message && judge_no_message(call) == AN_REPLY) return AN_REPLY;
    call->request_phase = AN_PHASE_JUDGED;
  }
  if (as_arrived) return AN_CONTINUE;
  if (call->passing.size == 0 && !ended) return AN_TAKE;
  call->outcome.body = (an_view){call->passing.data, call->passing.size};
  return AN_REPLACE;
}

/* The response stream has ended with this status; the handlers see what is an error. */
static an_action finish_stream(an_http_call *call, int32_t status) {
  if (status == 0 && (call->parts[AN_RESPONSE].size > 0 || call->passing_by[AN_RESPONSE] > 0)) {
    an_spoil(call, GRPC_INTERNAL, "ends within a message");
    return end_spoilt_stream(call, name_of(AN_RESPONSE));
  }
  call->response_phase = AN_PHASE_JUDGED;
  an_call_uncount(&call->base);
  if (status == 0) {
    call->base.end_status = 0;
    if (call->base.method->on_trailers != NULL) call->base.method->on_trailers(&call->base);
    return AN_CONTINUE;
  }
  an_call_error(&call->base, status);
  if (response_refused(call)) return end_stream_refused(call);
  return AN_CONTINUE;
}

/* ---- request ---------------------------------------------------------------------------------------- */

static const an_method *find_method(an_http_call *call) {
  const an_program *program = call->base.instance->program;
  an_view path;
  if (!an_header_get(&call->base, AN_REQUEST_METADATA, AN_TEXT(":path"), &path)) return NULL;
  for (size_t i = 0; i < program->method_count; i++) {
    if (an_equal(program->methods[i].path, path)) return &program->methods[i];
  }
  return NULL;
}

/* The reply in reply_slots as a framed message. */
static an_splice frame_reply(an_http_call *call, an_view *framed) {
  static const uint8_t nothing[1];
  const an_plan *plan = an_reply_plan(&call->base);
  return an_wire_splice(plan, (an_view){nothing, 0}, call->base.reply_slots, &call->base, framed);
}

/* Answers with the reply of an element, as the elements that had forwarded the request leave it. */
static an_action answer_request(an_http_call *call) {
  const an_side *side = &call->base.method->response;
  an_view framed = {NULL, 0};
  an_splice splice = frame_reply(call, &framed);
  call->base.made_here = true;
  if (splice != AN_SPLICE_DONE) {
    an_metrics_unjudged(&call->base, GRPC_RESOURCE_EXHAUSTED);
    an_call_fail(&call->base, GRPC_RESOURCE_EXHAUSTED);
  } else if (side->needs_message) {
    call->base.message = (an_view){framed.data + AN_FRAME_HEADER, framed.size - AN_FRAME_HEADER};
    an_wire_scan(an_plan_of(&call->base, AN_RESPONSE), call->base.message, call->base.slots);
  }
  call->request_phase = AN_PHASE_REPLIED;
  if (response_refused(call)) return refusal_of(call);
  call->outcome.body = framed;
  if (splice == AN_SPLICE_DONE && side->needs_message) pass_message(call, AN_RESPONSE, &splice);
  if (splice == AN_SPLICE_DONE) return with_own(call, AN_RESPOND);
  return http_reply(call, GRPC_RESOURCE_EXHAUSTED, http_text(call, "reply", splice_flaw(splice)));
}

/* What the handlers made of the headers, or of the one message: AN_CONTINUE where they forwarded it. */
static an_action ended_by(an_http_call *call, an_verdict verdict) {
  if (verdict == AN_FORWARD) return AN_CONTINUE;
  if (verdict == AN_ANSWER) return answer_request(call);
  call->request_phase = AN_PHASE_REPLIED;
  return refusal_of(call);
}

/* Runs the req handlers on slots that are filled. */
static an_action judge_request(an_http_call *call) {
  call->request_phase = AN_PHASE_JUDGED;
  an_action ended = ended_by(call, an_judge(&call->base, call->base.method->on_request));
  if (ended != AN_CONTINUE) return ended;
  an_splice splice = AN_SPLICE_DONE;
  an_action action = pass_message(call, AN_REQUEST, &splice);
  if (splice != AN_SPLICE_DONE) return refuse_request(call, GRPC_RESOURCE_EXHAUSTED, splice_flaw(splice));
  request_passes(call);
  return action;
}

/* Whether the headers tell how long the body is, which handlers may change. */
static bool tells_length(an_http_call *call) {
  an_view length;
  return an_header_get(&call->base, AN_REQUEST_METADATA, AN_TEXT("content-length"), &length);
}

/* The messages of a request are to be judged; its headers wait for the first where something can still change them. */
static an_action await_messages(an_http_call *call, bool end_stream) {
  const an_side *side = &call->base.method->request;
  if (!side->streams && end_stream) return refuse_request(call, GRPC_INTERNAL, "has no message");
  if (side->streams && end_stream) return judge_no_message(call);
  bool holds = side->holds || tells_length(call);
  if (!holds) headers_pass(call);
  call->request_phase = side->streams ? AN_PHASE_STREAMING : AN_PHASE_WAITING;
  call->outcome.more = true;
  return holds ? AN_HOLD : AN_CONTINUE;
}

static an_action on_request_headers(an_http_call *call, bool end_stream) {
  call->outcome.more = false;
  if (call->request_phase != AN_PHASE_START) return call->request_phase == AN_PHASE_JUDGED ? AN_CONTINUE : AN_HOLD;
  call->base.method = find_method(call);
  if (call->base.method == NULL) {
    call->request_phase = AN_PHASE_JUDGED;
    call->response_phase = AN_PHASE_JUDGED;
    return AN_CONTINUE;
  }
  an_number(&call->base);
  an_metrics_begin(&call->base);
  enters(call);
  if (AN_TRACE) an_trace_begin(&call->base, an_trace_drawn(&call->base));
  if (call->base.instance->program->deadlines) an_deadline_begin(&call->base);
  const an_side *side = &call->base.method->request;
  bool judged = side->streams ? side->empty : !side->needs_message;
  call->base.last = !call->base.method->response.streams;
  if (!judged && !speaks_grpc(call)) {
    return refuse_request(call, GRPC_INVALID_ARGUMENT, "is not of content-type application/grpc and cannot be judged");
  }
  /* Later messages of a stream come when the headers may be gone. */
  if (side->needs_message) call->request_encoding = an_named_encoding(call, AN_REQUEST_METADATA);
  call->request_phase = AN_PHASE_JUDGED;
  an_action ended = ended_by(call, an_judge(&call->base, call->base.method->on_open));
  if (ended != AN_CONTINUE) return ended;
  if (!judged) return await_messages(call, end_stream);
  request_passes(call);
  return AN_CONTINUE;
}

static an_action on_request_body(an_http_call *call, const an_view *chunks, size_t count, bool end_stream) {
  call->outcome.more = false;
  if (call->request_phase == AN_PHASE_STREAMING) return stream_body(call, AN_REQUEST, chunks, count, end_stream);
  if (call->request_phase != AN_PHASE_WAITING) return call->request_phase == AN_PHASE_JUDGED ? AN_CONTINUE : AN_HOLD;
  an_body body = an_body_of(chunks, count);
  size_t size = 0;
  an_frame_state state = an_check_frame(call, AN_REQUEST, &body, end_stream, &size);
  if (state == AN_FRAME_FLAWED) return refuse_request(call, call->flaw_code, call->flaw);
  if (state == AN_FRAME_PART || !end_stream) return AN_HOLD;
  if (!an_scan_message(call, AN_REQUEST, &body, size)) mark_unread(call, AN_REQUEST);
  return judge_request(call);
}

static an_action on_request_trailers(an_http_call *call) {
  static const char flaw[] = "ends with trailers, which gRPC requests do not have";
  if (call->request_phase == AN_PHASE_STREAMING) {
    an_spoil(call, GRPC_INTERNAL, flaw);
    return end_spoilt_stream(call, name_of(AN_REQUEST));
  }
  if (call->request_phase != AN_PHASE_WAITING) return call->request_phase == AN_PHASE_JUDGED ? AN_CONTINUE : AN_HOLD;
  return refuse_request(call, GRPC_INTERNAL, flaw);
}

/* ---- response --------------------------------------------------------------------------------------- */

/* The caller gets a status in the place of the response; what is still to come of the request goes nowhere. */
static an_action replaces_response(an_http_call *call) {
  call->response_phase = AN_PHASE_REPLIED;
  if (call->request_phase != AN_PHASE_JUDGED) call->request_phase = AN_PHASE_REPLIED;
  return AN_REPLY;
}

/* Runs the resp handlers once the status is known, or not needed. */
static an_action judge_response(an_http_call *call, int32_t status) {
  bool held = call->response_held;
  bool needs_message = call->base.method->response.needs_message;
  call->response_phase = AN_PHASE_JUDGED;
  if (status == 0 && needs_message && !call->message_whole && call->flaw == NULL) {
    an_spoil(call, GRPC_INTERNAL, "has no whole message");
  }
  bool unread = status == 0 && call->flaw != NULL;
  if (unread) mark_unread(call, AN_RESPONSE);
  if (status != 0) an_call_error(&call->base, status);
  call->base.last = true;
  an_call_uncount(&call->base);
  if (response_refused(call)) {
    if (!held) return AN_CONTINUE;
    refusal_of(call);
    return replaces_response(call);
  }
  if (!held) return AN_CONTINUE;
  an_splice splice = AN_SPLICE_DONE;
  an_action action = AN_CONTINUE;
  if (!unread && status == 0 && needs_message) action = pass_message(call, AN_RESPONSE, &splice);
  if (splice == AN_SPLICE_DONE) return action;
  an_metrics_unjudged(&call->base, GRPC_RESOURCE_EXHAUSTED);
  http_reply(call, GRPC_RESOURCE_EXHAUSTED, http_text(call, "response", splice_flaw(splice)));
  return replaces_response(call);
}

/* Whether elements may have let something of the call pass, so that its response is theirs. */
static bool may_have_passed(const an_http_call *call) {
  return call->request_phase != AN_PHASE_START && call->request_phase != AN_PHASE_REPLIED;
}

static an_action on_response_headers(an_http_call *call, bool end_stream) {
  call->outcome.more = false;
  if (call->response_phase != AN_PHASE_START) return call->response_phase == AN_PHASE_REPLIED ? AN_HOLD : AN_CONTINUE;
  call->base.response_begun = true;
  call->base.trailers_only = end_stream;
  /* A response to a request that was refused, or never judged, was made by the proxy: handlers have no part in it. */
  if (!may_have_passed(call) || call->base.method->response.empty) {
    call->response_phase = AN_PHASE_JUDGED;
    an_call_uncount(&call->base);
    return AN_CONTINUE;
  }
  const an_side *side = &call->base.method->response;
  if (side->streams && !side->quiet) {
    if (!end_stream) return stream_response_headers(call);
    return finish_stream(call, an_read_status(&call->base, AN_RESPONSE_METADATA));
  }
  call->response_held = side->holds;
  if (!side->needs_message && !side->needs_status) return judge_response(call, 0);
  if (end_stream) return judge_response(call, an_read_status(&call->base, AN_RESPONSE_METADATA));
  call->response_phase = AN_PHASE_WAITING;
  call->outcome.more = true;
  return call->response_held ? AN_HOLD : AN_CONTINUE;
}

/* Looks for the message in the response's bytes so far; a flaw is kept until the status is known. */
static void find_message(an_http_call *call, const an_body *body, bool ended) {
  size_t size = 0;
  if (call->flaw != NULL) return;
  an_frame_state state = an_check_frame(call, AN_RESPONSE, body, ended, &size);
  if (state == AN_FRAME_FLAWED) call->message_whole = false;
  if (state != AN_FRAME_WHOLE || call->message_whole) return;
  call->message_whole = an_scan_message(call, AN_RESPONSE, body, size);
}

/* Where nothing is held the bytes so far are gathered here, unless one event brings the whole message. */
static void observe_message(an_http_call *call, const an_body *arrived, bool ended) {
  size_t size = 0;
  if (call->flaw != NULL || (arrived->size == 0 && !ended)) return;
  bool first = call->seen.size == 0;
  if (first && !call->message_whole && an_check_frame(call, AN_RESPONSE, arrived, ended, &size) != AN_FRAME_PART) {
    find_message(call, arrived, ended);
    return;
  }
  if (call->message_whole && first && arrived->size > 0) an_spoil(call, GRPC_INTERNAL, "has more than its one message");
  if (call->message_whole && first) return;
  for (size_t i = 0; i < arrived->count; i++) {
    an_buffer_append(&call->seen, arrived->chunks[i].data, arrived->chunks[i].size);
  }
  if (call->seen.failed) {
    an_spoil(call, GRPC_RESOURCE_EXHAUSTED, OUT_OF_MEMORY);
    return;
  }
  an_view seen = {call->seen.data, call->seen.size};
  an_body body = an_body_of(&seen, 1);
  find_message(call, &body, ended);
}

static an_action stream_response_body(an_http_call *call, const an_view *chunks, size_t count, bool end_stream) {
  an_action action = stream_body(call, AN_RESPONSE, chunks, count, end_stream);
  if (!end_stream || action == AN_REPLY) return action;
  an_action finish = finish_stream(call, an_read_status(&call->base, AN_RESPONSE_TRAILERS));
  return finish == AN_REPLY ? finish : action;
}

static an_action on_response_body(an_http_call *call, const an_view *chunks, size_t count, bool end_stream) {
  call->outcome.more = false;
  if (call->response_phase == AN_PHASE_STREAMING) return stream_response_body(call, chunks, count, end_stream);
  if (call->response_phase != AN_PHASE_WAITING) return call->response_phase == AN_PHASE_REPLIED ? AN_HOLD : AN_CONTINUE;
  if (call->base.method->response.needs_message) {
    an_body body = an_body_of(chunks, count);
    if (call->response_held) {
      find_message(call, &body, end_stream);
    } else {
      observe_message(call, &body, end_stream);
    }
  }
  /* gRPC responses end with trailers; one that does not has no status of its own. */
  if (end_stream) return judge_response(call, an_read_status(&call->base, AN_RESPONSE_TRAILERS));
  call->outcome.more = true;
  return call->response_held ? AN_HOLD : AN_CONTINUE;
}

static an_action on_response_trailers(an_http_call *call) {
  an_trailers_come(&call->base);
  if (call->response_phase == AN_PHASE_STREAMING) {
    return finish_stream(call, an_read_status(&call->base, AN_RESPONSE_TRAILERS));
  }
  if (call->response_phase != AN_PHASE_WAITING) return call->response_phase == AN_PHASE_REPLIED ? AN_HOLD : AN_CONTINUE;
  return judge_response(call, an_read_status(&call->base, AN_RESPONSE_TRAILERS));
}

void an_local_reply(an_http_call *call, uint32_t http_status) {
  if (call->response_phase == AN_PHASE_JUDGED || call->response_phase == AN_PHASE_REPLIED) return;
  call->response_phase = AN_PHASE_JUDGED;
  if (!may_have_passed(call) || call->base.method->response.empty) return;
  an_call_fail(&call->base, an_status_of_http(http_status));
  an_call_uncount(&call->base);
  an_judge(&call->base, call->base.method->on_response);
}

/* ---- events ----------------------------------------------------------------------------------------- */

an_action an_request_headers(an_http_call *call, bool end_stream) { return left(call, on_request_headers(call, end_stream)); }

an_action an_request_body(an_http_call *call, const an_view *chunks, size_t count, bool end_stream) {
  enters(call);
  return left(call, on_request_body(call, chunks, count, end_stream));
}

an_action an_request_trailers(an_http_call *call) {
  enters(call);
  return left(call, on_request_trailers(call));
}

an_action an_response_headers(an_http_call *call, bool end_stream) {
  enters(call);
  return left(call, on_response_headers(call, end_stream));
}

an_action an_response_body(an_http_call *call, const an_view *chunks, size_t count, bool end_stream) {
  enters(call);
  return left(call, on_response_body(call, chunks, count, end_stream));
}

an_action an_response_trailers(an_http_call *call) {
  enters(call);
  return left(call, on_response_trailers(call));
}
