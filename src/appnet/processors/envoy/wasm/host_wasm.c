/* The proxy-wasm 0.2.1 host: one instance in one virtual machine, run by one worker thread. Only the hooks that the
 * chain needs are exported, since each costs a call into the machine. Included behind a generated file. */
#include "event.h"
#include "gateway.h"
#include "grpc_message.h"
#include "handover.h"
#include "http_call.h"
#include "http_message.h"
#include "http_status.h"
#include "lifecycle.h"
#include "options.h"
#include "outbox.h"
#include "proxy_wasm.h"
#include "sealed.h"
#include "ticks.h"
#include "trace.h"
#include "turns.h"

/* The answer of a chain that replies comes by as a response. While an event waits, all that comes behind it has to be seen. */
#define SEES_REQUEST_BODY (APPNET_WANTS_REQUEST_BODY || AN_FIBERS)
#define SEES_RESPONSE (APPNET_WANTS_RESPONSE || APPNET_WANTS_REPLY)
#define WAITS_IN_RESPONSE (AN_FIBERS && SEES_RESPONSE)
#define SEES_RESPONSE_BODY (APPNET_WANTS_RESPONSE_END || APPNET_WANTS_REPLY || WAITS_IN_RESPONSE)
#define SEES_RESPONSE_TRAILERS (APPNET_WANTS_RESPONSE_END || WAITS_IN_RESPONSE)

/* ---- instance -------------------------------------------------------------------------------------------- */

static an_instance *instance;
static uint32_t root_context;

static void complain(const char *text) { proxy_log(4, text, strlen(text)); }

EXPORT(proxy_abi_version_0_2_1) void proxy_abi_version_0_2_1(void) {}

EXPORT(proxy_on_configure) uint32_t proxy_on_configure(uint32_t root, size_t size) {
  uint8_t *bytes = NULL;
  size_t found = 0;
  an_options options;
  uint32_t trace_share;
  root_context = root;
  event_begins();
  const bool told = proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, size, &bytes, &found) == 0;
  an_view own = unsealed((an_view){bytes, found});
  const an_view sharing = gateway_settings(&own);
  if (!told || !an_options_read(own, &options, &trace_share)) {
    complain("appnet: the chain's options are for another runtime");
    return 0;
  }
  set_wall_clock();
  if (options.seed == 0) random_get(&options.seed, sizeof options.seed);
  instance = an_http_instance_new(&event_services, &options, gateway_carrier(sharing));
  if (instance == NULL) {
    complain("appnet: no memory for the chain");
    return 0;
  }
  an_traces_share(instance, trace_share);
#if APPNET_WANTS_STATE
  handover_begin(instance, (an_view){bytes, found});
#endif
  ticks_begin(instance);
  return 1;
}

/* All state as text, for tests and inspection; it stays until the next dump. */
EXPORT(appnet_state_dump) uint8_t *appnet_state_dump(size_t *size) {
  static uint8_t *dump;
#if APPNET_WANTS_STATE
  handover_before();
#endif
  an_free(dump);
  dump = an_state_dump(instance, size);
  return dump;
}

/* ---- events ---------------------------------------------------------------------------------------------- */

/* Stands first in what is called for an event of a call: what state needs before it, and when it is over. */
#if APPNET_WANTS_STATE
static void event_is_over(const int *event) {
  (void)event;
  handover_after();
#if AN_FIBERS
  proxy_set_effective_context(root_context); /* posts are answered to it */
  gateway_go();
#endif
}
#define EVENT_OF_A_CALL() __attribute__((cleanup(event_is_over))) const int event = (handover_before(), 0)

EXPORT(proxy_on_queue_ready) void proxy_on_queue_ready(uint32_t root, uint32_t queue) {
  (void)root; (void)queue;
  event_begins();
  handover_listen();
}
#else
#define EVENT_OF_A_CALL() (void)0
#endif

#if AN_FIBERS
void event_of(const stream *it) {
  event_begins();
  proxy_set_effective_context(it == NULL || it->gone ? root_context : it->context);
  if (it != NULL) handover_before();
}

