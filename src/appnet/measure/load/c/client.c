/* A gRPC load generator: unary calls over HTTP/2 with prior knowledge to 127.0.0.1.
 *
 *   client --port N --requests FILE [--connections N] [--streams N] [--count N] [--seconds X] [--rate X]
 *          [--capture HEADER]... [--bodies]
 *
 * FILE is a sequence of requests: u32le weight, u32le size of the header block, u32le size of the body, header block
 * (HPACK that uses no dynamic table), body (gRPC-framed). They are sent in a shuffled order that keeps the weights.
 * Without --rate each connection keeps --streams calls in flight; with it, calls start at that rate a second whether or
 * not earlier ones have ended, and a call that has to wait for a stream is as late as it is. The run ends after
 * --count calls, after --seconds, or when standard input closes, whichever is first; calls in flight are waited for.
 * Prints JSON: outcomes told apart by status, message, captured response headers and, with --bodies, the answer.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "http2.h"
#include "outcomes.h"

#define MAX_CAPTURED 4
#define MAX_WEIGHTS (1u << 20)
#define LAST_STREAM 0x7ffffff0u
#define SECOND 1000000000u
#define RETRY_NS (5u * 1000000u)   /* between two attempts to connect */
#define PATIENCE_NS (10ull * SECOND) /* for answers after the end, and for a first connection */

typedef struct request {
  view headers;
  view body;
} request;

typedef struct call {
  uint64_t start;
  int32_t http_status;
  int32_t status; /* -1: none seen */
  buffer message;
  buffer captured[MAX_CAPTURED];
  buffer body;
} call;

typedef struct channel {
  h2_connection http2;
  bool open; /* http2 is in use */
  bool connected;
  bool draining; /* no new streams; reconnects when the last has ended */
  bool wants_write;
  uint32_t next_stream;
  uint64_t retry_at;
  call *calls;
} channel;

static struct {
  uint16_t port;
  uint32_t connections, streams;
  uint64_t count;
  double seconds, rate;
  view capture[MAX_CAPTURED];
  size_t capture_count;
  bool bodies;
} options = {.connections = 1, .streams = 1, .count = UINT64_MAX, .seconds = 60};

static struct {
  int epoll, timer;
  request *requests;
  uint32_t *order; /* of requests, by weight, shuffled */
  uint32_t order_size;
  channel *channels;
  uint32_t next_channel;
  uint64_t begun, ended; /* ns; 0: not yet */
  uint64_t started, finished, failed, connects;
  uint64_t unstarted; /* with a rate: calls that were due before the end and never found a stream */
  bool stopping;
  histogram latency;
  outcomes outcomes;
} load;

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static view text_view(const char *text) { return (view){(const uint8_t *)text, strlen(text)}; }

/* ---- calls ------------------------------------------------------------------------------------- */

static void finish(channel *ch, h2_stream *stream, const char *failure) {
  call *call = &ch->calls[stream->index];
  uint64_t end = now_ns();
  view parts[2 + MAX_CAPTURED];
  size_t count = 0;
  parts[count++] = failure != NULL ? text_view(failure) : (view){call->message.data, call->message.size};
  for (size_t i = 0; i < options.capture_count; i++) {
    parts[count++] = (view){call->captured[i].data, call->captured[i].size};
  }
  parts[count++] = (view){call->body.data, call->body.size};
  outcome_count(&load.outcomes, failure != NULL ? -1 : call->status, parts, count, call->start, end);
  histogram_add(&load.latency, end - call->start);
  load.finished++;
  load.failed += failure != NULL;
  h2_close(&ch->http2, stream);
}

static void finish_answered(channel *ch, h2_stream *stream) {
  const call *call = &ch->calls[stream->index];
  char failure[64];
  snprintf(failure, sizeof failure, "no grpc-status, HTTP status %" PRId32, call->http_status);
  if (stream->sending) h2_reset(&ch->http2, stream->id, H2_CANCEL);
  finish(ch, stream, call->status < 0 ? failure : NULL);
}

static void start(channel *ch, uint64_t at) {
  h2_stream *stream = h2_open(&ch->http2, ch->next_stream);
  ch->next_stream += 2;
  if (ch->next_stream > LAST_STREAM) ch->draining = true;
  call *call = &ch->calls[stream->index];
  call->start = at;
  call->http_status = 0;
  call->status = -1;
  call->message.size = call->body.size = 0;
  for (size_t i = 0; i < options.capture_count; i++) call->captured[i].size = 0;
  const request *request = &load.requests[load.order[load.started++ % load.order_size]];
  h2_send(&ch->http2, stream, request->headers, request->body, (view){0});
}

