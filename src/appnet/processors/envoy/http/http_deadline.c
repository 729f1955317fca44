/* The end of a call whose time is up. */
#include "deadline.h"
#include "http_call.h"
#include "response.h"
#include "text.h"

/* What was judged already is not judged again: of such a response the rest is cut off. */
an_action an_deadline_come(an_http_call *call) {
  an_call *base = &call->base;
  if (base->method == NULL || call->request_phase == AN_PHASE_REPLIED || call->response_phase == AN_PHASE_REPLIED) return AN_CONTINUE;
  bool passed = call->request_phase != AN_PHASE_START;
  bool to_judge = passed && call->response_phase != AN_PHASE_JUDGED && !base->method->response.empty;
  call->request_phase = call->response_phase = AN_PHASE_REPLIED;
  an_call_uncount(base);
  base->last = true;
  base->end_status = AN_DEADLINE_EXCEEDED;
  an_call_fail(base, AN_DEADLINE_EXCEEDED);
  call->outcome = (an_outcome){.code = AN_DEADLINE_EXCEEDED, .text = AN_TEXT("deadline exceeded")};
  if (to_judge && base->method->on_response(base) == AN_REFUSE) {
    call->outcome = (an_outcome){.code = base->reply_code, .text = base->reply_text, .metadata = base->own};
  } else {
    call->outcome.metadata = base->own;
  }
  return AN_REPLY;
}
