#include "events.h"

#include "metrics.h"
#include "program.h"
#include "trace.h"

enum { RESOURCE_EXHAUSTED = 8 };

/* ---- services ---------------------------------------------------------------------------------------------- */

_Static_assert(offsetof(an_call_frame, now_ns) == offsetof(frames_clock, now_ns), "a frame begins as a clock");
_Static_assert(offsetof(an_call_frame, wall_ns) == offsetof(frames_clock, wall_ns), "a frame begins as a clock");

static uint64_t clock_now(void *host) {
  const uint64_t at = ((const frames_clock *)host)->now_ns;
  return at != 0 ? at : an_clock_ns(AN_CLOCK_MONOTONIC);
}

static uint64_t clock_wall(void *host) {
  const uint64_t at = ((const frames_clock *)host)->wall_ns;
  return at != 0 ? at : an_clock_ns(AN_CLOCK_WALL);
}

/* What the event's handlers have made of the key so far; NULL: nothing. */
static an_metadata_edit *edit_of(const an_call_frame *frame, an_metadata_map map, an_view key) {
  an_metadata_edit *it = frame->edits;
  while (it != NULL && !(it->map == map && an_equal(it->key, key))) it = it->next;
  return it;
}

/* In the place of what was made of the key before. */
static void add_edit(an_call_frame *frame, an_metadata_map map, an_view key, an_view value, bool removes) {
  an_metadata_edit *edit = edit_of(frame, map, key);
  const bool found = edit != NULL;
  const size_t own = found ? 0 : sizeof *edit + key.size;
  uint8_t *text = an_arena_alloc(&frame->call->arena, own + value.size);
  if (text == NULL) {
    frame->failed = 1;
    return;
  }
  if (value.size > 0) memcpy(text + own, value.data, value.size);
  if (found) {
    edit->value = (an_view){text, value.size};
    edit->removes = removes;
    return;
  }
  edit = (an_metadata_edit *)(void *)text;
  uint8_t *name = (uint8_t *)(edit + 1);
  if (key.size > 0) memcpy(name, key.data, key.size);
  *edit = (an_metadata_edit){NULL, {name, key.size}, {text + own, value.size}, map, removes};
  if (frame->last_edit == NULL) {
    frame->edits = edit;
  } else {
    frame->last_edit->next = edit;
  }
  frame->last_edit = edit;
}

static size_t metadata_values(void *host, an_metadata_map map, an_view key, an_view *values, size_t room) {
  const an_call_frame *frame = host;
  const an_metadata_edit *edit = edit_of(frame, map, key);
  if (edit != NULL) {
    if (!edit->removes && room > 0) values[0] = edit->value;
    return edit->removes ? 0 : 1;
  }
  size_t count = 0;
  for (uint64_t i = 0; i < frame->metadata_count[map]; i++) {
    const an_pair *it = &frame->metadata[map][i];
    if (!an_equal(it->key, key)) continue;
    if (count < room) values[count] = it->value;
    count++;
  }
  return count;
}

static bool metadata_get(void *host, an_metadata_map map, an_view key, an_view *value) {
  return metadata_values(host, map, key, value, 1) > 0;
}

static void metadata_set(void *host, an_metadata_map map, an_view key, an_view value) {
  add_edit(host, map, key, value, false);
}

static void metadata_remove(void *host, an_metadata_map map, an_view key) {
  add_edit(host, map, key, (an_view){NULL, 0}, true);
}

static bool peer(void *host, an_view *identity) {
  *identity = ((const an_call_frame *)host)->peer;
  return true;
}

/* ---- instances --------------------------------------------------------------------------------------------- */

an_instance *frames_instance_held(frames_holder *it, const an_setup *setup, const an_carrier *carrier) {
  if (it == NULL) return NULL;
  it->clock = (frames_clock){setup->now_ns, setup->wall_ns};
  if (setup->scope.size > 0) it->keeper = an_keeper_open(setup->scope);
  const an_services services = {it, clock_now, clock_wall, metadata_get, metadata_set, metadata_values, metadata_remove,
                                peer, NULL};
  const an_options options = {setup->seed, setup->max_message, setup->backend_count, setup->resource, it->keeper};
  const bool whole = setup->scope.size == 0 || it->keeper != NULL;
  an_instance *instance = whole ? an_chain_instance_with(&services, &options, carrier) : NULL;
  if (instance == NULL) {
    an_keeper_close(it->keeper);
    an_free(it);
  } else if (!appnet_program.clocks) {
    an_metrics_untimed(instance);
  }
  return instance;
}

