#include "chain_calls.h"

#include "deadline.h"
#include "lists.h"
#include "metrics.h"
#include "number.h"
#include "response.h"
#include "wire.h"

typedef struct an_chain_call {
  an_call base;
  an_mark start; /* of a stream's arena: what a message took after it ends with the message */
} an_chain_call;

static const an_side *side_of_part(const an_method *method, an_part part) {
  return part == AN_PART_REQUEST ? &method->request : part == AN_PART_RESPONSE ? &method->response : &method->reply;
}

static bool streams_at_all(const an_method *method) { return method->request.streams || method->response.streams; }

an_instance *an_chain_instance_with(const an_services *services, const an_options *options, const an_carrier *carrier) {
  return an_instance_new(services, options, carrier, sizeof(an_chain_call));
}

an_instance *an_chain_instance_new(const an_services *services, const an_options *options) {
  return an_chain_instance_with(services, options, NULL);
}

an_call *an_chain_call_make(an_instance *instance, size_t method, void *host) {
  const an_program *program = instance->program;
  an_call *call = method < program->method_count ? an_call_new(instance, host) : NULL;
  if (call != NULL) call->method = &program->methods[method];
  return call;
}

void an_chain_call_begin(an_call *call) {
  an_number(call);
  an_metrics_begin(call);
  call->last = !call->method->response.streams;
  call->trailers_there = true;
  if (streams_at_all(call->method)) ((an_chain_call *)call)->start = call->arena;
  if (call->instance->program->deadlines) an_deadline_begin(call);
}

an_call *an_chain_call_new(an_instance *instance, size_t method, void *host) {
  an_call *call = an_chain_call_make(instance, method, host);
  if (call != NULL) an_chain_call_begin(call);
  return call;
}

static void end_event(an_call *call) {
  if (streams_at_all(call->method)) an_arena_release(&call->arena, &((an_chain_call *)call)->start);
}

an_slot *an_message_new(an_call *call, an_direction direction, size_t size) {
  end_event(call);
  return an_message_in(call, direction, size);
}

an_slot *an_message_in(an_call *call, an_direction direction, size_t size) {
  call->decoded_size = size;
  an_wire_clear(side_of_part(call->method, (an_part)direction), call->slots);
  if (direction == AN_RESPONSE) call->response_begun = true;
  return call->slots;
}

bool an_give_values(an_call *call, an_direction direction, size_t field, const an_value *values, size_t count) {
  an_scope scope = {.call = call};
  const an_side *side = side_of_part(call->method, (an_part)direction);
  an_list_fill(&scope, &side->fields[field], &call->slots[field], values, count);
  return !scope.failed;
}

/* ---- judging ---------------------------------------------------------------------------------------- */

/* The field of the reply that is this one of the response, where it is written; NULL where there is none. */
static const an_slot *replied(const an_call *call, const an_field *field) {
  const an_side *reply = &call->method->reply;
  for (size_t i = 0; i < reply->field_count; i++) {
    const an_field *it = &reply->fields[i];
    bool same = it->depth == field->depth;
    for (unsigned level = 0; same && level < field->depth; level++) same = it->numbers[level] == field->numbers[level];
    if (same) return call->reply_slots[i].written ? &call->reply_slots[i] : NULL;
  }
  return NULL;
}

/* Whether the reply makes this message of the response: something in it is written, be it nothing in a oneof. */
static bool makes_message(const an_call *call, const an_field *message) {
  const an_side *reply = &call->method->reply;
  for (size_t i = 0; i < reply->field_count; i++) {
    const an_field *it = &reply->fields[i];
    const an_slot *slot = &call->reply_slots[i];
    bool inside = slot->written && it->depth > message->depth;
    for (unsigned level = 0; inside && level < message->depth; level++) inside = it->numbers[level] == message->numbers[level];
    if (inside && (it->oneofs != NULL || an_list_size(it, slot) > 0)) return true;
  }
  return false;
}

/* The reply passes the elements that had forwarded the request, as a response that has no metadata. */
static an_verdict answer(an_call *call) {
  const an_side *response = &call->method->response;
  call->made_here = true;
  an_wire_clear(response, call->slots);
  for (size_t i = 0; i < response->field_count; i++) {
    const an_field *field = &response->fields[i];
    const an_slot *slot = field->within == 0 ? replied(call, field) : NULL;
    if (slot != NULL) call->slots[i] = (an_slot){.value = slot->value, .present = true};
    if (field->within == 0 && field->kind == AN_FIELD_MESSAGE) call->slots[i].present = makes_message(call, field);
  }
  return call->method->on_response(call) == AN_REFUSE ? AN_REFUSE : AN_ANSWER;
}

an_verdict an_judge_open(an_call *call) {
  an_verdict verdict = call->method->on_open(call);
  if (verdict == AN_FORWARD && !call->method->request.holds) an_call_count(call);
  return verdict == AN_ANSWER ? answer(call) : verdict;
}

an_verdict an_judge_request(an_call *call) {
  an_verdict verdict = call->method->on_request(call);
  if (verdict == AN_FORWARD) an_call_count(call);
  return verdict == AN_ANSWER ? answer(call) : verdict;
}

an_verdict an_judge_response(an_call *call) {
  const bool streams = call->method->response.streams;
  if (!streams) an_call_uncount(call);
  an_verdict verdict = call->method->on_response(call);
  if (streams && verdict == AN_FORWARD) call->response_passed = true;
  return verdict;
}

an_verdict an_end_response(an_call *call, int32_t status) {
  end_event(call);
  an_call_uncount(call);
  call->last = true;
  if (status == 0) {
    call->end_status = 0;
    an_wire_clear(&call->method->response, call->slots); /* the last message's, whose memory has gone */
    if (call->method->on_trailers != NULL) call->method->on_trailers(call);
    return AN_FORWARD;
  }
  call->response_begun = true;
  an_call_error(call, status);
  return call->method->on_response(call);
}

/* ---- what came of it --------------------------------------------------------------------------------- */

const an_slot *an_reply(an_call *call) { return call->reply_slots; }

const an_value *an_values(an_call *call, an_part part, size_t field, size_t *count) {
  const an_slot *slots = part == AN_PART_REPLY ? call->reply_slots : call->slots;
  return an_list_values(&call->arena, &side_of_part(call->method, part)->fields[field], &slots[field], count);
}

int32_t an_refusal(const an_call *call, an_view *text) {
  *text = call->reply_text;
  return call->reply_code;
}

const an_entry *an_own_metadata(const an_call *call) { return call->own; }

const an_entry *an_own_trailers(const an_call *call) { return call->trailers; }

uint64_t an_deadline_ns(const an_call *call) { return call->shortened ? call->deadline_ns : AN_NO_DEADLINE; }

int64_t an_destination(const an_call *call) { return call->destination; }

uint64_t an_wait_ms(const an_call *call) { return call->wait_ms; }
