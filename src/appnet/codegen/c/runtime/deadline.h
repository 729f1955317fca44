/* How long a call may last: what its caller says in grpc-timeout, and what handlers make of it. */
#ifndef AN_DEADLINE_H
#define AN_DEADLINE_H

#include "instance.h"

enum { AN_TIMEOUT_SIZE = 9, AN_DEADLINE_EXCEEDED = 4 };

/* The request has come. */
void an_deadline_begin(an_call *call);

/* Until the deadline, in seconds; infinite where there is none. */
double an_seconds_left(an_call *call);

/* The call ends in so many seconds, if not before. */
void an_shorten(an_call *call, double seconds);

/* The time that is left, as grpc-timeout has it; how many bytes. 0 where no handler has shortened it. */
size_t an_timeout_text(an_call *call, char out[AN_TIMEOUT_SIZE]);

#endif
