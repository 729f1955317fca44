#include "http2.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum frame_type { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION };
enum flag { END_STREAM = 0x1, ACK = 0x1, END_HEADERS = 0x4, PADDED = 0x8, HAS_PRIORITY = 0x20 };
enum setting { MAX_CONCURRENT_STREAMS = 3, INITIAL_WINDOW_SIZE = 4, MAX_FRAME_SIZE = 5 };

#define LARGEST_WINDOW 0x7fffffffu
#define DEFAULT_WINDOW 65535u
#define READ_SIZE 262144u

static uint32_t get32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t value) {
  for (int i = 0; i < 4; i++) p[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void add_frame(h2_connection *c, enum frame_type type, int flags, uint32_t id, view payload) {
  uint8_t head[9] = {(uint8_t)(payload.size >> 16), (uint8_t)(payload.size >> 8), (uint8_t)payload.size, (uint8_t)type,
                     (uint8_t)flags};
  put32(head + 5, id);
  buffer_add(&c->out, head, sizeof head);
  buffer_add(&c->out, payload.data, payload.size);
}

static void add_word_frame(h2_connection *c, enum frame_type type, uint32_t id, uint32_t word) {
  uint8_t payload[4];
  put32(payload, word);
  add_frame(c, type, 0, id, (view){payload, sizeof payload});
}

/* ---- streams ----------------------------------------------------------------------------------- */

static uint32_t *bucket_of(h2_connection *c, uint32_t id) { return &c->buckets[(id >> 1) & (c->stream_count - 1)]; }

h2_stream *h2_find(h2_connection *c, uint32_t id) {
  uint32_t at = *bucket_of(c, id);
  while (at != 0 && c->streams[at - 1].id != id) at = c->streams[at - 1].next;
  return at != 0 ? &c->streams[at - 1] : NULL;
}

h2_stream *h2_open(h2_connection *c, uint32_t id) {
  if (c->free_stream == 0) return NULL;
  uint32_t at = c->free_stream;
  h2_stream *stream = &c->streams[at - 1];
  c->free_stream = stream->next;
  uint32_t *bucket = bucket_of(c, id);
  *stream = (h2_stream){.id = id, .index = at - 1, .next = *bucket, .window = c->stream_window};
  *bucket = at;
  c->active++;
  return stream;
}

void h2_close(h2_connection *c, h2_stream *stream) {
  uint32_t *link = bucket_of(c, stream->id);
  while (*link != stream->index + 1) link = &c->streams[*link - 1].next;
  *link = stream->next;
  if (stream->sending) c->waiting--;
  stream->id = 0;
  stream->sending = false;
  stream->next = c->free_stream;
  c->free_stream = stream->index + 1;
  c->active--;
}

/* ---- sending ----------------------------------------------------------------------------------- */

/* Sends as much of the body as the windows allow, and the end of the stream after it; returns whether it ended. */
static bool send_body(h2_connection *c, h2_stream *stream) {
  while (stream->body.size > 0) {
    int64_t window = c->window < stream->window ? c->window : stream->window;
    if (window <= 0) return false;
    size_t size = stream->body.size;
    if (size > (uint64_t)window) size = (size_t)window;
    if (size > c->peer_frame_size) size = c->peer_frame_size;
    bool last = size == stream->body.size && stream->trailers.size == 0;
    add_frame(c, DATA, last ? END_STREAM : 0, stream->id, (view){stream->body.data, size});
    stream->body.data += size;
    stream->body.size -= size;
    stream->window -= (int64_t)size;
    c->window -= (int64_t)size;
  }
  if (stream->trailers.size > 0) add_frame(c, HEADERS, END_HEADERS | END_STREAM, stream->id, stream->trailers);
  return true;
}

void h2_send(h2_connection *c, h2_stream *stream, view headers, view body, view trailers) {
  bool ends = body.size == 0 && trailers.size == 0;
  add_frame(c, HEADERS, END_HEADERS | (ends ? END_STREAM : 0), stream->id, headers);
  stream->body = body;
  stream->trailers = trailers;
  if (ends || send_body(c, stream)) {
    c->events->on_sent(c, stream);
  } else {
    stream->sending = true;
    c->waiting++;
  }
}

static void send_waiting(h2_connection *c) {
  for (uint32_t i = 0; i < c->stream_count && c->waiting > 0 && c->window > 0; i++) {
    h2_stream *stream = &c->streams[i];
    if (stream->id != 0 && stream->sending && send_body(c, stream)) {
      stream->sending = false;
      c->waiting--;
      c->events->on_sent(c, stream);
    }
  }
}

void h2_reset(h2_connection *c, uint32_t id, uint32_t code) { add_word_frame(c, RST_STREAM, id, code); }

bool h2_write(h2_connection *c, bool *blocked) {
  *blocked = false;
  while (c->written < c->out.size) {
    ssize_t sent = send(c->fd, c->out.data + c->written, c->out.size - c->written, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      *blocked = true;
      return true;
    }
    if (sent < 0) return false;
    c->written += (size_t)sent;
  }
  c->out.size = c->written = 0;
  return true;
}

/* ---- receiving --------------------------------------------------------------------------------- */

struct found {
  h2_connection *connection;
  h2_stream *stream;
};

static void header_found(void *owner, view name, view value) {
  struct found *found = owner;
  found->connection->events->on_header(found->connection, found->stream, name, value);
}

static bool end_block(h2_connection *c) {
  uint32_t id = c->block_stream;
  struct found found = {c, h2_find(c, id)};
  if (!hpack_decode(&c->decoder, (view){c->block.data, c->block.size}, header_found, &found)) return false;
  c->block.size = 0;
  c->block_stream = 0;
  c->events->on_headers_end(c, found.stream, id, c->block_flags & END_STREAM);
  return true;
}

/* Takes padding, and priority of HEADERS, off a payload. */
static bool strip(view *payload, int flags, bool is_headers) {
  size_t before = 0, padding = 0;
  if (flags & PADDED) {
    if (payload->size < 1) return false;
    padding = *payload->data;
    before = 1;
  }
  if (is_headers && flags & HAS_PRIORITY) before += 5;
  if (before + padding > payload->size) return false;
  payload->data += before;
  payload->size -= before + padding;
  return true;
}

static bool read_headers(h2_connection *c, int type, int flags, uint32_t id, view payload) {
  if (type == HEADERS) {
    if (id == 0 || c->block_stream != 0 || !strip(&payload, flags, true)) return false;
    c->block_stream = id;
    c->block_flags = (uint8_t)flags;
  } else if (id == 0 || c->block_stream != id) {
    return false;
  }
  buffer_add(&c->block, payload.data, payload.size);
  return flags & END_HEADERS ? end_block(c) : true;
}

static bool read_data(h2_connection *c, int flags, uint32_t id, view payload) {
  c->received += (uint32_t)payload.size;
  if (c->received > LARGEST_WINDOW / 2) {
    add_word_frame(c, WINDOW_UPDATE, 0, c->received);
    c->received = 0;
  }
  if (!strip(&payload, flags, false)) return false;
  h2_stream *stream = h2_find(c, id);
  if (stream != NULL) c->events->on_data(c, stream, payload, flags & END_STREAM);
  return true;
}

static bool read_settings(h2_connection *c, int flags, view payload) {
  if (flags & ACK) return true;
  if (payload.size % 6 != 0) return false;
  for (size_t at = 0; at < payload.size; at += 6) {
    uint32_t id = (uint32_t)payload.data[at] << 8 | payload.data[at + 1], value = get32(payload.data + at + 2);
    if (id == MAX_CONCURRENT_STREAMS) c->peer_streams = value;
    if (id == MAX_FRAME_SIZE) c->peer_frame_size = value < H2_FRAME_SIZE ? H2_FRAME_SIZE : value;
    if (id == INITIAL_WINDOW_SIZE) {
      int64_t change = (int64_t)value - c->stream_window;
      for (uint32_t i = 0; i < c->stream_count; i++) c->streams[i].window += change;
      c->stream_window = value;
    }
  }
  c->has_settings = true;
  add_frame(c, SETTINGS, ACK, 0, (view){0});
  send_waiting(c);
  return true;
}

static bool read_window(h2_connection *c, uint32_t id, view payload) {
  if (payload.size != 4) return false;
  uint32_t more = get32(payload.data) & LARGEST_WINDOW;
  if (id == 0) {
    c->window += more;
  } else {
    h2_stream *stream = h2_find(c, id);
    if (stream != NULL) stream->window += more;
  }
  if (c->waiting > 0) send_waiting(c);
  return true;
}

static bool read_frame(h2_connection *c, int type, int flags, uint32_t id, view payload) {
  if (c->block_stream != 0 && type != CONTINUATION) return false;
  switch (type) {
    case DATA:
      return read_data(c, flags, id, payload);
    case HEADERS:
    case CONTINUATION:
      return read_headers(c, type, flags, id, payload);
    case RST_STREAM: {
      h2_stream *stream = h2_find(c, id);
      if (payload.size != 4) return false;
      if (stream != NULL) c->events->on_reset(c, stream, get32(payload.data));
      return true;
    }
    case SETTINGS:
      return read_settings(c, flags, payload);
    case PING:
      if (!(flags & ACK)) add_frame(c, PING, ACK, 0, payload);
      return payload.size == 8;
    case GOAWAY:
      if (payload.size < 8) return false;
      c->events->on_goaway(c, get32(payload.data) & LARGEST_WINDOW, get32(payload.data + 4));
      return true;
    case WINDOW_UPDATE:
      return read_window(c, id, payload);
    default:
      return type != PUSH_PROMISE;
  }
}

static bool read_frames(h2_connection *c) {
  size_t at = 0;
  if (c->preface_missing) {
    const size_t size = sizeof H2_PREFACE - 1;
    if (c->in.size < size) return true;
    if (memcmp(c->in.data, H2_PREFACE, size) != 0) return false;
    c->preface_missing = false;
    at = size;
  }
  while (c->in.size - at >= 9) {
    const uint8_t *head = c->in.data + at;
    size_t size = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
    if (size > H2_FRAME_SIZE) return false;
    if (c->in.size - at < 9 + size) break;
    if (!read_frame(c, head[3], head[4], get32(head + 5) & LARGEST_WINDOW, (view){head + 9, size})) return false;
    at += 9 + size;
  }
  memmove(c->in.data, c->in.data + at, c->in.size - at);
  c->in.size -= at;
  return true;
}

bool h2_read(h2_connection *c) {
  for (;;) {
    uint8_t *place = buffer_grow(&c->in, READ_SIZE);
    ssize_t got = recv(c->fd, place, READ_SIZE, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    if (got == 0) return false;
    c->in.size += (size_t)got;
    if (!read_frames(c)) return false;
    if ((size_t)got < READ_SIZE) return true;
  }
}

/* ---- life -------------------------------------------------------------------------------------- */

void h2_init(h2_connection *c, int fd, bool is_client, uint32_t max_streams, const h2_events *events, void *owner) {
  *c = (h2_connection){
      .fd = fd,
      .owner = owner,
      .events = events,
      .preface_missing = !is_client,
      .window = DEFAULT_WINDOW,
      .stream_window = DEFAULT_WINDOW,
      .peer_frame_size = H2_FRAME_SIZE,
      .peer_streams = UINT32_MAX,
      .streams = need(calloc(max_streams, sizeof(h2_stream))),
      .stream_count = max_streams,
      .buckets = need(calloc(max_streams, sizeof(uint32_t))),
      .free_stream = 1,
  };
  for (uint32_t i = 0; i < max_streams; i++) {
    c->streams[i].index = i;
    c->streams[i].next = i + 1 < max_streams ? i + 2 : 0;
  }
  hpack_init(&c->decoder);
  if (is_client) buffer_add(&c->out, H2_PREFACE, sizeof H2_PREFACE - 1);
  uint8_t settings[12] = {0, MAX_CONCURRENT_STREAMS, 0, 0, 0, 0, 0, INITIAL_WINDOW_SIZE};
  put32(settings + 2, is_client ? 0 : max_streams);
  put32(settings + 8, LARGEST_WINDOW);
  add_frame(c, SETTINGS, 0, 0, (view){settings, sizeof settings});
  add_word_frame(c, WINDOW_UPDATE, 0, LARGEST_WINDOW - DEFAULT_WINDOW);
}

void h2_free(h2_connection *c) {
  close(c->fd);
  hpack_free(&c->decoder);
  buffer_free(&c->in);
  buffer_free(&c->out);
  buffer_free(&c->block);
  free(c->streams);
  free(c->buckets);
}