static int32_t parse_number(view value) {
  int32_t number = 0;
  for (size_t i = 0; i < value.size && i < 5; i++) {
    if (value.data[i] < '0' || value.data[i] > '9') return -1;
    number = number * 10 + (value.data[i] - '0');
  }
  return value.size > 0 ? number : -1;
}

static void on_header(h2_connection *c, h2_stream *stream, view name, view value) {
  if (stream == NULL) return;
  call *call = &((channel *)c->owner)->calls[stream->index];
  if (view_is(name, ":status")) call->http_status = parse_number(value);
  if (view_is(name, "grpc-status")) call->status = parse_number(value);
  if (view_is(name, "grpc-message")) {
    call->message.size = 0;
    buffer_add(&call->message, value.data, value.size);
  }
  for (size_t i = 0; i < options.capture_count; i++) {
    if (name.size != options.capture[i].size || memcmp(name.data, options.capture[i].data, name.size) != 0) continue;
    call->captured[i].size = 0;
    buffer_add(&call->captured[i], value.data, value.size);
  }
}

static void on_headers_end(h2_connection *c, h2_stream *stream, uint32_t id, bool end_stream) {
  (void)id;
  if (stream != NULL && end_stream) finish_answered(c->owner, stream);
}

static void on_data(h2_connection *c, h2_stream *stream, view data, bool end_stream) {
  channel *ch = c->owner;
  if (options.bodies) buffer_add(&ch->calls[stream->index].body, data.data, data.size);
  if (end_stream) finish_answered(ch, stream);
}

static void on_reset(h2_connection *c, h2_stream *stream, uint32_t code) {
  char failure[32];
  snprintf(failure, sizeof failure, "RST_STREAM %" PRIu32, code);
  finish(c->owner, stream, failure);
}

static void fail_streams_above(channel *ch, uint32_t id, const char *failure) {
  for (uint32_t i = 0; i < ch->http2.stream_count; i++) {
    h2_stream *stream = &ch->http2.streams[i];
    if (stream->id > id) finish(ch, stream, failure);
  }
}

static void on_goaway(h2_connection *c, uint32_t last_stream, uint32_t code) {
  channel *ch = c->owner;
  char failure[32];
  snprintf(failure, sizeof failure, "GOAWAY %" PRIu32, code);
  ch->draining = true;
  fail_streams_above(ch, last_stream, failure);
}

static void on_sent(h2_connection *c, h2_stream *stream) { (void)c, (void)stream; }

static const h2_events events = {on_header, on_headers_end, on_data, on_reset, on_goaway, on_sent};

/* ---- connections ------------------------------------------------------------------------------- */

static void watch(int fd, void *what, int operation, uint32_t wanted) {
  struct epoll_event event = {.events = wanted, .data.ptr = what};
  epoll_ctl(load.epoll, operation, fd, &event);
}

static void give_up(channel *ch, const char *failure) {
  fail_streams_above(ch, 0, failure);
  h2_free(&ch->http2);
  ch->open = ch->connected = false;
  ch->retry_at = now_ns() + RETRY_NS;
}

static void connect_channel(channel *ch) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(options.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  uint32_t pool = 1;
  while (pool < options.streams) pool *= 2;
  h2_init(&ch->http2, fd, true, pool, &events, ch);
  ch->open = true;
  ch->draining = false;
  ch->wants_write = true;
  ch->next_stream = 1;
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) {
    give_up(ch, "not connected");
  } else {
    watch(fd, ch, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
  }
}

static bool has_room(const channel *ch) {
  uint32_t limit = options.streams < ch->http2.peer_streams ? options.streams : ch->http2.peer_streams;
  return ch->connected && !ch->draining && ch->http2.active < limit;
}

static void flush_channel(channel *ch) {
  bool blocked;
  if (!ch->connected) return;
  if (ch->draining && ch->http2.active == 0) {
    give_up(ch, "");
  } else if (!h2_write(&ch->http2, &blocked)) {
    give_up(ch, "connection closed");
  } else if (blocked != ch->wants_write) {
    ch->wants_write = blocked;
    watch(ch->http2.fd, ch, EPOLL_CTL_MOD, EPOLLIN | (blocked ? EPOLLOUT : 0));
  }
}

