#define _GNU_SOURCE
#include "dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { UNACKNOWLEDGED_MS = 1000 };

static int closed(int socket) {
  const int flaw = errno;
  if (socket >= 0) close(socket);
  errno = flaw;
  return -1;
}

int dial_path(an_view path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (path.size >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(address.sun_path, path.data, path.size);
  socklen_t size = sizeof address;
  if (path.size > 0 && path.data[0] == '@') { /* the length counts: zeros would be part of the name */
    address.sun_path[0] = '\0';
    size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.size);
  }
  const int made = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return made >= 0 && connect(made, (struct sockaddr *)&address, size) == 0 ? made : closed(made);
}

/* What stands before the mark, which is taken away with it. */
static void take_before(an_view *from, char mark, char *to, size_t room) {
  const uint8_t *end = from->size > 0 ? memchr(from->data, mark, from->size) : NULL;
  const size_t size = end != NULL ? (size_t)(end - from->data) : from->size, taken = end != NULL ? size + 1 : size;
  snprintf(to, room, "%.*s", (int)(size < room ? size : room), size > 0 ? (const char *)from->data : "");
  from->data += taken;
  from->size -= taken;
}

int dial_host(an_view *hosts) {
  char host[256], port[16];
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
  take_before(hosts, ' ', host, sizeof host);
  take_before(hosts, '\n', port, sizeof port);
  if (getaddrinfo(host, port, &hints, &found) != 0) {
    errno = EHOSTUNREACH;
    return -1;
  }
  const int on = 1, unacknowledged = UNACKNOWLEDGED_MS;
  int made = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (made < 0 || (connect(made, found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS)) {
    made = closed(made);
  } else {
    setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(made, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged, sizeof unacknowledged);
    setsockopt(made, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on); /* where an answer is to come and nothing to be sent */
    setsockopt(made, IPPROTO_TCP, TCP_KEEPIDLE, &on, sizeof on);
    setsockopt(made, IPPROTO_TCP, TCP_KEEPINTVL, &on, sizeof on);
  }
  freeaddrinfo(found);
  return made;
}
