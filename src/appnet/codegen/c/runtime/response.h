/* A response as handlers see it that no peer sent: an error, or an element's reply. */
#ifndef AN_RESPONSE_H
#define AN_RESPONSE_H

#include "instance.h"

/* The response in hand is an error: is_error and status are set, and its slots read as defaults. */
void an_call_error(an_call *call, int32_t status);

/* Likewise one made by the chain or its proxy, without metadata. */
void an_call_fail(an_call *call, int32_t status);

/* The refusal of a message that cannot be read, in the place of a handler that would read it. */
an_verdict an_refuse_unread(an_call *call);

/* How many bytes the message in hand has, as it came; 0 of one that did not come. */
static inline uint64_t an_message_size(const an_call *call) {
  if (call->is_error || call->made_here) return 0;
  return call->message.data != NULL ? call->message.size : call->decoded_size;
}
/* Likewise the one with which a handler has just ended, for the resp handlers of the elements before. */
void an_call_refused(an_call *call);

/* The handler's reply begins anew, with no field written. */
void an_reply_begin(an_call *call);

#endif