void event_of_over(void) { handover_after(); }
#endif

/* ---- calls ----------------------------------------------------------------------------------------------- */

enum { BUCKETS = 1024, WHOLE_AT_ONCE = 65536, WHOLE_BODY = 1 << 30 };
static stream *streams[BUCKETS];
static stream *spare_streams;

static stream *find_stream(uint32_t context) {
  stream *it = streams[context % BUCKETS];
  while (it != NULL && it->context != context) it = it->next;
  return it;
}

static size_t timed_calls; /* those that are to end at some time */

static void set_end(stream *it, uint64_t at_ns) {
  size_t before = timed_calls;
  if (it->ends_at_ns != AN_NO_DEADLINE) timed_calls--;
  if (at_ns != AN_NO_DEADLINE) timed_calls++;
  it->ends_at_ns = at_ns;
  if (timed_calls != before) ticks_for_deadlines(timed_calls);
}

void end_call_at(void *call_host, uint64_t at_ns) { set_end(call_host, at_ns); }

static stream *new_stream(uint32_t context) {
  stream *it = spare_streams;
  if (it != NULL) {
    spare_streams = it->next;
  } else {
    it = an_alloc(sizeof *it);
  }
  if (it == NULL) return NULL;
  *it = (stream){.next = streams[context % BUCKETS], .context = context, .ends_at_ns = AN_NO_DEADLINE};
  it->call = an_http_call_new(instance, it);
  if (it->call == NULL) {
    an_free(it);
    return NULL;
  }
  streams[context % BUCKETS] = it;
  return it;
}

void forget_stream(stream *it) {
  it->next = spare_streams;
  spare_streams = it;
}

static void end_stream(uint32_t context) {
  event_begins();
  stream **from = &streams[context % BUCKETS];
  while (*from != NULL && (*from)->context != context) from = &(*from)->next;
  stream *it = *from;
  if (it == NULL) return;
  *from = it->next;
  set_end(it, AN_NO_DEADLINE);
  if (turn_ends(it)) forget_stream(it);
}

static uint8_t *pairs_number(uint8_t *to, size_t number) {
  uint32_t narrow = (uint32_t)number;
  memcpy(to, &narrow, sizeof narrow);
  return to + sizeof narrow;
}

static uint8_t *pairs_text(uint8_t *to, an_view text) {
  if (text.size > 0) memcpy(to, text.data, text.size);
  to[text.size] = 0;
  return to + text.size + 1;
}

/* These entries, and then the list, as proxy-wasm has maps; no pairs where memory has run out. */
static an_view pairs_of(an_arena *arena, const an_entry *list, const an_entry *more, size_t more_count) {
  static const uint8_t none[4];
  size_t count = more_count, size = sizeof none;
  for (const an_entry *it = list; it != NULL; it = it->next) count++;
  for (size_t i = 0; i < more_count; i++) size += 10 + more[i].key.size + more[i].value.size;
  for (const an_entry *it = list; it != NULL; it = it->next) size += 10 + it->key.size + it->value.size;
  uint8_t *pairs = an_arena_alloc(arena, size), *to = pairs;
  if (pairs == NULL) return (an_view){none, sizeof none};
  to = pairs_number(to, count);
  for (size_t i = 0; i < more_count; i++) to = pairs_number(pairs_number(to, more[i].key.size), more[i].value.size);
  for (const an_entry *it = list; it != NULL; it = it->next) to = pairs_number(pairs_number(to, it->key.size), it->value.size);
  for (size_t i = 0; i < more_count; i++) to = pairs_text(pairs_text(to, more[i].key), more[i].value);
  for (const an_entry *it = list; it != NULL; it = it->next) to = pairs_text(pairs_text(to, it->key), it->value);
  return (an_view){pairs, size};
}

