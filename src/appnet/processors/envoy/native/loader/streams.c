/* Envoy's events: each is shown to the chain, and what comes of it is done.
 *
 * Where the chain waits for the store in the middle of an event, Envoy is told to stop. What comes meanwhile stays in its
 * buffers and is shown when the event is over, before Envoy is told to go on. */
#include <stdlib.h>
#include <string.h>

#include "loader.h"

EXPORT const void *envoy_dynamic_module_on_http_filter_new(const void *config_pointer, void *envoy) {
  config *it = (config *)config_pointer;
  stream *s = malloc(sizeof *s);
  if (s == NULL) return NULL;
  *s = (stream){.envoy = envoy, .config = it};
  s->call = it->module->call_new(it->instance, s);
  if (s->call == NULL) {
    free(s);
    return NULL;
  }
  if (!it->waits) return s;
  pthread_mutex_init(&s->lock, NULL);
  s->scheduler = ENVOY(http_filter_scheduler_new)(envoy);
  return s;
}

EXPORT void envoy_dynamic_module_on_http_filter_stream_complete(void *envoy, const void *stream_pointer) {
  const stream *s = stream_pointer;
  (void)envoy;
  s->config->module->response_over(s->call);
}

EXPORT void envoy_dynamic_module_on_http_filter_destroy(const void *stream_pointer) {
  stream *s = (stream *)stream_pointer;
  if (s->timer != NULL) timer_end(s->timer);
  s->timer = NULL;
  if (s->ended != NULL) *s->ended = true;
  s->ended = NULL;
  turn_last(s);
}

/* Whether what follows is looked at after what the chain let pass now. */
static bool shows_more(const stream *s) { return s->config->module->outcome(s->call)->more; }

/* ---- what comes of an event: what Envoy is told ---------------------------------------------------------------- */

static int request_headers_over(stream *s) {
  switch (s->turn.action) {
    case AN_HOLD: return ENVOY_STOP_ITERATION;
    case AN_REPLY:
      reply(s);
      return ENVOY_STOP_ITERATION;
    case AN_RESPOND:
      respond(s);
      return ENVOY_STOP_ITERATION;
    default:
      s->request_passes = !shows_more(s);
      s->request.open = true;
      return ENVOY_CONTINUE;
  }
}

/* What was shown of Envoy's buffer becomes what the chain made of it; what has come since stays behind it. */
static void settle_buffer(stream *s, flow *flow, int buffered, an_view instead) {
  const size_t size = ENVOY(http_get_body_size)(s->envoy, buffered);
  const size_t count = size == 0 ? 0 : ENVOY(http_get_body_chunks_size)(s->envoy, buffered);
  const size_t shown_to = flow->judged + flow->shown;
  envoy_buffer *chunks = count == 0 ? NULL : malloc(count * sizeof *chunks);
  char *all = malloc(size + 1);
  if (all == NULL || (count > 0 && chunks == NULL) || shown_to > size) {
    complain("appnet: out of memory: a body is cut");
  } else {
    char *to = all;
    if (count > 0) ENVOY(http_get_body_chunks)(s->envoy, buffered, chunks);
    for (size_t i = 0; i < count; i++) {
      memcpy(to, chunks[i].data, chunks[i].size);
      to += chunks[i].size;
    }
    drop(s, buffered);
    if (flow->judged > 0) ENVOY(http_append_body)(s->envoy, buffered, (envoy_buffer){all, flow->judged});
    if (instead.size > 0) ENVOY(http_append_body)(s->envoy, buffered, (envoy_buffer){(const char *)instead.data, instead.size});
    if (shown_to < size) ENVOY(http_append_body)(s->envoy, buffered, (envoy_buffer){all + shown_to, size - shown_to});
  }
  free(all);
  free(chunks);
  flow->judged += instead.size;
  flow->shown = 0;
}

/* A body event was over late: its bytes are in Envoy's buffer, with others perhaps. */
static void settle_late(stream *s, flow *flow, int buffered, int map) {
  if (s->turn.action == AN_CONTINUE) {
    flow->judged += flow->shown;
  } else if (s->turn.action == AN_TAKE) {
    settle_buffer(s, flow, buffered, (an_view){NULL, 0});
  } else if (s->turn.action == AN_REPLACE) {
    settle_buffer(s, flow, buffered, s->config->module->outcome(s->call)->body);
    drop_content_length(s, map);
  }
  flow->shown = 0;
}

