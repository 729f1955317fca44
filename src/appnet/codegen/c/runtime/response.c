#include "response.h"

#include "wire.h"

void an_call_error(an_call *call, int32_t status) {
  call->is_error = true;
  call->last = true;
  call->status = status;
  an_wire_clear(&call->method->response, call->slots);
}

void an_call_fail(an_call *call, int32_t status) {
  an_call_error(call, status);
  call->made_here = true;
}

void an_reply_begin(an_call *call) { an_wire_clear(&call->method->reply, call->reply_slots); }