static uint32_t reply(stream *it) {
  static const char details[] = "appnet_refused";
  const an_outcome *outcome = &it->call->outcome;
  an_view headers = pairs_of(&it->call->base.arena, outcome->metadata, NULL, 0);
  it->replied = true;
  /* Envoy makes a gRPC reply of it, with the text as its grpc-message, unless the caller does not speak gRPC. */
  proxy_send_local_response(an_http_status_of(outcome->code), details, sizeof details - 1, outcome->text.data,
                            outcome->text.size, headers.data, headers.size, outcome->code);
  return PAUSE;
}

#if SEES_RESPONSE || SEES_RESPONSE_TRAILERS
/* The chain's own status, and what goes with it, take the place of what is in the map, details of another error and
 * all. `head`: what else there is. */
static uint32_t end_with_own_status(stream *it, uint32_t map, const an_entry *head, size_t head_count) {
  static char empty[1];
  const an_outcome *outcome = &it->call->outcome;
  an_arena *arena = &it->call->base.arena;
  char code[AN_STATUS_SIZE];
  size_t code_size = an_status_text(outcome->code, code), room = an_size_mul(outcome->text.size, 3);
  char *message = room > 0 ? an_arena_alloc(arena, room) : empty;
  size_t message_size = message != NULL ? an_message_into(outcome->text, message, room) : 0;
  an_entry own[4] = {
      {NULL, AN_TEXT("grpc-status"), {(const uint8_t *)code, code_size}},
      {NULL, AN_TEXT("grpc-message"), {(const uint8_t *)message, message_size}},
  };
  for (size_t i = 0; i < head_count; i++) own[2 + i] = head[i];
  an_view pairs = pairs_of(arena, outcome->metadata, own, 2 + head_count);
  it->replied = true;
  proxy_set_header_map_pairs(map, pairs.data, pairs.size);
  return CONTINUE;
}

static const an_entry grpc_head[] = {
    {NULL, {(const uint8_t *)":status", 7}, {(const uint8_t *)"200", 3}},
    {NULL, {(const uint8_t *)"content-type", 12}, {(const uint8_t *)"application/grpc", 16}},
};
#endif

#if APPNET_WANTS_REPLY
static const char status_key[] = "grpc-status", reply_key[] = "x-appnet-reply";

/* Envoy makes a status without a message of every answer to a gRPC call, but shows it to the filters as any response. So
 * the answer is marked; a filter behind the chains (`listeners.py`) gives what is so marked a body, of which this chain
 * then makes the message, and trailers after it. */
static uint32_t respond(stream *it) {
  static const char details[] = "appnet_replied";
  static const an_entry mark = {NULL, {(const uint8_t *)reply_key, sizeof reply_key - 1}, {(const uint8_t *)"1", 1}};
  an_view headers = pairs_of(&it->call->base.arena, it->call->outcome.metadata, &mark, 1);
  it->replied = it->responds = true;
  proxy_send_local_response(200, details, sizeof details - 1, NULL, 0, headers.data, headers.size, 0);
  return PAUSE;
}

/* The headers of the chain's own answer; without a body to come there is no place for a message. They wait for the trailers
 * that the body's event adds: only what continues then is told of these, and chains further out wait for them. */
static uint32_t show_reply_headers(bool end) {
  static const char message_key[] = "grpc-message", length_key[] = "content-length";
  static const char unimplemented[] = "12", text[] = "appnet: this listener lets no wasm module reply";
  proxy_remove_header_map_value(RESPONSE_HEADERS, reply_key, sizeof reply_key - 1);
  if (end) {
    proxy_replace_header_map_value(RESPONSE_HEADERS, status_key, sizeof status_key - 1, unimplemented, sizeof unimplemented - 1);
    proxy_replace_header_map_value(RESPONSE_HEADERS, message_key, sizeof message_key - 1, text, sizeof text - 1);
    return CONTINUE;
  }
  proxy_remove_header_map_value(RESPONSE_HEADERS, status_key, sizeof status_key - 1);
  proxy_remove_header_map_value(RESPONSE_HEADERS, length_key, sizeof length_key - 1);
  return PAUSE;
}

