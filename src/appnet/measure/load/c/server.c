/* The upstream of a benchmark: a gRPC server that answers each unary call at once, with its own message or a fixed
 * one and status 0.
 *
 *   server [--reply FILE] [--echo-header NAME]...
 *
 * FILE holds the gRPC-framed message of each answer. A request header NAME comes back as a response header. Prints
 * {"address":"127.0.0.1:PORT"} as its first line, and what it saw as JSON when standard input, a pipe, closes; that
 * ends it.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http2.h"

#define MAX_STREAMS 4096u
#define MAX_ECHOED 4
#define LITERAL(text) ((view){(const uint8_t *)(text), sizeof(text) - 1})

typedef struct call {
  buffer body;    /* of the request */
  buffer headers; /* of the answer */
} call;

typedef struct client {
  h2_connection http2;
  call calls[MAX_STREAMS];
  buffer echoed; /* literals of the header block in hand */
  bool wants_write;
} client;

static struct {
  int epoll;
  view reply;
  bool has_reply;
  view echo[MAX_ECHOED];
  size_t echo_count;
  view headers;
  view trailers;
  uint64_t calls, connections, resets, body_bytes;
} server;

static void on_header(h2_connection *c, h2_stream *stream, view name, view value) {
  (void)stream;
  client *peer = c->owner;
  for (size_t i = 0; i < server.echo_count; i++) {
    if (name.size == server.echo[i].size && memcmp(name.data, server.echo[i].data, name.size) == 0) {
      hpack_literal(&peer->echoed, name, value);
    }
  }
}

static void answer(h2_connection *c, h2_stream *stream) {
  call *call = &((client *)c->owner)->calls[stream->index];
  view body = server.has_reply ? server.reply : (view){call->body.data, call->body.size};
  server.calls++;
  h2_send(c, stream, (view){call->headers.data, call->headers.size}, body, server.trailers);
}

static void on_headers_end(h2_connection *c, h2_stream *stream, uint32_t id, bool end_stream) {
  client *peer = c->owner;
  if (stream == NULL) {
    stream = h2_open(c, id);
    if (stream == NULL) {
      h2_reset(c, id, H2_CANCEL);
      return;
    }
    call *call = &peer->calls[stream->index];
    call->body.size = call->headers.size = 0;
    buffer_add(&call->headers, server.headers.data, server.headers.size);
    buffer_add(&call->headers, peer->echoed.data, peer->echoed.size);
  }
  peer->echoed.size = 0;
  if (end_stream) answer(c, stream);
}

static void on_data(h2_connection *c, h2_stream *stream, view data, bool end_stream) {
  call *call = &((client *)c->owner)->calls[stream->index];
  server.body_bytes += data.size;
  if (!server.has_reply) buffer_add(&call->body, data.data, data.size);
  if (end_stream) answer(c, stream);
}

static void on_reset(h2_connection *c, h2_stream *stream, uint32_t code) {
  (void)code;
  server.resets++;
  h2_close(c, stream);
}

static void on_goaway(h2_connection *c, uint32_t last_stream, uint32_t code) { (void)c, (void)last_stream, (void)code; }

static const h2_events events = {on_header, on_headers_end, on_data, on_reset, on_goaway, h2_close};

static void watch(int fd, void *what, int operation, uint32_t wanted) {
  struct epoll_event event = {.events = wanted, .data.ptr = what};
  epoll_ctl(server.epoll, operation, fd, &event);
}

static void accept_clients(int listener) {
  int fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    client *peer = need(calloc(1, sizeof *peer));
    h2_init(&peer->http2, fd, false, MAX_STREAMS, &events, peer);
    server.connections++;
    watch(fd, peer, EPOLL_CTL_ADD, EPOLLIN);
  }
}

static void drop_client(client *peer) {
  h2_free(&peer->http2);
  for (size_t i = 0; i < MAX_STREAMS; i++) {
    buffer_free(&peer->calls[i].body);
    buffer_free(&peer->calls[i].headers);
  }
  buffer_free(&peer->echoed);
  free(peer);
}

static void serve(client *peer, uint32_t ready) {
  bool blocked = false;
  bool fine = !(ready & (EPOLLIN | EPOLLHUP | EPOLLERR)) || h2_read(&peer->http2);
  fine = h2_write(&peer->http2, &blocked) && fine;
  if (!fine) {
    drop_client(peer);
  } else if (blocked != peer->wants_write) {
    peer->wants_write = blocked;
    watch(peer->http2.fd, peer, EPOLL_CTL_MOD, EPOLLIN | (blocked ? EPOLLOUT : 0));
  }
}

static int listen_anywhere(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 1024) < 0 ||
      getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
    perror("listen");
    exit(1);
  }
  printf("{\"address\":\"127.0.0.1:%d\"}\n", ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

static void parse(int argc, char **argv) {
  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--reply") == 0) {
      server.reply = read_file(argv[i + 1]);
      server.has_reply = true;
    } else if (strcmp(argv[i], "--echo-header") == 0 && server.echo_count < MAX_ECHOED) {
      server.echo[server.echo_count++] = (view){(const uint8_t *)argv[i + 1], strlen(argv[i + 1])};
    } else {
      fprintf(stderr, "server: cannot use %s\n", argv[i]);
      exit(2);
    }
  }
}

static void prepare_blocks(void) {
  static buffer headers, trailers;
  hpack_literal(&headers, LITERAL(":status"), LITERAL("200"));
  hpack_literal(&headers, LITERAL("content-type"), LITERAL("application/grpc"));
  hpack_literal(&trailers, LITERAL("grpc-status"), LITERAL("0"));
  server.headers = (view){headers.data, headers.size};
  server.trailers = (view){trailers.data, trailers.size};
}

int main(int argc, char **argv) {
  static int listener_mark, stdin_mark;
  parse(argc, argv);
  prepare_blocks();
  server.epoll = epoll_create1(EPOLL_CLOEXEC);
  int listener = listen_anywhere();
  watch(listener, &listener_mark, EPOLL_CTL_ADD, EPOLLIN);
  watch(STDIN_FILENO, &stdin_mark, EPOLL_CTL_ADD, EPOLLIN);
  for (bool running = true; running;) {
    struct epoll_event ready[64];
    int count = epoll_wait(server.epoll, ready, 64, -1);
    if (count < 0 && errno != EINTR) break;
    for (int i = 0; i < count; i++) {
      if (ready[i].data.ptr == &listener_mark) {
        accept_clients(listener);
      } else if (ready[i].data.ptr == &stdin_mark) {
        uint8_t ignored[64];
        running = read(STDIN_FILENO, ignored, sizeof ignored) > 0;
      } else {
        serve(ready[i].data.ptr, ready[i].events);
      }
    }
  }
  printf("{\"calls\":%" PRIu64 ",\"connections\":%" PRIu64 ",\"resets\":%" PRIu64 ",\"body_bytes\":%" PRIu64 "}\n",
         server.calls, server.connections, server.resets, server.body_bytes);
  return 0;
}