static int request_body_over(stream *s, bool late) {
  if (late) settle_late(s, &s->request, ENVOY_BUFFERED_REQUEST, ENVOY_REQUEST_HEADERS);
  switch (s->turn.action) {
    case AN_HOLD:
      s->request_held = true;
      s->request.held = true;
      allow_buffering(s);
      return ENVOY_STOP_AND_BUFFER;
    case AN_REPLY: reply(s); return ENVOY_STOP_NO_BUFFER;
    case AN_RESPOND: respond(s); return ENVOY_STOP_NO_BUFFER;
    case AN_TAKE:
      s->request.held = false;
      if (!late) drop(s, ENVOY_RECEIVED_REQUEST);
      return ENVOY_STOP_NO_BUFFER;
    case AN_REPLACE:
      if (!late) replace(s, ENVOY_RECEIVED_REQUEST, ENVOY_BUFFERED_REQUEST, ENVOY_REQUEST_HEADERS);
      break;
    case AN_CONTINUE: break;
  }
  s->request_passes = !shows_more(s);
  s->request.open = true;
  s->request.held = false;
  return ENVOY_CONTINUE;
}

static int request_trailers_over(stream *s) {
  switch (s->turn.action) {
    case AN_HOLD:
    case AN_TAKE:
    case AN_RESPOND: return ENVOY_STOP_ITERATION;
    case AN_REPLY: reply(s); return ENVOY_STOP_ITERATION;
    case AN_REPLACE: replace(s, ENVOY_RECEIVED_REQUEST, ENVOY_BUFFERED_REQUEST, ENVOY_REQUEST_HEADERS); break;
    case AN_CONTINUE: break;
  }
  s->request_passes = true;
  return ENVOY_CONTINUE;
}

/* Refuses the response. One whose trailers wait already goes on as it is, with the chain's status in them: Envoy would send
 * these behind any other answer. */
static int refuse_response(stream *s) {
  if (!s->response.trailers) {
    reply(s);
    return ENVOY_STOP_ITERATION;
  }
  if (!s->response_passed) {
    clear_map(s, ENVOY_RESPONSE_HEADERS);
    say_grpc(s);
  }
  drop_unjudged(s);
  s->answered = true;
  return end_with_own_status(s, AN_RESPONSE_TRAILERS);
}

static int response_headers_over(stream *s) {
  switch (s->turn.action) {
    case AN_HOLD: return ENVOY_STOP_ITERATION;
    case AN_REPLY:
      s->answered = s->turn.end;
      if (s->turn.end && !speaks_grpc(s)) return end_plainly(s);
      if (s->turn.end) { /* a reply of Envoy's would not pass the filters before this one */
        end_with_own_status(s, AN_RESPONSE_METADATA);
        say_grpc(s);
        return ENVOY_CONTINUE;
      }
      return refuse_response(s);
    default:
      s->response_passes = !shows_more(s);
      s->response_passed = true;
      s->response.open = true;
      return ENVOY_CONTINUE;
  }
}

static int response_body_over(stream *s, bool late) {
  if (late) settle_late(s, &s->response, ENVOY_BUFFERED_RESPONSE, ENVOY_RESPONSE_HEADERS);
  switch (s->turn.action) {
    case AN_HOLD:
      s->response_held = true;
      s->response.held = true;
      allow_buffering(s);
      return ENVOY_STOP_AND_BUFFER;
    case AN_REPLY: return refuse_response(s) == ENVOY_CONTINUE ? ENVOY_CONTINUE : ENVOY_STOP_NO_BUFFER;
    case AN_TAKE:
    case AN_RESPOND:
      s->response.held = false;
      if (!late) drop(s, ENVOY_RECEIVED_RESPONSE);
      return ENVOY_STOP_NO_BUFFER;
    case AN_REPLACE:
      if (!late) replace(s, ENVOY_RECEIVED_RESPONSE, ENVOY_BUFFERED_RESPONSE, ENVOY_RESPONSE_HEADERS);
      break;
    case AN_CONTINUE: break;
  }
  s->response_passes = !shows_more(s);
  s->response_passed = true;
  s->response.open = true;
  s->response.held = false;
  return ENVOY_CONTINUE;
}