static uint32_t show_reply_body(stream *it, size_t size, bool end) {
  an_view message = it->call->outcome.body;
  proxy_set_buffer_bytes(RESPONSE_BODY, 0, size, message.data, message.size);
  it->call->outcome.body = (an_view){NULL, 0};
  if (!end) return CONTINUE;
  proxy_replace_header_map_value(RESPONSE_TRAILERS, status_key, sizeof status_key - 1, "0", 1);
  for (const an_entry *own = it->call->outcome.trailers; own != NULL; own = own->next) {
    proxy_replace_header_map_value(RESPONSE_TRAILERS, own->key.data, own->key.size, own->value.data, own->value.size);
  }
  return CONTINUE;
}
#endif

#if APPNET_WANTS_LATE_REQUEST_HEADERS
/* So that the message's event need not ask for them again. Where messages are judged one by one, the first lets them go. */
static void keep_request_headers(stream *it) {
  an_view headers = shown_request_headers();
  if (it->call->request_phase != AN_PHASE_WAITING || headers.size == 0) return;
  uint8_t *copy = an_arena_alloc(&it->call->base.arena, headers.size);
  if (copy == NULL) return;
  memcpy(copy, headers.data, headers.size);
  it->request_headers = (an_view){copy, headers.size};
}
#endif

static uint32_t show_request_headers_of(stream *it, bool end) {
  uint8_t *pairs = NULL;
  size_t size = 0;
  if (proxy_get_header_map_pairs(REQUEST_HEADERS, &pairs, &size) == 0) {
    show_request_headers((an_view){pairs, size});
  }
#if SEES_RESPONSE
  an_view type; /* kept, since Envoy shows no headers of a request that has gone on */
  it->speaks_grpc = an_header_get(&it->call->base, AN_REQUEST_METADATA, AN_TEXT("content-type"), &type) && an_is_grpc(type);
#endif
  switch (an_request_headers(it->call, end)) {
    case AN_HOLD:
#if APPNET_WANTS_LATE_REQUEST_HEADERS
      keep_request_headers(it);
#endif
      return PAUSE;
    case AN_REPLY: return reply(it);
#if APPNET_WANTS_REPLY
    case AN_RESPOND: return respond(it);
#endif
    default: return CONTINUE;
  }
}

EXPORT(proxy_on_request_headers) uint32_t proxy_on_request_headers(uint32_t context, uint32_t headers, uint32_t end) {
  EVENT_OF_A_CALL();
  (void)headers;
  event_begins();
  stream *it = find_stream(context);
  if (it == NULL) it = new_stream(context);
  if (it == NULL) {
    complain("appnet: out of memory: a call is kept back");
    return PAUSE;
  }
  return take_turn(it, (turn){.event = TURN_REQUEST_HEADERS, .end = end != 0});
}

#if SEES_REQUEST_BODY || SEES_RESPONSE_BODY || SEES_RESPONSE
static an_view body_bytes(uint32_t buffer, size_t from, size_t size) {
  uint8_t *bytes = NULL;
  size_t found = 0;
  if (size == 0 || proxy_get_buffer_bytes(buffer, from, size, &bytes, &found) != 0) return (an_view){NULL, 0};
  return (an_view){bytes, found};
}

/* What was shown of the buffer becomes these bytes. Envoy puts bytes but to the front of a buffer: so what is there goes along. */
static void put(flow *flow, uint32_t buffer, size_t shown, an_view body) {
  an_buffer all = {0};
  const an_view judged = body_bytes(buffer, 0, flow->judged);
  an_view front = body;
  if (judged.size > 0) {
    an_buffer_append(&all, judged.data, judged.size);
    an_buffer_append(&all, body.data, body.size);
    front = (an_view){all.data, all.size};
  }
  if (all.failed) complain("appnet: out of memory: a body is cut");
  proxy_set_buffer_bytes(buffer, 0, flow->judged + shown, front.data, front.size);
  an_buffer_free(&all);
  flow->judged += body.size;
  turn_body_changed(flow, shown, body.size);
}

#endif