an_instance *frames_instance_new(const an_setup *setup) {
  return frames_instance_held(an_alloc_zeroed(sizeof(frames_holder)), setup, NULL);
}

void frames_instance_free(an_instance *instance) {
  frames_holder *it = instance->services.host;
  an_instance_free(instance);
#if AN_SHARED
  fibers_free(&it->fibers);
#endif
  an_keeper_close(it->keeper);
  an_free(it);
}

uint8_t *frames_telemetry_take(an_instance *instance, const an_setup *now, size_t *size) {
  frames_holder *it = instance->services.host;
  it->clock = (frames_clock){now->now_ns, now->wall_ns};
  return an_records_take(instance, size);
}

uint8_t *frames_metrics_take(an_instance *instance, const an_setup *now, uint32_t last, size_t *size) {
  frames_holder *it = instance->services.host;
  it->clock = (frames_clock){now->now_ns, now->wall_ns};
  *size = 0;
  return last || an_metrics_pending(instance) ? an_metrics_take(instance, size) : NULL;
}

uint8_t *frames_spans_take(an_instance *instance, const an_setup *now, uint64_t *count, size_t *size) {
  frames_holder *it = instance->services.host;
  it->clock = (frames_clock){now->now_ns, now->wall_ns};
  return an_traces_take(instance, size, count);
}

/* ---- events ------------------------------------------------------------------------------------------------ */

static void refuse_for_memory(an_call_frame *frame) {
  frame->failed = 1;
  frame->verdict = AN_REFUSE;
  frame->code = RESOURCE_EXHAUSTED;
  frame->text = AN_TEXT("out of memory");
  frame->own = frame->trailers = NULL;
}

static void event_begins(an_call_frame *frame) {
  frame->edits = frame->last_edit = NULL;
  frame->own = frame->trailers = NULL;
  frame->reply = NULL;
  frame->touched = frame->failed = 0;
}

static void fill_slots(an_call_frame *frame, an_direction direction) {
  an_call *call = frame->call;
  const an_side *side = direction == AN_REQUEST ? &call->method->request : &call->method->response;
  if (frame->given == NULL) return;
  for (size_t i = 0; i < side->field_count; i++) {
    const an_given *it = &frame->given[i];
    if (it->as == AN_ABSENT) continue;
    if (it->as == AN_SEVERAL) {
      const an_value *values = (const an_value *)(const void *)it->value.s.data;
      if (!an_give_values(call, direction, i, values, it->value.s.size)) frame->failed = 1;
      continue;
    }
    call->slots[i].value = it->value;
    call->slots[i].present = side->fields[i].kind != AN_FIELD_MESSAGE || it->value.u > 0;
  }
}

/* The chain has an event of the call in hand, until it is judged. The clock of a frame may stand still meanwhile. */
static void enters(const an_call_frame *frame) {
  if (an_is_timed(frame->call)) an_metrics_entered(frame->call, an_clock_ns(AN_CLOCK_MONOTONIC));
}

static void left(const an_call_frame *frame) {
  if (an_is_timed(frame->call)) an_metrics_left(frame->call, an_clock_ns(AN_CLOCK_MONOTONIC));
}

/* The message of the event, as the host has it. */
static void message_comes(an_call_frame *frame, an_direction direction) {
  if (frame->message_size > 0) an_metrics_message(frame->call, direction, frame->message_size);
  fill_slots(frame, direction);
}

/* Whether handlers wrote or cleared any field of the side. */
static bool any_touched(const an_slot *slots, const an_side *side) {
  bool touched = false;
  for (size_t i = 0; i < side->field_count; i++) touched = touched || slots[i].written || slots[i].cleared;
  return touched;
}

/* `asked`: a request was judged, so that the headers go on, which they may have done before. */
static void judged(an_call_frame *frame, an_direction direction, bool asked, an_verdict verdict) {
  an_call *call = frame->call;
  left(frame);
  const bool passes = verdict == AN_FORWARD && direction == AN_REQUEST && (asked || !call->method->request.holds);
  if (AN_TRACE && call->trace != NULL && passes) an_trace_pass(call);
  frame->verdict = verdict;
  frame->deadline_ns = an_deadline_ns(call);
  frame->destination = an_destination(call);
  frame->wait_ms = an_wait_ms(call);
  if (frame->failed) {
    refuse_for_memory(frame);
    return;
  }
  if (verdict == AN_FORWARD) {
    const an_side *side = direction == AN_REQUEST ? &call->method->request : &call->method->response;
    frame->touched = any_touched(call->slots, side);
    return;
  }
  frame->own = an_own_metadata(call);
  frame->trailers = an_own_trailers(call);
  frame->text = (an_view){NULL, 0};
  if (verdict == AN_REFUSE) frame->code = an_refusal(call, &frame->text);
  if (verdict == AN_ANSWER) frame->reply = an_reply(call);
}

