#include "response.h"

#include "wire.h"

void an_call_error(an_call *call, int32_t status) {
  call->is_error = true;
  call->last = true;
  call->unread_code = 0;
  call->status = status;
  an_wire_clear(&call->method->response, call->slots);
}

void an_call_fail(an_call *call, int32_t status) {
  call->own = NULL;
  an_call_error(call, status);
  call->made_here = true;
}

an_verdict an_refuse_unread(an_call *call) {
  call->reply_code = call->unread_code;
  call->reply_text = call->unread_text;
  call->own = NULL;
  return AN_REFUSE;
}

void an_call_refused(an_call *call) {
  an_call_error(call, call->reply_code);
  call->made_here = true;
}

void an_reply_begin(an_call *call) { an_wire_clear(&call->method->reply, call->reply_slots); }