static int response_trailers_over(stream *s) {
  switch (s->turn.action) {
    case AN_HOLD:
    case AN_TAKE:
    case AN_RESPOND: return ENVOY_STOP_ITERATION;
    case AN_REPLY:
      if (!s->response_passed) {
        clear_map(s, ENVOY_RESPONSE_HEADERS);
        say_grpc(s);
        drop(s, ENVOY_BUFFERED_RESPONSE);
      }
      s->answered = true;
      return end_with_own_status(s, AN_RESPONSE_TRAILERS);
    case AN_REPLACE: replace(s, ENVOY_RECEIVED_RESPONSE, ENVOY_BUFFERED_RESPONSE, ENVOY_RESPONSE_HEADERS); break;
    case AN_CONTINUE: break;
  }
  return ENVOY_CONTINUE;
}

/* ---- events that come in time --------------------------------------------------------------------------------- */

/* Something of the direction waits until an event is over, so that Envoy has to be told to go on. */
static bool has_to_wait(const stream *s, const flow *flow) { return s->fiber != NULL || flow->stopped; }

/* Takes so many bytes off the front of the chunks; how many are left. */
static size_t leave_out(an_view *chunks, size_t count, size_t size) {
  size_t left = 0;
  for (size_t i = 0; i < count; i++) {
    const size_t part = chunks[i].size < size ? chunks[i].size : size;
    if (part > 0) chunks[i] = (an_view){chunks[i].data + part, chunks[i].size - part};
    size -= part;
    left += chunks[i].size;
  }
  return left;
}

/* Shows a body event to the chain with every chunk held so far, if any, before what arrived. True: it is over. */
static bool show_body(stream *s, event event, int received, int buffered, bool any_held, bool end) {
  an_view on_stack[STACK_CHUNKS];
  an_view *chunks = on_stack;
  size_t held = any_held ? ENVOY(http_get_body_chunks_size)(s->envoy, buffered) : 0;
  size_t arrived = received < 0 ? 0 : ENVOY(http_get_body_chunks_size)(s->envoy, received);
  _Static_assert(sizeof(an_view) == sizeof(envoy_buffer), "chunks are read in place");
  if (held + arrived > STACK_CHUNKS) chunks = malloc((held + arrived) * sizeof *chunks);
  if (chunks == NULL) {
    ENVOY(log)(ENVOY_LOG_ERROR, TEXT("appnet: out of memory: a call is kept back"));
    s->turn.action = AN_HOLD;
    return true;
  }
  if (held > 0) ENVOY(http_get_body_chunks)(s->envoy, buffered, (envoy_buffer *)chunks);
  if (arrived > 0) ENVOY(http_get_body_chunks)(s->envoy, received, (envoy_buffer *)(chunks + held));
  flow *flow = event == REQUEST_BODY ? &s->request : &s->response;
  flow->shown = leave_out(chunks, held + arrived, flow->judged);
  bool over = take_turn(s, (turn){.event = event, .end = end, .chunks = chunks, .count = held + arrived});
  if (chunks != on_stack) free(chunks);
  return over;
}

EXPORT int envoy_dynamic_module_on_http_filter_request_headers(void *envoy, const void *stream_pointer, bool end) {
  stream *s = (stream *)stream_pointer;
  (void)envoy;
  if (take_turn(s, (turn){.event = REQUEST_HEADERS, .end = end})) return request_headers_over(s);
  s->request.stopped = true;
  return ENVOY_STOP_ITERATION;
}

EXPORT int envoy_dynamic_module_on_http_filter_request_body(void *envoy, const void *stream_pointer, bool end) {
  stream *s = (stream *)stream_pointer;
  if (s->request_passes && !s->request.stopped) return ENVOY_CONTINUE;
  if (s->replied) return ENVOY_STOP_NO_BUFFER;
  /* What arrives may be the buffer itself, coming by again. */
  bool any_held = s->request_held && !ENVOY(http_received_buffered_request_body)(envoy);
  if (has_to_wait(s, &s->request)) {
    s->request.body = true;
    s->request.end = s->request.end || end;
  } else if (show_body(s, REQUEST_BODY, ENVOY_RECEIVED_REQUEST, ENVOY_BUFFERED_REQUEST, any_held, end)) {
    return request_body_over(s, false);
  }
  s->request.stopped = true;
  s->request_held = true;
  allow_buffering(s);
  return ENVOY_STOP_AND_BUFFER;
}