static void on_ready(channel *ch, uint32_t ready) {
  if (!ch->connected && ready & (EPOLLHUP | EPOLLERR)) {
    give_up(ch, "not connected");
    return;
  }
  if (!ch->connected && ready & EPOLLOUT) {
    ch->connected = true;
    load.connects++;
  }
  if (ready & (EPOLLIN | EPOLLHUP | EPOLLERR) && !h2_read(&ch->http2)) give_up(ch, "connection closed");
}

/* ---- the run ----------------------------------------------------------------------------------- */

static bool may_start(uint64_t now) {
  if (load.started >= options.count || now >= load.begun + (uint64_t)(options.seconds * SECOND)) load.stopping = true;
  return !load.stopping;
}

static void start_closed(uint64_t now) {
  for (uint32_t i = 0; i < options.connections; i++) {
    channel *ch = &load.channels[i];
    while (has_room(ch) && may_start(now)) start(ch, now_ns());
  }
}

static uint64_t due_at(uint64_t number) { return load.begun + (uint64_t)((double)number * SECOND / options.rate); }

static void start_due(uint64_t now) {
  uint32_t full = 0;
  while (full < options.connections && due_at(load.started) <= now && may_start(due_at(load.started))) {
    channel *ch = &load.channels[load.next_channel++ % options.connections];
    full = has_room(ch) ? 0 : full + 1;
    if (full == 0) start(ch, due_at(load.started));
  }
  if (!may_start(now) && load.started < options.count) {
    uint64_t due = (uint64_t)(options.seconds * options.rate);
    load.unstarted = due > load.started ? due - load.started : 0;
  }
  uint64_t next = due_at(load.started);
  if (full == 0 && next > now && !load.stopping) {
    struct itimerspec at = {.it_value = {(time_t)(next / SECOND), (long)(next % SECOND)}};
    timerfd_settime(load.timer, TFD_TIMER_ABSTIME, &at, NULL);
  }
}

/* Starts what is due and sends what is queued; false when all is done. */
static bool advance(void) {
  static uint64_t impatient_at;
  uint64_t now = now_ns();
  if (impatient_at == 0) impatient_at = now + PATIENCE_NS;
  uint32_t active = 0, connected = 0;
  for (uint32_t i = 0; i < options.connections; i++) {
    channel *ch = &load.channels[i];
    if (!ch->open && now >= ch->retry_at && !load.stopping) connect_channel(ch);
    connected += ch->connected;
  }
  if (load.begun == 0 && connected == options.connections) load.begun = now;
  if (load.begun != 0 && !load.stopping) {
    options.rate > 0 ? start_due(now) : start_closed(now);
    impatient_at = now + PATIENCE_NS;
  }
  if (load.begun == 0 && now >= impatient_at) load.stopping = true;
  for (uint32_t i = 0; i < options.connections; i++) {
    flush_channel(&load.channels[i]);
    if (load.channels[i].open) active += load.channels[i].http2.active;
  }
  if (!load.stopping) return true;
  if (active > 0 && now >= impatient_at) {
    for (uint32_t i = 0; i < options.connections; i++) {
      if (load.channels[i].open) fail_streams_above(&load.channels[i], 0, "no answer");
    }
    return false;
  }
  return active > 0;
}

