/* The events of a call, one after the other: where one waits in the middle, the proxy is told to stop. What comes meanwhile stays
 * in its buffers and is shown when the event is over, before the proxy is told to go on.
 *
 * Only modules with strong state that is shared have events that wait (AN_FIBERS). */
#ifndef AN_TURNS_H
#define AN_TURNS_H

#include "http_call.h"

#ifndef AN_FIBERS
#define AN_FIBERS 0
#endif

#if AN_FIBERS
#include "event.h"
#include "fibers.h"
#endif

typedef enum turn_event {
  TURN_REQUEST_HEADERS,
  TURN_REQUEST_BODY,
  TURN_REQUEST_TRAILERS,
  TURN_RESPONSE_HEADERS,
  TURN_RESPONSE_BODY,
  TURN_RESPONSE_TRAILERS,
  TURN_DEADLINE,
  TURN_END,
} turn_event;

/* `size`: of the body so far. `end`: nothing follows. */
typedef struct turn {
  turn_event event;
  size_t size;
  bool end;
} turn;

/* One direction of a call. */
typedef struct flow {
  size_t judged; /* bytes of the buffer that were judged late, and stay as they are */
#if AN_FIBERS
  bool stopped;    /* the proxy was told to, and has to be told to go on */
  bool open, held; /* what it has may go on; but it is a part of a message */
  turn late[3];    /* headers, body and trailers that came while an event waited */
  bool is_late[3];
#endif
} flow;

typedef struct stream {
  struct stream *next;
  uint32_t context;
  bool replied;       /* by this chain: what follows is the reply itself */
  bool responds;      /* with a message */
  bool response_passed; /* some of it went on to the caller */
  bool speaks_grpc;
  bool response_held; /* the buffer shows all of the body so far, not what arrived */
  uint64_t ends_at_ns; /* AN_NO_DEADLINE, or when a chain has it end */
  an_http_call *call;
  an_view request_headers; /* while they wait for the message; in the call's arena */
  flow request, response;
#if AN_FIBERS
  fiber *waits;        /* the event in hand does; NULL: there is none */
  turn turn;
  uint32_t result;     /* what the proxy is to do about it */
  bool late_deadline, gone; /* `gone`: the proxy has no such call any more */
  scratch_block *memory; /* of the event in hand */
  struct stream *next_woken;
#endif
} stream;

/* Shows the event to the chain; what the proxy is to do. */
uint32_t take_turn(stream *it, turn now);
/* Shows its end; false: that waits, and then forgets it. */
bool turn_ends(stream *it);

#if AN_FIBERS
static inline bool turn_waits(const stream *it) { return it->waits != NULL; }
void turn_woken(void *call_host); /* an_carrier.wake */
bool turns_wait(void);            /* whether any does */
void turns_go_on(void);           /* those that were woken; and posts what they ask */
enum { TURN_HEADERS, TURN_BODY, TURN_TRAILERS, TURN_PARTS };
/* Trailers wait behind what is judged now. */
static inline bool trailers_wait(const stream *it) { return it->response.is_late[TURN_TRAILERS]; }
/* So many bytes of the buffer have become so many: what came behind them was told of before. */
static inline void turn_body_changed(flow *flow, size_t from, size_t to) {
  if (flow->is_late[TURN_BODY]) flow->late[TURN_BODY].size += to - from;
}
#else
static inline void turn_body_changed(const flow *flow, size_t from, size_t to) {
  (void)flow;
  (void)from;
  (void)to;
}
static inline bool turn_waits(const stream *it) {
  (void)it;
  return false;
}
static inline bool turns_wait(void) { return false; }
static inline void turns_go_on(void) {}
static inline bool trailers_wait(const stream *it) {
  (void)it;
  return false;
}
#endif

/* The host's: */
uint32_t show(stream *it, turn now);
void forget_stream(stream *it);    /* it is over */
void event_of(const stream *it);   /* an event of it begins, in the place of the one in hand; NULL: of none */
void event_of_over(void);

#endif