EXPORT int envoy_dynamic_module_on_http_filter_request_trailers(void *envoy, const void *stream_pointer) {
  stream *s = (stream *)stream_pointer;
  (void)envoy;
  if (s->request_passes && !s->request.stopped) return ENVOY_CONTINUE;
  if (s->replied) return ENVOY_STOP_ITERATION;
  if (has_to_wait(s, &s->request)) {
    s->request.trailers = true;
  } else if (take_turn(s, (turn){.event = REQUEST_TRAILERS})) {
    return request_trailers_over(s);
  }
  s->request.stopped = true;
  return ENVOY_STOP_ITERATION;
}

EXPORT int envoy_dynamic_module_on_http_filter_response_headers(void *envoy, const void *stream_pointer, bool end) {
  stream *s = (stream *)stream_pointer;
  (void)envoy;
  if (s->replied) return ENVOY_CONTINUE;
  s->response_begun = true;
  if (has_to_wait(s, &s->response)) {
    s->response_headers_wait = true;
    s->response_headers_end = end;
  } else if (take_turn(s, (turn){.event = RESPONSE_HEADERS, .end = end})) {
    return response_headers_over(s);
  }
  s->response.stopped = true;
  return ENVOY_STOP_ITERATION;
}

EXPORT int envoy_dynamic_module_on_http_filter_response_body(void *envoy, const void *stream_pointer, bool end) {
  stream *s = (stream *)stream_pointer;
  if (s->cut) {
    drop(s, ENVOY_RECEIVED_RESPONSE);
    return ENVOY_STOP_NO_BUFFER;
  }
  if (s->replied || (s->response_passes && !s->response.stopped)) return ENVOY_CONTINUE;
  /* What arrives may be the buffer itself, coming by again. */
  bool any_held = s->response_held && !ENVOY(http_received_buffered_response_body)(envoy);
  if (has_to_wait(s, &s->response)) {
    s->response.body = true;
    s->response.end = s->response.end || end;
  } else if (show_body(s, RESPONSE_BODY, ENVOY_RECEIVED_RESPONSE, ENVOY_BUFFERED_RESPONSE, any_held, end)) {
    return response_body_over(s, false);
  }
  s->response.stopped = true;
  s->response_held = true;
  allow_buffering(s);
  return ENVOY_STOP_AND_BUFFER;
}

EXPORT int envoy_dynamic_module_on_http_filter_response_trailers(void *envoy, const void *stream_pointer) {
  stream *s = (stream *)stream_pointer;
  (void)envoy;
  if (s->cut && !s->own_trailers) return ENVOY_STOP_ITERATION;
  s->own_trailers = false;
  if (s->replied || (s->response_passes && !s->response.stopped)) return ENVOY_CONTINUE;
  if (has_to_wait(s, &s->response)) {
    s->response.trailers = true;
  } else if (take_turn(s, (turn){.event = RESPONSE_TRAILERS})) {
    return response_trailers_over(s);
  }
  s->response.stopped = true;
  return ENVOY_STOP_ITERATION;
}

/* ---- events that waited --------------------------------------------------------------------------------------- */

/* The event in hand is over: what it has to do with Envoy is done as far as that goes without going on. */
static void event_over(stream *s) {
  switch (s->turn.event) {
    case REQUEST_HEADERS: request_headers_over(s); break;
    case REQUEST_BODY: request_body_over(s, true); break;
    case REQUEST_TRAILERS:
      s->request.open = request_trailers_over(s) == ENVOY_CONTINUE;
      s->request.held = false;
      break;
    case RESPONSE_HEADERS: response_headers_over(s); break;
    case RESPONSE_BODY: response_body_over(s, true); break;
    case RESPONSE_TRAILERS:
      s->response.open = response_trailers_over(s) == ENVOY_CONTINUE;
      s->response.held = false;
      break;
    case DEADLINE:
      if (s->turn.action == AN_REPLY) refuse_response(s);
      break;
    case LOCAL_REPLY: case END: break;
  }
}

