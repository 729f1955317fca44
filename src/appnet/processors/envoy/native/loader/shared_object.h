#ifndef APPNET_SHARED_OBJECT_H
#define APPNET_SHARED_OBJECT_H

#include "chain.h"

/* NULL, or what is wrong with the bytes as a shared object for this machine. The dynamic linker trusts the headers:
 * of a file that is cut short it would map pages that are not there, and the proxy would end by SIGBUS. */
const char *shared_object_flaw(an_view file);

#endif
