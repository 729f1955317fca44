/* Connections that do not block. */
#ifndef APPNET_DIAL_H
#define APPNET_DIAL_H

#include "chain.h"

/* A socket that is connected to a Unix socket, an abstract one if the path begins with @; -1 and errno. */
int dial_path(an_view path);
/* A socket that begins to connect to the first of the hosts, lines of "HOST PORT\n", which is taken away; -1 and errno. Waits
 * for the name to be looked up. */
int dial_host(an_view *hosts);

#endif