#if SEES_REQUEST_BODY || SEES_RESPONSE_BODY
/* `held`: what was shown stays in the buffer, and is shown again. */
static uint32_t waits_for_more(flow *flow, bool held) {
#if AN_FIBERS
  flow->held = held;
#else
  (void)flow;
  (void)held;
#endif
  return PAUSE;
}

static uint32_t replace(stream *it, flow *flow, uint32_t buffer, size_t shown, uint32_t map) {
  static const char content_length[] = "content-length";
  put(flow, buffer, shown, it->call->outcome.body);
  proxy_remove_header_map_value(map, content_length, sizeof content_length - 1);
  return CONTINUE;
}

static uint32_t take(flow *flow, uint32_t buffer, size_t shown) {
  put(flow, buffer, shown, (an_view){NULL, 0});
  return waits_for_more(flow, false);
}

static uint32_t pass(flow *flow, size_t shown) {
  flow->judged += shown;
  return CONTINUE;
}
#endif

#if SEES_REQUEST_BODY
static uint32_t show_request_body(stream *it, size_t in_buffer, bool end) {
  flow *flow = &it->request;
  const size_t size = in_buffer - flow->judged;
  if (it->call->request_phase == AN_PHASE_JUDGED) return pass(flow, size);
  /* A unary request is judged at its end; until then its frame header tells all that can be told. */
  bool header_tells = !end && size > AN_FRAME_HEADER && it->call->request_phase != AN_PHASE_STREAMING;
  size_t shown = header_tells ? AN_FRAME_HEADER : size;
  an_view body = body_bytes(REQUEST_BODY, flow->judged, shown);
#if APPNET_WANTS_LATE_REQUEST_HEADERS
  show_request_headers(it->request_headers);
#endif
  switch (body.size == shown ? an_request_body(it->call, &body, 1, end) : AN_HOLD) {
    case AN_HOLD: return waits_for_more(flow, true);
    case AN_REPLY: return reply(it);
    case AN_REPLACE: return replace(it, flow, REQUEST_BODY, size, REQUEST_HEADERS);
    case AN_TAKE: return take(flow, REQUEST_BODY, size);
#if APPNET_WANTS_REPLY
    case AN_RESPOND: return respond(it);
#endif
    default: return pass(flow, size);
  }
}

EXPORT(proxy_on_request_body) uint32_t proxy_on_request_body(uint32_t context, size_t size, uint32_t end) {
  EVENT_OF_A_CALL();
  stream *it = find_stream(context);
  if (it == NULL || it->replied) return PAUSE;
  if (!turn_waits(it) && it->call->request_phase == AN_PHASE_JUDGED) return CONTINUE;
  event_begins();
  return take_turn(it, (turn){.event = TURN_REQUEST_BODY, .size = size, .end = end != 0});
}

static uint32_t show_request_trailers(stream *it) {
  switch (an_request_trailers(it->call)) {
    case AN_HOLD: return PAUSE;
    case AN_REPLY: return reply(it);
    default: return CONTINUE;
  }
}

EXPORT(proxy_on_request_trailers) uint32_t proxy_on_request_trailers(uint32_t context, uint32_t trailers) {
  EVENT_OF_A_CALL();
  stream *it = find_stream(context);
  (void)trailers;
  if (it == NULL || it->replied) return PAUSE;
  event_begins();
  return take_turn(it, (turn){.event = TURN_REQUEST_TRAILERS});
}
#endif

#if SEES_RESPONSE || SEES_RESPONSE_BODY
/* Refuses the response. One whose trailers wait already goes on with the chain's status in them. */
static uint32_t refuse_response(stream *it) {
  if (!trailers_wait(it)) return reply(it);
  if (!it->response_passed) {
    an_view head = pairs_of(&it->call->base.arena, NULL, grpc_head, 2);
    proxy_set_header_map_pairs(RESPONSE_HEADERS, head.data, head.size);
  }
  put(&it->response, RESPONSE_BODY, WHOLE_BODY, (an_view){NULL, 0});
  return end_with_own_status(it, RESPONSE_TRAILERS, NULL, 0);
}
#endif

