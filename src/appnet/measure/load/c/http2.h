/* One HTTP/2 connection (RFC 9113) over a non-blocking socket, as client or server: frames, flow control, streams.
 *
 * The owner gets events while h2_read runs, and queues frames that h2_write sends. What the peer may send is never
 * short of window; what is sent here keeps to the peer's windows and waits for WINDOW_UPDATE where they are used up.
 */
#ifndef LOAD_HTTP2_H
#define LOAD_HTTP2_H

#include "buffer.h"
#include "hpack.h"

#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define H2_FRAME_SIZE 16384u

enum h2_error { H2_NO_ERROR = 0, H2_CANCEL = 8 };

/* What of a stream concerns HTTP/2; the owner keeps the rest in an array of its own, by `index`. */
typedef struct h2_stream {
  uint32_t id;       /* 0: free */
  uint32_t index;    /* in the connection's pool */
  uint32_t next;     /* in its bucket or in the free list: index + 1, 0 ends */
  int64_t window;    /* how much body the peer takes now */
  view body;         /* what is not sent yet; the owner keeps the bytes until on_sent or h2_close */
  view trailers;     /* a header block that ends the stream after the body; empty: the body's last frame ends it */
  bool sending;      /* the end of the stream is not sent yet */
} h2_stream;

typedef struct h2_connection h2_connection;

/* `stream` is NULL in on_header and on_headers_end where the stream is new to a server, or gone. */
typedef struct h2_events {
  void (*on_header)(h2_connection *c, h2_stream *stream, view name, view value);
  void (*on_headers_end)(h2_connection *c, h2_stream *stream, uint32_t id, bool end_stream);
  void (*on_data)(h2_connection *c, h2_stream *stream, view data, bool end_stream);
  void (*on_reset)(h2_connection *c, h2_stream *stream, uint32_t code);
  void (*on_goaway)(h2_connection *c, uint32_t last_stream, uint32_t code);
  void (*on_sent)(h2_connection *c, h2_stream *stream); /* the end of what h2_send was given has been queued */
} h2_events;

struct h2_connection {
  int fd;
  void *owner;
  const h2_events *events;
  buffer in;
  buffer out;
  size_t written; /* of out */
  buffer block;   /* a header block and its CONTINUATIONs */
  uint32_t block_stream;
  uint8_t block_flags;
  bool preface_missing; /* server: the client's preface was not read yet */
  hpack_decoder decoder;
  int64_t window;           /* how much body the peer takes now on all streams together */
  uint32_t stream_window;   /* the peer's initial window of a stream */
  uint32_t peer_frame_size;
  uint32_t peer_streams;    /* how many streams the peer allows at a time */
  uint32_t received;        /* body bytes not yet given back to the peer's window */
  bool has_settings;        /* the peer's SETTINGS have arrived */
  h2_stream *streams;
  uint32_t stream_count;
  uint32_t *buckets;        /* stream_count of them */
  uint32_t free_stream;
  uint32_t active;
  uint32_t waiting;         /* streams whose body waits for window */
};

/* Sends preface (client) and SETTINGS. `max_streams` is the size of the pool, a power of two. */
void h2_init(h2_connection *c, int fd, bool is_client, uint32_t max_streams, const h2_events *events, void *owner);
void h2_free(h2_connection *c); /* closes the socket */

/* Reads what has arrived and reports it. False: closed by the peer, or malformed. */
bool h2_read(h2_connection *c);
/* Sends what is queued. False: the connection is gone. *blocked: the socket takes no more for now. */
bool h2_write(h2_connection *c, bool *blocked);

h2_stream *h2_open(h2_connection *c, uint32_t id); /* NULL: the pool is used up */
h2_stream *h2_find(h2_connection *c, uint32_t id);
void h2_close(h2_connection *c, h2_stream *stream);

/* Queues a whole message: its header block, body and, if any, trailers. */
void h2_send(h2_connection *c, h2_stream *stream, view headers, view body, view trailers);
void h2_reset(h2_connection *c, uint32_t id, uint32_t code);

#endif