static void run(void) {
  static int timer_mark, stdin_mark;
  load.epoll = epoll_create1(EPOLL_CLOEXEC);
  load.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  watch(load.timer, &timer_mark, EPOLL_CTL_ADD, EPOLLIN);
  watch(STDIN_FILENO, &stdin_mark, EPOLL_CTL_ADD, EPOLLIN);
  while (advance()) {
    struct epoll_event ready[64];
    int count = epoll_wait(load.epoll, ready, 64, load.stopping || load.begun == 0 ? 5 : 50);
    for (int i = 0; i < count; i++) {
      uint8_t ignored[64];
      if (ready[i].data.ptr == &timer_mark) {
        if (read(load.timer, ignored, sizeof ignored) < 0) continue;
      } else if (ready[i].data.ptr == &stdin_mark) {
        if (read(STDIN_FILENO, ignored, sizeof ignored) > 0) continue;
        load.stopping = true;
        epoll_ctl(load.epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
      } else {
        on_ready(ready[i].data.ptr, ready[i].events);
      }
    }
  }
  load.ended = now_ns();
}

static uint32_t take32(view *in) {
  if (in->size < 4) {
    fputs("client: the requests end too early\n", stderr);
    exit(2);
  }
  const uint8_t *p = in->data;
  in->data += 4, in->size -= 4;
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void load_requests(const char *path) {
  view in = read_file(path);
  buffer requests = {0}, order = {0};
  for (uint32_t number = 0; in.size > 0; number++) {
    uint32_t weight = take32(&in), headers = take32(&in), body = take32(&in);
    if ((uint64_t)headers + body > in.size || weight > MAX_WEIGHTS || headers > H2_FRAME_SIZE) {
      fputs("client: the requests are not as they should be\n", stderr);
      exit(2);
    }
    request r = {{in.data, headers}, {in.data + headers, body}};
    buffer_add(&requests, &r, sizeof r);
    while (weight-- > 0) buffer_add(&order, &number, sizeof number);
    in.data += headers + body, in.size -= headers + body;
  }
  load.requests = (request *)(void *)requests.data;
  load.order = (uint32_t *)(void *)order.data;
  load.order_size = (uint32_t)(order.size / sizeof *load.order);
  uint64_t random = 0x9e3779b97f4a7c15u;
  for (uint32_t i = load.order_size; i > 1; i--) { /* Fisher and Yates, the same order in every run */
    random = random * 6364136223846793005u + 1442695040888963407u;
    uint32_t j = (uint32_t)((random >> 33) % i), held = load.order[i - 1];
    load.order[i - 1] = load.order[j];
    load.order[j] = held;
  }
}

static const char *parse(int argc, char **argv) {
  const char *requests = NULL;
  for (int i = 1; i < argc; i++) {
    const char *name = argv[i];
    if (strcmp(name, "--bodies") == 0) {
      options.bodies = true;
      continue;
    }
    const char *value = ++i < argc ? argv[i] : "";
    if (strcmp(name, "--port") == 0) options.port = (uint16_t)atoi(value);
    else if (strcmp(name, "--requests") == 0) requests = value;
    else if (strcmp(name, "--connections") == 0) options.connections = (uint32_t)atoi(value);
    else if (strcmp(name, "--streams") == 0) options.streams = (uint32_t)atoi(value);
    else if (strcmp(name, "--count") == 0) options.count = strtoull(value, NULL, 10);
    else if (strcmp(name, "--seconds") == 0) options.seconds = strtod(value, NULL);
    else if (strcmp(name, "--rate") == 0) options.rate = strtod(value, NULL);
    else if (strcmp(name, "--capture") == 0 && options.capture_count < MAX_CAPTURED)
      options.capture[options.capture_count++] = text_view(value);
    else requests = NULL, i = argc;
  }
  if (requests == NULL || options.port == 0 || options.connections == 0 || options.streams == 0) {
    fputs("client: cannot use these arguments; see the head of client.c\n", stderr);
    exit(2);
  }
  return requests;
}

static void print_result(void) {
  double seconds = load.begun != 0 ? (double)(load.ended - load.begun) / SECOND : 0;
  printf("{\"finished\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"connects\":%" PRIu64 ",\"seconds\":%.6f", load.finished,
         load.failed, load.connects, seconds);
  printf(",\"unstarted\":%" PRIu64 ",\"overflowed\":%" PRIu64, load.unstarted, load.outcomes.overflowed);
  printf(",\"latency_ns\":{\"mean\":%" PRIu64,
         load.latency.total != 0 ? load.latency.sum / load.latency.total : 0);
  static const struct { const char *name; double q; } quantiles[] = {{"p50", .5}, {"p90", .9}, {"p99", .99}, {"p999", .999}};
  for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
    printf(",\"%s\":%" PRIu64, quantiles[i].name, histogram_quantile(&load.latency, quantiles[i].q));
  }
  printf(",\"max\":%" PRIu64 "},\"outcomes\":", load.latency.largest);
  outcomes_print(&load.outcomes, stdout);
  puts("}");
}

int main(int argc, char **argv) {
  load_requests(parse(argc, argv));
  if (load.order_size == 0) return 2;
  load.channels = need(calloc(options.connections, sizeof *load.channels));
  for (uint32_t i = 0; i < options.connections; i++) {
    uint32_t pool = 1;
    while (pool < options.streams) pool *= 2;
    load.channels[i].calls = need(calloc(pool, sizeof(call)));
  }
  run();
  print_result();
  return load.begun != 0 ? 0 : 1;
}