/* Begins what has waited longest. True: there was nothing. */
static bool none_waited(stream *s, bool *over) {
  if (s->late_reply) {
    s->late_reply = false;
    *over = take_turn(s, (turn){.event = LOCAL_REPLY, .status = s->late_status});
  } else if (s->late_deadline) {
    s->late_deadline = false;
    *over = take_turn(s, (turn){.event = DEADLINE});
  } else if (s->request.body && !s->request_passes) {
    s->request.body = false;
    *over = show_body(s, REQUEST_BODY, -1, ENVOY_BUFFERED_REQUEST, true, s->request.end);
  } else if (s->request.trailers && !s->request_passes) {
    s->request.trailers = false;
    *over = take_turn(s, (turn){.event = REQUEST_TRAILERS});
  } else if (s->response_headers_wait) {
    s->response_headers_wait = false;
    *over = take_turn(s, (turn){.event = RESPONSE_HEADERS, .end = s->response_headers_end});
  } else if (s->response.body && !s->response_passes) {
    s->response.body = false;
    *over = show_body(s, RESPONSE_BODY, -1, ENVOY_BUFFERED_RESPONSE, true, s->response.end);
  } else if (s->response.trailers && !s->response_passes) {
    s->response.trailers = false;
    *over = take_turn(s, (turn){.event = RESPONSE_TRAILERS});
  } else {
    return true;
  }
  return false;
}

/* Envoy goes on with what it was told to stop; what the chain wants more of stays until more has come. */
static void flow_on(stream *s, const bool *ended) {
  const bool request = s->request.stopped && s->request.open && !s->request.held && !s->replied;
  const bool passes = s->response.open && !s->response.held && !s->replied;
  const bool encodes = s->response.stopped && (passes || s->answered);
  void *envoy = s->envoy;
  s->request.stopped = s->response.stopped = false;
  if (request) s->request.judged = 0;
  if (encodes) s->response.judged = 0;
  if (request) ENVOY(http_filter_continue_decoding)(envoy);
  if (encodes && !*ended) ENVOY(http_filter_continue_encoding)(envoy);
}

/* The event in hand is over, perhaps: all that has waited for that is done. Envoy may end the stream meanwhile. */
static void go_on_from(stream *s, bool over) {
  bool ended = false;
  while (over) {
    s->ended = &ended;
    event_over(s);
    if (ended) return;
    s->ended = NULL;
    if (!s->replied && !none_waited(s, &over)) continue;
    s->ended = &ended;
    flow_on(s, &ended);
    if (!ended) s->ended = NULL;
    return;
  }
}

EXPORT void envoy_dynamic_module_on_http_filter_scheduled(void *envoy, const void *stream_pointer, uint64_t event) {
  stream *s = (stream *)stream_pointer;
  (void)envoy;
  if (event == 1) {
    go_on_from(s, turn_resume(s));
  } else if (s->fiber != NULL) {
    s->late_deadline = true;
  } else if (!s->replied) { /* the time that the chain has told has come */
    go_on_from(s, take_turn(s, (turn){.event = DEADLINE}));
  }
}

EXPORT int envoy_dynamic_module_on_http_filter_local_reply(void *envoy, const void *stream_pointer, uint32_t status,
                                                           envoy_buffer details, bool reset) {
  stream *s = (stream *)stream_pointer;
  static const char reset_by_server[] = "{remote_reset";
  (void)reset;
  /* A reply that stands in for a response that has begun goes past the filters: this is all that they hear of it. */
  bool passes_by = s->response_begun || ENVOY(http_get_headers_size)(envoy, ENVOY_RESPONSE_HEADERS) > 0;
  if (memmem(details.data, details.size, reset_by_server, sizeof reset_by_server - 1) != NULL) status = AN_HTTP_GIVEN_UP;
  if (s->replied || !passes_by) return 0;
  if (s->fiber != NULL) {
    s->late_reply = true;
    s->late_status = status;
  } else {
    take_turn(s, (turn){.event = LOCAL_REPLY, .status = status});
  }
  return 0; /* let it go on */
}