#if SEES_RESPONSE
/* Answers a caller that knows HTTP alone where the response is all headers: there is no place for a text. */
static uint32_t end_plainly(stream *it) {
  uint32_t status = an_http_status_of(it->call->outcome.code);
  uint8_t digits[] = {(uint8_t)('0' + status / 100), (uint8_t)('0' + status / 10 % 10), (uint8_t)('0' + status % 10)};
  const an_entry head = {NULL, AN_TEXT(":status"), {digits, sizeof digits}};
  an_view pairs = pairs_of(&it->call->base.arena, NULL, &head, 1);
  it->replied = true;
  proxy_set_header_map_pairs(RESPONSE_HEADERS, pairs.data, pairs.size);
  return CONTINUE;
}

static uint32_t show_response_headers(stream *it, bool end) {
  switch (an_response_headers(it->call, end)) {
    case AN_HOLD: it->response_held = true; return PAUSE;
    /* A reply of Envoy's would not pass the filters before this one. */
    case AN_REPLY:
      if (end && !it->speaks_grpc) return end_plainly(it);
      return end ? end_with_own_status(it, RESPONSE_HEADERS, grpc_head, 2) : refuse_response(it);
    default: it->response_passed = true; return CONTINUE;
  }
}

EXPORT(proxy_on_response_headers) uint32_t proxy_on_response_headers(uint32_t context, uint32_t headers, uint32_t end) {
  EVENT_OF_A_CALL();
  stream *it = find_stream(context);
  (void)headers;
#if APPNET_WANTS_REPLY
  if (it != NULL && it->responds) return show_reply_headers(end != 0);
#endif
  if (it == NULL || it->replied) return CONTINUE;
  event_begins();
  return take_turn(it, (turn){.event = TURN_RESPONSE_HEADERS, .end = end != 0});
}
#endif

#if SEES_RESPONSE_BODY
/* Whether a long body that is shown again and again is still growing: then its header alone is looked at. */
static bool still_growing(size_t size) {
  if (size <= WHOLE_AT_ONCE) return false;
  an_view header = body_bytes(RESPONSE_BODY, 0, AN_FRAME_HEADER);
  if (header.size != AN_FRAME_HEADER || header.data[0] > 1) return false;
  uint32_t length = an_frame_length(header.data);
  return length <= instance->options.max_message && size - AN_FRAME_HEADER < length;
}

static uint32_t show_response_body(stream *it, size_t in_buffer, bool end) {
  flow *flow = &it->response;
  const size_t size = in_buffer - flow->judged;
  if (it->call->response_phase == AN_PHASE_JUDGED) return pass(flow, size);
  bool streams = it->call->response_phase == AN_PHASE_STREAMING;
  if (it->response_held && !streams && !end && still_growing(size)) return waits_for_more(flow, true);
  an_view body = body_bytes(RESPONSE_BODY, flow->judged, size);
  switch (body.size == size ? an_response_body(it->call, &body, 1, end) : AN_HOLD) {
    case AN_HOLD: return waits_for_more(flow, true);
    case AN_REPLY: return refuse_response(it);
    case AN_REPLACE: it->response_passed = true; return replace(it, flow, RESPONSE_BODY, size, RESPONSE_HEADERS);
    case AN_TAKE: return take(flow, RESPONSE_BODY, size);
    default: it->response_passed = true; return pass(flow, size);
  }
}

EXPORT(proxy_on_response_body) uint32_t proxy_on_response_body(uint32_t context, size_t size, uint32_t end) {
  EVENT_OF_A_CALL();
  stream *it = find_stream(context);
#if APPNET_WANTS_REPLY
  if (it != NULL && it->responds) return show_reply_body(it, size, end != 0);
#endif
  if (it == NULL || it->replied) return CONTINUE;
  if (!turn_waits(it) && it->call->response_phase == AN_PHASE_JUDGED) return CONTINUE;
  event_begins();
  return take_turn(it, (turn){.event = TURN_RESPONSE_BODY, .size = size, .end = end != 0});
}
#endif

