/* What the loader keeps of configurations and streams. */
#ifndef APPNET_LOADER_H
#define APPNET_LOADER_H

#include <pthread.h>

#include "envoy_abi.h"
#include "fiber.h"
#include "module.h"
#include "outbox.h"
#include "state_keeper.h"
#include "store.h"
#include "timers.h"

#define EXPORT __attribute__((visibility("default")))
#define TEXT(text) ((envoy_buffer){text, sizeof(text) - 1})

enum { FLUSH_MS = 100, BUFFER_SLACK = 256 << 10, STACK_CHUNKS = 32, SHOWN = 200 };

/* One version of a chain in one filter configuration. */
typedef struct config {
  void *library;
  int file;
  const an_module *module;
  an_instance *instance;
  an_services services;
  state_keeper *keeper;
  uint32_t max_message;
  outbox *outbox;
  timers *timers;
  store *store;  /* NULL: there is none */
  bool waits;    /* its calls may wait for the store */
  size_t behind; /* streams that Envoy has ended, and whose last steps are still to be taken */
  pthread_mutex_t lock; /* guards that */
  pthread_cond_t none_behind;
} config;

/* What is reported to a chain. */
typedef enum event {
  REQUEST_HEADERS, REQUEST_BODY, REQUEST_TRAILERS,
  RESPONSE_HEADERS, RESPONSE_BODY, RESPONSE_TRAILERS,
  LOCAL_REPLY, DEADLINE, END,
} event;

typedef struct turn {
  event event;
  bool end;
  uint32_t status;       /* LOCAL_REPLY */
  const an_view *chunks; /* of a body */
  size_t count;
  an_action action;      /* what came of it */
} turn;

/* Of one direction: what came while the chain was waiting for the store, and what Envoy was told. */
typedef struct flow {
  bool body, end, trailers; /* came */
  bool stopped;             /* Envoy waits to be told to go on */
  bool open;                /* the headers may go on */
  bool held;                /* but the chain wants more of what stopped */
  size_t judged;            /* bytes at the front of Envoy's buffer that may pass when the direction goes on */
  size_t shown;             /* and behind them, those of the event in hand */
} flow;

typedef enum progress { RUNS, WAITS, WOKEN, SCHEDULED } progress;

/* The headers of a call that Envoy has ended. */
typedef struct left_headers {
  envoy_header *all[3]; /* by an_metadata_map, in memory that ends with `texts` */
  size_t count[3];
  char *texts;
} left_headers;

typedef struct stream {
  void *envoy; /* Envoy's filter */
  config *config;
  an_http_call *call;
  bool request_passes;  /* all the rest of the request may pass: it is not looked at any more */
  bool response_passes;
  bool request_held;    /* body bytes may be in Envoy's buffer */
  bool response_held;
  bool response_begun;
  bool response_passed; /* some of it went on to the caller */
  bool replied;         /* by this filter: what follows is the reply itself */
  timer *timer;         /* of the time at which the call is to end, if there is one */
  /* Where the chain shares state: */
  turn turn;            /* the event in hand */
  fiber *fiber;         /* it is not over; else NULL */
  uint8_t *body;        /* a copy of what it shows */
  an_view body_view;
  flow request, response;
  bool response_headers_wait, response_headers_end; /* came meanwhile; and were all */
  bool late_deadline, late_reply;                   /* likewise */
  bool cut;             /* this filter has ended the response: what the server still sends of it goes nowhere */
  bool own_trailers;    /* but for the trailers that did so, which come by */
  bool answered;        /* the response that waits has the chain's own status now */
  uint32_t late_status;
  bool *ended; /* is set when Envoy ends the stream; NULL: nobody asks */
  void *scheduler;
  pthread_mutex_t lock; /* guards what follows, and the scheduler */
  progress progress;
  bool gone;            /* Envoy has ended it */
  left_headers left;
} stream;

void complain(const char *format, ...);

/* services.c: those of an_services that concern a call. */
bool header_get(void *call_host, an_metadata_map map, an_view key, an_view *value);
void header_set(void *call_host, an_metadata_map map, an_view key, an_view value);
size_t header_values(void *call_host, an_metadata_map map, an_view key, an_view *values, size_t room);
void header_remove(void *call_host, an_metadata_map map, an_view key);
bool peer(void *call_host, an_view *identity);
void end_at(void *call_host, uint64_t at_ns);
int envoy_map(an_metadata_map map);
/* Envoy is about to end the stream: its headers stay as they are. */
void headers_leave(stream *s);
void headers_free(left_headers *left);

/* answers.c: what a chain's outcome makes of a stream. */
bool speaks_grpc(stream *s);
void drop(stream *s, int body);
void drop_unjudged(stream *s); /* of the response that Envoy holds, all but what elements let pass */
void reply(stream *s);
void respond(stream *s);
void clear_map(stream *s, int map);
int end_with_own_status(stream *s, an_metadata_map map);
int end_plainly(stream *s);
void say_grpc(stream *s);
void drop_content_length(stream *s, int map);
void replace(stream *s, int received, int buffered, int map);
void allow_buffering(stream *s);

/* turns.c: an event is shown to the chain, which may wait for the store in the middle. */
/* True: it is over, and s->turn.action says what came of it. */
bool take_turn(stream *s, turn turn);
/* The stream waits: as an_carrier has it. */
void turn_wait(void *call_host);
void turn_wake(void *call_host);
/* Goes on with the event in hand; true: it is over. */
bool turn_resume(stream *s);
/* Envoy has ended the stream: so does the call, now or later. */
void turn_last(stream *s);

#endif