/* Whether the chain has nothing to do with the call any more, and has left nothing to be read. */
static bool is_done_with(const an_call_frame *frame) {
  const an_call *call = frame->call;
  const an_method *method = call->method;
  return method->response.empty && method->on_end == NULL && call->counted < 0 && !frame->touched && frame->edits == NULL &&
         call->trace == NULL;
}

static void do_open(an_call_frame *frame) {
  event_begins(frame);
  an_call *call = frame->call = an_chain_call_make(frame->instance, frame->method, frame);
  if (call == NULL) {
    refuse_for_memory(frame);
    return;
  }
  call->clock = frame;
  an_chain_call_begin(call);
  enters(frame);
  if (AN_TRACE && frame->trace != AN_TRACED_NOT) an_trace_begin(call, frame->trace == AN_TRACED_DRAWN);
  frame->trace = call->trace != NULL;
  frame->slots = an_message_new(call, AN_REQUEST, 0);
  judged(frame, AN_REQUEST, false, an_judge_open(call));
}

/* Of a stream's call, what an event allocated ends with the next message: so must what it left. */
static void do_request(an_call_frame *frame) {
  event_begins(frame);
  enters(frame);
  frame->slots = an_message_new(frame->call, AN_REQUEST, frame->message_size);
  message_comes(frame, AN_REQUEST);
  judged(frame, AN_REQUEST, true, frame->failed ? AN_REFUSE : an_judge_request(frame->call));
}

static void do_end(an_call_frame *frame) {
  if (AN_TRACE && frame->call->trace != NULL) an_trace_ended(frame->call, frame->status);
  an_call_free(frame->call);
  frame->call = NULL;
}

/* As open and then request, whose edits stand behind the other's: nothing has gone on in between. */
static void do_begin(an_call_frame *frame) {
  do_open(frame);
  if (frame->verdict != AN_FORWARD) return;
  enters(frame);
  frame->slots = an_message_in(frame->call, AN_REQUEST, frame->message_size);
  message_comes(frame, AN_REQUEST);
  judged(frame, AN_REQUEST, true, frame->failed ? AN_REFUSE : an_judge_request(frame->call));
  if (frame->verdict == AN_FORWARD && is_done_with(frame)) do_end(frame);
}

static void do_response(an_call_frame *frame) {
  event_begins(frame);
  enters(frame);
  frame->slots = an_message_new(frame->call, AN_RESPONSE, frame->message_size);
  message_comes(frame, AN_RESPONSE);
  judged(frame, AN_RESPONSE, true, frame->failed ? AN_REFUSE : an_judge_response(frame->call));
}

static void do_end_response(an_call_frame *frame) {
  event_begins(frame);
  enters(frame);
  judged(frame, AN_RESPONSE, true, an_end_response(frame->call, frame->status));
}

static void do_finish(an_call_frame *frame) {
  do_response(frame);
  if (frame->verdict != AN_FORWARD || frame->touched || frame->edits != NULL) return;
  frame->status = 0;
  do_end(frame);
}

const an_value *frames_values(an_call_frame *frame, an_part part, size_t field, size_t *count) {
  return an_values(frame->call, part, field, count);
}

/* ---- events that may wait -------------------------------------------------------------------------------------- */

static void show(an_call_frame *frame, void (*event)(an_call_frame *frame)) {
  frame->waits = 0;
#if AN_SHARED
  const an_instance *instance = frame->instance;
  frames_holder *it = instance->services.host;
  if (instance->merges != NULL) it->clock = (frames_clock){frame->now_ns, frame->wall_ns}; /* of the last writes */
  if (instance->copies != NULL) {
    if (!fibers_run(&it->fibers, frame, event)) refuse_for_memory(frame); /* at the end, the call is kept back */
    return;
  }
#endif
  event(frame);
}

void frames_open(an_call_frame *frame) { show(frame, do_open); }
void frames_begin(an_call_frame *frame) { show(frame, do_begin); }
void frames_request(an_call_frame *frame) { show(frame, do_request); }
void frames_response(an_call_frame *frame) { show(frame, do_response); }
void frames_end_response(an_call_frame *frame) { show(frame, do_end_response); }
void frames_end(an_call_frame *frame) { show(frame, do_end); }
void frames_finish(an_call_frame *frame) { show(frame, do_finish); }
