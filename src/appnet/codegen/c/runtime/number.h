/* The number of a call, one for all modules that it passes in a proxy: the first counts, and tells those behind it by a
 * header. The last that needs to know takes the header away. */
#ifndef AN_NUMBER_H
#define AN_NUMBER_H

#include "instance.h"

/* The request's headers have come. */
void an_number(an_call *call);

/* Of decimal digits. */
uint64_t an_number_in(an_view digits);

#endif