#if SEES_RESPONSE_TRAILERS
static uint32_t show_response_trailers(stream *it) {
  switch (an_response_trailers(it->call)) {
    case AN_HOLD: return PAUSE;
    case AN_REPLY:
      if (!it->response_passed) {
        an_view head = pairs_of(&it->call->base.arena, NULL, grpc_head, 2);
        proxy_set_header_map_pairs(RESPONSE_HEADERS, head.data, head.size);
        proxy_set_buffer_bytes(RESPONSE_BODY, 0, WHOLE_BODY, NULL, 0);
      }
      return end_with_own_status(it, RESPONSE_TRAILERS, NULL, 0);
    case AN_REPLACE: return replace(it, &it->response, RESPONSE_BODY, WHOLE_BODY, RESPONSE_HEADERS);
    default: return CONTINUE;
  }
}

EXPORT(proxy_on_response_trailers) uint32_t proxy_on_response_trailers(uint32_t context, uint32_t trailers) {
  EVENT_OF_A_CALL();
  stream *it = find_stream(context);
  (void)trailers;
  if (it == NULL || it->replied) return CONTINUE;
  event_begins();
  return take_turn(it, (turn){.event = TURN_RESPONSE_TRAILERS});
}
#endif

/* ---- deadlines ------------------------------------------------------------------------------------------- */

void end_calls_in_time(void) {
  if (timed_calls == 0) return;
  EVENT_OF_A_CALL();
  uint64_t now = event_time();
  for (size_t i = 0; i < BUCKETS; i++) {
    for (stream *it = streams[i]; it != NULL; it = it->next) {
      if (it->ends_at_ns > now) continue;
      set_end(it, AN_NO_DEADLINE);
      proxy_set_effective_context(it->context);
      take_turn(it, (turn){.event = TURN_DEADLINE});
    }
  }
}

/* ---- turns ------------------------------------------------------------------------------------------------ */

static uint32_t show_deadline(stream *it) {
  if (an_deadline_come(it->call) == AN_REPLY) reply(it);
  return PAUSE;
}

uint32_t show(stream *it, turn now) {
  switch (now.event) {
    case TURN_REQUEST_HEADERS: return show_request_headers_of(it, now.end);
#if SEES_REQUEST_BODY
    case TURN_REQUEST_BODY: return show_request_body(it, now.size, now.end);
    case TURN_REQUEST_TRAILERS: return show_request_trailers(it);
#endif
#if SEES_RESPONSE
    case TURN_RESPONSE_HEADERS: return show_response_headers(it, now.end);
#endif
#if SEES_RESPONSE_BODY
    case TURN_RESPONSE_BODY: return show_response_body(it, now.size, now.end);
#endif
#if SEES_RESPONSE_TRAILERS
    case TURN_RESPONSE_TRAILERS: return show_response_trailers(it);
#endif
    case TURN_DEADLINE: return show_deadline(it);
    case TURN_END: an_http_call_free(it->call); return CONTINUE;
    default: return CONTINUE;
  }
}

/* ---- the end --------------------------------------------------------------------------------------------- */

static void end_call(uint32_t context) {
  EVENT_OF_A_CALL();
  end_stream(context);
}

/* The last time that a call's metadata can be asked for, and the first that all of them are there. */
EXPORT(proxy_on_log) void proxy_on_log(uint32_t context) {
  stream *it = find_stream(context);
  if (it == NULL || it->call->base.trace == NULL) return;
  event_begins();
  an_response_over(it->call);
}

/* A call or the machine ends. As contexts are told of this hook in any case, they need none for their deletion. */
EXPORT(proxy_on_done) uint32_t proxy_on_done(uint32_t context) {
  if (context != root_context) {
    end_call(context);
    return 1;
  }
  event_begins();
#if APPNET_WANTS_STATE
  gateway_end(handover_is_replaced());
  handover_end();
#endif
  outbox_close();
  return gateway_is_over() ? 1 : 0;
}
